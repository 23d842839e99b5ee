"""Images and prompts in one space: networks of open_clip, an optional extra.

open_clip:MODEL:TAG                 weights by their tag
open_clip:MODEL:PATH                weights in a file; mean, std, interpolation and activation are read from the
                                    open_clip_config.json beside it, or have to be said, see `MUST_SAY`
open_clip:hf-hub:USER/MODEL         a model of the Hugging Face hub
open_clip:local-dir:PATH            a folder as open_clip writes it: open_clip_config.json and the weights
random:open_clip:MODEL              random weights, for sanity checks
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from encoders.arguments import as_value
from encoders.choices import pooling_not_offered
from encoders.contract import Built
from encoders.errors import EncoderError, did_you_mean, one_line
from encoders.files import read_json
from encoders.items import size_of
from encoders.libraries import fetching, of_extra, quiet
from encoders.parsing import Spec
from encoders.preprocess import Preprocess
from encoders.text import check_length

SCHEMES = ("hf-hub:", "local-dir:")  # open_clip's own
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")  # in open_clip's words
CONFIG = "open_clip_config.json"
MUST_SAY = {  # of weights by path: what leaves no trace in them, with open_clip's own choice
    "mean": "0.48145466,0.4578275,0.40821073",
    "std": "0.26862954,0.26130258,0.27577711",
    "interpolation": "bicubic",
    "quick_gelu": "false",
}


class OpenClip(nn.Module):
    """Both towers of an open_clip model; called, it is the image tower. Embeddings have length 1, as CLIP's do."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name  # by which open_clip knows the tokenizer

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, 3, h, w) to (B, D)."""
        features: Tensor = self.model.encode_image(pixels, normalize=True)  # type: ignore[operator]
        return features

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """Prompts to (K, D), in the space of the images.

        Raises:
            EncoderError: If a prompt is longer than the text tower reads.
        """
        tokenizer = _tokenizer(self.name)
        for prompt in prompts if hasattr(tokenizer, "encode") else ():  # open_clip's own would truncate it silently
            check_length(prompt, len(tokenizer.encode(prompt)), tokenizer.context_length - 2)
        tokens = tokenizer(list(prompts)).to(next(self.parameters()).device)
        features: Tensor = self.model.encode_text(tokens, normalize=True)  # type: ignore[operator]
        return features


def build_open_clip(spec: Spec) -> Built:
    """An open_clip model and the preprocessing of its weights.

    Args:
        spec: As at the top of this module.

    Raises:
        ImportError: If open_clip is not installed.
        EncoderError: If the model or tag is unknown, the weights cannot be had, it pads images, or nothing says the
            preprocessing and activation of weights by path.
    """
    open_clip, name, pretrained = _open_clip(), spec.name, spec.pretrained
    model_name, tag = (name, "") if name.startswith(SCHEMES) else name.partition(":")[::2]
    if not name.startswith(SCHEMES):
        _check_name(f"open_clip:{model_name}", model_name, open_clip.list_models())
        tag = _checked_tag(open_clip, model_name, tag) if pretrained else ""
    trained = _trained_with(open_clip, spec, model_name, tag) if tag else {}
    quick_gelu = _flag(spec.items["quick_gelu"]) if "quick_gelu" in spec.items else trained.get("quick_gelu")
    activation = {"force_quick_gelu": True} if quick_gelu else {} if quick_gelu is None else {"quick_gelu": False}
    here = name.startswith("local-dir:") or Path(tag).is_file()
    with fetching(f"open_clip:{name}", pretrained and not here), quiet():
        model = open_clip.create_model(
            model_name,
            pretrained=tag or None,
            load_weights=pretrained,
            require_pretrained=pretrained,
            pretrained_text=False,
            force_image_size=size_of(spec.items),
            force_preprocess_cfg={name: trained[name] for name in PREPROCESSING if name in trained},
            **activation,
        )
    preprocess = _preprocess(name, open_clip.get_model_preprocess_cfg(model))
    return Built(OpenClip(model, model_name), preprocess, pool=_pool)


def _pool(network: nn.Module, pooling: str, name: str) -> None:
    """Refuse another pooling than the one that CLIP was trained with."""
    if pooling != "auto":
        raise pooling_not_offered(pooling, name)


def _open_clip() -> Any:
    return of_extra("open_clip", "encoders with a text tower need open_clip", "text")


@lru_cache(maxsize=4)
def _tokenizer(name: str) -> Any:
    with fetching(f"open_clip:{name}", pretrained=True), quiet():
        return _open_clip().get_tokenizer(name)


def _checked_tag(open_clip: Any, model: str, tag: str) -> str:
    """The tag or path of the weights; an EncoderError where several exist and none is named."""
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not tag and len(tags) != 1:
        choice = f"one of {', '.join(tags)}" if tags else "the path of a checkpoint"
        raise EncoderError(f"encoder 'open_clip:{model}' needs its weights named, open_clip:{model}:TAG with {choice}")
    if tag and not Path(tag).is_file():
        _check_name(f"open_clip:{model}:{tag}", tag, tags)
    return tag or str(tags[0])


def _trained_with(open_clip: Any, spec: Spec, model: str, tag: str) -> dict[str, Any]:
    """Preprocessing and activation of weights, as open_clip's table of tags or the file beside them has it.

    open_clip itself only warns where the activation of a tag is another than the model's.
    """
    file = Path(tag)
    if not file.is_file():
        return _of_tag(open_clip, model, tag)
    config = file.with_name(CONFIG)
    if config.is_file():
        try:
            content = read_json(config.read_bytes())
        except ValueError as error:
            raise EncoderError(f"{config} must be JSON, as open_clip writes it; got {one_line(error)}") from error
        quick_gelu = content.get("model_cfg", {}).get("quick_gelu", False)
        return {**content.get("preprocess_cfg", {}), "quick_gelu": quick_gelu}
    for name in open_clip.list_pretrained_tags_by_model(model):  # a downloaded file that kept its name
        published = _of_tag(open_clip, model, name)
        if published.get("url", "").rpartition("/")[2] == file.name:
            return published
    usual = open_clip.get_model_config(model)
    known = {"quick_gelu"} if usual.get("quick_gelu") or "timm_model_name" in usual["vision_cfg"] else set()
    unsaid = [name for name in MUST_SAY if name not in spec.items and name not in known]
    if unsaid:
        example = "&".join(f"{name}={MUST_SAY[name]}" for name in unsaid)
        raise EncoderError(
            f"encoder {spec.text!r} must say the {', '.join(unsaid)} that its weights were trained with, which leave "
            f"no trace in them: put their {CONFIG} beside them, or add them; open_clip's own are ?{example}"
        )
    return {}


def _of_tag(open_clip: Any, model: str, tag: str) -> dict[str, Any]:
    config: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag)
    return config


def _flag(text: str) -> bool:
    value = as_value(text)
    if not isinstance(value, bool):
        raise EncoderError(f"quick_gelu must be true or false; got {text!r}")
    return value


def _check_name(spec: str, name: str, names: list[str]) -> None:
    if name not in names:
        examples = f"did you mean {', '.join(names[:3])}?" if names else "give the path of a checkpoint that is there"
        raise EncoderError(f"encoder {spec!r} is not known: {did_you_mean(name, names, examples)}")


def _preprocess(name: str, config: dict[str, Any]) -> Preprocess:
    """open_clip's evaluation transform."""
    size = config["size"] if isinstance(config["size"], tuple | list) else (config["size"],) * 2
    squashed = config["resize_mode"] == "squash"
    if not squashed and (config["resize_mode"] != "shortest" or size[0] != size[1]):
        raise EncoderError(f"encoder 'open_clip:{name}' pads images to their frame, which is not offered")
    return Preprocess(
        size=(size[0], size[1]),
        resize=None if squashed else size[0],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
    )

"""Models of transformers as encoders call them: pixels in, one vector out, prompts where there is a text tower."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.errors import EncoderError, one_line
from encoders.hf.library import local, silent, transformers
from encoders.text import check_length

# How one vector is taken from a model, by the model_type of its configuration:
#   shared  the space that pictures share with prompts, of length 1
#   pooler  pooler_output: trained, or no more than a mean or a class token
#   cls     the class token behind the last norm; its pooler, if it has one, is mostly untrained
#   mean    the mean of the patch tokens
FAMILIES = {
    **dict.fromkeys(("align", "altclip", "blip", "chinese_clip", "clip", "metaclip_2", "siglip"), "shared"),
    **dict.fromkeys(("clip_vision_model", "siglip_vision_model", "dinov2", "dinov2_with_registers"), "pooler"),
    **dict.fromkeys(("dinov3_vit", "dinov3_convnext", "beit", "data2vec-vision", "hiera"), "pooler"),
    **dict.fromkeys(("swin", "swinv2", "donut-swin", "focalnet", "convnext", "convnextv2"), "pooler"),
    **dict.fromkeys(("bit", "efficientnet", "mobilenet_v1", "mobilenet_v2", "mobilevit", "mobilevitv2"), "pooler"),
    **dict.fromkeys(("regnet", "resnet"), "pooler"),
    **dict.fromkeys(("deit", "vit", "vit_mae", "vit_msn"), "cls"),
    "ijepa": "mean",
}
PREFIX_TOKENS = ("cls_token", "class_embedding", "distillation_token", "register_tokens")


class HuggingFace(nn.Module):
    """A model of transformers; called, it gives a vector, tokens or a feature map per image, as its pooling says.

    Attributes:
        model: The model itself.
        pooling: A value of `FAMILIES`; "" for whatever the last layer gives.
        options: Further arguments of each call.
        untrained: Weights of its pooler that are random.
        num_prefix_tokens: Class, distillation and register tokens before the patch tokens.
    """

    entry = "forward"  # the method of the model that takes pixel_values

    def __init__(self, model: nn.Module, pooling: str, untrained: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.model: Any = model
        self.pooling = pooling
        self.untrained = untrained
        self.options: dict[str, Any] = {}
        self.num_prefix_tokens = sum(_count(token) for token in _prefix_tokens(model).values())

    @property
    def cls_token(self) -> Tensor | None:
        """The class token; None where there is none."""
        tokens = _prefix_tokens(self.model)
        return tokens.get("cls_token", tokens.get("class_embedding"))

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, C, h, w) to (B, D), to tokens (B, T, D) or to feature maps (B, D, h', w')."""
        try:
            output = self._run(pixel_values=pixels, **self.options, **self._order(pixels))
        except ValueError as error:  # a size that it cannot take
            raise RuntimeError(str(error)) from error
        return self._pooled(output)

    def _run(self, **named: Any) -> Any:
        return self.model(**named)

    def _pooled(self, output: Any) -> Tensor:
        if self.pooling == "pooler":
            embeds = output.get("image_embeds")  # of an image tower with CLIP's projection
            vectors: Tensor = output.pooler_output if embeds is None else embeds
            return vectors.flatten(1)
        features: Tensor = output.last_hidden_state
        if features.ndim == 3 and self.pooling in ("cls", "mean"):
            return features[:, 0] if self.pooling == "cls" else features[:, self.num_prefix_tokens :].mean(1)
        return features

    def _order(self, pixels: Tensor) -> dict[str, Tensor]:
        """For masked autoencoders the order of the patches, which they would draw at random even with none masked."""
        config = self.model.config
        if config.model_type != "vit_mae":
            return {}
        patches = (pixels.shape[-2] // config.patch_size) * (pixels.shape[-1] // config.patch_size)
        return {"noise": torch.arange(patches, device=pixels.device).expand(len(pixels), -1)}


class Classified(HuggingFace):
    """A model with its classifier: called, it gives class scores (B, K) before the softmax."""

    def _pooled(self, output: Any) -> Tensor:
        logits: Tensor = output.logits
        return logits


class TwoTowers(HuggingFace):
    """Both towers of a model such as CLIP; called, it is the image tower. Embeddings have length 1, as its authors'.

    Attributes:
        source: The folder or name that its tokenizer comes from.
    """

    entry = "get_image_features"
    source = ""

    def _run(self, **named: Any) -> Any:
        return self.model.get_image_features(**named)

    def _pooled(self, output: Any) -> Tensor:
        return _unit(output)

    def embed_text(self, prompts: Sequence[str]) -> Tensor:
        """Prompts to (K, D), in the space of the images.

        Raises:
            EncoderError: If the tokenizer cannot be had, or a prompt is longer than the text tower reads.
        """
        config, tokenizer = self.model.config, _tokenizer(self.source)
        longest = min(config.text_config.max_position_embeddings, tokenizer.model_max_length)
        special = tokenizer.num_special_tokens_to_add()
        for prompt in prompts:
            check_length(prompt, len(tokenizer(prompt, verbose=False)["input_ids"]) - special, longest - special)
        # SigLIP was trained on prompts that are all filled up to the same length.
        padding = "max_length" if config.model_type == "siglip" else True
        tokens = tokenizer(list(prompts), padding=padding, max_length=longest, return_tensors="pt", verbose=False)
        return _unit(self.model.get_text_features(**tokens.to(next(self.parameters()).device)))


@lru_cache(maxsize=4)
def _tokenizer(source: str) -> Any:
    try:
        with silent():
            tokenizer = transformers().AutoTokenizer.from_pretrained(
                source, local_files_only=local(source), trust_remote_code=False
            )
        # Where there is no file, transformers may make one up that knows no word.
        problem = "" if len(tokenizer) > len(tokenizer.all_special_tokens) else "it knows no word"
    except Exception as error:  # transformers raises anything
        problem = f"{type(error).__name__}: {one_line(error, 120)}"
    if problem:
        raise EncoderError(
            f"encoder 'hf:{source}' has no tokenizer that can be read ({problem}), so it reads no prompts: save one "
            "beside it; some need pip install sentencepiece"
        )
    return tokenizer


def _prefix_tokens(model: nn.Module) -> dict[str, Tensor]:
    """Class, distillation and register tokens of the image tower, by the last part of their names."""
    tower = getattr(model, "vision_model", model)
    named = ((name.rpartition(".")[2], weight) for name, weight in tower.named_parameters())
    return {name: weight for name, weight in named if name in PREFIX_TOKENS}


def _count(token: Tensor) -> int:
    return int(token.shape[-2]) if token.ndim == 3 else 1


def _unit(output: Any) -> Tensor:
    """Vectors (B, D) of length 1; transformers gave them bare before version 5."""
    features = output if isinstance(output, Tensor) else output.pooler_output
    return F.normalize(features, dim=-1)

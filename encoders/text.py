"""Prompts in the space of images, for encoders with a text tower."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from encoders.contract import ReadsText
from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.libraries import install


@torch.inference_mode()
def embed_text(encoder: Encoder, prompts: Sequence[str]) -> Tensor:
    """Embed prompts, such as "a photo of a cat", with the text tower of an encoder.

    Args:
        encoder: Loaded from an `open_clip:` spec or an `hf:` spec of two towers, or with a network that is an
            `encoders.contract.ReadsText`.
        prompts: K texts.

    Returns:
        (K, D) float32 on the encoder's device.

    Raises:
        EncoderError: If the encoder has no text tower, or a prompt is empty or too long.
    """
    network = encoder.network
    if not isinstance(network, ReadsText):
        raise EncoderError(
            f"encoder {encoder.name!r} has no text tower to read a prompt: use one that has, such as "
            f"open_clip:ViT-B-32:laion2b_s34b_b79k ({install('text')})"
        )
    if not all(prompt.strip() for prompt in prompts):
        raise EncoderError("a prompt must have words, as in text:a photo of a cat; got an empty one")
    return network.embed_text(prompts).float()


def check_length(prompt: str, tokens: int, maximum: int) -> None:
    """Refuse a prompt of more tokens than the text tower reads, which would be cut in silence.

    Raises:
        EncoderError: If it is longer.
    """
    if tokens > maximum:
        raise EncoderError(f"prompt must have at most {maximum} tokens; got {tokens}: shorten '{prompt[:40]}...'")

"""The text tower of networks that read pictures and prompts, such as CLIP: a function of texts in the pictures' space.

Its tokens are its own affair: words are left out of the prompt, which it then reads anew.
"""

from __future__ import annotations

import torch

from encoders.choices import pooling_not_offered
from encoders.contract import ReadsText
from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.parsing import Spec
from encoders.specs import load
from encoders.words.encoder import TextEncoder


def build_tower(spec: Spec, device: str | torch.device, pooling: str, seed: int) -> TextEncoder:
    """Both towers of a spec of pictures, as a text encoder whose `pictures` is the other tower.

    Raises:
        ImportError: If its library is not installed.
        EncoderError: If it cannot be loaded.
    """
    if pooling != "auto":
        raise pooling_not_offered(pooling, spec.text)
    return of_towers(load(spec.text, device, seed=seed))


def of_towers(encoder: Encoder) -> TextEncoder:
    """The text tower of an image encoder.

    Raises:
        EncoderError: If it has none.
    """
    network = encoder.network
    if not isinstance(network, ReadsText):
        raise EncoderError(
            f"encoder {encoder.name!r} has no text tower: relax words needs a text encoder, such as minilm or hf:NAME"
        )
    return TextEncoder(
        network.embed_text, encoder.name, device=encoder.device, pictures=encoder, pooling="auto", seed=encoder.seed
    )

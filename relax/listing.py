"""`relax.layers`: what the layers of an encoder return, where, and what they cost."""

from __future__ import annotations

from encoders import trace
from encoders.layouts import Layer
from relax.scene import EncoderSource, load_encoder


def layers(encoder: EncoderSource = "default") -> list[Layer]:
    """The layers of an encoder that return a feature map, tokens or a vector, in the order in which they run.

    Their names are what `layer` of `relax.explain` takes. One forward pass, of a picture of the encoder's size.

    Args:
        encoder: As for `relax.explain`.

    Returns:
        One `Layer` for each module, the whole network, "", last.

    Raises:
        EncoderError: If the encoder cannot be loaded, or is a function, TorchScript or an ONNX graph, in which torch
            sees no layers.
    """
    return trace.layers(load_encoder(encoder))

"""Frozen image encoders with their preprocessing, pooling and checkpoints.

encoder = load("default"); encoder(pixels) takes (B, C, H, W) in [0, 1] of any size to (B, D) float32.

The public names stand in `__init__.pyi`. They are loaded when they are first used, so that listing the kinds of encoder
need not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

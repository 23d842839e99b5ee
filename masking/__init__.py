"""Mask sources and fills: pixels and randomness, no encoder.

A mask is 1 where the image is fully visible and 0 where it is fully hidden. The public names are listed in
`__init__.pyi` and imported on first use, because all but the tables need torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

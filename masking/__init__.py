"""What is hidden: mask sources and fills. Pixels and randomness, nothing else.

A mask is 1 where the image is fully visible and 0 where it is fully hidden. The names are in `__init__.pyi`; they are
loaded when they are first used, since torch comes with all but the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

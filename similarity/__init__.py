"""How close: measures between embeddings, what to compare with, and an index over many. Vectors only.

Higher is closer, whatever the measure. The names are in `__init__.pyi`; they are loaded when they are first used, since
torch and faiss come with some of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""What in this picture made this embedding, and how sure are we?

    explanation = relax.explain("cat.png")
    explanation.importance, explanation.uncertainty, explanation.standard_error     # (H, W) each
    relax.figure(explanation).savefig("cat.pdf")

The public names stand in `__init__.pyi`. They are loaded when they are first used, so that `relax --help` need not wait
for torch.
"""

import lazy_loader

from relax.rooms import check_rooms

check_rooms()

__version__ = "0.1.0"
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'relax' has no attribute {name!r}; it has {', '.join(__all__)}")
    return _load(name)

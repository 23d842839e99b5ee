"""How good is a map? Against masks drawn by people, against the encoder, and against the method's own randomness.

    relax.metrics.auc(explanation.importance, mask)            # a map and a mask, (H, W) each
    relax.metrics.METRICS["auc"].direction                     # every metric as data
    relax.evaluate(images, masks, methods=["relax", "lafam"])  # many pictures, methods and metrics

Five families: localisation (needs masks), faithfulness (needs the encoder, no labels), complexity (needs only the
map), robustness and sanity (need the method, which explains again).

The public names stand in `__init__.pyi` and are loaded when they are first used: the table of metrics needs no torch.
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'relax.metrics' has no attribute {name!r}; it has {', '.join(__all__)}")
    return _load(name)

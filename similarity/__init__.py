"""How close: measures between embeddings, what to compare with, and an index over many. Vectors only.

Higher is closer, whatever the measure. `Index` is loaded when it is first used: faiss comes with it.
"""

from typing import TYPE_CHECKING, Any

from similarity.measures import MEASURES, Measure, cosine, dot, l2, measure_named, rbf
from similarity.references import check_reference, mean_embedding

if TYPE_CHECKING:
    from similarity.index import Index

__all__ = [
    "MEASURES",
    "Index",
    "Measure",
    "check_reference",
    "cosine",
    "dot",
    "l2",
    "mean_embedding",
    "measure_named",
    "rbf",
]


def __getattr__(name: str) -> Any:
    if name == "Index":
        from similarity.index import Index

        return Index
    raise AttributeError(f"module 'similarity' has no attribute {name!r}; it has {', '.join(__all__)}")

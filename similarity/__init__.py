"""How close: measures between embeddings, and what to compare with. Vectors only.

Higher is closer, whatever the measure. Indexes over many embeddings (FAISS) belong in this room too.
"""

from similarity.measures import MEASURES, Measure, cosine, dot, l2, measure_named, rbf
from similarity.references import check_reference, mean_embedding

__all__ = ["MEASURES", "Measure", "check_reference", "cosine", "dot", "l2", "mean_embedding", "measure_named", "rbf"]

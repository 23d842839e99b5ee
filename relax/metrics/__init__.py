"""How good is a map? Against masks of people, against the encoder itself, and against its own whims.

    relax.metrics.auc(explanation.importance, mask)            # a map and a mask, (H, W) each
    relax.metrics.METRICS["auc"].direction                     # every metric as data
    relax.evaluate(images, masks, methods=["relax", "lafam"])  # many pictures, methods and metrics

Five families: localisation (needs masks), faithfulness (needs the encoder, no labels), complexity (needs only the
map), robustness and sanity (need the method, which explains again).
"""

from relax.metrics.catalogue import (
    FAMILIES,
    METRICS,
    NEEDS,
    Case,
    Explain,
    Metric,
    default_metrics,
    metric_named,
    metrics_named,
)
from relax.metrics.complexity import effective_complexity, entropy, sparseness
from relax.metrics.faithfulness import (
    Curve,
    deletion,
    deletion_curve,
    faithfulness_correlation,
    insertion,
    insertion_curve,
    monotonicity,
    monotonicity_correlation,
    representation_shift,
)
from relax.metrics.localisation import (
    auc,
    best_iou,
    pointing_game,
    relevance_mass,
    relevance_rank,
    top_k_intersection,
)
from relax.metrics.results import Evaluation, Outcome, read_outcomes
from relax.metrics.robustness import max_sensitivity, seed_stability
from relax.metrics.sanity import Stage, encoder_randomisation, randomised, target_randomisation
from relax.metrics.summary import Mean, bootstrap_interval, summarise
from relax.metrics.trial import Trial
from relax.metrics.truth import Truth, find_truths

__all__ = [
    "FAMILIES",
    "METRICS",
    "NEEDS",
    "Case",
    "Curve",
    "Evaluation",
    "Explain",
    "Mean",
    "Metric",
    "Outcome",
    "Stage",
    "Trial",
    "Truth",
    "auc",
    "best_iou",
    "bootstrap_interval",
    "default_metrics",
    "deletion",
    "deletion_curve",
    "effective_complexity",
    "encoder_randomisation",
    "entropy",
    "faithfulness_correlation",
    "find_truths",
    "insertion",
    "insertion_curve",
    "max_sensitivity",
    "metric_named",
    "metrics_named",
    "monotonicity",
    "monotonicity_correlation",
    "pointing_game",
    "randomised",
    "read_outcomes",
    "relevance_mass",
    "relevance_rank",
    "representation_shift",
    "seed_stability",
    "sparseness",
    "summarise",
    "target_randomisation",
    "top_k_intersection",
]

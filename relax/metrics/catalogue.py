"""Every metric by name, as data: which way is better, what it needs, what it costs, where it is from.

Neither this table nor the modules it imports load torch, so that `relax metrics` prints it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from encoders.errors import did_you_mean
from relax.metrics import (
    calibration,
    complexity,
    faithfulness,
    imputation,
    localisation,
    mirroring,
    robustness,
    sanity,
    stand_in,
    sufficiency,
)
from relax.metrics.faithfulness import Curve
from relax.metrics.maps import Map, Mask
from relax.metrics.metric import Case, Family, Metric, Needs, required
from relax.text import names_of


def _of_map(function: Callable[[Map], float]) -> Callable[[Case], float]:
    return lambda case: function(case.importance)


def _of_truth(function: Callable[[Map, Mask], float]) -> Callable[[Case], float]:
    return lambda case: function(case.importance, required(case.truth))


def _of_trial(function: Callable[..., float | Curve]) -> Callable[[Case], float | Curve]:
    return lambda case: function(required(case.trial), case.in_view, seed=case.seed)


def _of_contrast(function: Callable[..., Curve]) -> Callable[[Case], Curve]:
    return lambda case: function(required(case.contrast), case.in_view, seed=case.seed)


def _max_sensitivity(case: Case) -> float:
    explain, view = required(case.again), required(case.trial).scene.view.cpu()
    return robustness.max_sensitivity(lambda image: explain(image=image), view, seed=case.seed)


def _seed_stability(case: Case) -> float:
    explain = required(case.again)
    others = [explain(seed=case.seed + number) for number in range(1, SEEDS)]
    return robustness.seed_stability([case.importance, *others])


def _coverage(case: Case) -> float:
    """Two maps differ by the errors of both, which are alike."""
    explain, error = required(case.again), np.sqrt(2) * required(case.standard_error)
    others = [explain(seed=case.seed + number) for number in range(1, SEEDS)]
    return float(np.mean([calibration.coverage(case.importance, error, other) for other in others]))


def _encoder_randomisation(case: Case) -> float:
    explain, trained = required(case.again), required(case.trial).scene.encoder
    stages = sanity.encoder_randomisation(
        lambda encoder: explain(encoder=encoder), trained, case.importance, seed=case.seed
    )
    return float(np.mean([stage.correlation for stage in stages]))


def _completeness(case: Case) -> float:
    return stand_in.completeness(required(case.trial), case.in_view)


def _bias_detection(case: Case) -> float:
    explain, trial = required(case.again), required(case.trial)
    return stand_in.bias_detection(lambda image: explain(image=image), trial, seed=case.seed)


def _target_randomisation(case: Case) -> float:
    explain, others = required(case.again), case.others[:REFERENCES]
    changed = "target" if required(case.trial).of_class else "reference"
    return sanity.target_randomisation(lambda other: explain(**{changed: other}), case.importance, others)


SEEDS, REFERENCES = 3, 2
_STEPS, _FAITHFUL = faithfulness.STEPS, "Petsiuk, Das & Saenko, BMVC 2018"
_REGIONS = "Samek et al., TNNLS 2017"
_GAMES = "Zhang et al., IJCV 2018"
_CLEVR = "Arras, Osman & Samek, Information Fusion 2022"
_BHATT, _NGUYEN = "Bhatt et al., IJCAI 2020", "Nguyen & Martínez, arXiv 2007.07584"
_CARTER, _DABKOWSKI = "Carter et al., AISTATS 2019", "Dabkowski & Gal, NeurIPS 2017"
_ROAD = "Rong et al., ICML 2022"
_COCOA, _YEH = "Lin et al., ICLR 2023", "Yeh et al., NeurIPS 2019"

_ALL = (
    Metric("pointing-game", "localisation", "higher", "truth", _GAMES, _of_truth(localisation.pointing_game)),
    Metric(
        "pointing-game-15",
        "localisation",
        "higher",
        "truth",
        f"{_GAMES}, a tolerance of 15 px",
        _of_truth(partial(localisation.pointing_game, tolerance=15)),
    ),
    Metric(
        "top-k-intersection",
        "localisation",
        "higher",
        "truth",
        "Theiner et al., WACV 2022",
        _of_truth(localisation.top_k_intersection),
    ),
    Metric("relevance-mass", "localisation", "higher", "truth", _CLEVR, _of_truth(localisation.relevance_mass)),
    Metric(
        "relevance-mass-raw",
        "localisation",
        "higher",
        "truth",
        f"{_CLEVR}, of the importance as it is",
        _of_truth(partial(localisation.relevance_mass, base="zero")),
    ),
    Metric("relevance-rank", "localisation", "higher", "truth", _CLEVR, _of_truth(localisation.relevance_rank)),
    Metric("auc", "localisation", "higher", "truth", "Fawcett, 2006", _of_truth(localisation.auc)),
    Metric(
        "best-iou",
        "localisation",
        "higher",
        "truth",
        "Choe et al., CVPR 2020; an oracle's threshold",
        _of_truth(localisation.best_iou),
    ),
    Metric(
        "insertion",
        "faithfulness",
        "higher",
        "trial",
        _FAITHFUL,
        _of_trial(faithfulness.insertion_curve),
        passes=_STEPS + 1,
    ),
    Metric(
        "deletion",
        "faithfulness",
        "lower",
        "trial",
        _FAITHFUL,
        _of_trial(faithfulness.deletion_curve),
        passes=_STEPS + 1,
    ),
    Metric(
        "region-insertion",
        "faithfulness",
        "higher",
        "trial",
        f"{_REGIONS}, 8 x 8 cells",
        _of_trial(partial(faithfulness.insertion_curve, cells=faithfulness.REGIONS)),
        passes=_STEPS + 1,
    ),
    Metric(
        "region-deletion",
        "faithfulness",
        "lower",
        "trial",
        f"{_REGIONS}, 8 x 8 cells",
        _of_trial(partial(faithfulness.deletion_curve, cells=faithfulness.REGIONS)),
        passes=_STEPS + 1,
    ),
    Metric(
        "mirrored-insertion",
        "faithfulness",
        "higher",
        "trial",
        f"{_REGIONS}, 8 x 8 cells that show their surroundings mirrored",
        _of_trial(mirroring.mirrored_insertion_curve),
        passes=_STEPS + 1,
    ),
    Metric(
        "mirrored-deletion",
        "faithfulness",
        "lower",
        "trial",
        f"{_REGIONS}, 8 x 8 cells that show their surroundings mirrored",
        _of_trial(mirroring.mirrored_deletion_curve),
        passes=_STEPS + 1,
    ),
    Metric(
        "representation-shift",
        "faithfulness",
        "higher",
        "itself",
        "Crabbé & van der Schaar, ICML 2022",
        _of_trial(faithfulness.representation_shift),
        passes=1,
    ),
    Metric(
        "road", "faithfulness", "higher", "trial", _ROAD, _of_trial(imputation.road), passes=2 * len(imputation.SHARES)
    ),
    Metric(
        "enough",
        "faithfulness",
        "lower",
        "trial",
        f"{_CARTER}: share of 8 x 8 cells that keeps 0.8 of the score",
        _of_trial(sufficiency.enough),
        passes=sufficiency.PASSES,
        by_default=False,
    ),
    Metric(
        "needed",
        "faithfulness",
        "lower",
        "trial",
        f"{_DABKOWSKI}: share of 8 x 8 cells whose removal loses 0.8 of the score",
        _of_trial(sufficiency.needed),
        passes=sufficiency.PASSES,
        by_default=False,
    ),
    Metric(
        "faithfulness-correlation",
        "faithfulness",
        "higher",
        "trial",
        _BHATT,
        _of_trial(faithfulness.faithfulness_correlation),
        passes=faithfulness.SUBSETS,
    ),
    Metric(
        "monotonicity",
        "faithfulness",
        "higher",
        "trial",
        "Arya et al., arXiv 1909.03012",
        _of_trial(faithfulness.monotonicity),
        passes=_STEPS,
    ),
    Metric(
        "monotonicity-correlation",
        "faithfulness",
        "higher",
        "trial",
        _NGUYEN,
        _of_trial(faithfulness.monotonicity_correlation),
        passes=_STEPS,
    ),
    Metric(
        "contrastive-insertion",
        "faithfulness",
        "higher",
        "contrast",
        _COCOA,
        _of_contrast(faithfulness.insertion_curve),
        passes=_STEPS + 1,
    ),
    Metric(
        "contrastive-deletion",
        "faithfulness",
        "lower",
        "contrast",
        _COCOA,
        _of_contrast(faithfulness.deletion_curve),
        passes=_STEPS + 1,
    ),
    Metric("entropy", "complexity", "lower", "map", _BHATT, _of_map(complexity.entropy)),
    Metric("sparseness", "complexity", "higher", "map", "Chalasani et al., ICML 2020", _of_map(complexity.sparseness)),
    Metric("effective-complexity", "complexity", "lower", "map", _NGUYEN, _of_map(complexity.effective_complexity)),
    Metric(
        "max-sensitivity",
        "robustness",
        "lower",
        "again",
        _YEH,
        _max_sensitivity,
        explanations=robustness.SAMPLES + 1,
    ),
    Metric(
        "seed-stability",
        "robustness",
        "higher",
        "again",
        "Wickstrøm et al., AAAI 2025",
        _seed_stability,
        explanations=SEEDS - 1,
    ),
    Metric(
        "coverage",
        "robustness",
        "higher",
        "error",
        "95 % intervals of the map that hold another seed's: 0.95 if the standard errors are honest",
        _coverage,
        explanations=SEEDS - 1,
    ),
    Metric(
        "encoder-randomisation",
        "sanity",
        "lower",
        "again",
        "Adebayo et al., NeurIPS 2018",
        _encoder_randomisation,
        explanations=sanity.STAGES,
    ),
    Metric(
        "target-randomisation",
        "sanity",
        "lower",
        "others",
        "Sixt, Granz & Landgraf, ICML 2020",
        _target_randomisation,
        explanations=REFERENCES,
    ),
    Metric(
        "proxy-similarity",
        "stand-in",
        "higher",
        "trial",
        "Gilpin et al., DSAA 2018: R² of the map as an additive model of the score",
        _of_trial(stand_in.proxy_similarity),
        passes=stand_in.SAMPLES,
        by_default=False,
    ),
    Metric(
        "completeness",
        "stand-in",
        "lower",
        "trial",
        "Sundararajan, Taly & Yan, ICML 2017; for maps of contributions that add up",
        _completeness,
        passes=1,
        by_default=False,
    ),
    Metric(
        "bias-detection",
        "stand-in",
        "higher",
        "again",
        "Gilpin et al., DSAA 2018: AUC of a planted mark that the embedding depends on",
        _bias_detection,
        explanations=1,
        by_default=False,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
FAMILIES: tuple[Family, ...] = ("localisation", "faithfulness", "complexity", "robustness", "sanity", "stand-in")


def metric_named(name: str) -> Metric:
    """The metric of that name.

    Raises:
        ValueError: If there is none; the message has the nearest names.
    """
    if name not in METRICS:
        otherwise = f"relax metrics lists them; {', '.join(FAMILIES)} are families of them"
        raise ValueError(f"no metric is called {name!r}: {did_you_mean(name, [*METRICS, *FAMILIES], otherwise)}")
    return METRICS[name]


def metrics_named(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names, a family standing for all of its metrics; each once, in the order given.

    Raises:
        ValueError: If a name is none of them, or there is none.
    """
    chosen: dict[str, Metric] = {}
    for name in names_of("metrics", names):
        family = {metric.name: metric for metric in METRICS.values() if metric.family == name}
        chosen |= family or {name: metric_named(name)}
    return list(chosen.values())


def default_metrics(has: Iterable[Needs]) -> list[Metric]:
    """The metrics that need no more than `has` and do not explain again, nor fit some maps only."""
    present = set(has)
    return [
        metric
        for metric in METRICS.values()
        if metric.needs in present and not metric.explanations and metric.by_default
    ]

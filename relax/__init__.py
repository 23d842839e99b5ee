"""What in this picture made this embedding, and how sure are we?

    explanation = relax.explain("cat.png")
    explanation.importance, explanation.uncertainty, explanation.standard_error     # (H, W) each
    relax.figure(explanation).savefig("cat.pdf")

Names are loaded when they are first used, so that `relax --help` need not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from relax.rooms import check_rooms

if TYPE_CHECKING:
    from encoders import EncoderError
    from relax import baselines as baselines
    from relax import metrics as metrics
    from relax.archive import Archive, load_archive, make_archive
    from relax.auditing.result import Audit
    from relax.auditing.run import audit
    from relax.budget import hoeffding_masks
    from relax.comparison import compare_encoders, compare_methods
    from relax.evaluation import evaluate, evaluate_image
    from relax.explainer import explain
    from relax.explanation import Explanation
    from relax.images import ImageError, read_image
    from relax.pairs import PairExplanation, explain_pair
    from relax.probing import Probe, probe
    from relax.references import Corpus
    from relax.render import figure
    from relax.repeat import Repeat, vote_uncertainty, votes, weighted_votes
    from relax.report import plain_report, write_report
    from relax.scene import load_encoder
    from relax.trust import Trust, assess

check_rooms()

__version__ = "0.1.0"
__all__ = [
    "Archive",
    "Audit",
    "Corpus",
    "EncoderError",
    "Explanation",
    "ImageError",
    "PairExplanation",
    "Probe",
    "Repeat",
    "Trust",
    "assess",
    "audit",
    "compare_encoders",
    "compare_methods",
    "evaluate",
    "evaluate_image",
    "explain",
    "explain_pair",
    "figure",
    "hoeffding_masks",
    "load_archive",
    "load_encoder",
    "make_archive",
    "plain_report",
    "probe",
    "read_image",
    "vote_uncertainty",
    "votes",
    "weighted_votes",
    "write_report",
]

_HOMES = {
    "encoders": ["EncoderError"],
    "relax.archive": ["Archive", "load_archive", "make_archive"],
    "relax.auditing.result": ["Audit"],
    "relax.auditing.run": ["audit"],
    "relax.budget": ["hoeffding_masks"],
    "relax.comparison": ["compare_encoders", "compare_methods"],
    "relax.evaluation": ["evaluate", "evaluate_image"],
    "relax.explainer": ["explain"],
    "relax.explanation": ["Explanation"],
    "relax.images": ["ImageError", "read_image"],
    "relax.pairs": ["PairExplanation", "explain_pair"],
    "relax.probing": ["Probe", "probe"],
    "relax.references": ["Corpus"],
    "relax.render": ["figure"],
    "relax.repeat": ["Repeat", "vote_uncertainty", "votes", "weighted_votes"],
    "relax.report": ["plain_report", "write_report"],
    "relax.scene": ["load_encoder"],
    "relax.trust": ["Trust", "assess"],
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = getattr(import_module(home), name)
            return globals()[name]
    if name == "baselines":  # loads captum and grad-cam
        return import_module("relax.baselines")
    if name == "metrics":
        return import_module("relax.metrics")
    if name == "medical":  # needs the extra
        return import_module("relax.medical")
    raise AttributeError(f"module 'relax' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", "baselines", "metrics"]

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
    from relax.budget import hoeffding_masks
    from relax.comparison import compare_encoders, compare_methods
    from relax.explainer import explain
    from relax.explanation import Explanation
    from relax.images import ImageError, read_image
    from relax.probing import Probe, probe
    from relax.render import figure
    from relax.repeat import Repeat, vote_uncertainty, votes, weighted_votes
    from relax.scene import load_encoder

check_rooms()

__version__ = "0.1.0"
__all__ = [
    "EncoderError",
    "Explanation",
    "ImageError",
    "Probe",
    "Repeat",
    "compare_encoders",
    "compare_methods",
    "explain",
    "figure",
    "hoeffding_masks",
    "load_encoder",
    "probe",
    "read_image",
    "vote_uncertainty",
    "votes",
    "weighted_votes",
]

_HOMES = {
    "encoders": ["EncoderError"],
    "relax.budget": ["hoeffding_masks"],
    "relax.comparison": ["compare_encoders", "compare_methods"],
    "relax.explainer": ["explain"],
    "relax.explanation": ["Explanation"],
    "relax.images": ["ImageError", "read_image"],
    "relax.probing": ["Probe", "probe"],
    "relax.render": ["figure"],
    "relax.repeat": ["Repeat", "vote_uncertainty", "votes", "weighted_votes"],
    "relax.scene": ["load_encoder"],
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            globals()[name] = getattr(import_module(home), name)
            return globals()[name]
    if name == "baselines":  # loads captum and grad-cam
        return import_module("relax.baselines")
    raise AttributeError(f"module 'relax' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", "baselines"]

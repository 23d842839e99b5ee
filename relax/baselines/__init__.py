"""What readers already trust, beside RELAX: the same image, encoder and `Explanation`, other methods.

    relax.explain("cat.png", method="lime")                          # of the similarity to itself: no labels
    relax.explain("cat.png", encoder, method="rise", head=head)      # of the class that a head predicts

Gradients, Shapley values, LIME and occlusion are captum's, class activation maps grad-cam's; what is small and
known by its formula is here. Maps keep their unit, and no method changes the encoder or the global generators.
"""

from relax.baselines.explaining import Baseline
from relax.baselines.methods import METHODS, Method, method_named
from relax.baselines.rise import rise_of
from relax.baselines.scalar import Head, Scalar
from relax.baselines.task import Maps, MethodError, Task

__all__ = [
    "METHODS",
    "Baseline",
    "Head",
    "Maps",
    "Method",
    "MethodError",
    "Scalar",
    "Task",
    "method_named",
    "rise_of",
]

"""Every method by name, with what it needs and what it costs, as data. Nothing heavy is imported until one is run.

Costs are in encoder passes of one image, without the one that embeds the reference or predicts the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from relax.baselines.costs import GRADIENT, windows_of
from relax.estimators.defaults import DEFAULT_MASKS
from relax.text import one_of

if TYPE_CHECKING:
    from relax.baselines.task import Maps, Task

Family = Literal["masking", "gradient", "cam", "surrogate", "activation", "attention", "control"]
Passes = Callable[[int, int, tuple[int, int]], int | None]  # of samples, cells, and (h, w) of the view


@dataclass(frozen=True)
class Method:
    """One way to explain an image.

    Attributes:
        name: Its name in Python and on the command line.
        family: "masking", "gradient", "cam", "surrogate", "activation", "attention" or "control".
        source: The paper.
        function: Where its code is, as "module:function" in this package: from a `Task` to its `Maps`.
        passes: Encoder passes, from samples, cells and (h, w) of the view; None where the network decides.
        passes_in_words: The same as a formula for people.
        needs: What it requires: "head" (a classifier on the embedding), "gradients" (a differentiable encoder),
            "layers" (an encoder that is a module with feature maps) or "attention" (a vision transformer).
        explains: "similarity", "class" (of a head), "either" (a class if there is a head), or "nothing".
        class_score: Which score of a class it explains: its "probability" or its "logit".
        hides: "superpixels", "windows", "any" (the caller's `regions`) or "nothing".
        samples: Default number of masks, noisy copies or steps; None if it does not sample.
    """

    name: str
    family: Family
    source: str
    function: str
    passes: Passes
    passes_in_words: str
    needs: frozenset[str] = frozenset()
    explains: Literal["similarity", "class", "either", "nothing"] = "either"
    class_score: Literal["probability", "logit"] = "probability"
    hides: Literal["superpixels", "windows", "any", "nothing"] = "nothing"
    samples: int | None = None

    @property
    def takes_head(self) -> bool:
        """Whether a head makes a difference."""
        return self.explains in ("class", "either")

    def cost(self, masks: int | None = None, cells: int = 7, size: tuple[int, int] = (224, 224)) -> int | None:
        """Encoder passes for one image; a backward pass counts as two.

        Args:
            masks: Masks, copies or steps; None is the method's default. With a tolerance, the largest number.
            cells: Regions along each side. SLIC may return fewer than cells^2, which costs less.
            size: (h, w) of the view.

        Returns:
            The passes; None where the network decides (Score-CAM: one per channel of its last layer).
        """
        return self.passes(self.samples or 0 if masks is None else masks, cells, size)

    @property
    def implementation(self) -> Callable[[Task], Maps | Iterator[Maps]]:
        """The function itself, which may give maps at each look and at last.

        The first use imports its module, and with it torch and perhaps captum or grad-cam.
        """
        module, name = self.function.split(":")
        function: Callable[[Task], Maps | Iterator[Maps]] = getattr(import_module(f"relax.baselines.{module}"), name)
        return function


LAYERS, GRADIENTS, ATTENTION = frozenset({"layers"}), frozenset({"gradients"}), frozenset({"attention", "layers"})

_ALL = (
    Method(
        "relax",
        "masking",
        "Wickstrøm et al., IJCV 2023",
        "rise:mask_average",
        lambda masks, cells, size: masks,
        "masks",
        explains="similarity",
        hides="any",
        samples=DEFAULT_MASKS,
    ),
    Method(
        "rise",
        "masking",
        "Petsiuk, Das & Saenko, BMVC 2018",
        "rise:mask_average",
        lambda masks, cells, size: masks,
        "masks",
        needs=frozenset({"head"}),
        explains="class",
        hides="any",
        samples=DEFAULT_MASKS,
    ),
    Method(
        "gradcam",
        "cam",
        "Selvaraju et al., ICCV 2017",
        "cam:gradcam",
        lambda masks, cells, size: GRADIENT + 1,
        "1 to find the layer + a gradient",
        needs=LAYERS | GRADIENTS,
        class_score="logit",
    ),
    Method(
        "gradcam++",
        "cam",
        "Chattopadhay et al., WACV 2018",
        "cam:gradcam_plus_plus",
        lambda masks, cells, size: GRADIENT + 1,
        "1 to find the layer + a gradient",
        needs=LAYERS | GRADIENTS,
        class_score="logit",
    ),
    Method(
        "layercam",
        "cam",
        "Jiang et al., TIP 2021",
        "cam:layercam",
        lambda masks, cells, size: GRADIENT + 1,
        "1 to find the layer + a gradient",
        needs=LAYERS | GRADIENTS,
        class_score="logit",
    ),
    Method(
        "eigencam",
        "cam",
        "Muhammad & Yeasin, IJCNN 2020",
        "cam:eigencam",
        lambda masks, cells, size: 2,
        "1 to find the layer + 1",
        needs=LAYERS,
        explains="nothing",
    ),
    Method(
        "scorecam",
        "cam",
        "Wang et al., CVPR workshop 2020",
        "scorecam:scorecam",
        lambda masks, cells, size: None,
        "1 to find the layer + 1 + channels",
        needs=LAYERS,
        class_score="logit",
    ),
    Method(
        "lime",
        "surrogate",
        "Ribeiro, Singh & Guestrin, KDD 2016",
        "surrogates:lime",
        lambda masks, cells, size: masks + 1,
        "masks + 1",
        hides="superpixels",
        samples=1000,
    ),
    Method(
        "saliency",
        "gradient",
        "Simonyan, Vedaldi & Zisserman, ICLR workshop 2014",
        "gradients:saliency",
        lambda masks, cells, size: GRADIENT,
        "a gradient",
        needs=GRADIENTS,
        class_score="logit",
    ),
    Method(
        "input-x-gradient",
        "gradient",
        "Shrikumar et al., arXiv 1605.01713",
        "gradients:input_x_gradient",
        lambda masks, cells, size: GRADIENT,
        "a gradient",
        needs=GRADIENTS,
        class_score="logit",
    ),
    Method(
        "smoothgrad",
        "gradient",
        "Smilkov et al., arXiv 1706.03825",
        "gradients:smoothgrad",
        lambda masks, cells, size: GRADIENT * masks,
        "a gradient per copy",
        needs=GRADIENTS,
        class_score="logit",
        samples=50,
    ),
    Method(
        "integrated-gradients",
        "gradient",
        "Sundararajan, Taly & Yan, ICML 2017",
        "gradients:integrated_gradients",
        lambda masks, cells, size: GRADIENT * masks + 2,
        "a gradient per step + 2",
        needs=GRADIENTS,
        class_score="logit",
        samples=50,
    ),
    Method(
        "guided-backprop",
        "gradient",
        "Springenberg et al., ICLR workshop 2015",
        "gradients:guided_backprop",
        lambda masks, cells, size: GRADIENT,
        "a gradient",
        needs=LAYERS | GRADIENTS,
        class_score="logit",
    ),
    Method(
        "occlusion",
        "masking",
        "Zeiler & Fergus, ECCV 2014",
        "occlusion:occlusion",
        lambda masks, cells, size: windows_of(size, cells) + 1,
        "windows + 1",
        hides="windows",
    ),
    Method(
        "feature-ablation",
        "masking",
        "Zeiler & Fergus, ECCV 2014; superpixels: Achanta et al., TPAMI 2012",
        "occlusion:feature_ablation",
        lambda masks, cells, size: cells**2 + 1,
        "superpixels + 1",
        hides="superpixels",
    ),
    Method(
        "kernel-shap",
        "surrogate",
        "Lundberg & Lee, NeurIPS 2017",
        "surrogates:kernel_shap",
        lambda masks, cells, size: masks + 1,
        "masks + 1",
        hides="superpixels",
        samples=1000,
    ),
    Method(
        "lafam",
        "activation",
        "Karjauv & Albayrak, arXiv 2407.06059",
        "activations:lafam",
        lambda masks, cells, size: 2,
        "1 to find the layer + 1",
        needs=LAYERS,
        explains="nothing",
    ),
    Method(
        "sbsm",
        "masking",
        "Dong, Collins & Hoogs, CVPR workshop 2019",
        "occlusion:sbsm",
        lambda masks, cells, size: windows_of(size, cells) + 1,
        "windows + 1",
        explains="similarity",
        hides="windows",
    ),
    Method(
        "attention",
        "attention",
        "Caron et al., ICCV 2021",
        "attention:attention",
        lambda masks, cells, size: 2,
        "1 to find the blocks + 1",
        needs=ATTENTION,
        explains="nothing",
    ),
    Method(
        "attention-rollout",
        "attention",
        "Abnar & Zuidema, ACL 2020",
        "attention:attention_rollout",
        lambda masks, cells, size: 2,
        "1 to find the blocks + 1",
        needs=ATTENTION,
        explains="nothing",
    ),
    Method(
        "random",
        "control",
        "a control",
        "controls:random_map",
        lambda masks, cells, size: 0,
        "none",
        explains="nothing",
    ),
    Method(
        "centre",
        "control",
        "Judd, Durand & Torralba, MIT report 2012",
        "controls:centre",
        lambda masks, cells, size: 0,
        "none",
        explains="nothing",
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    return METHODS[one_of("method", name, METHODS)]

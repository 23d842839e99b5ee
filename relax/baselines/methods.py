"""Every method by name, with what it needs and what it costs, as data.

Costs are in encoder passes of one image, without the one that embeds the reference or finds the predicted class.
A gradient counts as three passes: one forward, and two for the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import torch

from masking import SlidingWindows
from relax.baselines.activations import lafam
from relax.baselines.attention import attention, attention_rollout
from relax.baselines.cam import eigencam, gradcam, gradcam_plus_plus, layercam
from relax.baselines.controls import centre, random_map
from relax.baselines.gradients import guided_backprop, input_x_gradient, integrated_gradients, saliency, smoothgrad
from relax.baselines.occlusion import feature_ablation, occlusion, occlusion_windows, sbsm
from relax.baselines.rise import mask_average
from relax.baselines.scorecam import scorecam
from relax.baselines.surrogates import kernel_shap, lime
from relax.baselines.task import GRADIENT, Function
from relax.estimators.defaults import DEFAULT_MASKS
from relax.settings import Hiding

Family = Literal["masking", "gradient", "cam", "surrogate", "activation", "attention", "control"]
Passes = Callable[[int, int, tuple[int, int]], int | None]  # of samples, cells, and (h, w) of the view


@dataclass(frozen=True)
class Method:
    """One way to explain an image.

    Attributes:
        name: What it is called in Python and on the command line.
        family: "masking", "gradient", "cam", "surrogate", "activation", "attention" or "control".
        source: The paper.
        function: From a `Task` to its `Maps`.
        passes: Encoder passes, from samples, cells and (h, w) of the view; None where the network decides.
        passes_in_words: The same as a formula for people.
        needs: What it cannot do without: "head" (a classifier on the embedding), "gradients" (an encoder that can be
            differentiated), "layers" (one that is a module with feature maps) or "attention" (a vision transformer).
        explains: "similarity", "class" (of a head), "either" (a class if there is a head), or "nothing".
        class_score: What it explains of a class: its "probability" or its "logit".
        hides: "superpixels", "windows", "any" (the caller's `regions`) or "nothing".
        samples: How many masks, noisy copies or steps it takes by default; None if it does not sample.
    """

    name: str
    family: Family
    source: str
    function: Function
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
            masks: Masks, copies or steps; None = the method's default. With a tolerance, the most.
            cells: Regions along each side. SLIC may find fewer than cells^2, which costs less.
            size: (h, w) that the encoder sees.

        Returns:
            The passes; None where the network decides (Score-CAM: one per channel of its last layer).
        """
        return self.passes(self.samples or 0 if masks is None else masks, cells, size)


def _windows(cells: int, size: tuple[int, int]) -> SlidingWindows:
    return cast(SlidingWindows, Hiding(regions="windows", cells=cells).source(torch.empty(1, 1, *size)))


def _occlusion_passes(_: int, cells: int, size: tuple[int, int]) -> int:
    windows = _windows(cells, size)
    return occlusion_windows(size, windows.window, windows.stride) + 1


LAYERS, GRADIENTS, ATTENTION = frozenset({"layers"}), frozenset({"gradients"}), frozenset({"attention", "layers"})

_ALL = (
    Method(
        "relax",
        "masking",
        "Wickstrøm et al., IJCV 2023",
        mask_average,
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
        mask_average,
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
        gradcam,
        lambda masks, cells, size: GRADIENT + 1,
        "1 to find the layer + a gradient",
        needs=LAYERS | GRADIENTS,
        class_score="logit",
    ),
    Method(
        "gradcam++",
        "cam",
        "Chattopadhay et al., WACV 2018",
        gradcam_plus_plus,
        lambda masks, cells, size: GRADIENT + 1,
        "1 to find the layer + a gradient",
        needs=LAYERS | GRADIENTS,
        class_score="logit",
    ),
    Method(
        "layercam",
        "cam",
        "Jiang et al., TIP 2021",
        layercam,
        lambda masks, cells, size: GRADIENT + 1,
        "1 to find the layer + a gradient",
        needs=LAYERS | GRADIENTS,
        class_score="logit",
    ),
    Method(
        "eigencam",
        "cam",
        "Muhammad & Yeasin, IJCNN 2020",
        eigencam,
        lambda masks, cells, size: 2,
        "1 to find the layer + 1",
        needs=LAYERS,
        explains="nothing",
    ),
    Method(
        "scorecam",
        "cam",
        "Wang et al., CVPR workshop 2020",
        scorecam,
        lambda masks, cells, size: None,
        "1 to find the layer + 1 + channels",
        needs=LAYERS,
        class_score="logit",
    ),
    Method(
        "lime",
        "surrogate",
        "Ribeiro, Singh & Guestrin, KDD 2016",
        lime,
        lambda masks, cells, size: masks + 1,
        "masks + 1",
        hides="superpixels",
        samples=1000,
    ),
    Method(
        "saliency",
        "gradient",
        "Simonyan, Vedaldi & Zisserman, ICLR workshop 2014",
        saliency,
        lambda masks, cells, size: GRADIENT,
        "a gradient",
        needs=GRADIENTS,
        class_score="logit",
    ),
    Method(
        "input-x-gradient",
        "gradient",
        "Shrikumar et al., arXiv 1605.01713",
        input_x_gradient,
        lambda masks, cells, size: GRADIENT,
        "a gradient",
        needs=GRADIENTS,
        class_score="logit",
    ),
    Method(
        "smoothgrad",
        "gradient",
        "Smilkov et al., arXiv 1706.03825",
        smoothgrad,
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
        integrated_gradients,
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
        guided_backprop,
        lambda masks, cells, size: GRADIENT,
        "a gradient",
        needs=LAYERS | GRADIENTS,
        class_score="logit",
    ),
    Method(
        "occlusion",
        "masking",
        "Zeiler & Fergus, ECCV 2014",
        occlusion,
        _occlusion_passes,
        "windows + 1",
        hides="windows",
    ),
    Method(
        "feature-ablation",
        "masking",
        "Zeiler & Fergus, ECCV 2014; superpixels: Achanta et al., TPAMI 2012",
        feature_ablation,
        lambda masks, cells, size: cells**2 + 1,
        "superpixels + 1",
        hides="superpixels",
    ),
    Method(
        "kernel-shap",
        "surrogate",
        "Lundberg & Lee, NeurIPS 2017",
        kernel_shap,
        lambda masks, cells, size: masks + 1,
        "masks + 1",
        hides="superpixels",
        samples=1000,
    ),
    Method(
        "lafam",
        "activation",
        "Karjauv & Albayrak, arXiv 2407.06059",
        lafam,
        lambda masks, cells, size: 2,
        "1 to find the layer + 1",
        needs=LAYERS,
        explains="nothing",
    ),
    Method(
        "sbsm",
        "masking",
        "Dong, Collins & Hoogs, CVPR workshop 2019",
        sbsm,
        lambda masks, cells, size: _windows(cells, size).limit + 1,
        "windows + 1",
        explains="similarity",
        hides="windows",
    ),
    Method(
        "attention",
        "attention",
        "Caron et al., ICCV 2021",
        attention,
        lambda masks, cells, size: 2,
        "1 to find the blocks + 1",
        needs=ATTENTION,
        explains="nothing",
    ),
    Method(
        "attention-rollout",
        "attention",
        "Abnar & Zuidema, ACL 2020",
        attention_rollout,
        lambda masks, cells, size: 2,
        "1 to find the blocks + 1",
        needs=ATTENTION,
        explains="nothing",
    ),
    Method(
        "random",
        "control",
        "a control",
        random_map,
        lambda masks, cells, size: 0,
        "none",
        explains="nothing",
    ),
    Method(
        "centre",
        "control",
        "Judd, Durand & Torralba, MIT report 2012",
        centre,
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
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    return METHODS[name]

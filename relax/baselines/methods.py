"""Every method by name, with what it needs and what it costs, as data. Nothing heavy is imported until one is run.

Costs are in encoder passes of one image, without the one that embeds the reference or predicts the class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from relax.baselines.costs import GRADIENT, windows_of
from relax.estimators.defaults import DEFAULT_MASKS
from relax.text import one_of

if TYPE_CHECKING:
    from relax.baselines.task import Maps, Task

Family = Literal["masking", "gradient", "cam", "surrogate", "activation", "attention", "control"]
Passes = Callable[[int, int, tuple[int, ...]], int | None]  # of samples, cells, and (h, w) of the view


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
        layer: What `layer` chooses: the output that is "explained", the layer that is "shown" (weighed or drawn in the
            map), or "nothing".
        silent: What its map cannot say, as a phrase: a limit of the method, not of one encoder.
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
    layer: Literal["explained", "shown", "nothing"] = "explained"
    silent: str = field(kw_only=True)

    @property
    def takes_head(self) -> bool:
        """Whether a head makes a difference."""
        return self.explains in ("class", "either")

    def cost(self, masks: int | None = None, cells: int = 7, size: tuple[int, ...] = (224, 224)) -> int | None:
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
        silent="anything finer than a cell; whether the embedding is right; which parts act only together (the "
        "uncertainty hints at it)",
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
        silent="anything finer than a cell; why, if the class is wrong; its absolute height, which grows with the "
        "probability of the class",
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
        layer="shown",
        silent="anything finer than a cell of the last feature map; parts that speak against the class, which are set "
        "to zero",
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
        layer="shown",
        silent="as Grad-CAM; several objects of the class share the map better",
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
        layer="shown",
        silent="as Grad-CAM, with the gradient of each place; blocks of the network behind the layer",
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
        layer="shown",
        silent="anything about the question asked: it is the same map for every reference and class",
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
        layer="shown",
        silent="anything finer than a cell of the last feature map; its cost before the network is known",
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
        silent="anything finer than a superpixel; parts that act only together, as its model is a sum; borders that "
        "SLIC does not see",
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
        silent="how much a part matters as a whole: only how a tiny change of each pixel would; noisy where networks "
        "saturate",
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
        silent="as saliency; dark pixels get little whatever they do",
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
        silent="how much a part matters as a whole; an error of its own: the noise level is a choice",
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
        silent="anything without its baseline: another fill gives another map, and parts that look like it get nothing",
    ),
    Method(
        "expected-gradients",
        "gradient",
        "Erion et al., Nature Machine Intelligence 2021; GradientSHAP: Lundberg & Lee, NeurIPS 2017",
        "gradients:expected_gradients",
        lambda masks, cells, size: GRADIENT * masks,
        "a gradient per baseline",
        needs=GRADIENTS,
        class_score="logit",
        samples=60,
        silent="anything without its baselines: pictures without content (fill, blur, noise), not other photographs",
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
        silent="much about the network: it recovers edges of the picture, also through random weights",
    ),
    Method(
        "occlusion",
        "masking",
        "Zeiler & Fergus, ECCV 2014",
        "occlusion:occlusion",
        lambda masks, cells, size: windows_of(size, cells) + 1,
        "windows + 1",
        hides="windows",
        silent="parts that stand in for one another: with one hidden, the other keeps the score",
    ),
    Method(
        "feature-ablation",
        "masking",
        "Zeiler & Fergus, ECCV 2014; superpixels: Achanta et al., TPAMI 2012",
        "occlusion:feature_ablation",
        lambda masks, cells, size: cells**2 + 1,
        "superpixels + 1",
        hides="superpixels",
        silent="anything finer than a superpixel; parts that stand in for one another",
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
        silent="anything finer than a superpixel; Shapley values on real pictures: most of its samples are none",
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
        layer="shown",
        silent="anything about the question asked: it is the same map for every reference; which channels matter",
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
        silent="parts that stand in for one another; anything finer than its windows",
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
        layer="shown",
        silent="what the embedding depends on: a token may be looked at and not used; anything about the question",
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
        layer="nothing",
        silent="what the embedding depends on; what the other parts of a block do; anything about the question",
    ),
    Method(
        "legrad",
        "attention",
        "Bousselham et al., ICCV 2025",
        "legrad:legrad",
        lambda masks, cells, size: GRADIENT + 1,
        "1 to find the blocks + a gradient",
        needs=ATTENTION | GRADIENTS,
        class_score="logit",
        layer="shown",
        silent="parts that speak against the score, which are set to zero; anything finer than a patch; what later "
        "blocks make of a block's tokens",
    ),
    Method(
        "attnlrp",
        "gradient",
        "Achtibat et al., ICML 2024",
        "relevance:attnlrp",
        lambda masks, cells, size: 2 * GRADIENT,
        "a gradient, linear layers twice",
        needs=ATTENTION | GRADIENTS,
        class_score="logit",
        silent="what biases contribute; dark pixels, as input x gradient; an error of its own: the rules are a choice",
    ),
    Method(
        "random",
        "control",
        "a control",
        "controls:random_map",
        lambda masks, cells, size: 0,
        "none",
        explains="nothing",
        layer="nothing",
        silent="anything: a method that is not better than it says nothing either",
    ),
    Method(
        "centre",
        "control",
        "Judd, Durand & Torralba, MIT report 2012",
        "controls:centre",
        lambda masks, cells, size: 0,
        "none",
        explains="nothing",
        layer="nothing",
        silent="anything about the picture: a method that is not better than it may only know that subjects stand in "
        "the middle",
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _ALL}


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: If there is none; the message lists the names.
    """
    return METHODS[one_of("method", name, METHODS)]

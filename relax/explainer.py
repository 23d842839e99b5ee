"""RELAX: hide parts of an image at random, see how far the embedding moves, average the masks.

To answer several questions from the same encoder passes, keep the masked embeddings with `relax.probe`.

Source: RELAX (Wickstrøm et al., IJCV 2023, doi 10.1007/s11263-023-01773-2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, overload

from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from encoders import Encoder
from relax.estimators.budget import CHECK, Progress
from relax.explanation import Explanation
from relax.io.datasets import is_dataset, is_row, rows
from relax.io.images import ImageSource, each_picture, one_by_one
from relax.io.sources import names_several
from relax.keywords import ExplainKeywords, shows
from relax.method import image_explainer, image_watcher
from relax.progress import Silent, shown
from relax.run import Interrupted, check_every
from relax.scene import EncoderSource, loaded
from relax.settings import Settings


@overload
def explain(
    image: str | Path | Image.Image | NDArray[Any] | Mapping[str, Any],
    encoder: EncoderSource = ...,
    *,
    earlier: Explanation | None = ...,
    progress: Progress | Silent | None = ...,
    **keywords: Unpack[ExplainKeywords],
) -> Explanation: ...
@overload
def explain(
    image: list[Any] | Dataset[Any] | DataLoader[Any],
    encoder: EncoderSource = ...,
    *,
    progress: Progress | Silent | None = ...,
    **keywords: Unpack[ExplainKeywords],
) -> list[Explanation]: ...
@overload
def explain(
    image: Any,
    encoder: EncoderSource = ...,
    *,
    earlier: Explanation | None = ...,
    progress: Progress | Silent | None = ...,
    **keywords: Unpack[ExplainKeywords],
) -> Any: ...


@shows(ExplainKeywords)
def explain(
    image: ImageSource | Sequence[ImageSource] | Mapping[str, Any] | Dataset[Any] | DataLoader[Any],
    encoder: EncoderSource = "default",
    *,
    earlier: Explanation | None = None,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[ExplainKeywords],
) -> Explanation | list[Explanation]:
    """Explain which parts of an image determine its embedding, and how certain that is.

    Args:
        image: A path, PIL image, array (H, W[, C]) or tensor ([C,] H, W) with values in [0, 1] or whole
            numbers of 8 or 16 bits; or a row of a data set, (picture, label, ...) or {"image": picture, ...}, whose
            labels are ignored. A folder, a DICOMDIR, "us.dcm#frame=all" and the like (`relax.io.sources`), a list of
            images, a tensor (B, C, H, W) with B above 1, a data set or a DataLoader gives
            a list of explanations; data sets are read picture by picture, and must not normalise.
        encoder: A spec ("default", "timm:NAME", ... see `encoders.load`), an `Encoder`, or any module or
            callable from pixels (B, C, H, W) in [0, 1] to (B, D), which gets the pixels as they are: size, mean,
            std and which output to take are said to `relax.load_encoder`.
        method: "relax", or another to compare with it: "rise", "gradcam", "lime", ... `relax.baselines.METHODS` lists
            them with their needs and costs. Arguments that do not apply to the method are refused.
        head: Turns embeddings into class probabilities; the method then explains a class instead of the similarity.
            For "rise", which needs one, and for methods whose `takes_head` is true; never for "relax".
        target: Name or number of the head's class to explain; None is the class it predicts for the whole image.
        masks: Number of masks; 3,000 by default, as in the paper. With a tolerance, the maximum
            (default 100,000). Or the masks themselves: (N, 1, H, W) in [0, 1], 1 = visible, at the size of
            the image or of the encoder's input. Methods other than "relax" and "rise" take it as the number of their
            samples, noisy copies or steps, where they have any; each has its own default.
        tolerance: Stop as soon as no pixel's standard error exceeds this, in the unit of the similarity.
        similarity: "cosine", "l2" (negative distance), "dot", "projection" (on the reference's direction, in the unit
            of the embedding) or "rbf". Higher is closer.
        reference: What the masked image is compared with: None is the image itself; another image; a list
            of images, of which the mean embedding is taken; an embedding (D,); a prompt, "text:a photo of a cat", for
            encoders with a text tower; or a `relax.Corpus`, for the mean similarity to its members.
        foil: Likewise for the foil, whose similarity is subtracted: what brings the image closer to the reference than
            to the foil. Two corpora give COCOA. Only for method "relax".
        dimension: Instead of a reference: a number of the embedding, from 0, which is the score itself.
        direction: Instead of a reference: a vector (D,) as array, tensor or file ("concept.npy", "pca.npy#row=0",
            "probe.npz#weight&row=3", "sae.safetensors#W_enc&column=1207"), such as a concept, a principal component or
            a unit of a sparse autoencoder. The score is the projection on it, scaled to length 1, in the unit of the
            embedding, not clamped; see `relax.directions`.
        layer: What this layer returns is explained instead of the embedding: the class token where it has one (and
            `pooling` is not "mean"), else the mean of its cells or patches. References are seen through the same layer.
            For "gradcam", "lafam", "attention" and their kind it is the layer that the map shows. `relax.layers` lists
            names; "" is the network as a whole.
        token: Of the layer (by default the last that has such a token), the cell or patch in this (row, column), from
            0, or "class" for the class token: the map shows what makes it what it is.
        regions: What is hidden together: "grid" (RISE's soft random grid), "authors-grid" (the authors'
            package), "windows" (a sliding square, not random), "superpixels" (SLIC, cells^2 of them) or "patches"
            (of a timm vision transformer; `cells` is ignored).
        cells: Regions along each side, 1 to 64. More show finer detail and need more masks for the same error.
        keep: Probability that a region stays visible, in (0, 1).
        fill: What hidden pixels show: "mean" (the encoder's mean pixel; black for a plain module), "blur",
            "noise", a grey value or colour in [0, 1], or another image. "drop", with regions "patches", withholds
            hidden patches from the network altogether, which halves the time.
        seed: The only source of randomness; the same seed gives the same masks, whatever the batch size.
        within: The region that masks vary in; the rest stays visible, and maps are NaN there. A mask of the image's
            size (file, PIL image, array or tensor (H, W): 0 outside, one other level inside), a folder of masks named
            as the images, a box of pixels, (left, top, right, bottom) or "40,60,200,180", a label of a NIfTI volume of
            the image's voxels, "lung.nii.gz#label=2", or a segment of a DICOM SEG, "lesion.dcm#segment=1". Cells are
            fitted to its box, so that the same `cells` resolve a lesion, not the picture it lies in. None is the whole
            image.
        design: How the masks of the grid depend on each other; it changes the error, not what is estimated:
            "orthogonal" arrays, "sobol", "antithetic" pairs, or "independent" as in the paper.
        estimator: "auto" uses control variates where possible (the grid, at most 36 cells along a side): the same
            maps from fewer masks. "plain" is the paper's average. "controlled" raises an error where they cannot be
            used.
        preset: "paper" for the masks of the authors' package, "paper-rise" for independent masks of RISE; both with
            the plain estimator.
        pooling: "auto", "cls" or "mean", for encoders that return tokens or feature maps.
        view: How the image gets to the encoder's input: "auto" (its own preprocessing), "pad" (all of it, with the mean
            pixel around it), "crop" (the middle) or "squash" (all of it, squeezed). The record says under "unseen" what
            share a crop hides; maps are NaN there.
        device: "auto" takes a GPU if there is one; "all" GPUs, or "cuda:0,cuda:1", share the masked views.
        batch_size: Masked images in one forward pass; it changes speed and memory, not the result. A batch that
            exhausts the memory is repeated in halves.
        precision: "exact" (float32) unless the encoder was loaded with another. "auto" runs the masked passes in half
            precision, or in OpenVINO (extra `[openvino]`), where that is faster on the device and the scores of the
            first 32 masks agree, so that the map correlates with the exact one at 0.999; "fast" whatever the agreement.
            The provenance records the choice.
        earlier: An explanation of this image under the same arguments, whose masks count among `masks` and are not
            embedded again. The result is that of one run, up to rounding; only "relax", with precision "exact".
        progress: Called with (masks done, masks at most) after every batch. None shows a bar in a notebook, False none.

    Returns:
        An `Explanation` with maps (H, W) in the frame of the image, or a list of explanations.

    Raises:
        ImageError: If an image cannot be used.
        EncoderError: If the encoder cannot be loaded, or returns a wrong shape, NaN or infinity.
        relax.baselines.MethodError: If the method cannot be used with the encoder or head; a ValueError.
        ValueError: If another argument is invalid, or does not apply to the method; the message names it.
        relax.Interrupted: On Ctrl-C while masks come in, with the explanations so far; a KeyboardInterrupt.

    Warns:
        UserWarning: If the masks ran out before the tolerance was reached.
        EncoderWarning: If the encoder gives the image another embedding in a batch than alone, or different images the
            same one (three passes, not counted as masks, tell), or a module returns the logits of its classifier.
    """
    settings = Settings.of(keywords)
    images: Any = rows(image) if is_dataset(image) else each_picture(image)  # type: ignore[arg-type]
    if earlier is not None and (is_dataset(image) or len(images) != 1):
        raise ValueError("earlier is of one image; image holds several: explain them one by one")
    network = loaded(encoder, settings.execution, settings.request)
    with shown(progress, "masks") as report:
        if earlier is not None:
            return image_explainer(network, settings)(images[0], report, earlier)
        explanations = explain_images(images, network, settings, report)
    listed = is_dataset(image) or (isinstance(image, list | tuple) and not is_row(image))
    several = listed or names_several(image)
    return explanations[0] if not several and len(explanations) == 1 else explanations


@shows(ExplainKeywords)
def explaining(
    image: ImageSource | Mapping[str, Any],
    encoder: EncoderSource = "default",
    *,
    every: int = CHECK,
    earlier: Explanation | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[ExplainKeywords],
) -> Iterator[Explanation]:
    """Explain one image and watch: the explanation so far, again and again, and at last the finished one.

        for explanation in relax.explaining("cat.png", masks=20_000):
            print(explanation)  # break whenever it is good enough

    Each is what `explain` gives for so many masks, in importance, uncertainty and error, up to rounding in the
    embeddings. The record of all but the last has "stopped_early"; that of each has the error at all looks so far under
    "convergence".

    Args:
        image: As for `explain`, but one.
        encoder: As for `explain`.
        every: Masks between two looks, or a quarter of the masks so far if that is more, since a look takes the longer
            the more masks it has; looks fall on the ends of batches.
        earlier: As for `explain`.
        progress: Called with (masks done, masks at most) after every batch.
        keywords: Keywords of `explain`. Methods other than "relax" and "rise" give only the finished explanation.

    Raises:
        As `explain`, at once; what shows only when the image is read or embedded is raised on the way.
    """
    every = check_every(every)
    settings = Settings.of(keywords, function="explaining")
    if is_dataset(image) or len(images := one_by_one(image)) != 1:  # type: ignore[arg-type]
        raise ValueError("image must be one picture, of which explaining gives one explanation after the other")
    return image_watcher(loaded(encoder, settings.execution, settings.request), settings)(
        images[0], progress, every, earlier
    )


def explain_images(
    images: Iterable[ImageSource], encoder: Encoder, settings: Settings, progress: Progress | None = None
) -> list[Explanation]:
    """`explain` for each of several images, given a loaded encoder and checked settings."""
    explain_image = image_explainer(encoder, settings)
    explanations: list[Explanation] = []
    try:
        for image in images:
            explanations.append(explain_image(image, progress))
    except Interrupted as stop:
        raise Interrupted([*explanations, *stop.explanations]) from None
    except KeyboardInterrupt:
        if not explanations:
            raise
        raise Interrupted(explanations) from None
    return explanations

"""How far can one map and one embedding be trusted? Questions that need no labels, one number each.

    trust = relax.assess("cat.png", corpus=relax.Corpus("photos"))
    print(trust)

Does the map move with the picture when it is mirrored or shifted, as far as its own randomness allows? Does the
embedding stay where it is under changes that leave what the picture shows, and does it keep its neighbours? High
numbers do not show that a map is true; low ones are a reason not to build on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Unpack, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

from encoders import Encoder
from relax.estimators.budget import Progress
from relax.explainer import explain_images
from relax.explanation import Explanation
from relax.io.images import ImageSource, read_image
from relax.metrics.maps import Map, known_in_both, pearson
from relax.plotting.caption import trust_in_words
from relax.references import Corpus
from relax.scene import EncoderSource, loaded
from relax.settings import ExplainKeywords, Settings, shows

MASKS = 512  # of each of the four maps
SHIFT = 10  # a tenth of the picture
LIGHT, NOISE, BLUR = 0.2, 0.03, 0.01  # share of the brightness; standard deviation; sigma in shorter sides of the view
NEIGHBOURS = 10
STREAM = 7  # of the seed's random numbers
SAME = 1 - 1e-6  # cosine of a picture to itself, rounding allowed for


@dataclass(frozen=True)
class Trust:
    """What the checks found; each is at most 1, higher = more to build on, NaN where it is not defined.

    Attributes:
        ceiling: Correlation of the map with the one from another seed. More is not to be had with so few masks; raise
            `masks` where it is low.
        mirrored: Correlation with the map of the mirror image, mirrored back.
        shifted: Correlation with the map of the picture moved by a tenth of its sides, moved back, where both see it.
        stability: Mean cosine of the embedding to those of the changed pictures.
        moved_most_by: Which change moved the embedding most.
        neighbours: Share of the embedding's nearest members of the corpus that it keeps under a change, on average;
            None without a corpus. Chance is `k` over the size of the corpus.
        k: How many neighbours were compared.
        masks: Of each of the four maps; None for a method that has a number of its own.
    """

    ceiling: float
    mirrored: float
    shifted: float
    stability: float
    moved_most_by: str
    neighbours: float | None
    k: int | None
    masks: int | None

    def __str__(self) -> str:
        return ", ".join(trust_in_words(asdict(self)))

    def beside(self, explanation: Explanation) -> Explanation:
        """The explanation with these numbers in its provenance, so that figures, reports and JSON show them."""
        made = {name: None if value != value else value for name, value in asdict(self).items()}
        return replace(explanation, provenance={**explanation.provenance, "trust": made})


@shows(ExplainKeywords, masks=MASKS)
def assess(
    image: ImageSource,
    encoder: EncoderSource = "default",
    *,
    corpus: Corpus | None = None,
    neighbours: int = NEIGHBOURS,
    progress: Progress | None = None,
    **keywords: Unpack[ExplainKeywords],
) -> Trust:
    """Ask how far the map and the embedding of one picture can be trusted.

    Four maps are made: of the picture with two seeds, of its mirror image, and of the picture moved by a tenth. Their
    correlations (Pearson, over pixels) say whether the map belongs to what the picture shows or to where it happens
    to lie. Where no reference is given, each map is relative to its own picture. The embedding is compared with those
    of six changes that leave what the picture shows: mirrored, shifted, 20 % darker, 20 % brighter, blurred, noisy.
    Whether mirroring or darkening does leave it (a heart lies on the left) is for the reader to judge.

    Args:
        image: As for `explain`.
        encoder: As for `explain`.
        corpus: Other pictures, or their embeddings, among which neighbours are looked for (cosine).
        neighbours: How many; at most the size of the corpus.
        progress: Called with (masks done, masks of all four maps).
        keywords: Keywords of `explain`: the same as for the map that is to be judged. `masks` are those of each map,
            512 by default; None leaves the number to the method, for methods other than "relax". The ceiling takes
            `seed` and the next one.

    Raises:
        ImageError, EncoderError, ValueError: As `explain`; or if `neighbours` is below 1.
    """
    settings = Settings.of({"masks": MASKS, **keywords}, ExplainKeywords, "assess")
    return assess_with(
        image, loaded(encoder, settings.execution), settings, corpus=corpus, neighbours=neighbours, progress=progress
    )


def assess_with(
    image: ImageSource,
    encoder: Encoder,
    settings: Settings,
    *,
    corpus: Corpus | None = None,
    neighbours: int = NEIGHBOURS,
    progress: Progress | None = None,
) -> Trust:
    """`assess` by an encoder that is loaded, with settings that are checked."""
    if neighbours < 1:
        raise ValueError(f"neighbours must be 1 or more; got {neighbours}")
    seed = settings.hiding.seed
    pixels = read_image(image, channels=encoder.channels)

    def importance(picture: Tensor, seed: int, place: int) -> Map:
        seeded = replace(settings, hiding=replace(settings.hiding, seed=seed))
        return explain_images([picture], encoder, seeded, _part(progress, place))[0].importance

    plain, reseeded = importance(pixels, seed, 0), importance(pixels, seed + 1, 1)
    mirrored, moved = importance(pixels.flip(-1), seed, 2), importance(shifted(pixels), seed, 3)
    embeddings, names = changed_embeddings(encoder.view(pixels), encoder, seed)
    cosines = embeddings[1:] @ embeddings[0]
    kept, k = _kept(embeddings, corpus, neighbours, encoder)
    return Trust(
        ceiling=agreement(plain, reseeded),
        mirrored=agreement(plain, mirrored[:, ::-1]),
        shifted=agreement(plain, moved_back(moved)),
        stability=round(float(cosines.mean()), 4),
        moved_most_by=names[int(cosines.argmin())],
        neighbours=kept,
        k=k,
        masks=settings.estimation.masks,
    )


def agreement(first: Map, second: Map) -> float:
    """Pearson's correlation of two maps (H, W) over the pixels known in both."""
    return round(pearson(*known_in_both(first, second)), 4)


def shifted(pixels: Tensor) -> Tensor:
    """(1, C, H, W) moved down and to the right by a tenth of its sides; the free strip mirrors what lies beside it."""
    down, right = _strip(pixels.shape[-2:])
    padded = F.pad(pixels, (right, 0, down, 0), mode="reflect")
    return padded[..., : pixels.shape[-2], : pixels.shape[-1]]


def moved_back(values: Map) -> Map:
    """A map (H, W) of `shifted` pixels in the frame of the picture; NaN where they had left it."""
    down, right = _strip(values.shape)
    back = np.full_like(values, np.nan)
    back[: values.shape[0] - down, : values.shape[1] - right] = values[down:, right:]
    return back


def changes(view: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """(1, C, h, w) in [0, 1] as it is, and under changes that leave what it shows; each with its name."""
    sigma = BLUR * min(view.shape[-2:])
    noise = NOISE * np.random.default_rng((STREAM, seed)).standard_normal(tuple(view.shape))
    yield "unchanged", view
    yield "mirrored", view.flip(-1)
    yield "shifted", shifted(view)
    yield "darker", view * (1 - LIGHT)
    yield "brighter", (view * (1 + LIGHT)).clamp(0, 1)
    yield "blurred", gaussian_blur(view, [2 * int(np.ceil(3 * sigma)) + 1] * 2, [sigma] * 2)
    yield "noisy", (view + torch.from_numpy(noise).to(view)).clamp(0, 1)


def changed_embeddings(view: Tensor, encoder: Encoder, seed: int) -> tuple[Tensor, list[str]]:
    """Unit vectors (7, D) of what the encoder sees under `changes`, the first without one; the names of the others."""
    names, views = zip(*changes(view, seed), strict=True)
    embeddings = encoder.embed(torch.cat(views).to(encoder.device))
    return F.normalize(embeddings.double().cpu(), dim=1), list(names[1:])


def _kept(
    embeddings: Tensor, corpus: Corpus | None, wanted: int, encoder: Encoder
) -> tuple[float, int] | tuple[None, None]:
    """Share of the nearest members of the corpus that changes leave, and how many were compared."""
    if corpus is None:
        return None, None
    members = cast(Tensor, corpus.embedded(encoder).embeddings)
    cosines = embeddings @ F.normalize(members.double().cpu(), dim=1).T
    cosines = cosines[:, cosines[0] < SAME]  # the picture itself is no neighbour
    k = min(wanted, cosines.shape[1])
    if k == 0:
        raise ValueError("corpus must hold another picture than the one to assess; got only that")
    own, *others = (set(row.tolist()) for row in cosines.topk(k).indices)
    return round(float(np.mean([len(own & other) / k for other in others])), 4), k


def _part(progress: Progress | None, place: int, parts: int = 4) -> Progress | None:
    """What the map number `place` of several tells about all of them."""
    if progress is None:
        return None
    return partial(_tell, progress, place, parts)


def _tell(progress: Callable[[int, int], None], place: int, parts: int, done: int, most: int) -> None:
    progress(place * most + done, parts * most)


def _strip(size: Any) -> tuple[int, int]:
    """Rows and columns of a tenth of (H, W), at least one."""
    return max(1, size[0] // SHIFT), max(1, size[1] // SHIFT)

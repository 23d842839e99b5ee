"""How far can a map and an embedding be trusted? Checks without labels, each giving one number.

    trust = relax.assess("cat.png", corpus=relax.Corpus("photos"))
    print(trust)

Does the map move with the picture when that is mirrored or shifted, as far as its Monte-Carlo noise allows? Does the
embedding stay put under changes that preserve what the picture shows, and does it keep its neighbours? High numbers do
not prove a map right; low ones are a reason not to rely on it.
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

from encoders import Encoder
from relax.baselines.rise import predicted
from relax.estimators.budget import Progress
from relax.explainer import explain_images
from relax.explanation import Explanation
from relax.io.images import ImageSource, read_with_record
from relax.io.regions.within import read_within
from relax.keywords import ExplainKeywords, shows
from relax.metrics.maps import Map, known_in_both, pearson
from relax.plotting.caption import trust_in_words
from relax.progress import Silent, shown
from relax.references import Corpus
from relax.scene import EncoderSource, loaded
from relax.settings import Settings

MASKS = 512  # of each of the four maps
SHIFT = 10  # by one part in SHIFT, a tenth of the picture
LIGHT, NOISE, BLUR = 0.2, 0.03, 0.01  # share of the brightness; standard deviation; sigma in shorter sides of the view
NEIGHBOURS = 10
STREAM = 7  # of the seed's random numbers
SAME = 1 - 1e-6  # cosine of a picture to itself, allowing for rounding


@dataclass(frozen=True)
class Trust:
    """Results of the checks. Each is at most 1, higher = more trustworthy, NaN where undefined.

    Attributes:
        ceiling: Correlation of the map with that of another seed: the highest value to expect below from this number
            of masks. Raise `masks` if it is low.
        mirrored: Correlation with the map of the mirror image, mirrored back.
        shifted: Correlation with the map of the picture moved by a tenth of its sides, moved back, over the pixels
            defined in both.
        stability: Mean cosine of the embedding to those of the changed pictures.
        moved_most_by: The change that moved the embedding most.
        neighbours: Share of the embedding's nearest members of the corpus that remain its nearest under a change, on
            average; None without a corpus. Chance level: `k` over the size of the corpus.
        k: Number of neighbours compared.
        masks: Of each of the four maps; None for a method with its own number of samples.
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
        record = {name: None if value != value else value for name, value in asdict(self).items()}
        return replace(explanation, provenance={**explanation.provenance, "trust": record})


@shows(ExplainKeywords, masks=MASKS)
def assess(
    image: ImageSource,
    encoder: EncoderSource = "default",
    *,
    corpus: Corpus | None = None,
    neighbours: int = NEIGHBOURS,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[ExplainKeywords],
) -> Trust:
    """Assess how far the map and the embedding of one picture can be trusted.

    Four maps are made: of the picture under two seeds, of its mirror image, and of the picture moved by a tenth of its
    sides. Their correlations (Pearson, over pixels) show whether the map follows what the picture shows or where it
    lies. Without a reference, each map is relative to its own picture. The embedding is compared with those under six
    changes meant to preserve what the picture shows: mirrored, shifted, 20 % darker, 20 % brighter, blurred, noisy.
    Whether mirroring or darkening does preserve it (a heart lies on the left) is for the reader to judge.

    Args:
        image: As for `explain`.
        encoder: As for `explain`.
        corpus: Other pictures, or their embeddings, to search for neighbours (cosine).
        neighbours: How many; capped at the size of the corpus.
        progress: Called with (masks done, masks of all four maps); otherwise as for `explain`.
        keywords: Keywords of `explain`, the same as for the map in question. `masks` is per map, 512 by default; None
            leaves the number to the method, for methods other than "relax". The ceiling uses `seed` and `seed + 1`.

    Raises:
        ImageError, EncoderError, ValueError: As for `explain`; or if `neighbours` is below 1.
    """
    settings = Settings.of({"masks": MASKS, **keywords}, ExplainKeywords, "assess")
    network = loaded(encoder, settings.execution, settings.request)
    with shown(progress, "masks") as report:
        return assess_with(image, network, settings, corpus=corpus, neighbours=neighbours, progress=report)


def assess_with(
    image: ImageSource,
    encoder: Encoder,
    settings: Settings,
    *,
    corpus: Corpus | None = None,
    neighbours: int = NEIGHBOURS,
    progress: Progress | None = None,
) -> Trust:
    """`assess`, given a loaded encoder and checked settings."""
    if neighbours < 1:
        raise ValueError(f"neighbours must be 1 or more; got {neighbours}")
    seed = settings.hiding.seed
    pixels, read = read_with_record(image, channels=encoder.channels)
    within = read_within(settings.hiding.within, image, pixels, read)
    inside = None if within is None else torch.from_numpy(within.inside)
    head, target = settings.request.head, settings.request.target
    if head is not None and target is None:  # the changed pictures may be taken for another class
        settings = replace(settings, request=replace(settings.request, target=predicted(head, encoder(pixels)[0])))

    def importance(picture: Tensor, seed: int, index: int, inside: Tensor | None = inside) -> Map:
        seeded = replace(settings, hiding=replace(settings.hiding, seed=seed, within=inside))
        return explain_images([picture], encoder, seeded, _progress_of_part(progress, index))[0].importance

    plain, reseeded = importance(pixels, seed, 0), importance(pixels, seed + 1, 1)
    mirrored = importance(pixels.flip(-1), seed, 2, None if inside is None else inside.flip(-1))
    moved = importance(shifted(pixels), seed, 3, None if inside is None else _shifted_region(inside))
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
    """Pearson's correlation of two maps (H, W) over the pixels defined in both."""
    return round(pearson(*known_in_both(first, second)), 4)


def shifted(pixels: Tensor) -> Tensor:
    """(1, C, H, W) moved down and right by a tenth of its sides; the strip laid bare mirrors the pixels beside it."""
    down, right = _strip(pixels.shape[-2:])
    padded = F.pad(pixels, (right, 0, down, 0), mode="reflect")
    return padded[..., : pixels.shape[-2], : pixels.shape[-1]]


def _shifted_region(inside: Tensor) -> Tensor:
    """(H, W) bool, moved as `shifted` pixels; what is laid bare is outside."""
    down, right = _strip(inside.shape)
    return F.pad(inside, (right, 0, down, 0))[: inside.shape[0], : inside.shape[1]]


def moved_back(values: Map) -> Map:
    """A map (H, W) of `shifted` pixels, back in the frame of the picture; NaN where they were moved out of it."""
    down, right = _strip(values.shape)
    back = np.full_like(values, np.nan)
    back[: values.shape[0] - down, : values.shape[1] - right] = values[down:, right:]
    return back


def changes(view: Tensor, seed: int) -> Iterator[tuple[str, Tensor]]:
    """(1, C, h, w) in [0, 1], unchanged and under changes that preserve what it shows, each with its name."""
    from torchvision.transforms.v2.functional import gaussian_blur  # see `masking.fill.blurred`

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
    """Unit embeddings (7, D) of a view under `changes`, the unchanged one first; and the names of the other six."""
    names, views = zip(*changes(view, seed), strict=True)
    embeddings = encoder.embed(torch.cat(views).to(encoder.device))
    return F.normalize(embeddings.double().cpu(), dim=1), list(names[1:])


def _kept(
    embeddings: Tensor, corpus: Corpus | None, count: int, encoder: Encoder
) -> tuple[float, int] | tuple[None, None]:
    """Share of the nearest members of the corpus that stay the nearest under a change, and the number compared."""
    if corpus is None:
        return None, None
    members = cast(Tensor, corpus.embedded(encoder).embeddings)
    cosines = embeddings @ F.normalize(members.double().cpu(), dim=1).T
    cosines = cosines[:, cosines[0] < SAME]  # the picture itself is no neighbour
    k = min(count, cosines.shape[1])
    if k == 0:
        raise ValueError("corpus must hold a picture other than the one assessed; got only that one")
    original, *changed = (set(row.tolist()) for row in cosines.topk(k).indices)
    return round(float(np.mean([len(original & nearest) / k for nearest in changed])), 4), k


def _progress_of_part(progress: Progress | None, index: int, parts: int = 4) -> Progress | None:
    """Progress of part `index` of several, reported as progress over all of them."""
    if progress is None:
        return None
    return partial(_report_part, progress, index, parts)


def _report_part(progress: Callable[[int, int], None], index: int, parts: int, done: int, total: int) -> None:
    progress(index * total + done, parts * total)


def _strip(size: Any) -> tuple[int, int]:
    """Rows and columns of a tenth of (H, W), at least one."""
    return max(1, size[0] // SHIFT), max(1, size[1] // SHIFT)

"""The smallest set of cells that keeps a picture's embedding, and the smallest without which it is lost.

    sets = relax.smallest_sets("cat.png", encoder, similarity_at_least=0.8, fills=("mean", "blur"))
    print(sets)                       # 9 of 49 cells, 18 % of the pixels; smallest found, ...
    sets.enough.mask                  # (H, W) bool
    sets.needed.mask                  # (H, W) bool

Source: sufficient input subsets (Carter et al., AISTATS 2019); smallest sufficient and destroying regions (Dabkowski &
Gal, NeurIPS 2017).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from encoders import Encoder
from encoders.values import described, is_whole, plain
from relax.enough.backgrounds import kept_before, similarities_before
from relax.enough.cells import Cells
from relax.enough.checks import (
    FILLS,
    MASKS,
    SIMILARITY_AT_LEAST,
    check_reached,
    checked_fills,
    checked_similarity,
    fill_name,
    settings_record,
)
from relax.enough.game import Game
from relax.enough.result import CellSet, SmallestSets
from relax.enough.search import Aim, Members, Search
from relax.estimators.budget import Progress
from relax.explanation import Explanation
from relax.io.images import ImageSource, each_picture, one_by_one
from relax.keywords import CellKeywords, shows
from relax.method import image_watcher
from relax.metrics.maps import Values
from relax.metrics.trial import Trial
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.references import Question
from relax.scene import EncoderSource, Scene, loaded
from relax.settings import Fill, Request, Settings

PASSES = 1000


class SetsInterrupted(KeyboardInterrupt):
    """Ctrl-C during a search; a KeyboardInterrupt that keeps the best so far.

    Attributes:
        sets: The smallest sets found; the record says "stopped_early".
    """

    def __init__(self, sets: SmallestSets) -> None:
        self.sets = sets
        super().__init__("the smallest sets so far are in sys.last_value.sets")


@shows(CellKeywords, masks=MASKS)
def smallest_sets(
    image: ImageSource,
    encoder: EncoderSource = "default",
    *,
    similarity_at_least: float = SIMILARITY_AT_LEAST,
    fills: Sequence[Fill] = FILLS,
    backgrounds: ImageSource | Sequence[ImageSource] = (),
    passes: int = PASSES,
    ranking: Explanation | NDArray[Any] | None = None,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[CellKeywords],
) -> SmallestSets:
    """Find the fewest cells that keep a picture's similarity to itself, and the fewest whose removal loses it.

    Cells are hidden whole, with hard borders, and every set that counts was embedded. The search starts from a ranking,
    leaves out cells, swaps them and starts again until its passes are spent or the smallest set is proven, by trying
    all sets of fewer cells; with 3 x 3 cells that is always so. Otherwise a set is the smallest found, and `at_least`
    says how many cells are necessary.

    Args:
        image: As for `relax.explain`, but one.
        encoder: As for `relax.explain`.
        similarity_at_least: What has to be kept, in the unit of the measure; the whole picture must have it.
        fills: What hidden cells show, as `fill` of `relax.explain`, one or more: a set is enough if it keeps the
            similarity under all of them, and needed if hiding it loses the similarity under all of them. A set that is
            enough under one fill need not be under another.
        backgrounds: Other pictures, or a folder of them, before each of which what is enough is shown at last: the
            record says in which share of them the similarity is kept.
        passes: Most encoder passes of the search for each of the two sets.
        ranking: A map of the picture to start from, an explanation or (H, W), higher = more important; None makes one
            with RELAX, from `masks` masks.
        progress: Called with (passes, passes at most); otherwise as for `relax.explain`.
        similarity: As for `relax.explain`, but no projection.
        regions: "grid" (squares), "superpixels" or "patches" (of a vision transformer).
        cells: Of the grid along each side, or the root of the number of superpixels.
        seed: Of the map, of a fill of noise, and of restarts.
        masks: Of the map, without a ranking.

    Raises:
        ImageError, EncoderError, ValueError: As for `relax.explain`; or if the whole picture has no such similarity.
        SetsInterrupted: On Ctrl-C during the search, with the smallest sets so far; a KeyboardInterrupt.
    """
    settings = Settings.of({"masks": MASKS, **keywords}, CellKeywords, "smallest_sets")
    if len(one_by_one(image)) != 1:
        raise ValueError("image must be one picture: call smallest_sets for each of several")
    network = loaded(encoder, settings.execution)
    with shown(progress, "passes") as report:
        return smallest_sets_with(
            image,
            network,
            settings,
            similarity_at_least=similarity_at_least,
            fills=fills,
            backgrounds=backgrounds,
            passes=passes,
            ranking=ranking,
            progress=report,
        )


def smallest_sets_with(
    image: ImageSource,
    encoder: Encoder,
    settings: Settings,
    *,
    similarity_at_least: float = SIMILARITY_AT_LEAST,
    fills: Sequence[Fill] = FILLS,
    backgrounds: ImageSource | Sequence[ImageSource] = (),
    passes: int = PASSES,
    ranking: Explanation | NDArray[Any] | None = None,
    progress: Progress | None = None,
) -> SmallestSets:
    """`smallest_sets`, given a loaded encoder and checked settings."""
    started = time.perf_counter()
    at_least, fills = checked_similarity(similarity_at_least, settings), checked_fills(fills)
    if not is_whole(passes := plain(passes), 1):
        raise ValueError(f"passes must be a whole number, 1 or more; got {described(passes)}")
    behind = each_picture(backgrounds) if not isinstance(backgrounds, list | tuple) or backgrounds else []
    scene = Scene.of(image, encoder, replace(settings.hiding, fill=fills[0]))
    cells = Cells.of(scene, settings.hiding.regions, settings.hiding.cells)
    question = Question.asked(settings.request, encoder)
    check_reached(Trial.of(scene, question), at_least)
    importance = cells.means(map_in_view(scene, ranking, settings))
    order = np.argsort(-importance, kind="stable")
    searches, stopped = {}, False
    for name in ("enough", "needed"):
        game = Game.of(scene, cells, question, settings.hiding, fills)
        game.limit, game.progress = passes, progress
        search = searches[name] = Search(Aim(game, at_least, name == "enough"), order)
        try:
            search.run(settings.hiding.seed)
        except KeyboardInterrupt:
            if searches["enough"].best is None:
                raise
            stopped = True
            break
    record = {
        **scene.record(settings.hiding),
        **question.record(),
        **settings_record(settings, fills, at_least),
        "passes": sum(search.aim.game.passes for search in searches.values()),
        "passes_at_most": passes,
        **({"stopped_early": True} if stopped else {}),
    }
    del record["masks"], record["fill"]
    enough = cell_set(searches["enough"], scene, fills)
    assert enough is not None  # noqa: S101  # the whole picture is enough: `check_reached`
    needed = cell_set(searches["needed"], scene, fills) if "needed" in searches else None
    if behind and not stopped:
        kept = similarities_before(scene, cells, question, enough.members, behind, settings.hiding)
        record["backgrounds"] = kept_before(kept, at_least)
    record |= surroundings(encoder.device, time.perf_counter() - started)
    sets = SmallestSets(enough, needed, cells.labels, cells.grid, scene.picture(), record)
    if stopped:
        raise SetsInterrupted(sets)
    return sets


def map_in_view(scene: Scene, ranking: Explanation | NDArray[Any] | None, settings: Settings) -> Values:
    """(h, w) the importance that cells are ranked by, in the frame of the view.

    Raises:
        ValueError: If a given ranking has not the size of the picture.
    """
    if ranking is None:
        ranking = explained(scene, settings)
    importance = ranking.importance if isinstance(ranking, Explanation) else np.asarray(ranking)
    return Trial.of(scene, image_embedding=scene.image_embedding).in_view(importance)


def explained(scene: Scene, settings: Settings) -> Explanation:
    """RELAX of a scene that was made with these settings."""
    (explanation,) = image_watcher(scene.encoder, replace(settings, request=Request()))(scene)
    return explanation


def cell_set(search: Search, scene: Scene, fills: Sequence[Fill]) -> CellSet | None:
    """What a search found, in the frame of the picture; None if nothing."""
    if search.best is None:
        return None
    members: Members = search.best
    cells = search.aim.game.cells
    reached = search.aim.similarities(members[None])[0]
    return CellSet(
        members=members,
        mask=cells.in_picture(members, scene),
        share=float(members[cells.labels].mean()),
        similarities=dict(zip(map(fill_name, fills), map(float, reached), strict=True)),
        by_ranking=search.size if search.by_ranking is None else search.by_ranking,
        at_least=search.at_least,
        irreducible=search.irreducible,
    )

"""The smallest sets of a picture: what a result says is so, saved and read again, and stopped on the way."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from encoders import Encoder, load
from encoders.preprocess import Preprocess
from relax.enough.cells import Cells
from relax.enough.finding import SetsInterrupted
from relax.scene import Scene
from relax.settings import Hiding
from tests.relax.enough.planted import looks_at, picture

SMALL = {"cells": 4, "masks": 64, "fills": (0.0,)}


def planted_sets(**keywords):
    return relax.smallest_sets(
        picture(), looks_at((5, 6), 4), **{"similarity_at_least": 0.9, **SMALL, **keywords}, progress=False
    )


def test_the_planted_cells_are_enough_and_one_of_them_is_needed():
    sets = planted_sets()

    assert np.flatnonzero(sets.enough.members).tolist() == [5, 6]
    assert sets.enough.proven
    assert sets.enough.gap == 0
    assert sets.enough.similarities == {"0.0": pytest.approx(1)}
    assert sets.cells(sets.enough.members).shape == (4, 4)
    expected = np.zeros((12, 12), bool)
    expected[3:6, 3:9] = True
    np.testing.assert_array_equal(sets.enough.mask, expected)
    assert sets.enough.share == pytest.approx(18 / 144)
    assert np.flatnonzero(sets.needed.members)[0] in (5, 6)
    assert sets.needed.size == 1
    assert sets.needed.similarities["0.0"] == pytest.approx(np.sqrt(1.01 / 2.01))
    assert "2 of 16 cells, 12% of the pixels; proven smallest" in str(sets)
    assert sets.provenance["passes"] > 0


def test_the_similarities_are_those_of_the_pixels_that_the_mask_shows():
    image = torch.rand(1, 3, 24, 36, generator=torch.Generator().manual_seed(1))
    mix = torch.randn(3 * 24 * 36, 8, generator=torch.Generator().manual_seed(2))
    encoder = load(lambda pixels: torch.tanh(pixels.flatten(1) @ mix / 10), device="cpu")

    sets = relax.smallest_sets(
        image, encoder, similarity_at_least=0.95, fills=(0.5,), cells=3, masks=32, progress=False
    )

    whole = encoder(image)[0]
    for cells, shown in ((sets.enough, sets.enough.mask), (sets.needed, ~sets.needed.mask)):
        masked = torch.where(torch.from_numpy(shown), image, torch.tensor(0.5))
        cosine = float(torch.nn.functional.cosine_similarity(encoder(masked), whole[None])[0])
        assert cells.similarities["0.5"] == pytest.approx(cosine, abs=1e-5)
    assert sets.enough.similarities["0.5"] >= 0.95 > sets.needed.similarities["0.5"]


def test_masks_lie_where_the_encoder_looked():
    """Of 24 x 48 px the middle 24 x 24 is seen at 12 x 12: the first of 2 x 2 cells is 12 px at the left of that."""
    preprocess = Preprocess(size=(12, 12), resize=12)
    encoder = Encoder(lambda pixels: pixels.flatten(1)[:, :9], preprocess=preprocess, device="cpu")
    scene = Scene.of(torch.rand(1, 1, 24, 48), encoder, Hiding(cells=2))
    cells = Cells.of(scene, "grid", 2)

    mask = cells.in_picture(np.array([True, False, False, False]), scene)

    expected = np.zeros((24, 48), bool)
    expected[:12, 12:24] = True
    np.testing.assert_array_equal(mask, expected)
    assert not cells.in_picture(np.ones(4, bool), scene)[:, :12].any()


def test_superpixels_are_cells_too():
    sets = planted_sets(regions="superpixels")

    assert sets.grid is None
    assert sets.enough.members.shape == (sets.labels.max() + 1,)
    np.testing.assert_array_equal(sets.enough.mask, sets.enough.members[sets.labels])
    with pytest.raises(ValueError, match="regions must be one of grid, superpixels, patches; got 'windows'"):
        planted_sets(regions="windows")


def test_a_given_ranking_is_where_the_search_starts():
    ranking = np.zeros((12, 12))
    ranking[3:6, 3:9] = 1

    assert planted_sets(ranking=ranking).enough.by_ranking == 2
    assert planted_sets(ranking=-ranking).enough.by_ranking == 16


def test_nothing_is_needed_where_hiding_everything_loses_nothing(tmp_path):
    encoder = load(lambda pixels: torch.stack([torch.ones(len(pixels)), pixels.mean((1, 2, 3)) / 9], 1), device="cpu")

    sets = relax.smallest_sets(picture(), encoder, **SMALL, progress=False)

    assert sets.needed is None
    assert (sets.enough.size, sets.enough.at_least) == (0, 0)
    assert "nothing: hiding all of it does not lose that" in str(sets)
    assert relax.SmallestSets.load(sets.save(tmp_path / "sets.npz")).needed is None


def test_a_similarity_that_the_whole_picture_does_not_have_is_refused():
    for at_least in (1.0, -1.0, float("nan"), "0.8", None):
        with pytest.raises(ValueError, match="similarity_at_least must be a cosine"):
            planted_sets(similarity_at_least=at_least)
    with pytest.raises(ValueError, match=r"must be what the whole picture has, at most 2.01 here; got 3"):
        planted_sets(similarity_at_least=3.0, similarity="dot")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"fills": "mean"}, r'fills must be a list of one or more fills, such as \("mean", "blur"\); got'),
        ({"fills": ()}, "fills must be a list of one or more fills"),
        ({"fills": ("drop",)}, "fills must show something"),
        ({"passes": 0}, "passes must be a whole number, 1 or more; got 0"),
        ({"similarity": "projection"}, "similarity must be a measure between embeddings"),
        ({"ranking": np.zeros((3, 3))}, "importance must have the size of the picture"),
    ],
)
def test_wrong_arguments_are_named(keywords, message):
    with pytest.raises(ValueError, match=message):
        planted_sets(**keywords)


def test_other_pictures_as_background_give_a_share_with_its_interval():
    """Before black the planted cells are enough; before another picture all cells look shown."""
    behind = [np.zeros((12, 12), np.uint8), np.full((12, 12), 200, np.uint8), np.zeros((12, 12), np.uint8)]

    kept = planted_sets(backgrounds=behind, similarity_at_least=0.9).provenance["backgrounds"]

    assert (kept["pictures"], kept["share"]) == (3, 1.0)
    assert kept["interval"] == [pytest.approx(0.2924, abs=1e-4), 1]


def test_what_is_saved_is_read_again(tmp_path):
    sets = planted_sets()

    again = relax.SmallestSets.load(sets.save(tmp_path / "sets.npz"))

    assert again.record() == sets.record()
    np.testing.assert_array_equal(again.enough.mask, sets.enough.mask)
    np.testing.assert_array_equal(again.labels, sets.labels)
    assert again.grid == (4, 4)
    json.dumps(again.record(), allow_nan=False)
    (tmp_path / "sets.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"is not a file of SmallestSets.save"):
        relax.SmallestSets.load(tmp_path / "sets.npz")


def test_ctrl_c_keeps_the_best_so_far():
    calls = []

    def stop(done, total):
        calls.append(done)
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(SetsInterrupted) as caught:
        relax.smallest_sets(picture(), looks_at((5, 6), 4), similarity_at_least=0.9, progress=stop, **SMALL)

    sets = caught.value.sets
    assert sets.provenance["stopped_early"] is True
    assert sets.enough.members[[5, 6]].all()
    assert sets.needed is None or sets.needed.size >= 1


def test_the_figure_shows_what_is_enough_and_what_is_left():
    figure = planted_sets().plot()

    titles = " ".join(text.get_text() for text in figure.texts)
    assert "enough to keep 0.90" in titles
    assert "2 of 16 cells: proven smallest" in titles.replace("\n", " ")
    panels = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(panels) == 3
    assert (np.asarray(panels[1])[0, 0] == np.asarray(panels[1])[11, 11]).all()  # paper, where it is hidden


def test_the_bundled_encoder_on_a_photograph(tmp_path):
    from skimage.data import chelsea

    Image.fromarray(chelsea()).resize((96, 64)).save(tmp_path / "cat.png")

    sets = relax.smallest_sets(tmp_path / "cat.png", cells=2, masks=16, fills=("mean", 0.5), progress=False)

    assert sets.enough.proven
    assert min(sets.enough.similarities.values()) >= 0.8
    assert sets.needed is None or max(sets.needed.similarities.values()) < 0.8

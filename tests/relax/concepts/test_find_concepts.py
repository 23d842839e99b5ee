"""`relax.find_concepts` recovers two planted textures exactly, and says what the embedding loses without each."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from timm.models import VisionTransformer
from torch import nn

import relax
from encoders import Encoder
from encoders.preprocess import Preprocess
from relax.concepts.finding import patch_at
from relax.concepts.grouping import group, stability
from relax.concepts.reading import LayerMaps
from relax.concepts.removal import removal_effects

SIDE, CELL, GRID = 48, 8, 6


class Textures(nn.Module):
    """Cells of 8 px: unit 0 sees vertical stripes, unit 1 horizontal ones; the embedding hears unit 0 only."""

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(1, 2, CELL, stride=CELL, bias=False)
        stripes = torch.tensor([1.0, -1.0]).repeat(4).expand(CELL, CELL) / 64
        with torch.no_grad():
            self.look.weight[:] = torch.stack([stripes, stripes.T])[:, None]
        self.relu = nn.ReLU()

    def forward(self, pixels):
        first = self.relu(self.look(pixels))[:, 0]
        return torch.stack([first.mean((1, 2)), torch.full((len(pixels),), 0.1)], 1)


def encoder_of(network, channels=1):
    return Encoder(network, name="textures", preprocess=Preprocess(size=(SIDE, SIDE)), channels=channels)


def planted(count=8, seed=0):
    """Pictures (48, 48) and which texture each cell has, 0 or 1, about two thirds of them 0."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((count, GRID, GRID)) < 1 / 3).astype(int)
    stripes = np.tile([1.0, -1.0], CELL // 2)[None].repeat(CELL, 0)
    cells = np.stack([stripes, stripes.T])[truth] * rng.uniform(0.2, 0.5, truth.shape)[..., None, None]
    pixels = (0.5 + cells.transpose(0, 1, 3, 2, 4).reshape(count, SIDE, SIDE)).astype(np.float32)
    return [*pixels], truth


@pytest.fixture(scope="module")
def grouping():
    return relax.find_concepts(planted()[0], encoder_of(Textures()), layer="relu", judged=5)


@pytest.mark.parametrize("how", ["clusters", "nmf"])
def test_two_textures_are_recovered_cell_by_cell(how):
    pictures, truth = planted()

    result = relax.find_concepts(pictures, encoder_of(Textures()), layer="relu", how=how, count=2, judged=0)

    np.testing.assert_array_equal(result.labels, truth)
    np.testing.assert_allclose([concept.vector for concept in result.concepts], np.eye(2), atol=1e-5)
    assert [concept.cells for concept in result.concepts] == pytest.approx([1 - truth.mean(), truth.mean()])
    assert result.agreement == 1
    assert [concept.stability for concept in result.concepts] == pytest.approx([1, 1], abs=1e-5)
    assert np.isnan(result.concepts[0].importance)


def test_their_number_is_chosen_by_the_silhouette(grouping):
    assert len(grouping.concepts) == 2
    assert grouping.quality == pytest.approx(1, abs=1e-4)
    assert grouping.record["chosen"]


def test_only_the_texture_that_the_embedding_hears_is_worth_more_than_other_cells(grouping):
    heard, unheard = grouping.concepts

    assert heard.importance > 20 * heard.control
    assert heard.importance > 20 * unheard.importance
    assert heard.judged == 5
    assert "in 100% of the pictures" in str(heard)


def test_patches_show_the_texture(grouping):
    for patch in grouping.concepts[0].patches:
        assert patch.shape == (2 * CELL, 2 * CELL, 3)
        cells = [patch[top : top + CELL, left : left + CELL, 0] for top in (0, 4, 8) for left in (0, 4, 8)]
        assert any((cell == cell[:1]).all() and np.ptp(cell) > 50 for cell in cells)  # vertical stripes: rows alike
    assert len(set(grouping.concepts[0].names)) == 1  # arrays of one shape have one name


def test_it_is_written_with_its_vectors(grouping, tmp_path):
    paths = grouping.save(tmp_path)

    assert {path.name for path in paths} == {
        *("concepts.csv", "concepts.json", "concepts.png", "concepts.html", "concepts.safetensors")
    }
    np.testing.assert_allclose(load_file(tmp_path / "concepts.safetensors")["concept-0"], [1, 0], atol=1e-5)
    assert json.loads((tmp_path / "concepts.json").read_text())["found"][0]["number"] == 0
    assert "concept 1" in (tmp_path / "concepts.html").read_text()


def test_removing_cells_is_replacing_them_by_the_mean_of_the_others_by_hand():
    """The embedding is (mean of unit 0, 0.1): of cells 0.2 to 0.7, without two of them it is the mean of the rest."""
    encoder = encoder_of(Textures())
    reader = LayerMaps.of(encoder, "relu")
    view, _ = reader.view(planted()[0][0])
    maps, cells = reader.maps(view)[0, 0], np.zeros((2, GRID, GRID), bool)
    cells[0, 0, :2] = True
    cells[1] = True  # all of them: nothing is left whose mean could replace them but their own

    effects = removal_effects(reader, view, cells)

    kept = maps[torch.from_numpy(~cells[0])].mean().item()
    vectors = [np.array([value, 0.1]) for value in (maps.mean().item(), kept, maps.mean().item())]
    cosines = [vectors[0] @ other / np.linalg.norm(vectors[0]) / np.linalg.norm(other) for other in vectors[1:]]
    np.testing.assert_allclose(effects, 1 - np.array(cosines), atol=1e-6)


def test_tokens_and_maps_with_channels_last_lose_their_own_cells_and_no_prefix():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = VisionTransformer(
            img_size=SIDE, patch_size=16, embed_dim=8, depth=1, num_heads=1, num_classes=0, in_chans=1
        )
    reader = LayerMaps.of(encoder_of(network), "blocks.0")
    view, _ = reader.view(planted()[0][0])
    every = np.ones((1, 3, 3), bool)
    result = relax.find_concepts(planted()[0], reader.encoder, layer="blocks.0", count=2, judged=2)

    assert result.labels.shape == (8, 3, 3)
    assert removal_effects(reader, view, every)[0] == pytest.approx(0, abs=1e-6)  # the class token is left


def test_groups_of_another_start_find_their_counterparts_whatever_their_order():
    cells = np.random.default_rng(0).random((60, 5)).astype(np.float32) + 5 * np.eye(5)[np.arange(60) % 5].astype("f4")
    groups, again = group(cells, "clusters", 5, 0), group(cells, "clusters", 5, 7)

    same = stability(groups, again)

    assert same.agreement == 1
    np.testing.assert_allclose(same.cosines, 1, atol=1e-5)


def test_a_patch_at_the_edge_stays_in_the_picture():
    view = torch.arange(64.0).view(1, 1, 8, 8) / 64

    assert patch_at(view, (0, 3), (4, 4)).shape == (4, 4, 3)
    assert patch_at(view, (0, 3), (4, 4))[0, 0, 0] == round(4 / 64 * 255)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "kmeans"}, "how must be one of clusters, nmf; got 'kmeans'"),
        ({"count": 1}, "count must be a whole number, 2 or more; got 1"),
        ({"count": 999}, "clusters must be from 2 to 144"),
        ({"judged": -1}, "judged must be a whole number, 0 or more"),
        ({"layer": "reluu"}, "did you mean 'relu'"),
    ],
)
def test_what_is_impossible_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        relax.find_concepts(planted()[0], encoder_of(Textures()), **{"layer": "relu", **options})


def test_pictures_that_are_all_alike_are_told():
    with pytest.raises(ValueError, match="4 cells or more that are not all 0; got 0"):
        relax.find_concepts([np.full((SIDE, SIDE), 0.5, np.float32)], encoder_of(Textures()), layer="relu")


def test_one_picture_is_enough_and_none_is_told(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")

    assert len(relax.find_concepts(planted(1)[0], encoder_of(Textures()), layer="relu", judged=1).pictures) == 1
    with pytest.raises(ValueError, match=r"no picture can be used: .*a\.png"):
        relax.find_concepts(tmp_path, encoder_of(Textures()), layer="relu")

"""The pictures that excite a unit most are those that were made to, with the place where they were."""

import numpy as np
import pytest
import timm
import torch

import relax
from encoders import Encoder, EncoderError, Preprocess
from relax.units.best import Best
from relax.units.places import high_places
from relax.units.real import Real, own_distances
from tests.relax.units.planted import CORNER, HIGHEST, mean_colour, pictures, red_corners


def test_a_red_corner_is_found_at_its_place(tmp_path):
    result = relax.exciting_pictures(red_corners(), pictures(tmp_path / "p"), layer="see", units=[3], k=3)

    row, column = CORNER
    assert result.names == ("corner.png", "edge.png", "weak.png")
    assert result.values == pytest.approx([HIGHEST, 2, 1.6])  # an edge has two red pixels above: 4 - 2
    assert result.boxes[0].tolist() == [row, column, row + 3, column + 3]
    assert result.boxes[2].tolist() == [row, column, row + 3, column + 3]
    assert result.units == ("see, channel 3",) * 3
    centre = result.places[0, row : row + 3, column : column + 3]
    assert centre.any()
    assert result.places[0].mean() < 0.3
    assert np.allclose(result.pictures[0, 0, row + 1 :, column + 1 :], 1)


def test_a_direction_is_a_weighted_sum_of_units(tmp_path):
    """(0, 1, 0, 0.75) has length 1.25; the green picture has 1 in unit 1, the red corner 4 in unit 3."""
    result = relax.exciting_pictures(
        red_corners(), pictures(tmp_path / "p"), layer="see", direction=[0, 1, 0, 0.75], k=2
    )

    assert result.names[0] == "corner.png"
    assert result.values[0] == pytest.approx(0.6 * HIGHEST)


def test_an_archive_answers_for_the_embedding_without_the_pictures_being_embedded(tmp_path):
    folder, encoder = pictures(tmp_path / "p"), mean_colour()
    relax.make_archive(folder, encoder, tmp_path / "archive")

    stored = relax.exciting_pictures(encoder, tmp_path / "archive", units=[0, 1], k=2)
    again = relax.exciting_pictures(encoder, folder, units=[0, 1], k=2)

    assert stored.names == again.names
    assert stored.names[0] == "full.png"
    assert stored.names[2] == "green.png"
    assert np.allclose(stored.values, again.values)
    assert stored.places is None
    assert stored.boxes is None


def test_an_archive_of_another_encoder_is_refused(tmp_path):
    relax.make_archive(pictures(tmp_path / "p"), mean_colour(), tmp_path / "archive")

    with pytest.raises(ValueError, match="archive by encoder 'MeanColour', which differs from 'RedCorners' in"):
        relax.exciting_pictures(red_corners(), tmp_path / "archive")


def test_the_best_of_a_stream_are_the_best_of_all_however_it_is_cut():
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 12, (3, 50), generator=generator).float()  # with ties, of which the earlier win
    expected = [sorted(range(50), key=lambda place: (-float(row[place]), place))[:5] for row in values]

    for batch in (1, 7, 50):
        best = Best(3, 5)
        for start in range(0, 50, batch):
            part = values[:, start : start + batch]
            best.add(list(range(start, start + part.shape[1])), part, part[..., None, None])

        assert [[entry.number for entry in best.of(unit)] for unit in range(3)] == expected
        assert torch.allclose(best.mean, values.double().mean(1))


def test_a_place_is_where_the_map_has_half_of_its_largest_value():
    """One cell of 4 x 4 in a picture of 16 px: enlarged bilinearly, half of it is left 2 px from its centre."""
    map = torch.zeros(4, 4)
    map[1, 2] = 3

    place = high_places(map, (16, 16))

    rows, columns = np.nonzero(place.numpy())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 7, 8, 11)
    below = high_places(map - 5, (16, 16))  # nowhere above 0: the cell of the largest value
    assert np.array_equal(below.numpy(), place.numpy())


def test_unusable_pictures_are_left_out_and_listed(tmp_path):
    folder = pictures(tmp_path / "p")
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("words")

    with pytest.warns(UserWarning, match="passed over"):
        result = relax.exciting_pictures(red_corners(), folder, layer="see", units=3)

    assert result.how["pictures"] == 5
    assert {(name, why) for name, why, _ in result.how["passed_over"]} >= {("bad.png", "cannot be used")}


def test_ctrl_c_keeps_the_best_so_far(tmp_path):
    def stop(done, total):
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(relax.UnitsInterrupted, match="2 of 5 pictures are done") as stopped:
        relax.exciting_pictures(
            red_corners(), pictures(tmp_path / "p"), layer="see", units=3, batch_size=2, progress=stop
        )

    assert stopped.value.pictures.names == ("corner.png", "edge.png")


def test_tokens_of_a_transformer_have_places(tmp_path):
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=0)
    preprocess = Preprocess(size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
    encoder = Encoder(network, name="vit", preprocess=preprocess, device="cpu", channels=3)

    result = relax.exciting_pictures(encoder, pictures(tmp_path / "p"), layer="blocks.0", units=[5], k=2)
    optimum = relax.maximise(encoder, layer="blocks.0", unit=5, where=(1, 0), steps=40, progress=False)

    assert result.units[0] == "blocks.0, dimension 5"
    assert result.places.shape == (2, 32, 32)
    assert result.boxes[0].tolist() == [0, 0, 32, 32]  # attention sees everything
    assert optimum.path[0, -1] > optimum.path[0, 0]


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"units": 4, "layer": "see"}, "from 0 to 3 for layer 'see'"),
        ({"units": 1, "direction": [1, 0, 0, 0]}, "say units or direction, not both"),
        ({"k": 0}, "k must be a whole number of pictures from 1 to 100; got 0"),
        ({"folder": 3}, "folder must be a folder of pictures or an archive; got 3"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, keywords, match):
    folder = keywords.pop("folder", None) or pictures(tmp_path / "p")

    with pytest.raises(ValueError, match=match):
        relax.exciting_pictures(red_corners(), folder, **keywords)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no image"):
        relax.exciting_pictures(red_corners(), tmp_path)


def test_a_folder_of_which_nothing_can_be_used_is_refused(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")

    with pytest.raises(ValueError, match=r"none of the 1 pictures of .* can be used: bad.png"):
        relax.exciting_pictures(red_corners(), tmp_path)


def test_a_function_has_no_layers_but_an_embedding(tmp_path):
    def colours(pixels):
        return pixels.mean((2, 3)) + 0.1

    folder = pictures(tmp_path / "p")

    with pytest.raises(EncoderError, match="layers need a module of torch, and encoder 'colours' is a function"):
        relax.exciting_pictures(colours, folder, layer="see")
    assert relax.exciting_pictures(colours, folder, units=0, k=1).names == ("full.png",)


def test_how_natural_a_picture_is_by_hand():
    """Five real embeddings on a circle, at 0, 10, 20, 30 and 90 degrees, with the second nearest as yardstick."""
    angles = torch.tensor([0.0, 10, 20, 30, 90]).deg2rad()
    embeddings = torch.stack([angles.cos(), angles.sin()], 1)
    own = own_distances(embeddings, 2)
    by_hand = [20, 10, 10, 20, 70]  # degrees to the second nearest other
    assert torch.allclose(own, 1 - torch.tensor(by_hand, dtype=torch.float32).deg2rad().cos(), atol=1e-6)

    def judged(degrees):
        angle = torch.tensor(degrees).deg2rad()
        vector = torch.tensor([[angle.cos(), angle.sin()]])
        judge = Encoder(lambda pixels: vector.clone(), device="cpu", channels=3)
        real = Real("made", [], torch.zeros(1, 5), judge, list("abcde"), embeddings, own)
        object.__setattr__(real, "__class__", type("Second", (Real,), {"neighbour": 2}))
        return real.natural(torch.rand(1, 3, 4, 4))

    assert judged(15.0)["percentile"] == 100  # 5 degrees to the second nearest: nearer than all
    assert judged(5.0)["percentile"] == pytest.approx(100)
    assert judged(-5.0)["percentile"] == pytest.approx(60)  # 15 degrees: three lie as far or farther
    assert judged(200.0)["percentile"] == 0
    assert [each["name"] for each in judged(29.0)["nearest"]][:2] == ["d", "c"]

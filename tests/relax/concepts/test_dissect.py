"""`relax.dissect` names the units that were planted, exactly those, and says what is wrong with masks and layers."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from relax.concepts.folder import ConceptError, read_concepts
from relax.metrics.truth import TruthError
from tests.relax.concepts.planted import CONCEPTS, CORNERS, SIDE, STRIPES, planted_encoder, planted_pictures

OPTIONS = {"layer": "relu", "quantile": 0.05, "side": SIDE, "shuffles": 39, "show": 2}
WORD = np.s_[2:6, 2:6]


@pytest.fixture(scope="module")
def dissection():
    return relax.dissect(planted_pictures(), planted_encoder(), **OPTIONS)


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def picture(number=0):
    return np.random.default_rng(number).integers(0, 255, (12, 12, 3)).astype(np.uint8)


def mask(*places, size=12):
    values = np.zeros((size, size), np.uint8)
    for place in places:
        values[place] = 255
    return values


def test_the_planted_units_and_no_others_are_detectors_beyond_chance(dissection):
    units = {detector.concept: detector.unit for detector in dissection.detectors() if detector.beyond_chance}

    assert units == {"red corner": CORNERS, "stripes": STRIPES}
    assert sum(row.beyond_chance for row in dissection.units()) == 2
    assert dissection.unique(beyond_chance=True) == sorted(CONCEPTS)
    for unit, concept in ((CORNERS, 0), (STRIPES, 1)):
        assert dissection.auc[unit, concept] == pytest.approx(1, abs=0.01)
        assert dissection.iou[unit].argmax() == concept


def test_a_silent_unit_covers_nothing(dissection):
    assert dissection.iou[0].tolist() == [0, 0]
    assert dissection.p[0].tolist() == [1, 1]


def test_thresholds_equal_numpys_quantile_of_every_cell_and_peaks_the_largest(dissection):
    network = planted_encoder().network
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack([pixels for pixels, _ in planted_pictures()])).movedim(3, 1)
        maps = network.relu(network.look(pixels))
    expected = np.quantile(maps.double().movedim(1, 0).flatten(1).numpy(), 1 - OPTIONS["quantile"], axis=1)

    np.testing.assert_allclose(dissection.thresholds, expected, rtol=1e-5)
    np.testing.assert_allclose(dissection.peaks, maps.amax((2, 3)).numpy(), rtol=1e-5)


def test_the_same_seed_gives_the_same_and_maps_that_are_not_kept_too(dissection, monkeypatch):
    monkeypatch.setattr("relax.concepts.counting.KEPT_BYTES", 0)

    again = relax.dissect(planted_pictures(), planted_encoder(), **OPTIONS)

    np.testing.assert_array_equal(again.iou, dissection.iou)
    np.testing.assert_array_equal(again.p, dissection.p)


def test_two_pictures_say_nothing_beyond_chance():
    few = relax.dissect(planted_pictures(2), planted_encoder(), **OPTIONS)

    assert few.detectors()
    assert not any(unit.beyond_chance for unit in few.units())


def test_it_is_written_as_tables_record_figure_and_page(dissection, tmp_path):
    paths = dissection.save(tmp_path / "out")

    assert {path.name for path in paths} == {
        *("units.csv", "pairs.csv", "dissection.json", "dissection.html", "dissection.png")
    }
    rows = [*csv.DictReader((tmp_path / "out" / "units.csv").open())]
    assert [row["unit"] for row in rows if row["beyond_chance"] == "1"] == [str(CORNERS), str(STRIPES)]
    assert len([*csv.DictReader((tmp_path / "out" / "pairs.csv").open())]) == 16
    record = json.loads((tmp_path / "out" / "dissection.json").read_text())
    assert (record["layer"], record["quantile"], record["pictures"]) == ("relu", 0.05, 24)
    page = (tmp_path / "out" / "dissection.html").read_text()
    assert "Unit 3: red corner" in page
    assert "<script src" not in page


def test_a_folder_of_masks_by_concept_labels_and_boxes(tmp_path):
    for number in range(4):
        write(tmp_path / "images" / f"{number}.png", picture(number))
    write(tmp_path / "masks" / "scar" / "0.png", mask(WORD))
    labels = np.zeros((12, 12), np.uint8)
    labels[:3], labels[9:] = 1, 7
    write(tmp_path / "labels" / "1.png", labels)
    (tmp_path / "labels.csv").write_text("value,name\n1,sky\n")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "2.xml").write_text(
        "<annotation><object><name>cell</name><bndbox><xmin>3</xmin><ymin>5</ymin><xmax>6</xmax><ymax>5</ymax>"
        "</bndbox></object></annotation>"
    )

    concept_set = read_concepts(tmp_path)

    assert concept_set.concepts == ("cell", "label 7", "scar", "sky")
    assert concept_set.without == ("3.png",)
    scar, label, cell = (entry.read((12, 12)) for entry in concept_set.pictures)
    assert scar["scar"].sum() == 16
    assert scar["scar"][WORD].all()
    assert (label["sky"].sum(), label["label 7"].sum()) == (36, 36)
    assert np.argwhere(cell["cell"]).tolist() == [[4, column] for column in (2, 3, 4, 5)]


def test_masks_without_folders_are_one_concept_and_a_black_one_says_that_there_is_nothing(tmp_path):
    for number in range(2):
        write(tmp_path / "images" / f"{number}.png", picture(number))
        write(tmp_path / "masks" / f"{number}.png", mask(*([WORD] * number)))

    concept_set = read_concepts(tmp_path)

    assert concept_set.concepts == ("mask",)
    assert [entry.read((12, 12))["mask"].sum() for entry in concept_set.pictures] == [0, 16]


@pytest.mark.parametrize(
    ("prepare", "error", "message"),
    [
        (lambda root: None, ConceptError, "has no folder 'images'"),
        (lambda root: (root / "images").mkdir(), ConceptError, "holds no picture that can be read"),
        (lambda root: write(root / "images" / "a.png", picture()), ConceptError, "1 pictures and no mask for any: put"),
        (
            lambda root: (
                write(root / "images" / "a.png", picture()),
                write(root / "masks" / "x" / "a.png", mask()),
                write(root / "masks" / "a.png", mask()),
            ),
            ConceptError,
            "got both: put the masks into a folder",
        ),
        (
            lambda root: (
                write(root / "images" / "a.png", picture()),
                write(root / "labels" / "a.png", picture()),
            ),
            ConceptError,
            "labels must be whole numbers from 0 to 65535, one a pixel; got RGB",
        ),
        (
            lambda root: (
                write(root / "images" / "a.png", picture()),
                write(root / "masks" / "x" / "a.png", mask(size=9)),
            ),
            TruthError,
            "the mask is 9 x 9 px, and the picture 12 x 12 px",
        ),
    ],
)
def test_folders_that_cannot_be_used_are_told(tmp_path, prepare, error, message):
    prepare(tmp_path)

    with pytest.raises(error, match=message):
        relax.dissect(tmp_path, planted_encoder(), layer="relu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "rellu"}, "'rellu' is not there: did you mean 'relu'"),
        ({"layer": ""}, "'' returns a vector, and units need a map or tokens"),
        ({"quantile": 0}, r"quantile is the share of cells above a threshold, in \(0, 1\); got 0"),
        ({"iou": 1}, r"iou is the limit of a detector, in \[0, 1\); got 1"),
        ({"shuffles": -1}, "shuffles must be a whole number, 0 or more; got -1"),
    ],
)
def test_arguments_that_are_impossible_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        relax.dissect(planted_pictures(2), planted_encoder(), **options)


def test_a_picture_that_cannot_be_read_is_left_out_by_name(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    rows = [*planted_pictures(4), (tmp_path / "broken.png", {"stripes": np.ones((SIDE, SIDE))})]

    result = relax.dissect(rows, planted_encoder(), **OPTIONS)

    assert len(result.pictures) == 4
    assert "broken.png" in next(iter(result.failed))
    assert result.iou[STRIPES].argmax() == 1


def test_a_mask_of_another_size_in_a_list_is_told():
    with pytest.raises(ConceptError, match=r"the mask of 'stripes' for .*: is 5 x 4 px, and the picture 48 x 48 px"):
        relax.dissect([(planted_pictures(1)[0][0], {"stripes": np.ones((4, 5))})], planted_encoder(), layer="relu")


def test_an_encoder_without_layers_is_told():
    with pytest.raises(relax.EncoderError, match="a function"):
        relax.dissect(planted_pictures(2), lambda pixels: pixels.mean((2, 3)))

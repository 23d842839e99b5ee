"""The loaders give pictures with their truth, and every broken file is named with what is wrong with it."""

import re
import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from experiments.data import datasets
from experiments.data.datasets import (
    CIFAR10,
    Box,
    Sample,
    bccd,
    caltech101,
    check,
    imagenet_sample,
    kvasir_seg,
    shortcut_masks,
    voc_boxes,
)
from tests.paths import DATA

needs_kvasir = pytest.mark.skipif(
    not (DATA / "kvasir_seg").exists(), reason=f"needs Kvasir-SEG in {DATA.name}/kvasir_seg beside the checkout"
)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)


def annotation(*boxes):
    objects = (
        f"<object><name>{kind}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for kind, a, b, c, d in boxes
    )
    return f"<annotation>{''.join(objects)}</annotation>"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """All five data sets at a small scale, undamaged: 10 x 8 px pictures whose polyp is the left half."""
    rng = np.random.default_rng(0)
    picture = rng.integers(40, 256, (8, 10, 3))
    half = np.zeros((8, 10))
    half[:, :5] = 255
    for split in ("train", "val"):
        for name in ("a", "b"):
            save(tmp_path / "kvasir_seg" / split / "images" / f"{name}.jpg", picture)
            save(tmp_path / "kvasir_seg" / split / "masks" / f"{name}.png", half)
    for name in ("x", "y"):
        save(tmp_path / "bccd" / "images" / f"{name}.jpg", picture)
        (tmp_path / "bccd" / "annotations").mkdir(exist_ok=True)
        (tmp_path / "bccd" / "annotations" / f"{name}.xml").write_text(annotation(("WBC", 1, 2, 10, 8)))
    save(tmp_path / "imagenet_sample" / "n01443537_goldfish.jpg", picture)
    (tmp_path / "cifar10").mkdir()
    for split in ("train", "test"):
        with zipfile.ZipFile(tmp_path / "cifar10" / f"{split}.zip", "w") as archive:
            for name in CIFAR10:
                stream = BytesIO()
                Image.fromarray(np.zeros((32, 32, 3), dtype=np.uint8)).save(stream, format="PNG")
                archive.writestr(f"{name}/0.png", stream.getvalue())
    shortcuts = tmp_path / "shortcuts.csv"
    shortcuts.write_text(
        "image,split,kind,xmin,ymin,xmax,ymax\na,val,text,1,2,4,3\na,val,text,6,2,9,3\nb,val,none,0,0,0,0\n"
    )
    monkeypatch.setattr(datasets, "SHORTCUTS_FILE", shortcuts)
    return tmp_path


def test_nothing_is_wrong_with_whole_data(data):
    assert list(check(data)) == []


def test_a_polyp_lies_where_its_mask_is_white(data):
    first, second = kvasir_seg(data, "val")

    assert (first.name, second.name) == ("a", "b")
    assert first.pixels().shape == (8, 10, 3)
    assert first.pixels().dtype == np.uint8
    assert first.truth()[:, :5].all()
    assert not first.truth()[:, 5:].any()


def test_voc_counts_from_one_and_includes_both_ends(data):
    """A box from pixel 1 to 10 and 2 to 8, counted from 1, is columns 0 to 9 and rows 1 to 7, counted from 0."""
    sample = bccd(data)[0]

    assert sample.find_boxes() == (Box("WBC", 0, 1, 10, 8),)
    assert sample.truth()[1:].all()
    assert not sample.truth()[0].any()


def test_the_truth_of_one_kind_leaves_the_others_out(tmp_path):
    save(tmp_path / "p.png", np.zeros((4, 6, 3)))
    sample = Sample("p", tmp_path / "p.png", find_boxes=lambda: (Box("WBC", 0, 0, 2, 1), Box("RBC", 3, 2, 5, 4)))

    assert np.argwhere(sample.truth("RBC")).tolist() == [[2, 3], [2, 4], [3, 3], [3, 4]]
    assert sample.truth("WBC", "RBC").sum() == sample.truth().sum() == 2 + 4


def test_the_class_of_a_photograph_stands_in_its_name(data):
    assert imagenet_sample(data)[0].label == "goldfish"


def test_pixels_and_truth_are_turned_upright_together(tmp_path):
    """EXIF orientation 6: the camera lay on its side, so 8 x 10 becomes 10 x 8."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "p.jpg", np.zeros((8, 10, 3)), exif=exif)
    sample = Sample("p", tmp_path / "p.jpg", find_boxes=lambda: (Box("text", 0, 0, 1, 1),))

    assert sample.pixels().shape[:2] == sample.truth().shape == (10, 8)


def remove(path):
    path.unlink()


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-200])


def no_picture(path):
    path.write_bytes(b"nothing")


def shrink(path):
    save(path, np.full((4, 5), 255))


def blacken(path):
    save(path, np.zeros((8, 10)))


def write(text):
    return lambda path: path.write_text(text)


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("kvasir_seg/val/masks/a.png", remove, "a.png: cannot be read as a picture: .*No such file"),
        ("kvasir_seg/val/masks/a.png", shrink, r"a.png: must have the picture's size \(8, 10\); got \(4, 5\)"),
        ("kvasir_seg/train/masks/b.png", blacken, "b.png: shows nothing"),
        ("kvasir_seg/train/images/b.jpg", cut_off, "b.jpg: cannot be read as a picture: .*[Tt]runcated"),
        ("imagenet_sample/n01443537_goldfish.jpg", no_picture, "goldfish.jpg: cannot be read as a picture"),
        ("bccd/annotations/x.xml", remove, "x.xml"),
        ("bccd/annotations/x.xml", write(annotation()), "x.jpg: its annotation has no box"),
        ("bccd/annotations/x.xml", write(annotation(("WBC", 1, 1, 11, 8))), "inside the picture of 10 x 8 px"),
        ("bccd/annotations/x.xml", write(annotation(("WBC", 0, 1, 10, 8))), "inside the picture of 10 x 8 px"),
        ("bccd/annotations/x.xml", write(annotation(("WBC", 5, 1, 4, 8))), "inside the picture .* and not empty"),
        ("bccd/annotations/x.xml", write(annotation(("cat", 1, 1, 4, 8))), "kind must be one of WBC.*; got 'cat'"),
        ("bccd/annotations/x.xml", write("<annotation>"), "x.xml: must be plain XML"),
        ("bccd/annotations/x.xml", write("<a><object><name>WBC</name></object></a>"), "x.xml: must be plain XML"),
        ("cifar10/test.zip", remove, "cifar10/test.zip: .*No such file"),
        ("cifar10/test.zip", no_picture, "cifar10/test.zip: File is not a zip file"),
    ],
)
def test_one_broken_file_is_named_and_all_others_are_still_checked(data, file, harm, message):
    harm(data / file)
    problems = [problem for problem in check(data) if "kvasir_shortcuts" not in problem]

    assert all(re.search(message, problem) for problem in problems), problems
    # Both lists of Kvasir pictures open the picture, only one of them its mask.
    assert 1 <= len(problems) <= 2


def test_an_empty_folder_is_named_and_the_other_sets_are_still_checked(data):
    for path in (data / "imagenet_sample").glob("*"):
        path.unlink()
    blacken(data / "kvasir_seg" / "val" / "masks" / "a.png")

    assert len(problems := list(check(data))) == 2
    assert problems[0].endswith("a.png: shows nothing")
    assert "no *.jpg in" in problems[1]


def test_the_command_lists_the_problems_and_counts_them(data, monkeypatch, capsys):
    blacken(data / "kvasir_seg" / "val" / "masks" / "a.png")
    monkeypatch.setattr("sys.argv", ["datasets", "--data", str(data)])

    with pytest.raises(SystemExit, match="1"):
        datasets.main()

    assert capsys.readouterr().out.splitlines()[-1] == "1 problem"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_annotation_that_declares_entities_is_refused(tmp_path, encoding):
    """Without the declaration it is an annotation like any other; no box even uses the entity."""
    declared = '<!DOCTYPE a [<!ENTITY lol "lol"><!ENTITY more "&lol;&lol;&lol;">]>'
    bomb = declared + annotation(("WBC", 1, 1, 4, 8)).replace("<annotation>", "<annotation>&more;")
    (tmp_path / "bomb.xml").write_text(bomb, encoding=encoding)

    with pytest.raises(ValueError, match=r"bomb\.xml: must be plain XML"):
        voc_boxes(tmp_path / "bomb.xml")


def test_a_sample_without_truth_says_so(data):
    with pytest.raises(ValueError, match=r"goldfish\.jpg: has neither a mask nor boxes"):
        imagenet_sample(data)[0].truth()


def test_shortcut_masks_are_empty_where_the_annotation_says_none(data):
    marked, clean = datasets.kvasir_shortcuts(data)

    assert np.argwhere(shortcut_masks(marked)["text"]).tolist() == [[2, x] for x in (1, 2, 3, 6, 7, 8)]
    assert not any(mask.any() for mask in shortcut_masks(clean).values())
    assert shortcut_masks(clean)["text"].shape == (8, 10)


def test_only_black_pixels_beside_the_marker_box_are_black_border(tmp_path):
    """A 4 x 4 picture whose left half is black; the border's box is everything, the marker box the bottom row."""
    pixels = np.full((4, 4, 3), 200)
    pixels[:, :2] = 20
    save(tmp_path / "p.png", pixels)
    boxes = (Box("black-border", 0, 0, 4, 4), Box("marker-box", 0, 3, 4, 4))
    masks = shortcut_masks(Sample("p", tmp_path / "p.png", find_boxes=lambda: boxes))

    assert np.argwhere(masks["black-border"]).tolist() == [[y, x] for y in range(3) for x in range(2)]
    assert masks["marker-box"].sum() == 4


def test_an_annotated_picture_that_is_missing_is_named(data):
    remove(data / "kvasir_seg" / "val" / "images" / "a.jpg")

    with pytest.raises(FileNotFoundError, match="no picture in kvasir_seg/val for the annotated 'a'"):
        datasets.kvasir_shortcuts(data)


@needs_kvasir
def test_the_annotation_lies_on_what_it_names():
    """Marker boxes are green or blacked out; text boxes hold brighter pixels than what surrounds them."""
    samples = datasets.kvasir_shortcuts(DATA)
    with_text = [sample for sample in samples if any(box.kind == "text" for box in sample.find_boxes())]

    assert len(samples) >= 60
    for sample in samples[::10]:
        masks, pixels = shortcut_masks(sample), sample.pixels().astype(int)
        assert all(mask.shape == pixels.shape[:2] for mask in masks.values())
        if masks["marker-box"].any():
            inside = pixels[masks["marker-box"]]
            green = (inside[:, 1] > inside[:, 0] + 40).mean()
            assert (inside.max(axis=1) <= 40).mean() + green > 0.9, sample.name
    assert len(with_text) >= 60


def test_caltech_is_split_by_every_fifth_picture_and_its_background_has_no_class(tmp_path):
    """Seven pictures of each of two classes: the fifth is the test's; the background's other six are trained on."""
    with zipfile.ZipFile(tmp_path / "caltech101.zip", "w") as archive:
        for number, folder in enumerate(("BACKGROUND_Google", "crab", "anchor")):
            for index in range(7):
                stream = BytesIO()
                Image.fromarray(np.full((8, 10 + index, 3), 60 * number, np.uint8)).save(stream, format="JPEG")
                archive.writestr(f"{folder}/image_{index:04}.jpg", stream.getvalue())

    pictures, labels, classes = caltech101(tmp_path, "train")
    held_out, their_labels, _ = caltech101(tmp_path, "test")

    assert classes == ["anchor", "crab"]
    assert labels.tolist() == [-1] * 6 + [0] * 6 + [1] * 6
    assert [picture.shape[1] for picture in pictures[:6]] == [10, 11, 12, 13, 15, 16]
    assert their_labels.tolist() == [0, 1]
    assert [picture.shape[1] for picture in held_out] == [14, 14]
    assert [round(float(picture.mean())) for picture in held_out] == [120, 60]

"""Masks and boxes are read to the pixel as their format says; what does not fit its picture is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relax.metrics import find_truths
from relax.metrics.truth import Truth, TruthError

SIZE = (6, 8)  # 6 rows, 8 columns


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def voc(path, *boxes):
    entries = "".join(
        f"<object><name>x</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    path = Path(path)
    path.write_text(f"<?xml version='1.0' encoding='utf-8'?><annotation>{entries}</annotation>")
    return path


def inside(*slices):
    mask = np.zeros(SIZE, dtype=bool)
    for area in slices:
        mask[area] = True
    return mask


@pytest.mark.parametrize("kind", ["grey", "one", "palette", "colour", "sixteen"])
def test_above_zero_is_inside(here, kind):
    values = np.zeros(SIZE, np.uint8)
    values[1:3, 2:5] = 1
    pictures = {
        "grey": Image.fromarray(values),
        "one": Image.fromarray(values * 255).convert("1"),
        "palette": Image.fromarray(values).convert("P"),
        "colour": Image.fromarray(np.stack([values * 0, values * 0, values * 200], 2)),
        "sixteen": Image.fromarray(values.astype(np.uint16)),
    }
    if kind == "palette":
        pictures["palette"].putpalette([0, 0, 0, 128, 0, 0])
    pictures[kind].save("cat.png")

    np.testing.assert_array_equal(Truth(Path("cat.png")).mask(SIZE), inside(np.s_[1:3, 2:5]))


def test_of_a_jpeg_above_half_is_inside(here):
    values = np.full((16, 16), 10, np.uint8)
    values[:, 8:] = 200
    Image.fromarray(values).save("cat.jpg", quality=95)

    assert Truth(Path("cat.jpg")).mask((16, 16)).mean(0).tolist() == [0] * 8 + [1] * 8


def test_voc_boxes_count_from_1_and_include_their_ends(here):
    path = voc("cat.xml", (1, 1, 2, 1), (4, 3, 8, 6))

    np.testing.assert_array_equal(Truth(path).mask(SIZE), inside(np.s_[0:1, 0:2], np.s_[2:6, 3:8]))


def test_csv_boxes_count_from_0_and_exclude_their_ends(here):
    Path("b.csv").write_text("image,label,xmin,ymin,xmax,ymax\ncat.png,x,1,0,3,2\ndog,x,0,0,1,1\ncat.png,y,7,5,8,6\n")

    cat, dog, cow = find_truths([Path("in/cat.png"), Path("in/dog.jpg"), Path("in/cow.png")], "b.csv")

    np.testing.assert_array_equal(cat.mask(SIZE), inside(np.s_[0:2, 1:3], np.s_[5:6, 7:8]))
    np.testing.assert_array_equal(dog.mask(SIZE), inside(np.s_[0:1, 0:1]))
    assert cow is None
    assert cat.digest != dog.digest


def test_files_are_found_by_the_stem_of_the_picture(here):
    for name in ("a.png", "c.d.png"):
        Image.new("L", SIZE[::-1]).save(name)
    voc("b.xml", (1, 1, 2, 2))

    truths = find_truths([Path("in/a.jpg"), Path("in/b.jpg"), Path("in/c.d.jpg"), Path("in/c.jpg")], here)

    assert [truth and truth.path.name for truth in truths] == ["a.png", "b.xml", "c.d.png", None]


def test_the_pictures_themselves_are_no_masks(here):
    Image.new("L", (8, 6)).save("a.png")
    voc("a.xml", (1, 1, 2, 2))

    assert find_truths([here / "a.png"], here)[0].path.name == "a.xml"


def test_what_cannot_be_used_is_said(here):
    Image.new("L", (8, 6)).save("a.png")
    Image.new("RGBA", (8, 6)).save("clear.png")
    voc("a.xml", (1, 1, 2, 2))

    with pytest.raises(TruthError, match=r"a.jpg has two truths: .*a.png and .*a.xml; keep one"):
        find_truths([Path("a.jpg")], here)
    with pytest.raises(TruthError, match=r"has nothing for any of the images"):
        find_truths([Path("zebra.jpg")], here)
    with pytest.raises(TruthError, match=r"truth must be a folder of masks or a CSV of boxes; nowhere is not there"):
        find_truths([Path("a.jpg")], "nowhere")
    with pytest.raises(TruthError, match=r"a.png: the mask is 8 x 6 px, and the picture 8 x 7 px"):
        Truth(Path("a.png")).mask((7, 8))
    with pytest.raises(TruthError, match=r"clear.png: a mask must not be transparent"):
        Truth(Path("clear.png")).mask(SIZE)
    with pytest.raises(TruthError, match=r"big.xml: the box 0, 0, 20, 6 leaves the picture of 8 x 6 px"):
        Truth(voc("big.xml", (1, 1, 20, 6))).mask(SIZE)
    with pytest.raises(TruthError, match=r"none.xml: xmin, ymin, xmax, ymax must be numbers of pixels; got \['x', "):
        Truth(voc("none.xml", ("x", 1, 2, 3))).mask(SIZE)
    with pytest.raises(TruthError, match=r"flat.xml: a box must have xmin below xmax"):
        Truth(voc("flat.xml", (5, 1, 2, 3))).mask(SIZE)


def test_csvs_that_cannot_be_used_are_said(here):
    Path("b.csv").write_text("image,xmin,ymin,xmax\ncat,1,2,3\n")
    with pytest.raises(TruthError, match=r"b.csv must have the columns image,xmin,.*; ymax is missing"):
        find_truths([Path("cat.png")], "b.csv")
    Path("b.csv").write_text("image,xmin,ymin,xmax,ymax\ncat,1,2,3,4\ncat,1,2,nan,4\n")
    with pytest.raises(TruthError, match=r"b.csv, line 3: a box must have xmin below xmax"):
        find_truths([Path("cat.png")], "b.csv")
    Path("b.csv").write_bytes(b"image,xmin,ymin,xmax,ymax\nc\xe4t,1,2,3,4\n")
    with pytest.raises(TruthError, match=r"b.csv cannot be read as a CSV in UTF-8"):
        find_truths([Path("cat.png")], "b.csv")


def test_xml_that_could_fill_the_memory_is_refused(here):
    Path("bomb.xml").write_text("<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'>]><annotation>&a;</annotation>")
    Path("half.xml").write_text("<annotation><object>")
    Path("wide.xml").write_bytes("<!DOCTYPE x><a/>".encode("utf-16"))

    with pytest.raises(TruthError, match=r"bomb.xml is no Pascal VOC file"):
        Truth(Path("bomb.xml")).mask(SIZE)
    for name in ("half.xml", "wide.xml"):
        with pytest.raises(TruthError, match=rf"{name} is not XML in UTF-8"):
            Truth(Path(name)).mask(SIZE)


def test_boxes_may_leave_the_picture_by_one_pixel_and_not_by_more(here):
    def boxes(*values):
        Path("b.csv").write_text("image,xmin,ymin,xmax,ymax\ncat," + ",".join(map(str, values)) + "\n")
        return find_truths([Path("cat.png")], "b.csv")[0]

    assert boxes(-1, -1, 9, 7).mask(SIZE).all()
    for values in ((-2, 0, 1, 1), (0, -2, 1, 1), (0, 0, 10, 1), (0, 0, 1, 8)):
        with pytest.raises(TruthError, match=r"b.csv: the box .* leaves the picture of 8 x 6 px"):
            boxes(*values).mask(SIZE)


def test_a_box_of_a_csv_has_a_pixel_and_one_of_voc_may_begin_where_it_ends(here):
    np.testing.assert_array_equal(Truth(voc("a.xml", (3, 2, 3, 2))).mask(SIZE), inside(np.s_[1:2, 2:3]))
    for box in ((3, 2, 3, 4), (3, 2, 4, 2)):
        Path("b.csv").write_text("image,xmin,ymin,xmax,ymax\ncat," + ",".join(map(str, box)) + "\n")
        with pytest.raises(TruthError, match="a box must have xmin below xmax and ymin below ymax"):
            find_truths([Path("cat.png")], "b.csv")
    for box in ((3, 2, 2, 4), (3, 2, 4, 1)):
        with pytest.raises(TruthError, match="a box must have xmin below xmax and ymin below ymax"):
            Truth(voc("b.xml", box)).mask(SIZE)


def test_missing_numbers_and_names_are_no_boxes(here):
    Path("b.csv").write_text("image,xmin,ymin,xmax,ymax\ncat,1,2,,4\n")
    with pytest.raises(TruthError, match="must be numbers of pixels"):
        find_truths([Path("cat.png")], "b.csv")
    Path("b.csv").write_text("image,xmin,ymin,xmax,ymax\n,1,2,3,4\ncat,0,0,1,1\n")
    np.testing.assert_array_equal(find_truths([Path("cat.png")], "b.csv")[0].mask(SIZE), inside(np.s_[0:1, 0:1]))


def test_a_csv_of_another_program_may_begin_with_a_mark_and_hold_any_letters(here):
    Path("b.csv").write_bytes("\ufeffimage,xmin,ymin,xmax,ymax\r\nKätzchen,0,0,1,1\r\n".encode())

    assert find_truths([Path("Kätzchen.png")], "b.csv")[0].mask(SIZE).sum() == 1


def test_the_digest_follows_what_is_said(here):
    first, second = voc("a.xml", (1, 1, 2, 2)), voc("b.xml", (1, 1, 2, 3))

    assert Truth(first).digest != Truth(second).digest
    assert Truth(first).digest == Truth(voc("c.xml", (1, 1, 2, 2))).digest
    assert Truth(first, ((0, 0, 1, 1),)).digest == Truth(second, ((0, 0, 1, 1),)).digest


def test_a_palette_with_a_transparent_colour_is_refused(here):
    picture = Image.fromarray(np.eye(6, 8, dtype=np.uint8)).convert("P")
    picture.save("a.png", transparency=0)

    with pytest.raises(TruthError, match=r"a.png: a mask must not be transparent"):
        Truth(Path("a.png")).mask(SIZE)


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".JPG", ".JPEG"])
def test_every_jpeg_is_known_by_its_ending(here, ending):
    values = np.full((16, 16), 10, np.uint8)
    values[:, 8:] = 200
    Image.fromarray(values).save(f"cat{ending}", format="jpeg", quality=95)

    assert Truth(Path(f"cat{ending}")).mask((16, 16)).mean() == 0.5


def test_where_there_is_nothing_the_endings_are_listed(here):
    with pytest.raises(TruthError, match=r"name files as the image, with \.png, \.jpg, .*\.tif, .*\.xml$"):
        find_truths([Path("zebra.jpg")], here)

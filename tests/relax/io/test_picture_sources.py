"""What a user names becomes the same pictures everywhere, and what is passed over is told, but never a patient."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from relax.archive.archive import make_archive
from relax.cli.app import run
from relax.io.errors import ImageError
from relax.io.images import each_picture, read_image
from relax.io.sources import PASSED_OVER, Sources, digest_of, names_several, sources_of, state_of

pydicom = pytest.importorskip("pydicom", reason="the extra [medical] is not installed")
nib = pytest.importorskip("nibabel")

from pydicom.fileset import FileSet  # noqa: E402

from tests.dicom_objects import ct, ct_series, image, report, uid, ultrasound, written  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default:.*passed over as no images:UserWarning")  # most tests pass some over

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
HIS = ("quagmire", "zebedee", "77031", "19510423", uid(1), uid("1.1"))


def names(sources: Sources):
    return [sources.name(address) for address in sources.pictures]


def tiny(pixels):
    """(B, 12) the mean colour of each quarter."""
    return torch.nn.functional.adaptive_avg_pool2d(pixels, 2).flatten(1) + 0.01


@pytest.fixture
def archive(tmp_path):
    """scans/ct with three slices, scans/us with a loop of four frames, and nine files that are none, of seven kinds."""
    scans = tmp_path / "scans"
    files = ct_series(scans / "ct", 3)
    written(scans / "us" / "loop.1", ultrasound(4))
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(scans / "photo.png")
    (scans / "copy").write_bytes(files[0].read_bytes())
    written(scans / "ct" / "Quagmire_scout", ct(50, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    written(scans / "Quagmire_report", report())
    seg = image(np.zeros((8, 8), np.uint8), kind=SEGMENTATION, Modality="SEG", SOPInstanceUID=uid(78))
    written(scans / "seg.dcm", seg)
    (scans / "notes.txt").touch()
    (scans / "Zebedee.letter").touch()
    return scans


def test_a_folder_of_dicom_is_read_by_content_and_what_is_no_picture_is_told(archive):
    sources = sources_of(archive)

    double = sorted((archive / "ct").glob("IM*"))[int(np.random.default_rng(3).permutation(3)[0])]
    assert double.read_bytes() == (archive / "copy").read_bytes()  # the first by name is kept
    singles = [name for name in ("ct/IM0000", "ct/IM0001", "ct/IM0002") if not name.endswith(double.name)]
    assert names(sources) == ["copy", *singles, "photo.png", "us/loop.1"]
    why = sorted((why, detail) for _, why, detail in sources.passed_over())
    assert why == [
        ("duplicate", "of another file with the same SOPInstanceUID"),
        ("localiser", ""),
        ("no picture", "Basic Text SR Storage"),
        ("no picture", "Segmentation Storage"),
        ("of another ending", ""),
        ("of another ending", ".txt"),
    ]
    with pytest.warns(UserWarning, match="passed over as no images.*") as caught:
        sources.warn()
    text = str(caught[0].message)
    for part in ("1 duplicate", "1 no picture (Basic Text SR Storage)", "1 localiser", "1 .txt", "1 of other endings"):
        assert part in text
    listed = text + repr(sources) + repr(sources.passed_over())
    assert not any(part in listed.lower() for part in HIS)


def test_every_frame_is_a_picture_of_its_own_with_a_stable_name(archive):
    frames = [f"us/loop.1#frame={number}" for number in range(1, 5)]

    assert [name for name in names(sources_of(f"{archive}#frame=all")) if "us" in name] == frames
    assert names(sources_of(f"{archive / 'us' / 'loop.1'}#frame=all")) == [name.removeprefix("us/") for name in frames]
    stored = pydicom.dcmread(archive / "us" / "loop.1").pixel_array
    for number, address in enumerate(each_picture(f"{archive}/us/loop.1#frame=all")):
        picture = read_image(address)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(picture, stored[number] / np.float32(255), atol=1e-6)
    with pytest.raises(ImageError, match=r"loop.1: holds 4 frames; name one, from 1, .*#frame=2, or frame=all"):
        read_image(archive / "us" / "loop.1")
    with pytest.raises(ImageError, match="names several pictures, frame=all, and one is needed here"):
        read_image(f"{archive}/us/loop.1#frame=all")


def test_one_series_is_named_by_number_uid_or_name_and_a_wrong_name_lists_them(archive):
    for name in ("1", uid("1.1")):
        assert len(sources_of(f"{archive}#series={name}").pictures) == 3
    assert names(sources_of(f"{archive}#series=8&frame=all"))[0] == "us/loop.1#frame=1"
    with pytest.raises(
        ImageError, match=r"has no series of this name; .*number 1, CT 4 pictures\).*number 8, US 4"
    ) as no:
        sources_of(f"{archive}#series=5")
    assert not any(part in str(no.value).lower() for part in HIS)


def test_a_series_of_scouts_alone_is_read_when_it_is_named(tmp_path):
    ct_series(tmp_path, 2, series=6, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])

    assert sources_of(tmp_path).pictures == []
    assert len(sources_of(f"{tmp_path}#series=6").pictures) == 2


def test_a_dicomdir_names_the_files_that_it_lists_and_says_how_many_are_missing(tmp_path):
    ct_series(tmp_path / "from", 3)
    files = FileSet()
    for file in sorted((tmp_path / "from").iterdir()):
        dataset = pydicom.dcmread(file)
        dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20190702", "101112", "7"
        files.add(dataset)
    files.write(tmp_path / "disk")
    dicomdir = tmp_path / "disk" / "DICOMDIR"
    (tmp_path / "disk" / "loose").write_bytes(file.read_bytes())  # which the DICOMDIR does not list

    sources = sources_of(dicomdir)

    assert len(sources.pictures) == 3
    assert all(read_image(address).shape == (1, 3, 12, 16) for address in sources.pictures)
    assert relax.read_series(dicomdir).shape == (3, 12, 16)
    next(
        path for path in (tmp_path / "disk").rglob("*") if path.is_file() and path.parent != tmp_path / "disk"
    ).unlink()
    with pytest.warns(UserWarning, match="1 that the DICOMDIR lists and that are not there"):
        each_picture(dicomdir)


def test_a_dicomdir_leads_nowhere_else(tmp_path):
    secret = ct_series(tmp_path / "elsewhere", 1)[0]
    record = pydicom.dataset.Dataset()
    record.DirectoryRecordType, record.RecordInUseFlag = "IMAGE", 0xFFFF
    record.ReferencedFileID = ["..", "elsewhere", secret.name]
    directory = report()
    directory.file_meta.MediaStorageSOPClassUID = directory.SOPClassUID = "1.2.840.10008.1.3.10"
    directory.DirectoryRecordSequence = [record]
    file = written(tmp_path / "disk" / "DICOMDIR", directory)

    assert sources_of(file).pictures == []


def test_all_slices_of_a_volume_are_pictures(tmp_path):
    values = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "v.nii.gz")
    ct_series(tmp_path / "ct", 3)

    assert names(sources_of(f"{tmp_path}/v.nii.gz#coronal=all&window=10,20")) == [
        f"v.nii.gz#coronal={number}&window=10,20" for number in range(5)
    ]
    slices = sources_of(f"{tmp_path}/ct#series=1&axial=all")
    assert names(slices) == [f"#series=1&axial={number}" for number in range(3)]
    assert state_of(slices.pictures[0])[0] == sum(file.stat().st_size for file in (tmp_path / "ct").iterdir())
    before = digest_of(slices.pictures[0])
    written(tmp_path / "ct" / "IM0009", ct(3))
    assert digest_of(slices.pictures[0]) != before


def test_what_explain_reads_index_reads(archive):
    """One entry: the pictures of both are the same, and so are those of a corpus."""
    named = f"{archive}#frame=all"

    explained = relax.explain(named, tiny, masks=16, cells=2, progress=False)
    embedded = make_archive(named, tiny, archive.parent / "out", progress=False)
    corpus = relax.Corpus(named)

    assert len(explained) == len(embedded) == len(corpus) == 8
    for explanation, row in zip(explained, embedded.rows, strict=True):
        assert explanation.provenance["image"].endswith(row.path)
    vectors = np.stack([tiny(read_image(path))[0].numpy() for path in embedded.paths])
    np.testing.assert_allclose(embedded.embeddings, vectors, rtol=1e-5)
    assert embedded.search(embedded.paths[5], k=1)[0].path == embedded.paths[5]


def test_a_folder_within_a_list_counts_as_its_pictures(archive):
    assert len(each_picture([str(archive / "photo.png"), f"{archive}#series=1"])) == 4
    assert not names_several(archive / "photo.png")
    assert not names_several(np.zeros((4, 4)))


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "{0}", "--masks", "8", "--cells", "2", "--out", "{1}"],
        ["index", "{0}", "--out", "{1}"],
        ["compare", "{0}", "--methods", "random", "--out", "{1}"],
        ["evaluate", "{0}", "--methods", "random", "--metrics", "sparseness", "--out", "{1}"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_takes_a_folder_of_dicom_and_keeps_a_list_of_what_it_passes_over(archive, command, capsys):
    out = archive.parent / "out"

    code = run([part.format(f"{archive}#frame=all", out) for part in command])

    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert f"{out / PASSED_OVER} lists what is passed over" in printed.err
    with (out / PASSED_OVER).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["why"] for row in rows} == {"duplicate", "localiser", "no picture", "of another ending"}
    told = (printed.out + printed.err + (out / PASSED_OVER).read_text()).lower()
    assert not any(part in told for part in HIS)


def test_a_head_is_trained_on_frames_and_series(tmp_path, capsys):
    for label, start in (("a", 0), ("b", 10)):
        written(tmp_path / "classes" / label / "loop", ultrasound(6, SOPInstanceUID=uid(f"8.{start}")))
        for z in range(3):
            written(tmp_path / "classes" / label / f"{z}", ct(start + z))
    written(tmp_path / "classes" / "a" / "sr", report())

    code = run(
        ["head", "train", f"{tmp_path}/classes#frame=all", "--kind", "prototype", "--out", str(tmp_path / "probe")]
    )

    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert "9" in printed.out
    assert "no picture,Basic Text SR Storage" in (tmp_path / f"probe-{PASSED_OVER}").read_text()


def test_a_search_takes_one_picture(archive, capsys):
    make_archive(archive / "ct", "default", archive.parent / "out", progress=False)

    assert run(["search", str(archive.parent / "out"), str(archive), "-k", "1"]) == 2
    assert "IMAGE must be one picture" in capsys.readouterr().err
    assert run(["search", str(archive.parent / "out"), f"{archive}/us/loop.1#frame=2", "-k", "1"]) == 0


def test_a_folder_without_pictures_says_so(tmp_path):
    written(tmp_path / "sr", report())

    with (
        pytest.warns(UserWarning, match="1 no picture"),
        pytest.raises(ImageError, match="holds no picture that can be"),
    ):
        each_picture(tmp_path)

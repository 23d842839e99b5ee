"""What is damaged: a small good file of every format that the package reads."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.fuzzing import doors
from experiments.fuzzing.doors import Door


@dataclass(frozen=True)
class Sample:
    """A good file, and the door by which it comes in.

    Attributes:
        name: Of its folder.
        format: One of `structures.STRUCTURES`, or another, for which there is damage to bytes only.
        file: The file in the folder that is damaged; others may lie beside it.
        door: What reads it.
        write: Writes the folder.
    """

    name: str
    format: str
    file: str
    door: Door
    write: Callable[[Path], object]


def _pixels(*shape: int, dtype: Any = np.uint8) -> Any:
    """A gradient with some noise: every decoder has something to unpack."""
    rng = np.random.default_rng(0)
    gradient = np.add.outer(np.arange(shape[0]), np.arange(shape[1])).reshape(*shape[:2], *[1] * (len(shape) - 2))
    white = np.iinfo(dtype).max
    return (gradient * (white // 64) % white + rng.integers(0, white // 8, shape)).clip(0, white).astype(dtype)


COLOUR = _pixels(20, 24, 3)
JPEG_OPTIONS: dict[str, dict[str, Any]] = {
    "1.2.840.10008.1.2.4.70": {"lossless": True, "predictor": 1},
    "1.2.840.10008.1.2.4.51": {"bitspersample": 12, "level": 95},
}
JPEG_LOSSLESS, JPEG_12 = JPEG_OPTIONS
JPEG_2000, JPEG_LS = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80"  # transfer syntaxes
RLE, DEFLATED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"
WRITTEN = {
    "seconds": 1.0,
    "created": "2026-11-26T00:00:00+00:00",
}  # so that a sample is the same whenever it is written


def _saved(name: str, image: Image.Image, **keywords: Any) -> Callable[[Path], object]:
    return lambda folder: image.save(folder / name, **keywords)


def _tiff(name: str, values: Any, **keywords: Any) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        import tifffile

        photometric = "rgb" if values.ndim == 3 else "minisblack"
        tifffile.imwrite(folder / name, values, photometric=photometric, metadata=None, **keywords)

    return write


def _deep_png(folder: Path) -> None:
    """RGB of 16 bits, which Pillow cannot write."""
    import struct
    import zlib

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in DEEP)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 24, 20, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def _dicom(values: Any, file: str = "a.dcm", syntax: str = "", **elements: Any) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        import imagecodecs
        from pydicom import dcmwrite
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.encaps import encapsulate
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

        from experiments.data.dicom_pixels import set_pixels

        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.826.0.1.3680043.8.498.1"
        dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Quagmire^Zebedee", "PID-77031", "19510423"
        set_pixels(dataset, values, frames=elements.get("NumberOfFrames", 0))
        for name, value in elements.items():
            setattr(dataset, name, value)
        if syntax in JPEG_OPTIONS:
            codestream = imagecodecs.jpeg8_encode(values, **JPEG_OPTIONS[syntax])
            dataset.PixelData = encapsulate([codestream])
            dataset["PixelData"].VR = "OB"
        elif syntax and syntax != DEFLATED:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = syntax or dataset.file_meta.TransferSyntaxUID
        dcmwrite(folder / file, dataset, enforce_file_format=True)

    return write


def _series(folder: Path) -> None:
    """Three slices, of which the second is damaged."""
    for number, name in enumerate(("x", "a", "y")):
        place = {"ImagePositionPatient": [0, 0, 5 * number], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        series = {"SeriesInstanceUID": "1.2.3", "SOPInstanceUID": f"1.2.3.{number}", "PixelSpacing": [1, 1]}
        _dicom(CT // (1 + number), name, **place, **series, **HOUNSFIELD)(folder)


def _volume(name: str) -> Callable[[Path], object]:
    """Of FreeSurfer, or a pair."""

    def write(folder: Path) -> None:
        import nibabel

        kind: Any = nibabel.MGHImage if name.endswith(".mgz") else nibabel.Nifti1Pair
        nibabel.save(kind(_pixels(12, 10, 4).astype(np.float32), np.diag([2.0, 3.0, 4.0, 1.0])), folder / name)

    return write


def _nifti(name: str, values: Any) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        import nibabel

        image: Any = nibabel.Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0]))
        content = image.to_bytes()
        (folder / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)

    return write


def _explanation(folder: Path) -> None:
    import relax

    explanation = relax.explain(PICTURE, doors.quarters, masks=64, cells=4, device="cpu")
    record = {**explanation.provenance, "image": "picture.png", **WRITTEN}
    replace(explanation, provenance=record).save(folder / "a.npz")


def _archive(kind: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        from relax.archive.archive import make_archive

        pictures = folder / "pictures"
        pictures.mkdir()
        for number in range(12):
            file = pictures / f"{number:02}.png"
            Image.fromarray(np.roll(COLOUR, number * 7, 0) // (1 + number % 3)).save(file)
            os.utime(file, (1e9, 1e9))
        make_archive(pictures, doors.quarters, folder, kind=kind)
        record = json.loads((folder / "archive.json").read_text())
        (folder / "archive.json").write_text(json.dumps({**record, "root": "pictures", **WRITTEN}))

    return write


def _index(kind: str, metric: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        from similarity.index import Index

        vectors = np.random.default_rng(0).normal(size=(640 if kind == "ivfpq" else 60, doors.D)).astype(np.float32)
        Index.build(vectors, kind=kind, metric=metric).save(folder / "a.faiss")

    return write


def _head(kind: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        import torch

        from encoders.heads.kinds import KnnHead, LinearHead

        rows = torch.nn.functional.normalize(torch.randn(9, doors.D, generator=torch.Generator().manual_seed(0)), dim=1)
        if kind == "knn":
            KnnHead(("a", "b", "c"), rows, torch.arange(9) % 3, k=3).save(folder / "probe")
        else:
            LinearHead(("a", "b", "c"), rows[:3], torch.zeros(3)).save(folder / "probe")

    return write


def _checkpoint(name: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        import timm
        import torch
        from safetensors.torch import save_file

        torch.manual_seed(0)
        weights = timm.create_model(doors.ARCHITECTURE, num_classes=0).state_dict()
        if name.endswith(".pth"):
            torch.save({"state_dict": weights, "epoch": 3}, folder / name)
        else:
            save_file(weights, folder / name)

    return write


def _metadata(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = "path,age,site,score\n" + "".join(f"{n:02}.png,{40 + n},site {n % 3},{n / 7:.3f}\n" for n in range(12))
    (folder / "a.csv").write_text(text)
    rows = list(csv.DictReader(io.StringIO(text)))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    pq.write_table(pa.table({**columns, "age": [int(age) for age in columns["age"]]}), folder / "a.parquet")


def _labels(folder: Path) -> None:
    text = "".join(f"{number:02}.png,{'cat' if number % 2 else 'dog'}\n" for number in range(12))
    (folder / "a.csv").write_text(f"path,label\n{text}")


def _evaluation(folder: Path) -> None:
    from relax.metrics import METRICS, Evaluation, Outcome
    from relax.metrics.journal import Journal

    names = [*METRICS][:2]
    outcomes = [
        Outcome(f"{number}.png", method, {name: number / 10 for name in names}, 64.0)
        for number in range(6)
        for method in ("relax", "rise")
    ]
    Evaluation(tuple(outcomes), tuple(METRICS[name] for name in names), {"seed": 0, "masks": 64}).save(folder)
    journal = Journal(folder, {})
    for outcome in outcomes:
        journal.add(outcome, "digest")
    journal.path.rename(folder / doors.JOURNAL)


RGBA = np.dstack([COLOUR, _pixels(20, 24)])
CT = (_pixels(20, 24, dtype=np.uint16) // 20).astype(np.int16)
CT_12 = (CT.astype(np.uint16) & 0xFFF).astype(np.uint16)
CT_64 = (_pixels(64, 64, dtype=np.uint16) // 20).astype(np.int16)  # JPEG 2000 halves it five times
DEEP = _pixels(20, 24, 3, dtype=np.uint16)
HOUNSFIELD = {"RescaleSlope": 1, "RescaleIntercept": -1000, "WindowCenter": 40, "WindowWidth": 400}
GREY = Image.fromarray(COLOUR[..., 0])
PICTURE = Image.fromarray(COLOUR)
EXIF = Image.Exif()
EXIF[274] = 6  # turned by a right angle


def _slide(folder: Path) -> None:
    """An OME-TIFF with its second level in a SubIFD, of four tiles."""
    import tifffile

    pixels, about = _pixels(256, 256, 3), {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "compression": "adobe_deflate"}
    with tifffile.TiffWriter(folder / "a.ome.tif", ome=True) as tiff:
        tiff.write(pixels, subifds=1, metadata=about, **options)
        tiff.write(pixels[::2, ::2], subfiletype=1, **options)


def _slide_tiles(folder: Path) -> None:
    from relax.slides.store import write_tiles

    features = np.random.default_rng(0).normal(size=(6, doors.D)).astype(np.float32)
    corners = np.arange(12, dtype=np.int64).reshape(6, 2) * 100
    write_tiles(folder / "a.h5", [features], features.shape, corners, {"patch_size_level0": 100}, {"slide": {}})


def _slide_map(folder: Path) -> None:
    from relax.slides.map import VALUES, SlideMap

    rng = np.random.default_rng(0)
    values = {name: rng.uniform(size=6) for name in VALUES}
    corners = np.arange(12, dtype=np.int64).reshape(6, 2) * 100
    record = {"similarity": "cosine", "reference": "itself", "masks": {"count": 64}}
    SlideMap("a slide", corners, 100, (700, 700), **values, score=1.0, provenance=record).save(folder / "a.npz")


def _words(texts: list[str]) -> Any:
    return np.array([[len(text), "fox" in text, 1] for text in texts], np.float32)


def _text_explanation(folder: Path) -> None:
    import relax

    relax.explain_text("A red fox has no fever.", encoder=_words, masks=64).save(folder / "a.json")


SAMPLES: tuple[Sample, ...] = (
    Sample("png_grey", "png", "a.png", doors.PICTURE, _saved("a.png", GREY)),
    Sample("png_rgba", "png", "a.png", doors.PICTURE, _saved("a.png", Image.fromarray(RGBA))),
    Sample("png_palette", "png", "a.png", doors.PICTURE, _saved("a.png", PICTURE.quantize(16), transparency=3)),
    Sample("png_16", "png", "a.png", doors.PICTURE, _saved("a.png", Image.fromarray(_pixels(20, 24, dtype=np.uint16)))),
    Sample("png_rgb16", "png", "a.png", doors.PICTURE, _deep_png),
    Sample("jpeg", "jpeg", "a.jpg", doors.PICTURE, _saved("a.jpg", PICTURE, exif=EXIF)),
    Sample("jpeg_progressive", "jpeg", "a.jpg", doors.PICTURE, _saved("a.jpg", PICTURE, progressive=True)),
    Sample("jpeg_cmyk", "jpeg", "a.jpg", doors.PICTURE, _saved("a.jpg", PICTURE.convert("CMYK"))),
    Sample("tiff", "tiff", "a.tif", doors.PICTURE, _saved("a.tif", PICTURE)),
    Sample("tiff_lzw", "tiff", "a.tif", doors.PICTURE, _saved("a.tif", PICTURE, compression="tiff_lzw")),
    Sample("tiff_rgb16", "tiff", "a.tif", doors.PICTURE, _tiff("a.tif", DEEP, compression="deflate")),
    Sample("tiff_float", "tiff", "a.tif", doors.PICTURE, _tiff("a.tif", (_pixels(20, 24) / 255).astype(np.float32))),
    Sample("webp", "webp", "a.webp", doors.PICTURE, _saved("a.webp", PICTURE)),
    Sample("webp_lossless", "webp", "a.webp", doors.PICTURE, _saved("a.webp", Image.fromarray(RGBA), lossless=True)),
    Sample("bmp", "bmp", "a.bmp", doors.PICTURE, _saved("a.bmp", PICTURE)),
    Sample("bmp_palette", "bmp", "a.bmp", doors.PICTURE, _saved("a.bmp", PICTURE.quantize(16))),
    Sample("gif", "gif", "a.gif", doors.PICTURE, _saved("a.gif", PICTURE.quantize(64))),
    Sample("ppm", "ppm", "a.ppm", doors.PICTURE, _saved("a.ppm", PICTURE)),
    Sample("jpeg2000", "jpeg2000", "a.jp2", doors.PICTURE, _saved("a.jp2", PICTURE)),
    Sample("dicom", "dicom", "a.dcm", doors.PICTURE, _dicom(CT, **HOUNSFIELD)),
    Sample("dicom_colour", "dicom", "a.dcm", doors.PICTURE, _dicom(COLOUR)),
    Sample("dicom_frames", "dicom", "a.dcm", doors.FRAME, _dicom(np.stack([CT, CT // 2]), NumberOfFrames=2)),
    Sample("dicom_jpeg2000", "dicom", "a.dcm", doors.PICTURE, _dicom(CT_64, syntax=JPEG_2000, **HOUNSFIELD)),
    Sample("dicom_jpegls", "dicom", "a.dcm", doors.PICTURE, _dicom(CT, syntax=JPEG_LS, **HOUNSFIELD)),
    Sample("dicom_lossless", "dicom", "a.dcm", doors.PICTURE, _dicom(CT.astype(np.uint16), syntax=JPEG_LOSSLESS)),
    Sample("dicom_lossless_rgb", "dicom", "a.dcm", doors.PICTURE, _dicom(COLOUR, syntax=JPEG_LOSSLESS)),
    Sample("dicom_jpeg12", "dicom", "a.dcm", doors.PICTURE, _dicom(CT_12, syntax=JPEG_12, BitsStored=12, HighBit=11)),
    Sample("dicom_rle", "dicom", "a.dcm", doors.PICTURE, _dicom(CT, syntax=RLE, **HOUNSFIELD)),
    Sample("dicom_deflated", "dicom.z", "a.dcm", doors.PICTURE, _dicom(CT, syntax=DEFLATED, **HOUNSFIELD)),
    Sample("dicom_series", "dicom", "a", doors.SERIES, _series),
    Sample("mgz", "mgz", "a.mgz", doors.SLICE, _volume("a.mgz")),
    Sample("nifti_pair", "hdr", "a.hdr", doors.SLICE, _volume("a.hdr")),
    Sample("nifti", "nifti", "a.nii", doors.SLICE, _nifti("a.nii", _pixels(12, 10, 4, dtype=np.int16))),
    Sample("nifti_gz", "nifti.gz", "a.nii.gz", doors.SLICE, _nifti("a.nii.gz", _pixels(12, 10, 4).astype(np.float32))),
    Sample("explanation", "npz", "a.npz", doors.EXPLANATION, _explanation),
    Sample("report", "npz", "a.npz", doors.REPORT, _explanation),
    Sample("figure", "npz", "a.npz", doors.FIGURE, _explanation),
    Sample("archive_embeddings", "npy", "embeddings.npy", doors.ARCHIVE, _archive("flat")),
    Sample("archive_index", "faiss", "index.faiss", doors.ARCHIVE, _archive("hnsw")),
    Sample("archive_record", "json", "archive.json", doors.ARCHIVE, _archive("flat")),
    Sample("archive_table", "parquet", "images.parquet", doors.ARCHIVE, _archive("flat")),
    Sample("index_flat", "faiss", "a.faiss", doors.INDEX, _index("flat", "cosine")),
    Sample("index_hnsw", "faiss", "a.faiss", doors.INDEX, _index("hnsw", "l2")),
    Sample("index_ivfpq", "faiss", "a.faiss", doors.INDEX, _index("ivfpq", "cosine")),
    Sample("head_weights", "safetensors", "probe.safetensors", doors.HEAD, _head("linear")),
    Sample("head_card", "json", "probe.json", doors.HEAD, _head("knn")),
    Sample("checkpoint", "pth", "a.pth", doors.CHECKPOINT, _checkpoint("a.pth")),
    Sample("weights", "safetensors", "a.safetensors", doors.CHECKPOINT, _checkpoint("a.safetensors")),
    Sample("metadata", "csv", "a.csv", doors.METADATA, _metadata),
    Sample("metadata_parquet", "parquet", "a.parquet", doors.METADATA, _metadata),
    Sample("labels", "csv", "a.csv", doors.LABELS, _labels),
    Sample("slide", "tiff", "a.ome.tif", doors.SLIDE, _slide),
    Sample("slide_tiles", "h5", "a.h5", doors.SLIDE_TILES, _slide_tiles),
    Sample("slide_map", "npz", "a.npz", doors.SLIDE_MAP, _slide_map),
    Sample("text_explanation", "json", "a.json", doors.TEXT_EXPLANATION, _text_explanation),
    Sample("evaluation", "csv", "evaluation.csv", doors.EVALUATION, _evaluation),
    Sample("evaluation_settings", "json", "summary.json", doors.EVALUATION, _evaluation),
    Sample("journal", "jsonl", doors.JOURNAL, doors.RESUMED, _evaluation),
)  # fmt: skip


def write_samples(folder: Path, samples: tuple[Sample, ...] = SAMPLES) -> None:
    """Write the folder of each sample into `folder`."""
    for sample in samples:
        (folder / sample.name).mkdir(parents=True)
        sample.write(folder / sample.name)

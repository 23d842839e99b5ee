"""How much memory does reading take? The largest picture that the limits admit, of every format.

    python -m experiments.benchmarks.decoding

Every picture is made, and read, in processes of its own: once by `relax.read_image`, once by four threads at a time, as
`relax index` reads a folder. What is told is the peak of the process, and by how much it exceeds that before reading.
With imagecodecs, compressed TIFFs that need it are read too. A lower RELAX_MAX_PICTURE_BYTES makes it quicker.
"""

from __future__ import annotations

import gzip
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import relax
from encoders.limits import FILES
from experiments.benchmarks.measuring import in_forked_process, peak_mib
from experiments.options import Options
from experiments.record import write_results
from relax.io.errors import ImageError
from relax.io.limits import PICTURES, RESULT, sharing_memory
from relax.io.raster.opening import formats

READERS = 4

Values = NDArray[Any]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        ending: Of its name.
        bytes: What a pixel takes to read, as the limits count it.
        write: From the path and the side of a square picture.
        needs: The module without which it is left out.
        beside: What it takes whatever its size, in bytes.
    """

    ending: str
    bytes: float
    write: Callable[[Path, int], None]
    needs: str = "PIL"
    beside: int = 0

    def side(self) -> int:
        """Of the largest square picture that may be read, in pixels."""
        return isqrt(int((PICTURES.bytes() - self.beside) / self.bytes))


def shades(side: int, channels: int = 1, dtype: str = "u1") -> Values:
    """(side, side, channels): the same row of slowly changing values again and again, which packs well and quickly."""
    row = np.linspace(0, np.iinfo(dtype).max, side * channels).astype(dtype).reshape(1, side, channels)
    return np.broadcast_to(row, (side, side, channels))


def with_pillow(path: Path, side: int, *, mode: str = "RGB", **options: Any) -> None:
    """A file of 8 bits that Pillow writes, with the plugins of the reader."""
    formats()
    values = shades(side, len(mode))
    Image.fromarray(values[..., 0] if mode == "L" else values, mode).save(path, **options)


def png_of_16_bits(path: Path, side: int, *, colour: int, channels: int) -> None:
    """A PNG of colour type `colour`."""
    rows = np.zeros((side, 1 + 2 * side * channels), np.uint8)  # every row begins with its filter
    rows[:, 1:] = shades(side, channels, "u2")[:1].astype(">u2").view(np.uint8).reshape(1, -1)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        head = struct.pack(">IIBBBBB", side, side, 16, colour, 0, 0, 0)
        for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")):
            checksum = zlib.crc32(kind + content)
            file.write(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum))


def tiff(path: Path, side: int, *, dtype: str = "u2", **options: Any) -> None:
    """A TIFF of three samples, which tifffile writes."""
    import tifffile

    values = shades(side, 3, "u2")
    values = (values[:1] / np.float32(65535)).repeat(side, 0) if dtype == "f4" else values
    tifffile.imwrite(path, values, photometric="rgb", **options)


def ppm_of_16_bits(path: Path, side: int) -> None:
    """A PPM of 16-bit colour."""
    with path.open("wb") as file:
        file.write(b"P6 %d %d 65535\n" % (side, side))
        file.write(shades(side, 3, "u2").astype(">u2").tobytes())


def dicom(path: Path, side: int, *, channels: int = 1, dtype: str = "u2", deflated: bool = False) -> None:
    """One frame, grey or RGB."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    header, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = header.SOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.3"
    header.Rows = header.Columns = side
    header.SamplesPerPixel, header.PhotometricInterpretation = channels, "RGB" if channels == 3 else "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 8 * np.dtype(dtype).itemsize
    header.HighBit, header.PixelRepresentation = header.BitsStored - 1, 0
    if channels == 3:
        header.PlanarConfiguration = 0
    header.PixelData = shades(side, channels, dtype).tobytes()
    header.file_meta = meta
    header.save_as(path, enforce_file_format=True)


def nifti(path: Path, side: int, *, slices: int = 1, dtype: str = "u1") -> None:
    """A packed volume of as many voxels as a square picture has pixels."""
    import nibabel as nib

    values = np.broadcast_to(shades(side // isqrt(slices), 1, dtype), (*(side // isqrt(slices),) * 2, slices))
    image: Any = nib.Nifti1Image(values, np.eye(4))
    path.write_bytes(gzip.compress(image.to_bytes(), 1))


def explanation(path: Path, side: int) -> None:
    """Three maps and their picture, packed."""
    maps = dict.fromkeys(("importance", "uncertainty", "standard_error"), np.zeros((side, side), np.float32))
    small = relax.explain(np.zeros((8, 8, 3), np.uint8), masks=8, device="cpu")
    small.save(path)
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files}
    np.savez_compressed(path, **{**content, **maps, "image": np.zeros((side, side, 3), np.uint8)})


png16 = partial(partial, png_of_16_bits)
KINDS = {
    "PNG, RGB": Kind(".png", RESULT + 4, partial(with_pillow, compress_level=1)),
    "PNG, RGBA": Kind(".png", RESULT + 4, partial(with_pillow, mode="RGBA", compress_level=1)),
    "PNG, grey of 16 bits": Kind(".png", RESULT + 4, png16(colour=0, channels=1)),
    "PNG, RGB of 16 bits": Kind(".png", RESULT + 8, png16(colour=2, channels=3)),
    "PNG, RGBA of 16 bits": Kind(".png", RESULT + 8, png16(colour=6, channels=4)),
    "JPEG": Kind(".jpg", RESULT + 4, with_pillow),
    "WebP": Kind(".webp", RESULT + 16, partial(with_pillow, method=0)),
    "WebP, lossless RGBA": Kind(".webp", RESULT + 16, partial(with_pillow, mode="RGBA", lossless=True, method=0)),
    "JPEG 2000": Kind(".jp2", RESULT + 12, partial(with_pillow, num_resolutions=1)),
    "AVIF": Kind(".avif", RESULT + 12, partial(with_pillow, speed=10), "PIL.AvifImagePlugin"),
    "HEIC": Kind(".heic", RESULT + 12, with_pillow, "pillow_heif"),
    "GIF": Kind(".gif", RESULT + 4, partial(with_pillow, mode="L")),
    "BMP": Kind(".bmp", RESULT + 4, with_pillow),
    "PPM of 16 bits": Kind(".ppm", RESULT + 4, ppm_of_16_bits),
    "TIFF, RGB": Kind(".tif", RESULT + 4, partial(with_pillow, compression="tiff_lzw")),
    "TIFF, RGB of 16 bits": Kind(".tif", RESULT + 6, tiff),
    "TIFF, RGB of 16 bits, deflate": Kind(".tif", RESULT + 18, partial(tiff, compression="zlib", predictor=True)),
    "TIFF, RGB of 16 bits, LZW": Kind(".tif", RESULT + 18, partial(tiff, compression="lzw"), needs="imagecodecs"),
    "TIFF, RGB of 16 bits, zstd": Kind(".tif", RESULT + 18, partial(tiff, compression="zstd"), needs="imagecodecs"),
    "TIFF, RGB of floats": Kind(".tif", RESULT + 24, partial(tiff, dtype="f4")),
    "DICOM, grey": Kind(".dcm", RESULT + 6, dicom, "pydicom"),
    "DICOM, grey, deflated": Kind(".dcm", RESULT + 10, partial(dicom, deflated=True), "pydicom"),
    "DICOM, RGB": Kind(".dcm", RESULT + 15, partial(dicom, channels=3, dtype="u1"), "pydicom"),
    "NIfTI, packed": Kind(".nii.gz", 8, partial(nifti, slices=64), "nibabel", 40 << 20),
    "NIfTI of one slice, packed": Kind(".nii.gz", 48, nifti, "nibabel"),
    "explanation (.npz)": Kind(".npz", 15, explanation),
}


def read(path: Path) -> None:
    """Read a picture or explanation, and let it go before another thread may read one."""
    with sharing_memory():
        if path.suffix == ".npz":
            relax.Explanation.load(path)
        else:
            relax.read_image(f"{path}#axial=0" if path.suffix == ".gz" else path)


def peaks(path: Path, kind: Kind, readers: int) -> tuple[float, float]:
    """Peak memory of this process in MiB before and after this many threads have read a file."""
    before = peak_mib()
    if readers == 1:
        read(path)
    else:
        with ThreadPoolExecutor(readers) as pool:
            for reading in [pool.submit(read, path) for _ in range(readers)]:
                reading.result()
    after = peak_mib()
    check_largest(path, kind)
    return before, after


def check_largest(path: Path, kind: Kind) -> None:
    """Fail unless the limits refuse the file as soon as they are 2 % lower."""
    for limit in (FILES, PICTURES):
        os.environ[limit.variable] = str(0.98 * (kind.side() ** 2 * kind.bytes + kind.beside))
    try:
        read(path)
    except (ImageError, ValueError):
        return
    raise AssertionError(f"{path.name} could be larger")


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="some of them only")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in args.kinds:
            kind = KINDS[name]
            if find_spec(kind.needs) is None:
                print(f"{name} is left out: it needs {kind.needs}")
                continue
            path = Path(folder) / f"a{kind.ending}"
            in_forked_process(kind.write, path, kind.side())
            (before, alone), (_, together) = (in_forked_process(peaks, path, kind, count) for count in (1, READERS))
            row = {
                "kind": name,
                "megapixels": round(kind.side() ** 2 / 1e6, 1),
                "file_mb": round(path.stat().st_size / 1e6, 1),
                "before_mib": round(before),
                "peak_mib": round(alone),
                "reading_mib": round(alone - before),
                f"reading_{READERS}_at_once_mib": round(together - before),
            }
            rows.append(row)
            print(row, flush=True)
            path.unlink()
    highest = {column: max(row[column] for row in rows) for column in rows[0] if column.startswith("reading")}
    write_results("decoding", rows, {"limit_bytes": PICTURES.bytes(), "highest": highest})


if __name__ == "__main__":
    main()

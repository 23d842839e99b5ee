"""Every image becomes the pixels that its format defines; an unusable one is refused in a line that says why."""

import contextlib
import re
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from encoders.folders import image_endings
from relax.io.errors import ImageError
from relax.io.images import name_of, narrow_range, one_by_one, read_image
from relax.io.limits import check_bytes, sharing_memory

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7, 4), dtype=np.uint16)


def pixels(source, **options):
    """(H, W, C) of an image as it is read, after checks of what holds for every image."""
    image = read_image(source, **options)
    assert image.dtype == torch.float32
    assert image.shape[0] == 1
    assert image.is_contiguous()
    assert 0 <= image.min() <= image.max() <= 1
    return image[0].permute(1, 2, 0).numpy()


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, atol=2e-7)


def png16(path, values, *, transparent=None):
    """A 16-bit PNG, byte for byte from the specification (Pillow cannot write these)."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    key = b"" if transparent is None else chunk(b"tRNS", np.asarray(transparent).astype(">u2").tobytes())
    data = chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + key + data + chunk(b"IEND", b""))
    return path


def on_white(colour, alpha):
    return colour * alpha[..., None] + (1 - alpha[..., None])


# Files


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.bmp"])
def test_lossless_colour_files_give_value_over_255(tmp_path, name):
    Image.fromarray(RGB).save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))

    close(pixels(tmp_path / name), RGB / 255)
    close(pixels(str(tmp_path / name)), RGB / 255)


def test_a_jpeg_of_one_colour_gives_that_colour(tmp_path):
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / "a.jpg", quality=95)

    assert np.abs(pixels(tmp_path / "a.jpg") - np.array([200, 100, 50]) / 255).max() < 3 / 255


# The transformation that each EXIF orientation stands for.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["png", "webp", "tif", "tif lzw", "tif 16 bit", "tif 16 bit colour", "png 16 bit"])
def test_orientation_is_applied_once(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"a.{kind[:4].strip()}"
    stored = RGB / 255
    if kind == "png":
        Image.fromarray(RGB).save(path, exif=exif)
    elif kind == "webp":
        Image.fromarray(RGB).save(path, exif=exif, lossless=True)
    elif kind == "tif 16 bit colour":
        stored = DEEP[..., :3] / 65535
        tifffile.imwrite(path, DEEP[..., :3], photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    elif kind == "tif 16 bit":
        stored = DEEP[..., :1].repeat(3, -1) / 65535
        Image.fromarray(DEEP[..., 0]).save(path, tiffinfo={274: orientation})
    elif kind == "png 16 bit":
        stored = DEEP[..., :3] / 65535
        plain = png16(path, DEEP[..., :3]).read_bytes()
        data = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
        path.write_bytes(plain[:33] + chunk + plain[33:])  # after IHDR
    else:
        compression = "tiff_lzw" if "lzw" in kind else None
        Image.fromarray(RGB).save(path, tiffinfo={274: orientation}, compression=compression)

    close(pixels(path), TURNS[orientation](stored))


def test_jpeg_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # turn clockwise: the left side comes on top
    picture = np.zeros((16, 32), np.uint8)
    picture[:, :16] = 255
    Image.fromarray(picture).save(tmp_path / "a.jpg", exif=exif, quality=95)

    turned = pixels(tmp_path / "a.jpg")

    assert turned.shape == (32, 16, 3)
    assert turned[:14].min() > 0.95
    assert turned[18:].max() < 0.05


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_keeps_all_16_bits(tmp_path, name):
    Image.fromarray(DEEP[..., 0]).save(tmp_path / name)

    close(pixels(tmp_path / name, channels=1), DEEP[..., :1] / 65535)


def test_16_bit_colour_png_keeps_all_16_bits(tmp_path):
    close(pixels(png16(tmp_path / "a.png", DEEP[..., :3])), DEEP[..., :3] / 65535)


def test_16_bit_png_with_alpha_is_shown_on_white(tmp_path):
    unit = DEEP / 65535

    colour = pixels(png16(tmp_path / "colour.png", DEEP))
    grey = pixels(png16(tmp_path / "grey.png", DEEP[..., 2:]))

    close(colour, on_white(unit[..., :3], unit[..., 3]))
    close(grey, on_white(unit[..., 2:3].repeat(3, -1), unit[..., 3]))


def test_the_transparent_colour_of_a_16_bit_png_becomes_white(tmp_path):
    expected = DEEP[..., :3] / 65535
    expected[2, 3] = 1

    close(pixels(png16(tmp_path / "a.png", DEEP[..., :3], transparent=DEEP[2, 3, :3])), expected)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_tiff_keeps_all_16_bits(tmp_path, planar, compression, order):
    values = DEEP[..., :3] if planar == "contig" else DEEP[..., :3].transpose(2, 0, 1)
    options = {"photometric": "rgb", "planarconfig": planar, "compression": compression, "byteorder": order}
    tifffile.imwrite(tmp_path / "a.tif", values, **options)

    close(pixels(tmp_path / "a.tif"), DEEP[..., :3] / 65535)


def test_16_bit_tiff_alpha_is_shown_on_white_whether_or_not_it_is_multiplied_in(tmp_path):
    unit = DEEP / 65535
    multiplied = np.minimum(DEEP, DEEP[..., 3:])
    tifffile.imwrite(tmp_path / "plain.tif", DEEP, photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "multiplied.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"])

    close(pixels(tmp_path / "plain.tif"), on_white(unit[..., :3], unit[..., 3]))
    close(pixels(tmp_path / "multiplied.tif"), multiplied[..., :3] / 65535 + 1 - unit[..., 3:])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_zero_is_white_is_turned(tmp_path, dtype):
    values = GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")

    close(pixels(tmp_path / "a.tif", channels=1)[..., 0], 1 - values / np.iinfo(dtype).max)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_float_tiff_is_read_unchanged(tmp_path, dtype, shape):
    values = RNG.random(shape).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb" if len(shape) == 3 else "minisblack")

    close(pixels(tmp_path / "a.tif"), np.broadcast_to(values.reshape(5, 7, -1), (5, 7, 3)))


def test_one_bit_files_are_0_and_1(tmp_path):
    bits = GREY > 127
    Image.fromarray(bits).save(tmp_path / "a.png")

    assert (pixels(tmp_path / "a.png", channels=1)[..., 0] == bits).all()


def test_grey_is_repeated_and_colour_becomes_luma(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    Image.fromarray(RGB).save(tmp_path / "colour.png")

    close(pixels(tmp_path / "grey.png"), GREY[..., None].repeat(3, -1) / 255)
    close(pixels(tmp_path / "grey.png", channels=None), GREY[..., None].repeat(3, -1) / 255)
    luma = pixels(tmp_path / "colour.png", channels=1)[..., 0]
    close(luma, (0.299 * RGB[..., 0] + 0.587 * RGB[..., 1] + 0.114 * RGB[..., 2]) / 255)
    assert np.abs(luma * 255 - np.asarray(Image.fromarray(RGB).convert("L"))).max() < 0.51  # Pillow rounds


def test_alpha_is_shown_on_white(tmp_path):
    Image.fromarray(np.dstack([RGB, ALPHA])).save(tmp_path / "colour.png")
    Image.fromarray(np.dstack([GREY, ALPHA])).save(tmp_path / "grey.png")

    close(pixels(tmp_path / "colour.png"), on_white(RGB / 255, ALPHA / 255))
    close(pixels(tmp_path / "grey.png"), on_white(GREY[..., None].repeat(3, -1) / 255, ALPHA / 255))


def test_palette_entries_are_looked_up_and_transparent_ones_become_white(tmp_path):
    image = Image.fromarray(GREY % 3, mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "transparent.png", transparency=1)
    colours = np.eye(3)

    close(pixels(tmp_path / "plain.png"), colours[GREY % 3])
    colours[1] = 1
    close(pixels(tmp_path / "transparent.png"), colours[GREY % 3])


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_cmyk_ink_darkens_paper(tmp_path, name):
    """Cyan and black ink by Pillow's rule, colour = (1 - ink) (1 - black): (0.2, 0.6, 1) x 0.8 here."""
    Image.new("CMYK", (16, 16), (204, 102, 0, 51)).save(tmp_path / name)

    assert np.abs(pixels(tmp_path / name) - np.array([0.16, 0.48, 0.8])).max() < 3 / 255


def test_a_still_gif_and_the_first_picture_of_an_mpo_jpeg_are_read(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.gif")
    first, second = Image.new("RGB", (16, 16), "white"), Image.new("RGB", (16, 16), "black")
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert Image.open(tmp_path / "a.jpg").n_frames == 2

    close(pixels(tmp_path / "a.gif", channels=1)[..., 0], GREY / 255)
    assert pixels(tmp_path / "a.jpg").min() > 0.99


# PIL images, arrays, tensors


def test_pil_images_read_like_their_files(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")

    close(pixels(Image.open(tmp_path / "a.png")), RGB / 255)
    close(pixels(Image.fromarray(RGB)), RGB / 255)
    close(pixels(Image.fromarray(DEEP[..., 0]), channels=1)[..., 0], DEEP[..., 0] / 65535)
    close(pixels(Image.fromarray((GREY / 255).astype(np.float32)), channels=1)[..., 0], GREY / 255)


@pytest.mark.parametrize(
    ("array", "unit"),
    [
        (RGB, RGB / 255),
        (DEEP[..., :3], DEEP[..., :3] / 65535),
        (RGB > 127, RGB > 127),
        (RGB / 255, RGB / 255),
        ((RGB / 255).astype(np.float32), RGB / 255),
    ],
    ids=["uint8", "uint16", "bool", "float64", "float32"],
)
def test_arrays_are_channels_last_and_tensors_channels_first(array, unit):
    first = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))

    close(pixels(array), unit)
    close(pixels(first), unit)
    close(pixels(first[None]), unit)
    close(pixels(array[..., 0], channels=1)[..., 0], unit[..., 0])
    close(pixels(first[0], channels=1)[..., 0], unit[..., 0])


def test_half_precision_and_gradient_tensors_are_read():
    image = torch.tensor([[0.0, 0.5], [0.25, 1.0]])

    for dtype in (torch.float16, torch.bfloat16):
        assert (read_image(image.to(dtype), channels=1)[0, 0] == image).all()
    assert not read_image(image.clone().requires_grad_(), channels=1).requires_grad


def test_arrays_keep_their_channels_unless_a_number_is_required():
    assert read_image(np.zeros((5, 7)), channels=None).shape == (1, 1, 5, 7)
    assert read_image(np.zeros((5, 7, 2)), channels=None).shape == (1, 2, 5, 7)
    assert read_image(np.zeros((145, 145, 200)), channels=None).shape == (1, 200, 145, 145)
    assert read_image(torch.zeros(13, 5, 7), channels=None).shape == (1, 13, 5, 7)
    assert read_image(torch.zeros(13, 5, 7), channels=13).shape == (1, 13, 5, 7)


def test_a_four_channel_array_is_colour_and_alpha_where_colour_is_required():
    array = np.dstack([RGB, ALPHA])

    close(pixels(array), on_white(RGB / 255, ALPHA / 255))
    close(pixels(array, channels=4), array / 255)


def test_the_source_is_neither_shared_nor_changed():
    array, tensor = np.full((5, 7, 3), 0.5, np.float32), torch.full((3, 5, 7), 0.5)

    read_image(array).zero_()
    read_image(tensor).zero_()

    assert (array == 0.5).all()
    assert (tensor == 0.5).all()


def test_rounding_errors_are_clipped():
    image = read_image(np.array([[-5e-7, 0], [1, 1 + 5e-7]]), channels=1)

    assert image.tolist() == [[[[0, 0], [1, 1]]]]


def test_lists_and_batches_are_read_one_by_one(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    batch = torch.rand(3, 3, 5, 7, generator=torch.Generator().manual_seed(0))

    assert [tuple(image.shape) for image in map(read_image, one_by_one([tmp_path / "a.png", np.zeros((4, 6))]))] == [
        (1, 3, 5, 7),
        (1, 3, 4, 6),
    ]
    assert torch.equal(torch.cat([read_image(picture) for picture in one_by_one(batch)]), batch)
    assert one_by_one("a.png") == ["a.png"]


def test_names_describe_the_source(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")

    assert name_of("some/cat.png") == "some/cat.png"
    assert name_of(Path("some/cat.png")) == "some/cat.png"
    assert name_of(np.zeros((480, 640, 3))) == "array (480, 640, 3)"
    assert name_of(torch.zeros(1, 3, 8, 9)) == "tensor (1, 3, 8, 9)"
    assert name_of(Image.new("L", (9, 8))) == "PIL image 9 x 8"
    assert name_of(Image.open(tmp_path / "a.png")) == str(tmp_path / "a.png")


# Bad input


def refused(source, text, **options):
    """The image is refused in one line that begins with its name and contains the text."""
    with pytest.raises(ImageError, match=re.escape(text)) as caught:
        read_image(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    if isinstance(source, str | Path):
        assert message.startswith(f"{source}: ")
    return message


def test_a_missing_file_a_folder_and_no_regular_file_are_told_apart(tmp_path):
    refused(tmp_path / "no.png", "no such file")
    refused(tmp_path, "is a folder")
    refused("/dev/null", "is not a regular file")


def test_files_that_are_not_images_are_refused(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello, I am no picture")
    Image.fromarray(RGB).save(tmp_path / "a.tga")
    (tmp_path / "a.tif").write_bytes(b"II*\0 and then nonsense")

    refused(tmp_path / "empty.png", "the file is empty")
    refused(tmp_path / "text.png", "not a PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000, PPM, AVIF or HEIC image")
    refused(tmp_path / "a.tga", "not a PNG, JPEG, TIFF, WebP, BMP, GIF, JPEG 2000, PPM, AVIF or HEIC image")
    refused(tmp_path / "a.tif", "cannot be decoded")


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp", "bmp", "gif", "deep png", "deep tif", "lzw tif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, kind, share):
    path = tmp_path / f"a.{kind[-4:].strip()}"
    noise = np.random.default_rng(1).integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    if kind == "deep png":
        png16(path, noise)
    elif kind == "deep tif":
        tifffile.imwrite(path, noise, photometric="rgb")
    else:
        Image.fromarray((noise >> 8).astype(np.uint8)).save(
            path, **({"compression": "tiff_lzw"} if "lzw" in kind else {})
        )
    complete = path.read_bytes()
    read_image(path)

    path.write_bytes(complete[: int(len(complete) * share)])

    message = refused(path, "a.")
    assert re.search("cannot be decoded|too damaged|damaged or truncated|is truncated", message)


def test_pictures_of_one_pixel_or_none_are_refused(tmp_path):
    Image.new("RGB", (1, 9)).save(tmp_path / "a.png")
    Image.fromarray(DEEP[:, :1, 0].copy()).save(tmp_path / "deep.png")

    refused(tmp_path / "a.png", "1 x 9 pixels; both sides must be at least 2")
    refused(Image.fromarray(DEEP[:, :1, 0].copy()), "1 x 5 pixels")
    refused(tmp_path / "deep.png", "1 x 5 pixels")
    refused(np.zeros((9, 1, 3)), "1 x 9 pixels")
    refused(np.zeros((0, 5)), "5 x 0 pixels")
    refused(torch.zeros(3, 1, 1), "1 x 1 pixels")


def test_bombs_are_refused_from_the_header(tmp_path):
    def header_only(width, height):
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
        path = tmp_path / f"{width}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 4) + b"IDAT" + b"xxxx0000")
        return path

    refused(header_only(10_001, 10_000), "10001 x 10000 pixels would take 1.6 GB of memory to read")  # this project's
    refused(header_only(60_000, 60_000), "60000.png: has more than")  # Pillow's limit comes first


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp", "a.png"])
def test_several_frames_are_refused_with_their_number(tmp_path, name):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB), Image.fromarray(RGB // 2)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])

    refused(tmp_path / name, "holds 3 frames; save the one to explain as a file of its own")


def test_several_frames_of_a_float_tiff_are_refused_too(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for _ in range(2):
            tiff.write(RGB / 255, photometric="rgb", contiguous=False)

    refused(tmp_path / "a.tif", "holds 2 frames")


def test_values_out_of_range_are_refused_with_the_range_and_the_way_out():
    refused(np.full((4, 4), np.nan), "16 values are NaN or infinite")
    refused(torch.full((3, 4, 4), torch.inf), "48 values are NaN or infinite")
    refused(np.array([[0, 255.0], [1, 2]]), "run from 0 to 255: divide by 255")
    refused(np.array([[-2.1, 2.6], [0, 0]]), "run from -2.1 to 2.6: bring them there, undoing any normalisation")


def test_numbers_without_a_known_white_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "int32.tif", GREY.astype(np.int32))
    tifffile.imwrite(tmp_path / "int16.tif", GREY.astype(np.int16))
    tifffile.imwrite(tmp_path / "int8.tif", (GREY // 2).astype(np.int8))
    tifffile.imwrite(tmp_path / "uint32.tif", GREY.astype(np.uint32))

    refused(np.zeros((4, 4), np.int64), "int64 has no known white")
    refused(Image.fromarray(GREY.astype(np.int32)), "int32 has no known white")
    for name in ("int32", "int16", "int8", "uint32"):
        refused(tmp_path / f"{name}.tif", f"{name} has no known white")


def test_channels_that_do_not_fit_are_refused(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")

    refused(np.zeros((5, 7, 2)), "has 2 channels; the encoder takes 3")
    refused(torch.zeros(5, 8, 8), "has 5 channels; the encoder takes 3")
    refused(tmp_path / "a.png", "has 3 channels; the encoder takes 13", channels=13)
    with pytest.raises(ValueError, match="channels must be at least 1, or None; got 0"):
        read_image(tmp_path / "a.png", channels=0)


@pytest.mark.parametrize("channels", [3, None])
def test_channels_on_the_wrong_side_are_named_with_the_way_out(channels):
    first = r"channels seem to come first: turn it with .transpose(1, 2, 0)"
    refused(np.zeros((3, 48, 64)), first, channels=channels)
    refused(np.zeros((3, 64, 48)), first, channels=channels)
    last = "channels seem to come last: turn it with .permute(2, 0, 1)"
    refused(torch.zeros(48, 64, 3), last, channels=channels)
    refused(torch.zeros(1, 48, 64, 4), last, channels=channels)


def test_other_shapes_and_types_are_refused():
    refused(torch.zeros(2, 3, 8, 8), "is a batch of 2; give one image at a time")
    refused(np.zeros(5), "must be (H, W) or (H, W, C); it has 1 axes")
    refused(torch.zeros(5), "must be (H, W), (C, H, W) or (1, C, H, W); it has 1 axes")
    refused(3, "int: an image is a path, a PIL image, a numpy array or a tensor")


def test_a_file_name_cannot_break_the_line(tmp_path):
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path / "two\nlines.png")

    assert str(caught.value).endswith("two?lines.png: no such file")


def test_16_bit_colour_that_needs_a_missing_decoder_says_what_to_install(tmp_path):
    lzw = tmp_path / "a.tif"
    Image.fromarray(RGB).save(lzw, compression="tiff_lzw")
    encoded = bytearray(lzw.read_bytes())
    # Claim 16 bits in the header: without LZW, tifffile must refuse the file rather than return wrong pixels.
    bits = struct.pack("<3H", 8, 8, 8)
    position = encoded.rfind(bits)
    encoded[position : position + 6] = struct.pack("<3H", 16, 16, 16)
    lzw.write_bytes(encoded)

    pytest.importorskip("tifffile")
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        refused(lzw, "install imagecodecs, or save it uncompressed")
    else:
        refused(lzw, "cannot be decoded")


# Formats beyond the usual


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jfif", {"format": "JPEG", "quality": 95}),
        ("a.jpe", {"format": "JPEG", "quality": 95}),
        ("a.jp2", {}),
        ("a.ppm", {}),
        ("a.avif", {"quality": 95}),
    ],
)
def test_every_ending_that_is_listed_is_read(tmp_path, name, options):
    if name.endswith("avif") and ".avif" not in image_endings():
        pytest.skip("this Pillow reads no AVIF")
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / name, **options)

    assert np.abs(pixels(tmp_path / name) - np.array([200, 100, 50]) / 255).max() < 3 / 255


def test_pnm_keeps_all_its_bits(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 7 5 65535\n" + DEEP[..., 0].astype(">u2").tobytes())
    (tmp_path / "a.ppm").write_bytes(b"P6 7 5 65535\n" + DEEP[..., :3].astype(">u2").tobytes())
    (tmp_path / "b.ppm").write_bytes(b"P6 7 5 1000\n" + (DEEP[..., :3] % 1001).astype(">u2").tobytes())

    close(pixels(tmp_path / "a.pgm", channels=1), DEEP[..., :1] / 65535)
    close(pixels(tmp_path / "a.ppm"), DEEP[..., :3] / 65535)
    close(pixels(tmp_path / "b.ppm"), (DEEP[..., :3] % 1001) / 1000)


def test_16_bit_jpeg_2000_keeps_its_bits_or_is_refused(tmp_path):
    Image.fromarray(DEEP[..., 0]).save(tmp_path / "grey.jp2")
    close(pixels(tmp_path / "grey.jp2", channels=1), DEEP[..., :1] / 65535)

    Image.fromarray(RGB).save(tmp_path / "colour.jp2")
    data = bytearray((tmp_path / "colour.jp2").read_bytes())
    at = data.find(b"\xff\x4f\xff\x51") + 42
    for sample in range(3):
        data[at + 3 * sample] = 15  # bits - 1, in the marker SIZ
    (tmp_path / "colour.jp2").write_bytes(data)
    refused(tmp_path / "colour.jp2", "has more than 8 bits per colour")


def test_heic_without_the_extra_says_how_to_install_it(tmp_path):
    if ".heic" in image_endings():
        pytest.skip("the extra [heif] is installed")
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))

    refused(tmp_path / "a.heic", 'HEIC needs an extra; install it with: pip install "relax-explainer[heif]"')


def interlaced(path, values):
    """A 16-bit PNG in the seven passes of Adam7, as the specification gives them."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, right in passes:
        part = values[top::down, left::right]
        if part.size:
            rows += b"".join(b"\0" + row.astype(">u2").tobytes() for row in part)
    png16(path, values)
    data = path.read_bytes()
    head = bytearray(data[:33])
    head[28] = 1
    head[29:33] = zlib.crc32(bytes(head[12:29])).to_bytes(4, "big")
    packed = zlib.compress(rows)
    body = struct.pack(">I", len(packed)) + b"IDAT" + packed + struct.pack(">I", zlib.crc32(b"IDAT" + packed))
    path.write_bytes(bytes(head) + body + data[-12:])
    return path


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_16_bit_png_in_passes_keeps_all_16_bits(tmp_path, samples):
    plain = pixels(png16(tmp_path / "plain.png", DEEP[..., :samples]))

    close(pixels(interlaced(tmp_path / "passes.png", DEEP[..., :samples])), plain)


def test_the_transparent_grey_of_a_16_bit_png_becomes_white(tmp_path):
    expected = (DEEP[..., :1] / 65535).repeat(3, -1)
    expected[2, 3] = 1

    close(pixels(png16(tmp_path / "a.png", DEEP[..., :1], transparent=DEEP[2, 3, :1])), expected)


# Damage


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_any_flipped_bit_in_the_pixels_of_a_png_is_noticed(tmp_path, samples):
    """In the decoder that read 16-bit PNG before, such a bit ended the process."""
    whole = png16(tmp_path / "a.png", DEEP[..., :samples]).read_bytes()
    start = whole.index(b"IDAT") + 4
    for bit in range(8 * start, 8 * (len(whole) - 12), 37):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "a.png").write_bytes(damaged)
        refused(tmp_path / "a.png", "the checksum of its chunk IDAT does not fit")


def test_a_damaged_stream_under_a_right_checksum_is_refused(tmp_path):
    whole = png16(tmp_path / "a.png", DEEP[..., :3]).read_bytes()
    start = whole.index(b"IDAT")
    length = int.from_bytes(whole[start - 4 : start], "big")
    for at in range(start + 4, start + 4 + length, 5):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        checksum = zlib.crc32(bytes(damaged[start : start + 4 + length]))
        damaged[start + 4 + length : start + 8 + length] = checksum.to_bytes(4, "big")
        (tmp_path / "a.png").write_bytes(damaged)
        with contextlib.suppress(ImageError):
            read_image(tmp_path / "a.png")


def test_a_tiff_with_empty_strips_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., :3], photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        tag = tiff.pages.first.tags["ImageLength"]
        at = tag.valueoffset
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[at : at + 2] = b"\0\0"
    (tmp_path / "a.tif").write_bytes(data)

    refused(tmp_path / "a.tif", "cannot be decoded, the file is damaged or truncated")


def test_whatever_a_reader_raises_becomes_one_kind_of_error(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    for error in (ValueError("of numpy"), ZeroDivisionError("of a header"), MemoryError(), RuntimeError("two\nlines")):

        def broken(image, error=error, **options):
            raise error

        monkeypatch.setattr("relax.io.raster.reading.read_pillow", broken)
        reason = refused(tmp_path / "a.png", "a.png: ")
        assert "needs more memory" in reason if isinstance(error, MemoryError) else "cannot be decoded" in reason


# Memory


def png_of_zeros(path, width, height, bits, colour):
    """A small file: its rows are all zero."""
    bytes_per_row = 1 + width * bits // 8 * {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    packer, packed = zlib.compressobj(9), b""
    for _ in range(height):
        packed += packer.compress(bytes(bytes_per_row))
    packed += packer.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    path.write_bytes(data)
    return path


def test_the_limit_counts_samples_and_bits_and_can_be_raised(tmp_path, monkeypatch):
    """1000 x 1000 pixels: 12 bytes per pixel of result, 4 of an 8-bit picture, 8 of 16-bit colour in two halves."""
    shallow = png_of_zeros(tmp_path / "shallow.png", 1000, 1000, 8, 6)
    deep = png_of_zeros(tmp_path / "deep.png", 1000, 1000, 16, 6)
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "16e6")

    assert read_image(shallow).shape == (1, 3, 1000, 1000)
    refused(
        deep, "1000 x 1000 pixels would take 20 MB of memory to read, and the limit is 16 MB: if you trust it, raise"
    )
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "2e7")
    assert read_image(deep).shape == (1, 3, 1000, 1000)
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "much")
    refused(shallow, "RELAX_MAX_PICTURE_BYTES must be a number of bytes, such as 4e9; got 'much'")


def test_a_raised_limit_lifts_that_of_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", "has more than 200 pixels: if you trust it, raise RELAX_MAX_PICTURE_BYTES")

    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "4e9")
    assert read_image(tmp_path / "a.png").shape == (1, 3, 20, 20)


@pytest.mark.parametrize("kind", ["lossless", "lossy", "alpha"])
def test_a_webp_is_refused_by_its_header(tmp_path, monkeypatch, kind):
    picture = Image.new("RGBA" if kind == "alpha" else "RGB", (300, 200), (1, 2, 3, 9)[: 4 if kind == "alpha" else 3])
    picture.save(tmp_path / "a.webp", lossless=kind == "lossless")
    monkeypatch.setattr(Image, "open", None)  # which allocates the canvas
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "1e6")

    refused(tmp_path / "a.webp", "300 x 200 pixels would take 2 MB of memory to read")


def test_a_tiff_is_refused_by_its_header(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., :3], photometric="rgb", tile=(16, 16))
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        tags = {name: tiff.pages.first.tags[name].valueoffset for name in ("ImageWidth", "ImageLength", "TileWidth")}
    whole = (tmp_path / "a.tif").read_bytes()
    for names in (("ImageWidth", "ImageLength"), ("TileWidth",)):
        data = bytearray(whole)
        for name in names:
            data[tags[name] : tags[name] + 4] = struct.pack("<I", 12000 if len(names) == 2 else 65520 * 65520)
        (tmp_path / "a.tif").write_bytes(data)
        refused(tmp_path / "a.tif", "GB of memory to read")


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_a_strip_that_unpacks_to_more_than_it_should_is_refused(tmp_path, compression):
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., :3], photometric="rgb", compression=compression, rowsperstrip=5)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        at = tiff.pages.first.tags["ImageLength"].valueoffset
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[at : at + 2] = struct.pack("<H", 3)
    (tmp_path / "a.tif").write_bytes(data)

    refused(tmp_path / "a.tif", "a strip unpacks to more than its header says")


def test_a_plain_tiff_of_one_strip_is_counted_once(tmp_path, monkeypatch):
    """1000 x 1000 pixels: 8 bytes per pixel as stored, 12 of the result; three strips would be 24."""
    picture = np.zeros((1000, 1000, 4), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", extrasamples=["unassalpha"], rowsperstrip=1000)
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "20e6")
    assert read_image(tmp_path / "a.tif").shape[-2:] == (1000, 1000)

    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "19.9e6")
    refused(tmp_path / "a.tif", "1000 x 1000 pixels of 4 samples would take 20 MB of memory to read")


def test_a_picture_within_a_tiff_which_has_a_size_of_its_own_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP[..., :3], photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        at = tiff.pages.first.tags["Compression"].valueoffset
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[at : at + 2] = struct.pack("<H", 34712)
    (tmp_path / "a.tif").write_bytes(data)

    refused(tmp_path / "a.tif", "is compressed as JPEG2000, which may unfold to any size; save it with LZW")


def test_large_pictures_wait_for_each_other(monkeypatch):
    """Four readers of 1.0 each under a limit of 1.6: never two at once; a small one goes beside."""
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "1600")
    inside, most, lock, beside = [], [], threading.Lock(), threading.Event()

    def read(size):
        with sharing_memory():
            check_bytes(size, "it")
            with lock:
                inside.append(size)
                most.append(sum(inside))
            if size == 1000:
                beside.wait(5)
            else:
                beside.set()
            with lock:
                inside.remove(size)

    threads = [threading.Thread(target=read, args=(size,)) for size in (1000, 1000, 500, 1000, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(most) == 1500
    check_bytes(1600, "what is read alone")  # nothing is held any longer, and nobody waits


def test_a_picture_that_turns_out_larger_waits_and_is_counted_once(monkeypatch):
    """The first is checked as 500, then as 1000 of 1600: 600 remain, and the second, of 700 in the end, waits."""
    monkeypatch.setenv("RELAX_MAX_PICTURE_BYTES", "1600")
    order, second_waits = [], threading.Event()

    def second():
        with sharing_memory():
            check_bytes(600, "the header")
            second_waits.set()
            check_bytes(700, "it")
            order.append("second")

    thread = threading.Thread(target=second)
    with sharing_memory():
        for size in (500, 1000, 1000, 500):
            check_bytes(size, "it")
        thread.start()
        assert second_waits.wait(5)
        thread.join(0.1)
        order.append("first")
    thread.join(5)

    assert order == ["first", "second"]


# Narrow ranges


@pytest.mark.parametrize(
    ("values", "narrow"),
    [
        (RNG.integers(0, 4096, (40, 40), dtype=np.uint16), True),
        (np.full((40, 40), 200, np.uint8), True),
        (np.zeros((40, 40), np.uint8), True),
        (RNG.integers(100, 120, (40, 40), dtype=np.uint8), False),
        (RNG.integers(0, 4097, (40, 40), dtype=np.uint16) * 2, False),
    ],
    ids=["12 bits in 16", "blank", "black", "20 shades", "13 bits in 16"],
)
def test_nearly_one_shade_is_told_with_its_range(values, narrow):
    doubt = narrow_range(read_image(values))

    assert bool(doubt) is narrow
    if narrow:
        low, high = (values.min() / np.iinfo(values.dtype).max, values.max() / np.iinfo(values.dtype).max)
        told = [float(number) for number in re.findall(r"between (\S+) and (\S+),", doubt)[0]]
        np.testing.assert_allclose(told, [low, high], atol=1e-3)

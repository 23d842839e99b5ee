"""Every image becomes the pixels that its format defines; an unusable one is refused in a line that says why."""

import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from relax.io.errors import MAX_PIXELS, ImageError
from relax.io.images import name_of, one_by_one, read_image

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
    Image.fromarray(RGB).save(tmp_path / "a.ppm")
    (tmp_path / "a.tif").write_bytes(b"II*\0 and then nonsense")

    refused(tmp_path / "empty.png", "the file is empty")
    refused(tmp_path / "text.png", "not a PNG, JPEG, TIFF, WebP, BMP or GIF image")
    refused(tmp_path / "a.ppm", "not a PNG, JPEG, TIFF, WebP, BMP or GIF image")
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
    assert re.search("cannot be decoded|too damaged", message)


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

    refused(header_only(10_001, 10_000), f"10001 x 10000 is more than {MAX_PIXELS:,} pixels")  # this project's limit
    refused(header_only(60_000, 60_000), f"more than {MAX_PIXELS:,} pixels")  # Pillow's limit comes first


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

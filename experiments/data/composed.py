"""Pictures whose truth is exact: one object on a texture, and a disc of another texture as distractor.

    python -m experiments.data.composed --out FOLDER     writes some, with the truth outlined

Everything comes from the seed and from pictures in `skimage.data` (public domain or CC0): cut-outs of the cat, the cup
and the astronaut's face, a horse's outline filled with tissue, a drawn star and a ring. Edges are not blended: every
pixel belongs to the object or does not, so the truth is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from experiments.options import Options
from relax.files import written_aside

Pixels = NDArray[np.uint8]  # (H, W, 3)
Mask = NDArray[np.bool_]  # (H, W)

OBJECT_SIDE = (0.25, 0.4)  # longer side, as a share of the shorter side of the picture
DISTRACTOR_SIDE = 0.25  # leaves a free place for it, wherever the object lies
CUT_OUTS = {"cat": ("chelsea", (95, 5, 350, 275)), "cup": ("coffee", (75, 15, 480, 390)),
            "face": ("astronaut", (152, 5, 303, 192))}  # fmt: skip
OBJECTS = (*CUT_OUTS, "horse", "star", "ring")
PHOTOGRAPHED = ("brick", "grass", "gravel")
TEXTURES = (*PHOTOGRAPHED, "clouds", "stripes")


@dataclass(frozen=True)
class Composed:
    """One picture of the benchmark, drawn on first use; read as an `experiments.data.datasets.Sample` is.

    Attributes:
        number: Which picture; it does not depend on what was drawn before.
        seed: The only other source of randomness.
        size: (H, W) in pixels, at least 64 each.
    """

    number: int
    seed: int = 0
    size: tuple[int, int] = (224, 224)

    def __post_init__(self) -> None:
        if min(self.size) < 64:
            raise ValueError(f"size must be at least 64 px on each side; got {self.size}")

    @property
    def name(self) -> str:
        """As a file name without its ending."""
        return f"composed-{self.seed}-{self.number:04}"

    @property
    def label(self) -> str:
        """What the object is, one of `OBJECTS`, in turn."""
        return OBJECTS[self.number % len(OBJECTS)]

    def pixels(self) -> Pixels:
        """(H, W, 3) uint8."""
        return self._layers[0].copy()

    def truth(self) -> Mask:
        """(H, W) True on the object."""
        return self._layers[1].copy()

    def distractor(self) -> Mask:
        """(H, W) True on the disc of another texture, which never overlaps the object."""
        return self._layers[2].copy()

    @cached_property
    def _layers(self) -> tuple[Pixels, Mask, Mask]:
        rng = np.random.default_rng((self.seed, self.number))
        ground, other = rng.choice(TEXTURES, 2, replace=False)
        picture, short = texture(ground, self.size, rng), min(self.size)
        pasted, outline = turned(drawn(self.label), round(short * rng.uniform(*OBJECT_SIDE)), rng)
        truth, distracting = np.zeros(self.size, dtype=bool), np.zeros(self.size, dtype=bool)
        place = somewhere(truth, outline.shape, rng)
        truth[place] = outline
        picture[truth] = pasted[outline]
        round_patch = disc(round(short * DISTRACTOR_SIDE))
        distracting[somewhere(truth, round_patch.shape, rng)] = round_patch
        picture[distracting] = texture(other, self.size, rng)[distracting]
        return picture, truth, distracting


def composed(count: int, seed: int = 0, size: tuple[int, int] = (224, 224)) -> list[Composed]:
    """The first `count` pictures of a seed."""
    return [Composed(number, seed, size) for number in range(count)]


def somewhere(taken: Mask, size: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, slice]:
    """A random place for a box of `size` where nothing is taken."""
    height, width = size
    sums = np.pad(taken.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.argwhere(inside == 0)[rng.integers((inside == 0).sum())]
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def turned(picture: Image.Image, side: int, rng: np.random.Generator) -> tuple[Pixels, Mask]:
    """The object turned at random by up to 20 degrees, mirrored half of the time, its longer side `side` px."""
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.rotate(rng.uniform(-20, 20), Image.Resampling.BICUBIC, expand=True)
    picture = picture.crop(picture.getchannel("A").getbbox())
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    whole = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
    return whole[..., :3], whole[..., 3] >= 128


@cache
def drawn(name: str) -> Image.Image:
    """One of `OBJECTS` as RGBA, 256 px or larger, transparent around it."""
    if name in CUT_OUTS:
        source, box = CUT_OUTS[name]
        picture = Image.fromarray(getattr(skimage.data, source)()).crop(box).convert("RGBA")
        outline = Image.new("L", picture.size)
        ImageDraw.Draw(outline).ellipse((0, 0, picture.width - 1, picture.height - 1), fill=255)
    elif name == "horse":
        outline = Image.fromarray(np.where(skimage.data.horse(), 0, 255).astype(np.uint8))
        picture = Image.fromarray(skimage.data.immunohistochemistry()).resize(outline.size)
    else:
        outline, picture = Image.new("L", (256, 256)), Image.new("RGB", (256, 256), (250, 210, 40))
        pen = ImageDraw.Draw(outline)
        if name == "star":
            tips = [(128 + r * math.sin(k * math.pi / 5), 128 - r * math.cos(k * math.pi / 5))
                    for k, r in enumerate((127, 52) * 5)]  # fmt: skip
            pen.polygon(tips, fill=255)
        else:
            pen.ellipse((0, 0, 255, 255), outline=255, width=70)
        stripes = ImageDraw.Draw(picture)
        for left in range(0, 256, 32):
            stripes.rectangle((left, 0, left + 15, 255), fill=(30, 60, 160))
    picture.putalpha(outline)
    return picture


def texture(name: str, size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """(H, W, 3) of one of `TEXTURES` in a random tint."""
    drawing = {"clouds": clouds, "stripes": stripes}.get(name) or partial(photographed, name)
    grey = drawing(size, rng)
    tint = rng.uniform(0.55, 1.0, 3)
    return np.rint(np.clip(grey, 0, 1)[..., None] * tint * 255).astype(np.uint8)


def photographed(name: str, size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """(H, W) in [0, 1]: a random part of the photograph, enlarged where it is too small."""
    picture = Image.fromarray(getattr(skimage.data, name)())
    scale = max(1.0, max(size) / min(picture.size))
    picture = picture.resize((math.ceil(picture.width * scale), math.ceil(picture.height * scale)))
    top, left = rng.integers(picture.height - size[0] + 1), rng.integers(picture.width - size[1] + 1)
    return np.asarray(picture)[top : top + size[0], left : left + size[1]] / 255


def clouds(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """(H, W) noise whose amplitude falls with 1 / frequency, as in natural pictures."""
    rows, columns = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(size)) / frequency, size)
    return 0.55 + 0.18 * noise / noise.std()


def stripes(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """(H, W) a wave of 6 to 14 periods along the shorter side, in a random direction."""
    angle, period = rng.uniform(0, math.pi), min(size) / rng.uniform(6, 14)
    rows, columns = np.mgrid[: size[0], : size[1]]
    return 0.55 + 0.35 * np.sin(2 * math.pi * (rows * math.sin(angle) + columns * math.cos(angle)) / period)


def disc(side: int) -> Mask:
    """(side, side) True inside the circle."""
    across = np.arange(side) + 0.5 - side / 2
    return np.hypot(across[:, None], across[None, :]) <= side / 2


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_count(20, "pictures")
    parser.add_seed()
    args = parser.parse_args()
    for sample in composed(args.count, args.seed):
        pixels, truth = sample.pixels(), sample.truth()
        inner = truth.copy()
        for step, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
            inner &= np.roll(truth, step, axis)
        pixels[truth & ~inner] = (255, 0, 255)
        with written_aside(args.out / f"{sample.name}.png") as aside:
            Image.fromarray(pixels).save(aside, format="PNG")


if __name__ == "__main__":
    main()

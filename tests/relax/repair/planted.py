"""Pictures whose mark moves an embedding along three known directions, and nowhere else."""

import numpy as np
from PIL import Image
from torch import nn
from torch.nn import functional as F

import relax

SIDE, BLOCKS = 16, 4  # pixels, and blocks of them, along each side
PLACE = np.s_[0:4, 12:16]  # the mark: the upper right block


class Blocks(nn.Module):
    """The mean of every block, 48 numbers: the mark is in three of them, 3, 19 and 35."""

    def forward(self, pixels):
        return F.adaptive_avg_pool2d(pixels, BLOCKS).flatten(1)


MARKED = (3, 19, 35)


def write_pictures(folder, count=40, seed=0, folders=("ant", "bee")):
    """`count` pictures in each folder; most of the first carry the mark, and few of the second. Returns the masks."""
    rng = np.random.default_rng(seed)
    marks = folder / "marks"
    marks.mkdir(parents=True)
    for place, name in enumerate(folders):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(count):
            colours = rng.integers(40, 216, (BLOCKS, BLOCKS, 3))
            colours[0, 0] += 30 * place - 15  # a hint of the kind that is no mark
            pixels = colours.repeat(SIDE // BLOCKS, 0).repeat(SIDE // BLOCKS, 1).astype(np.uint8)
            if (rng.random() < 0.9) == (place == 0):
                pixels[PLACE] = (250, 5, 5)
                mask = np.zeros((SIDE, SIDE), np.uint8)
                mask[PLACE] = 255
                Image.fromarray(mask).save(marks / f"{name}{number}.png")
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{name}{number}.png")
    return marks


def archive_of(folder):
    """An archive of those pictures by `Blocks`."""
    encoder = relax.load_encoder(
        Blocks(), size=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="nearest"
    )
    return relax.make_archive(folder / "pictures", encoder, folder / "archive")

"""An encoder that sees a mark answers when it is hidden; one that does not see it, does not."""

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from relax.auditing.answers import ask_encoder, compare_changes
from relax.auditing.marks import Marks, Recurrence
from relax.auditing.pictures import Pictures

BOX = (0.75, 0.0, 1.0, 0.25)  # bottom left


def silent(done, total):
    """No progress is shown."""


def clouds(folder, count, marked):
    """Pictures of noise; the first `marked` have the same stripes at bottom left."""
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        if number < marked:
            pixels[24:, :8] = np.tile([0, 255], 4)[None, :, None]
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return [f"{number:02}.png" for number in range(count)]


def marks_of(count, marked):
    """As if the first pictures had been found to share something."""
    score = np.arange(count, 0, -1.0)
    recurrence = Recurrence(0.001, score, np.zeros(()), np.zeros(()))
    return Marks(tuple(range(count)), recurrence, recurrence, tuple(range(marked)), dict.fromkeys(range(marked), BOX))


def blocks(size):
    """An encoder: the means of blocks of `size` px, as numbers of their own."""

    def embed(pixels):
        return torch.nn.functional.avg_pool2d(pixels, size).flatten(1) + 0.1

    return relax.load_encoder(embed)


@pytest.mark.parametrize(("size", "answers"), [(1, True), (8, False)])
def test_stripes_are_registered_by_an_encoder_that_resolves_them(tmp_path, size, answers):
    paths = clouds(tmp_path, 20, marked=6)
    pictures = Pictures(tmp_path, blocks(size), tmp_path / "maps", masks=0, seed=0)

    answer = ask_encoder(pictures, paths, marks_of(20, 6), silent)

    assert (answer.pictures, answer.others) == (6, 6 + 8)
    assert (answer.p <= 0.001) == answers


def test_the_box_is_hidden_and_nothing_else(tmp_path):
    paths = clouds(tmp_path, 1, marked=0)
    pictures = Pictures(tmp_path, blocks(1), tmp_path / "maps", masks=0, seed=0)

    for mirror in ("", "left-right"):
        whole, hidden = pictures.hide_box(paths[0], BOX, mirror)
        changed = (whole != hidden).reshape(3, 32, 32).any(0)
        assert changed[24:, :8].mean() > 0.9
        changed[24:, :8] = False
        assert not changed.any()


def test_no_answer_with_one_carrier_or_without_the_file(tmp_path):
    paths = clouds(tmp_path, 10, marked=4)
    pictures = Pictures(tmp_path, blocks(1), tmp_path / "maps", masks=0, seed=0)

    assert ask_encoder(pictures, paths, marks_of(10, 1), silent) is None
    (tmp_path / "03.png").unlink()
    assert ask_encoder(pictures, paths, marks_of(10, 4), silent) is None


def test_of_exchangeable_changes_one_in_twenty_seems_alike():
    rng = np.random.default_rng(0)
    p = [compare_changes(rng.normal(size=(20, 30)) + 2, 6, draws=199, seed=seed) for seed in range(200)]

    assert 2 <= np.sum(np.array(p) <= 0.05) <= 20  # 10 expected, 3.1 standard deviations each way

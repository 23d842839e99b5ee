"""The composed benchmark: every picture is its seed's and number's, and its truth is exact to the pixel."""

import numpy as np
import pytest

from experiments.data import composed as module
from experiments.data.composed import (
    DISTRACTOR_SIDE,
    OBJECT_SIDE,
    OBJECTS,
    TEXTURES,
    Composed,
    composed,
    somewhere,
    texture,
)


def test_the_same_number_and_seed_give_the_same_picture_whatever_was_drawn_before():
    alone = Composed(5, seed=2)
    among = composed(6, seed=2)
    for sample in among:
        sample.pixels()

    assert (among[5].pixels() == alone.pixels()).all()
    assert (among[5].truth() == alone.truth()).all()
    assert (Composed(5, seed=3).truth() != alone.truth()).any()
    assert (Composed(5 + len(OBJECTS), seed=2).truth() != alone.truth()).any()  # the same object once more


def test_every_object_has_its_turn():
    assert [sample.label for sample in composed(len(OBJECTS))] == list(OBJECTS)


def test_only_object_and_distractor_lie_on_the_texture(monkeypatch):
    """With textures of one colour each, every pixel says what it is; the star is drawn in two other colours."""
    shades = iter([(1, 1, 1), (2, 2, 2)])

    def flat(name, size, rng):
        return np.full((*size, 3), next(shades), dtype=np.uint8)

    monkeypatch.setattr(module, "texture", flat)
    sample = Composed(OBJECTS.index("star"))
    pixels = sample.pixels()

    assert (sample.distractor() == (pixels == 2).all(axis=2)).all()
    assert (sample.truth() == (pixels > 2).any(axis=2)).all()
    assert sample.truth().any()


@pytest.mark.parametrize("number", range(2 * len(OBJECTS)))
def test_object_and_distractor_have_their_size(number):
    sample = Composed(number, size=(96, 160))
    truth, distractor = sample.truth(), sample.distractor()

    longer = max(np.ptp(np.flatnonzero(truth.any(axis))) + 1 for axis in (0, 1))
    assert OBJECT_SIDE[0] * 96 - 2 <= longer <= OBJECT_SIDE[1] * 96 + 1
    assert np.ptp(np.flatnonzero(distractor.any(0))) + 1 == round(DISTRACTOR_SIDE * 96)
    assert sample.pixels().shape == (96, 160, 3)


def test_the_distractor_never_covers_the_object():
    """Placed without a look at the object, it covers it in 8 of these 60 pictures."""
    samples = [Composed(number, size=(96, 160)) for number in range(60)]

    assert not any((sample.truth() & sample.distractor()).any() for sample in samples)


def test_a_ring_has_a_hole_and_a_disc_has_none():
    ring, cup = (Composed(OBJECTS.index(name)).truth() for name in ("ring", "cup"))

    for truth, filled in ((ring, False), (cup, True)):
        rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
        middle = (rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2
        assert bool(truth[middle]) is filled


def test_changing_returned_arrays_does_not_change_the_benchmark():
    sample = Composed(0)
    sample.truth()[:] = True
    sample.pixels()[:] = 0

    assert not sample.truth().all()
    assert sample.pixels().any()


@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_fills_any_frame_with_contrast_in_a_tint_of_its_own(name):
    first, second = (texture(name, (70, 600), np.random.default_rng(seed)) for seed in (0, 1))

    assert first.shape == (70, 600, 3)
    assert first.std(axis=(0, 1)).min() > 5
    assert (first.reshape(-1, 3).mean(0) / first.mean() != second.reshape(-1, 3).mean(0) / second.mean()).any()


def test_clouds_have_most_power_at_low_frequencies():
    power = np.abs(np.fft.rfft2(module.clouds((128, 128), np.random.default_rng(0)) - 0.55)) ** 2

    assert power[:8, :8].mean() > 20 * power[32:64, 32:64].mean()


def test_somewhere_finds_the_only_free_place():
    taken = np.ones((10, 12), dtype=bool)
    taken[4:7, 5:9] = False

    assert somewhere(taken, (3, 4), np.random.default_rng(0)) == (slice(4, 7), slice(5, 9))


def test_a_picture_too_small_for_the_objects_is_refused():
    with pytest.raises(ValueError, match=r"size must be at least 64 px on each side; got \(224, 63\)"):
        Composed(0, size=(224, 63))

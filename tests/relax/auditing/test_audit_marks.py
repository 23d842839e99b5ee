"""A mark that wanders is found where it stands, and pictures without one agree no more than with mirror images."""

from itertools import product

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from relax.auditing.duplicates import Duplicates
from relax.auditing.marks import compare_mirrored, find_marks, peaks
from relax.auditing.one_place import agreements, compare_moved, spectra_in_place, stretched
from relax.auditing.spectra import fingerprints
from relax.auditing.stages import distinct

MARK = np.random.default_rng(9).integers(0, 2, (6, 8)).repeat(4, 0).repeat(4, 1) * 255


def write_pictures(folder, count, marked, seed=0, at=None):
    """Coloured clouds; the first `marked` have the same mark, at one place or each in another, which is returned."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    places = []
    for number in range(count):
        cloud = gaussian_filter(rng.normal(size=(100, 120)), 3) + 0.05 * rng.normal(size=(100, 120))
        pixels = np.clip(128 + 300 * cloud, 0, 255)
        top, left = at or (rng.integers(0, 100 - 24), rng.integers(0, 120 - 32))
        if number < marked:
            pixels[top : top + 24, left : left + 32] = MARK
        places.append((top, left))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    return [f"{number:02}.png" for number in range(count)], places


def silent(done, total):
    """No progress is shown."""


def test_a_wandering_mark_in_half_of_the_pictures_is_found_where_it_stands(tmp_path):
    paths, places = write_pictures(tmp_path / "pictures", 20, marked=10)

    marks = find_marks(tmp_path / "pictures", paths, range(20), silent)

    assert marks.p <= 0.005
    assert len(marks.carriers) >= 8
    assert max(marks.carriers) < 10
    for image in marks.carriers:
        top, left, bottom, right = marks.boxes[image]
        row, column = 100 * (top + bottom) / 2, 120 * (left + right) / 2
        assert places[image][0] <= row <= places[image][0] + 24
        assert places[image][1] <= column <= places[image][1] + 32


def test_a_mark_at_one_place_of_four_among_twenty_is_found_there(tmp_path):
    """By mirror images alone p cannot be much below 1 / 8: four pictures lie alike in 2 of 16 choices."""
    paths, _ = write_pictures(tmp_path / "pictures", 20, marked=4, at=(60, 10))

    marks = find_marks(tmp_path / "pictures", paths, range(20), silent)

    assert marks.one_place.p <= 0.005
    assert marks.in_place
    assert set(marks.carriers[:4]) == {0, 1, 2, 3}
    top, left, bottom, right = marks.boxes[0]
    assert 60 <= 100 * (top + bottom) / 2 <= 84
    assert 10 <= 120 * (left + right) / 2 <= 42


def test_agreement_at_a_shift_is_that_of_pictures_moved_so_far():
    """The second picture shows the first one 13 px further up and 26 px further right."""
    scene = gaussian_filter(np.random.default_rng(0).random((170, 190)), 1)
    plain, _ = spectra_in_place(stretched([scene[20:140, 26:186], scene[33:153, 0:160]]))

    heights = agreements(plain, plain)[0]

    assert heights.shape == (9, 9)
    assert {tuple(place) for place in np.argwhere(heights > 0.5 * heights.max())} == {(4 - 1, 4 + 2)}


def test_p_is_the_share_of_all_moves_that_agree_as_well():
    """Three pictures, of which two agree as they lie and the third agrees with the first two steps lower."""
    agreement, control = (np.random.default_rng(seed).gamma(2, 1, (3, 9, 9)) for seed in (0, 1))
    agreement[0, 4, 4] += 9  # pictures 1 and 0
    agreement[1, 4 + 2, 4] += 9  # pictures 2 and 0

    p, score = compare_moved(agreement, control, draws=20_000)

    low, typical = np.quantile(np.concatenate([agreement, control]), [0.05, 0.4], axis=0)
    counted = [np.clip(numbers - (typical + 2.5 * (typical - low)), 0, 5) for numbers in (agreement, control)]
    difference = counted[0] - counted[1]
    steps = list(product(range(5), repeat=2))
    totals = [
        sum(
            difference[pair, a[0] - b[0] + 4, a[1] - b[1] + 4]
            for pair, (a, b) in enumerate(((second, first), (third, first), (third, second)))
        )
        for first, second, third in product(steps, repeat=3)
    ]
    here = difference[:, 4, 4]
    assert p == pytest.approx(np.mean(np.array(totals) >= here.sum() - 1e-9), abs=0.015)
    np.testing.assert_allclose(score, [here[0] + here[1], here[0] + here[2], here[1] + here[2]])


def test_without_a_mark_nothing_is_named(tmp_path):
    paths, _ = write_pictures(tmp_path / "pictures", 14, marked=0)

    marks = find_marks(tmp_path / "pictures", [*paths, "gone.png"], range(15), silent)

    assert marks.p > 0.05
    assert (marks.carriers, marks.boxes) == ((), {})
    assert marks.images == tuple(range(14))
    assert find_marks(tmp_path / "pictures", paths, range(7), silent) is None


def test_a_shifted_picture_agrees_with_the_original_and_not_with_its_mirror_image():
    scene = gaussian_filter(np.random.default_rng(0).random((140, 140)), 1)
    plain, mirrored = fingerprints([scene[:100, :100], scene[7:107, 12:112]])

    assert peaks(plain, plain)[0, 1] > 3 * peaks(plain, mirrored)[0, 1]
    np.testing.assert_array_equal(np.diag(peaks(plain, plain)), 0)


def test_a_picture_of_one_shade_agrees_with_nothing():
    spectra, _ = fingerprints([np.full((60, 80), 0.5), np.eye(80)])

    assert np.isfinite(peaks(spectra, spectra)).all()


def test_p_is_the_share_of_all_choices_of_mirrored_pictures_that_agree_as_well():
    """With 8 pictures, all 256 choices can be tried."""
    rng = np.random.default_rng(1)
    agreement, control = (numbers + numbers.T for numbers in rng.gamma(2, 1, (2, 8, 8)))
    agreement[:4, :4] += 1.5

    p, score = compare_mirrored(agreement, control, draws=20_000)

    pairs = [(i, j) for i in range(8) for j in range(8) if i != j]
    low, typical = np.quantile([numbers[pair] for numbers in (agreement, control) for pair in pairs], [0.05, 0.4])
    counted = [np.clip(numbers - (typical + 3.5 * (typical - low)), 0, 5) for numbers in (agreement, control)]
    totals = [sum(counted[signs[i] != signs[j]][i, j] for i, j in pairs) for signs in product([0, 1], repeat=8)]
    assert p == pytest.approx(np.mean(np.array(totals) >= totals[0] - 1e-9), abs=0.015)
    assert score[2] == pytest.approx(sum(counted[0][2, j] - counted[1][2, j] for j in range(8) if j != 2))


def test_without_anything_shared_one_folder_in_twenty_has_a_false_positive():
    false = 0
    for seed in range(200):
        agreement, control = (numbers + numbers.T for numbers in np.random.default_rng(seed).gamma(2, 1, (2, 12, 12)))
        false += compare_mirrored(agreement, control, seed=seed, draws=299)[0] <= 0.05

    assert 2 <= false <= 20  # 10 expected, 3.1 standard deviations each way


def test_of_near_duplicates_only_the_first_is_compared():
    duplicates = Duplicates(0.99, ((1, 4), (0, 2, 5)), np.zeros(6, dtype=np.int64), np.zeros(6))

    assert distinct([5, 3, 4, 0, 1, 2], duplicates) == [5, 3, 4]

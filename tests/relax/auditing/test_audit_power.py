"""What is planted in many pictures is found nearly always, in few hardly ever; nothing else changes."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from relax.auditing.marks import find_marks
from relax.auditing.power import SHARES, Power, pasted, power_in_words, power_of_details, power_of_places
from relax.auditing.shortcuts import CellEvidence


def evidence(count, level, seed=0):
    """Agreements of changes as they are without a mark: small, and of different sizes."""
    draws = np.random.default_rng(seed)
    values, mirrored = (level * draws.gamma(1, 1, (count, 7, 7)) for _ in range(2))
    return CellEvidence(values, mirrored, tuple(range(count)))


def test_power_of_places_grows_with_the_share_and_falls_with_the_noise_and_the_questions():
    clear, noisy = power_of_places(evidence(48, 1e-5), 1), power_of_places(evidence(48, 1e-2), 1)

    assert [result.share for result in clear] == list(SHARES)
    assert clear[0].found < 0.3  # 5 pictures: by chance, all differences are positive in 1 of 32 cells
    assert [result.found for result in clear[1:]] == [1, 1]
    assert all(result.found <= 0.15 for result in noisy)
    twelve = [power_of_places(evidence(48, 1e-5), questions)[1].found for questions in (1, 200)]
    assert twelve[0] > twelve[1]


def test_power_of_details_is_high_in_half_of_the_pictures(tmp_path):
    draws = np.random.default_rng(0)
    for number in range(16):
        cloud = gaussian_filter(draws.normal(size=(80, 90)), 3) + 0.05 * draws.normal(size=(80, 90))
        Image.fromarray(np.clip(128 + 300 * cloud, 0, 255).astype(np.uint8)).save(tmp_path / f"{number:02}.png")
    paths = [f"{number:02}.png" for number in range(16)]
    marks = find_marks(tmp_path, paths, range(16), lambda done, total: None)

    power = {(result.mark, result.share): result.found for result in power_of_details(tmp_path, paths, marks)}

    assert len(power) == 12
    assert power["anywhere (a square of 20% of the side)", 0.5] >= 0.9
    assert power["anywhere (a square of 20% of the side)", 0.1] == 0  # 2 of 16: half of all choices mirror both or none
    assert power["at one place (a square of 20% of the side)", 0.25] >= 0.5  # 4 of 16, which mirroring cannot tell
    (tmp_path / "03.png").unlink()
    assert power_of_details(tmp_path, paths, marks) == []


def test_a_square_is_pasted_whole_at_places_that_differ():
    places = np.random.default_rng(0).random((8, 2))
    pictures = [pasted(np.full((60, 90), 0.5), 0.2, place) for place in places]

    changed = [np.argwhere(picture != 0.5) for picture in pictures]
    assert all(len(pixels) == 12 * 12 for pixels in changed)
    assert all((np.ptp(pixels, axis=0) == 11).all() for pixels in changed)
    assert len({tuple(pixels[0]) for pixels in changed}) >= 7
    squares = [picture[picture != 0.5] for picture in pictures]
    assert all((square == squares[0]).all() for square in squares)


def test_power_in_words():
    power = [Power("places", "in one place", 0.1, 0.05), Power("places", "in one place", 0.5, 1.0)]

    assert power_in_words(power) == (
        "A mark planted in one place in 10% and 50% of the pictures was found in 5% and 100% of the draws."
    )

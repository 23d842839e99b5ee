"""Pictures as Fourier coefficients: Parseval, round trips, magnitudes that stay, colours that are not correlated."""

import math

import pytest
import torch

from relax.units.canvas import Fourier, Maco, Pixels, mixed, scale_of, softly_limited, transformed, twice
from relax.units.statistics import bundled, measured

CPU = torch.device("cpu")


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(8, 10), (7, 9), (6, 5)])
def test_coefficients_obey_parseval(size):
    """The mean square of a real picture is the sum of squares of all its coefficients, half of which are kept."""
    apart = torch.randn(2, *size, generator=drawn(), dtype=torch.float64)

    kept = torch.fft.rfft2(apart, norm="forward")

    assert torch.allclose((twice(size[1]) * kept.abs().square()).sum((1, 2)), apart.square().mean((1, 2)))
    assert torch.allclose(transformed(kept, size), apart)


@pytest.mark.parametrize("size", [(16, 16), (15, 12)])
def test_independent_coefficients_give_pixels_of_variance_one(size):
    """That is what the unit of the scale is for; 4,000 pictures say it to within 2 %."""
    numbers = torch.randn(4000, *scale_of(*size).shape, 2, generator=drawn())

    pixels = transformed(torch.view_as_complex(numbers) * scale_of(*size), size)

    assert float(pixels.var()) == pytest.approx(1, rel=0.02)


def test_a_picture_is_written_down_and_comes_back():
    picture = torch.rand(1, 3, 20, 17, generator=drawn()) * 0.9 + 0.05
    canvas = Fourier(bundled(), (20, 17), drawn(), CPU)

    canvas.set(picture)

    assert torch.allclose(canvas.picture(), picture, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (15, 11), (12, 20)])
def test_whatever_the_phases_the_magnitudes_are_those_of_natural_pictures(size):
    canvas = Maco(bundled(), size, drawn(3), CPU)
    limited = canvas.picture()[0].detach().double()

    linear = torch.logit(limited) / 4 + 0.5
    apart = torch.einsum("dc,chw->dhw", torch.linalg.inv(canvas.mix.double()), linear - canvas.mean[:, None, None])
    seen = torch.fft.rfft2(apart, norm="forward").abs()

    expected = bundled().magnitudes(*size).double()
    expected[:, 0, 0] = 0
    assert torch.allclose(seen, expected, atol=2e-5)
    assert float(expected.max()) > 0.01


def test_a_canvas_of_pixels_is_its_colour_and_the_difference():
    colour = torch.tensor([0.2, 0.5, 0.9])
    canvas = Pixels(colour, (4, 5), drawn())
    with torch.no_grad():
        canvas.numbers[0, 2, 1, 1] = 0.5

    assert torch.allclose(canvas.picture()[0, 2, 1, 1], torch.tensor(1.4))
    assert float(canvas.shown().max()) == 1  # cut where it is looked at
    assert float(canvas.numbers.detach().std()) == pytest.approx(0.08, abs=0.03)


def test_the_soft_limit_keeps_grey_and_the_slope_there():
    x = torch.tensor([0.5, 0.5 + 1e-3, -3.0, 4.0], dtype=torch.float64)

    limited = softly_limited(x)

    assert float(limited[0]) == 0.5
    assert float(limited[1] - limited[0]) == pytest.approx(1e-3, rel=1e-4)
    assert 0 < float(limited[2]) < 1e-5
    assert 1 - 1e-5 < float(limited[3]) < 1


def correlated_pictures(count=40, side=16, fall=1.5):
    """Pictures with a spectrum of 1 / f^fall, whose channels share three quarters of what they show."""
    mixture = torch.tensor([[0.2, 0.1, 0.0], [0.2, 0.0, 0.1], [0.15, -0.1, 0.05]])
    rows = torch.fft.fftfreq(side, 1 / side)[:, None]
    radius = (rows.square() + torch.arange(side // 2 + 1).square()[None]).sqrt().clamp(min=1)
    noise = torch.randn(count, 3, *radius.shape, 2, generator=drawn(1))
    apart = transformed(torch.view_as_complex(noise) * radius**-fall, (side, side)) / 15
    return [mixed(each, torch.tensor([0.5, 0.45, 0.4]), mixture)[0].clamp(0, 1) for each in apart]


def test_measured_colours_are_decorrelated_and_of_variance_one():
    pictures = correlated_pictures()

    statistics = measured(pictures, "made")

    pixels = torch.stack(pictures).double().permute(1, 0, 2, 3).flatten(1)
    apart = torch.linalg.inv(statistics.mix.double()) @ (pixels - statistics.mean.double()[:, None])
    assert torch.allclose(torch.cov(apart, correction=0), torch.eye(3, dtype=torch.float64), atol=2e-2)
    assert torch.allclose(statistics.mean.double(), pixels.mean(1), atol=1e-4)
    assert (statistics.name, statistics.count) == ("made", 40)


def test_the_measured_spectrum_is_the_mean_magnitude():
    pictures = correlated_pictures(count=3)

    statistics = measured(pictures, "made")

    unmix = torch.linalg.inv(statistics.mix.double())
    expected = torch.zeros(3, 16, 9, dtype=torch.float64)
    for picture in pictures:
        apart = torch.einsum("dc,chw->dhw", unmix, picture.double() - statistics.mean.double()[:, None, None])
        for channel in range(3):
            expected[channel] += torch.fft.rfft2(apart[channel]).abs() / 256 / 3
    assert torch.allclose(statistics.spectrum.double(), expected, atol=1e-4)


def test_a_frequency_is_so_many_cycles_a_picture_at_any_size():
    statistics = bundled()

    small, large = statistics.magnitudes(32, 32), statistics.magnitudes(64, 48)

    assert torch.allclose(statistics.magnitudes(128, 128)[:, :50, :50], statistics.spectrum[:, :50, :50])
    assert torch.allclose(small[:, :15, :15], large[:, :15, :15])


def test_beyond_what_was_measured_the_spectrum_falls_on():
    """Twice as far in the same direction it is 2^a times less."""
    statistics = bundled()

    large = statistics.magnitudes(400, 400)

    ratio = large[:, 0, 80] / large[:, 0, 160]
    assert torch.allclose(ratio, torch.full((3,), 2**statistics.fall), rtol=1e-4)


def test_the_fall_of_a_known_spectrum_is_found():
    statistics = measured(correlated_pictures(count=60, side=48, fall=1.0), "made")

    assert statistics.fall == pytest.approx(1, abs=0.05)


def test_grey_statistics_have_the_contrast_of_the_luma():
    statistics = bundled()
    luma = torch.tensor([0.299, 0.587, 0.114])

    grey = statistics.grey()

    assert float(grey.mean) == pytest.approx(float(luma @ statistics.mean), rel=1e-5)
    variance = float(luma @ statistics.mix @ statistics.mix.T @ luma)
    assert float(grey.mix) == pytest.approx(math.sqrt(variance), rel=1e-5)
    assert grey.magnitudes(20, 20).shape == (1, 20, 11)


@pytest.mark.parametrize(("pictures", "match"), [(1, "two or more"), (0, "two or more")])
def test_a_spectrum_needs_pictures(pictures, match):
    with pytest.raises(ValueError, match=match):
        measured(correlated_pictures(count=pictures), "few") if pictures else measured([], "none")


def test_a_spectrum_needs_pictures_of_one_size():
    with pytest.raises(ValueError, match=r"one size; got \(3, 16, 16\) and \(3, 8, 8\)"):
        measured([torch.rand(3, 16, 16), torch.rand(3, 8, 8)], "mixed")

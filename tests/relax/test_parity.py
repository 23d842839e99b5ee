"""Given the very same masks, the maps are those of the authors' package, `relax-xai` 0.0.5.

Its masks are recorded by letting it explain an all-ones image: what its encoder then receives are the
masks. It hides pixels after normalising, which equals hiding with the encoder's mean before. Its
uncertainty is never divided by the sum of the weights, so the test divides it.
"""

import numpy as np
import pytest
import torch
from relax_xai.relax import RELAX
from torch import nn

import relax
from masking import AuthorsGrid

SEED = 20


class Recorder(nn.Module):
    def __init__(self):
        super().__init__()
        self.received = []

    def forward(self, pixels):
        self.received.append(pixels.clone())
        return pixels.flatten(1)[:, :2]


def authors_maps(normalised, network, batch_size, num_batches):
    """Their importance, uncertainty and summed weights for a normalised image (1, 3, H, W)."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(SEED)
        method = RELAX(normalised, network, batch_size=batch_size, num_batches=num_batches)
        method()
    return method.importance, method.uncertainty, method.sum_of_weights


def authors_masks(size, batch_size, num_batches):
    recorder = Recorder()
    authors_maps(torch.ones(1, 3, *size), recorder, batch_size, num_batches)
    batches = [pixels for pixels in recorder.received if len(pixels) == batch_size]
    assert len(batches) == num_batches
    return torch.cat(batches)[:, :1]


@pytest.mark.parametrize(
    ("spec", "masks"), [("default", 500), ("random:torchvision:resnet18", 60)], ids=["bundled", "resnet18"]
)
def test_importance_and_uncertainty_agree(spec, masks):
    encoder = relax.load_encoder(spec, device="cpu")
    height, width = encoder.preprocess.size
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    image[:, :, 10:40, 10:40] *= 0.2
    normalised = encoder.preprocess.normalise(image)
    # The same picture in the frame of the view, so that no resizing stands between the two.
    same_size = relax.load_encoder(nn.Sequential(Normalise(encoder), encoder.network), device="cpu")
    given = authors_masks((height, width), 20, masks // 20)

    importance, uncertainty, weights = authors_maps(normalised, encoder.network, 20, masks // 20)
    explanation = relax.explain(image, same_size, masks=given, fill=encoder.mean)

    np.testing.assert_allclose(explanation.importance, importance, atol=1e-5, rtol=0)
    np.testing.assert_allclose(explanation.uncertainty, uncertainty / weights, atol=1e-5, rtol=0)
    # An absolute 1e-5 says little where the uncertainty itself is small.
    np.testing.assert_allclose(explanation.uncertainty, uncertainty / weights, rtol=2e-3)


class Normalise(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels):
        return self.encoder.preprocess.normalise(pixels)


def test_the_preset_draws_masks_of_the_same_family_as_theirs():
    """Same mean and variance of the masks, pixel by pixel, within 6 standard errors of 1,500 masks each."""
    size = (56, 56)
    theirs = authors_masks(size, 100, 15)[:, 0].double()

    ours = AuthorsGrid(size, cells=7, keep=0.5, seed=0).masks(0, 1500)[:, 0].double()

    assert (ours.mean(0) - theirs.mean(0)).abs().max() < 6 * (2 * 0.25 / 1500) ** 0.5
    assert (ours.var(0) - theirs.var(0)).abs().max() < 6 * (2 * 0.0625 / 1500) ** 0.5
    # Theirs vary several-fold between cell centres and borders, and so do ours, at the same pixels.
    assert np.corrcoef(ours.var(0).ravel(), theirs.var(0).ravel())[0, 1] > 0.95

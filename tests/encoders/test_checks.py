"""An encoder that gives one picture several embeddings is told about, with the size of the difference."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import relax
from encoders import EncoderError, EncoderWarning
from encoders.checks import check_steady, difference, versions
from encoders.errors import STEADY


def picture() -> Tensor:
    return torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))


def network(*, training: bool) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))
    return layers.train(training)


def explained(encoder: object) -> tuple[relax.Explanation, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        explanation = relax.explain(picture(), encoder, masks=8, cells=2, device="cpu")  # type: ignore[arg-type]
    return explanation, [str(warning.message) for warning in caught if warning.category is EncoderWarning]


def test_the_difference_is_a_share_of_the_length_of_the_first() -> None:
    assert difference(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.0])) == pytest.approx(1 / 5)
    assert difference(torch.zeros(2), torch.zeros(2)) == 0
    assert difference(torch.zeros(2), torch.ones(2)) == 1


def test_batch_norms_in_train_mode_around_which_a_function_is_written() -> None:
    """The difference by hand: the norm of a batch of one picture against that of the three that are embedded."""
    inner = network(training=True)
    explanation, (message,) = explained(lambda pixels: inner(pixels).mean((2, 3)))

    size = explanation.provenance["scale"]["unsteady"]
    assert size > STEADY
    assert f"differs by {size:.2g} of its length, alone and in a batch of others" in message
    assert "call eval() on the network inside" in message
    steady = network(training=False)
    explanation, messages = explained(lambda pixels: steady(pixels).mean((2, 3)))
    assert messages == []
    assert explanation.provenance["scale"]["unsteady"] < 1e-6


def test_a_layer_that_stays_in_train_mode_is_named() -> None:
    class Stubborn(nn.Sequential):
        def train(self, mode: bool = True) -> Stubborn:
            super().train(mode)
            self[1].training = True
            return self

    _, (first, second) = explained(Stubborn(*network(training=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()))

    assert "1 (BatchNorm2d) is in train mode even after eval(): see its train method" in first
    assert "changes its own 1.num_batches_tracked (1 such) whenever it is called" in second


def draws_at_random() -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(0)
    return lambda pixels: pixels.mean((2, 3)) + 0.3 * torch.rand(len(pixels), 3, generator=generator)


def keeps_a_state() -> Callable[[Tensor], Tensor]:
    state = torch.zeros(3)

    def encoder(pixels: Tensor) -> Tensor:
        state.mul_(0.5).add_(pixels.mean((0, 2, 3)))
        return pixels.mean((2, 3)) + state

    return encoder


def looks_at_places_in_the_batch(pixels: Tensor) -> Tensor:
    return pixels.mean((2, 3)) * torch.arange(1.0, 3.0 + len(pixels))[: len(pixels), None]


def answers_in_another_order(pixels: Tensor) -> Tensor:
    return (pixels.std((2, 3)) + 0.1).flip(0)


@pytest.mark.parametrize(
    ("encoder", "when"),
    [
        (draws_at_random(), "embedded twice"),
        (lambda pixels: F.dropout(pixels.flatten(1), 0.1), "embedded twice"),
        (keeps_a_state(), "embedded twice"),
        (looks_at_places_in_the_batch, "alone and in a batch of others"),
        (answers_in_another_order, "alone and in a batch of others"),
    ],
)
def test_whatever_else_changes_an_embedding_is_told_about(encoder: object, when: str) -> None:
    explanation, (message,) = explained(encoder)

    assert f"of its length, {when}" in message
    assert explanation.provenance["scale"]["unsteady"] > STEADY
    assert "the encoder is not steady" in " ".join(
        text.get_text().replace("\xa0", " ") for text in relax.figure(explanation).texts
    )


def test_methods_without_masks_say_it_too() -> None:
    with pytest.warns(EncoderWarning, match="embedded twice"):
        explanation = relax.explain(picture(), draws_at_random(), method="occlusion", cells=2)

    assert explanation.provenance["scale"]["unsteady"] > STEADY
    assert relax.explain(picture(), draws_at_random(), method="centre").provenance["scale"] is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_rounding_is_no_unsteadiness(dtype: torch.dtype) -> None:
    layers = nn.Sequential(*network(training=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()).to(dtype)

    explanation, messages = explained(layers)

    assert messages == []
    assert explanation.provenance["scale"]["unsteady"] < 0.01


def test_embeddings_of_several_lengths_are_refused() -> None:
    with pytest.raises(EncoderError, match="got 2 for a picture alone and 4 for each of a batch"):
        relax.explain(picture(), lambda pixels: torch.rand(len(pixels), 2 if len(pixels) == 1 else 4), masks=4)


def test_a_second_look_costs_nothing_where_the_first_agrees() -> None:
    def never() -> Tensor:
        raise AssertionError

    assert check_steady("x", None, torch.ones(3), torch.ones(3), never) == 0
    assert math.isclose(difference(torch.ones(3), torch.ones(3) * 1.01), 0.01, rel_tol=1e-5)


def test_versions_change_with_a_write_and_not_with_a_call() -> None:
    module = network(training=False)
    before = versions(module)
    with torch.inference_mode():
        module(picture()[None])
    assert versions(module) == before
    with torch.inference_mode():
        module[1].running_mean.add_(1)  # type: ignore[union-attr, index, operator]
    assert versions(module) != before
    assert versions(lambda pixels: pixels) == {}

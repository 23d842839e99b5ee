"""A network may write into the tensor that it gets and return the same memory twice: nobody reads either again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from encoders import Encoder, EncoderError, Preprocess, load
from encoders.passes import Passes

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """Normalises as many a training script does, in place or not, before two convolutions."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1)
            )

    def forward(self, pixels: Tensor) -> Tensor:
        pixels = pixels.sub_(0.4).div_(0.25) if self.in_place else (pixels - 0.4) / 0.25
        return self.layers(pixels).flatten(1)


def pixels(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def pair() -> tuple[Encoder, Encoder]:
    in_place, out_of_place = (load(Brightness(in_place=flag), device="cpu") for flag in (True, False))
    return in_place, out_of_place


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_embedding_is_that_of_the_twin_that_works_out_of_place(count: int) -> None:
    """The second call too: the first one makes the fast form, from a part of its batch."""
    in_place, out_of_place = pair()
    given = pixels(count)

    for _ in range(2):
        assert torch.equal(in_place.embed(given), out_of_place.embed(given))
        assert torch.equal(given, pixels(count))
    assert torch.equal(in_place(given), out_of_place(given))
    assert torch.equal(given, pixels(count))
    assert in_place.form is not None
    assert in_place.form.applied == (() if count == 1 else ("1 batch norms folded", "channels last"))


def test_a_function_may_write_into_its_pixels() -> None:
    def in_place(pixels: Tensor) -> Tensor:
        pixels -= pixels.mean((2, 3), keepdim=True)
        return pixels[:, :, 0, 0]

    given = pixels()

    expected = (given - given.mean((2, 3), keepdim=True))[:, :, 0, 0]
    assert torch.equal(load(in_place).embed(given), expected)
    assert torch.equal(given, pixels())


def test_prepared_views_stay_as_they_are_so_that_a_batch_can_be_embedded_again() -> None:
    """As half precision does, before it falls back to exact passes."""
    in_place, out_of_place = pair()
    passes, given = Passes(in_place), pixels(4)
    prepared = passes.prepare(given)

    first, second = passes.embed(prepared), passes.embed(prepared)

    assert torch.equal(first, second)
    assert torch.equal(first, Passes(out_of_place).embed(out_of_place.prepare(pixels(4))))
    assert torch.equal(prepared, pixels(4))


def test_gradients_reach_a_leaf_that_the_network_would_write_into() -> None:
    gradients = []
    for encoder in pair():
        leaf = pixels().requires_grad_()
        (gradient,) = torch.autograd.grad(encoder.embed_with_gradients(leaf).square().sum(), leaf)
        gradients.append(gradient)
        assert torch.equal(leaf.detach(), pixels())

    torch.testing.assert_close(*gradients)


def test_pixels_of_a_vision_transformer_without_hidden_tokens_stay_as_they_are() -> None:
    encoder = load("random:timm:test_vit", device="cpu")
    plain = Encoder(encoder.network, preprocess=Preprocess(), device="cpu")  # no normalising, which would copy
    kept, given = torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.rand(1, 3, 160, 160)
    before = given.clone()

    def halved(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        inputs[0].mul_(0.5)

    handle = plain.network.patch_embed.register_forward_pre_hook(halved)  # type: ignore[union-attr]

    embeddings = plain.embed_visible(given, kept)

    handle.remove()
    assert torch.equal(given, before)
    torch.testing.assert_close(embeddings, plain.embed_visible(given * 0.5, kept))


def test_a_buffer_that_is_returned_at_every_call_does_not_change_earlier_embeddings() -> None:
    buffer = torch.zeros(2, 3)

    def reusing(pixels: Tensor) -> Tensor:
        return buffer.copy_(pixels.mean((2, 3)))

    encoder = load(reusing)
    first = encoder.embed(pixels(4)[:2])
    encoder.embed(pixels(4)[2:])

    assert torch.equal(first, pixels(4)[:2].mean((2, 3)))


def test_an_embedding_that_is_a_part_of_the_pixels_is_a_copy() -> None:
    given = pixels()
    embedding = load(lambda pixels: pixels.flatten(1)).embed(given)
    with torch.inference_mode():
        embedding.zero_()

    assert torch.equal(given, pixels())


@pytest.mark.parametrize(
    ("answer", "got"),
    [
        (lambda pixels: torch.complex(pixels, pixels).mean((2, 3)), "complex64"),
        (lambda pixels: pixels.numpy().mean((2, 3)) * 1j, "complex64"),
        (lambda pixels: pixels.mean((2, 3)).argsort(1), "int64"),
        (lambda pixels: pixels.mean((2, 3)) > 0.5, "bool"),
        (lambda pixels: torch.ones(len(pixels), 2, 4, 4, dtype=torch.int32), "int32"),
    ],
)
def test_numbers_that_are_no_floats_are_refused_before_they_lose_a_part(answer: object, got: str) -> None:
    with pytest.raises(EncoderError, match=rf"must return floats; got {got}: "):
        load(answer, pooling="mean").embed(pixels())  # type: ignore[arg-type]


def test_a_sparse_embedding_is_refused_with_the_way_out() -> None:
    with pytest.raises(EncoderError, match=r"must return floats; got sparse_coo: use .to_dense\(\)"):
        load(lambda pixels: pixels.mean((2, 3)).to_sparse()).embed(pixels())

"""Gradient methods give what their formulas give on encoders that can be differentiated by hand."""

import numpy as np
import pytest
import torch
from captum.attr import GradientShap
from captum.attr._core import gradient_shap
from torch import nn

import relax
from encoders.preprocess import Preprocess
from masking import make_fill
from masking.source import random_rows
from relax.baselines import MethodError
from tests.relax.baselines.small import Linear, SmallHead, bare, drawn, small_cnn

IMAGE = drawn(3, 8, 9)
LINEAR = Linear((3, 8, 9))


def importance(method, network=LINEAR, image=IMAGE, **settings):
    return relax.explain(image, network, method=method, **settings).importance


@pytest.mark.parametrize("method", ["saliency", "smoothgrad"])
def test_saliency_of_a_linear_encoder_is_its_largest_channel_gradient_with_noise_or_without(method):
    expected = LINEAR.gradient_of_dot_to_itself(IMAGE).abs().amax(0)

    np.testing.assert_allclose(importance(method), expected, rtol=1e-4)


@pytest.mark.parametrize("method", ["input-x-gradient", "integrated-gradients"])
def test_a_linear_encoder_gets_pixel_minus_fill_times_gradient(method):
    expected = ((IMAGE - 0.3) * LINEAR.gradient_of_dot_to_itself(IMAGE)).sum(0)

    np.testing.assert_allclose(importance(method, fill=0.3), expected, rtol=1e-4, atol=1e-5)


def test_gradients_are_of_pixels_before_normalising_and_the_mean_fill_makes_the_usual_input_x_gradient():
    """(x - mean) * d/dx is ((x - mean) / std) * d/d((x - mean) / std)."""
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)
    encoder = bare(LINEAR, preprocess=Preprocess(mean=mean, std=std))
    deviation = torch.tensor(std, dtype=torch.float64).view(3, 1, 1)
    normalised = (IMAGE - torch.tensor(mean).view(3, 1, 1)) / deviation
    gradient = LINEAR.gradient_of_dot_to_itself(normalised)

    np.testing.assert_allclose(importance("saliency", encoder), (gradient / deviation).abs().amax(0), rtol=1e-4)
    expected = (normalised * gradient).sum(0)
    np.testing.assert_allclose(importance("input-x-gradient", encoder), expected, rtol=1e-4, atol=1e-5)


def test_smoothgrad_looks_at_copies_with_independent_noise_of_the_promised_size():
    """0.15 times the range of the pixels, here 0.8; never clipped to [0, 1]."""
    received = []

    def recorder(pixels):
        received.append(pixels.detach().clone())
        return pixels.flatten(1)

    image = drawn(3, 20, 20) * 0.5
    image[0, 0, :2] = torch.tensor([0.1, 0.9])
    image = image.clamp(0.1, 0.9)
    importance("smoothgrad", recorder, image, masks=30, batch_size=8)

    noise = torch.cat(received[1:-1]) - image  # after the image alone, and before it is once more in a batch
    assert len(noise) == 30
    assert float(noise.std()) == pytest.approx(0.15 * 0.8, rel=0.02)
    assert abs(float(noise.mean())) < 0.003
    assert torch.corrcoef(noise.flatten(1)).fill_diagonal_(0).abs().max() < 0.15


class Squares(nn.Module):
    def forward(self, pixels):
        return pixels.flatten(1).square()


def test_integrated_gradients_of_squares_are_worked_out_by_hand():
    """<x^2, x'^2> = sum x^2 x'^2; along x' = t x the gradient is 2 x^2 (t x), so the part of a pixel is x^4."""
    explanation = relax.explain(IMAGE[:1], Squares(), method="integrated-gradients", masks=40)

    np.testing.assert_allclose(explanation.importance, IMAGE[0] ** 4, rtol=1e-4)
    assert abs(explanation.provenance["settings"]["completeness_gap"]) < 1e-4
    assert explanation.provenance["settings"]["steps"] == 40


def test_integrated_gradients_add_up_to_what_the_image_scores_above_the_fill():
    network, head = small_cnn(), SmallHead(6)
    image = drawn(3, 16, 16)
    logits = head.logits(network(torch.stack([image, torch.full_like(image, 0.2)])).detach())[:, 1]

    attribution = importance("integrated-gradients", network, image, head=head, target="dog", fill=0.2, masks=300)

    assert attribution.sum(dtype=np.float64) == pytest.approx(float(logits[0] - logits[1]), abs=1e-3)


def test_expected_gradients_of_a_linear_encoder_are_pixel_minus_mean_baseline_times_gradient():
    """A third of the baselines are the fill, a third the blurred picture, a third uniform noise, whose mean is 1/2."""
    blurred = make_fill("blur", IMAGE[None])[0]
    gradient = LINEAR.gradient_of_dot_to_itself(IMAGE)
    expected = ((IMAGE - (0.3 + blurred + 0.5) / 3) * gradient).sum(0)

    attribution = importance("expected-gradients", fill=0.3, masks=6000)

    errors = gradient.square().sum(0).sqrt() / 12**0.5 / 3 / 2000**0.5  # of 2,000 draws from [0, 1)
    assert float(errors.max()) < 0.05 * float(expected.abs().mean())
    np.testing.assert_array_less(abs(attribution - expected.numpy()), 5 * errors.numpy())


def test_expected_gradients_add_up_to_what_the_image_scores_above_the_mean_baseline():
    network, head, image = small_cnn(), SmallHead(6), drawn(3, 16, 16)
    still = torch.stack([image, torch.full_like(image, 0.2), make_fill("blur", image[None])[0]])
    noise = drawn(2000, 3, 16, 16, seed=9)
    of_image, of_fill, of_blur = head.logits(network(still).detach())[:, 1].tolist()
    expected = of_image - (of_fill + of_blur + float(head.logits(network(noise).detach())[:, 1].mean())) / 3

    settings = {"head": head, "target": "dog", "fill": 0.2, "masks": 600}
    attribution = importance("expected-gradients", network, image, **settings)

    assert attribution.sum(dtype=np.float64) == pytest.approx(expected, abs=0.02 * abs(expected) + 1e-3)


def test_expected_gradients_are_captums_gradient_shap_under_the_same_draws(monkeypatch):
    """One call of captum for each baseline, its random point on the way set to ours: no two thirds alike."""
    network, image = small_cnn(), drawn(3, 16, 16)[None]
    with torch.no_grad():
        fixed = network(image)
    still, shift = [torch.full_like(image, 0.2), make_fill("blur", image)], float(random_rows(4, 0, 1, 1, stream=5))
    total = 0
    for number in range(9):
        noise = random_rows(4, number * 48, (number + 1) * 48, 16, stream=4).view(image.shape)
        point = np.full(1, (shift + number * (5**0.5 - 1) / 2) % 1)
        monkeypatch.setattr(gradient_shap.np.random, "uniform", lambda *_, point=point: point)
        peer = GradientShap(lambda pixels: (network(pixels) * fixed).sum(1))
        total = total + peer.attribute(image, [*still, noise][number % 3], n_samples=1, stdevs=0.0)

    attribution = importance("expected-gradients", network, image[0], fill=0.2, masks=9, seed=4, batch_size=4)

    np.testing.assert_allclose(attribution, total[0].sum(0).detach() / 9, rtol=1e-3, atol=1e-6)


def test_the_gradient_of_a_class_is_that_of_its_logit():
    network, head, image = small_cnn(), SmallHead(6), drawn(3, 16, 16)
    pixels = image[None].clone().requires_grad_()
    head.logits(network(pixels))[0, 2].backward()

    saliency = importance("saliency", network, image, head=head, target=2)

    np.testing.assert_allclose(saliency, pixels.grad[0].abs().amax(0), rtol=1e-4, atol=1e-8)


class TwoReLUs(nn.Module):
    """f(x) = v . relu(W x) of the upper two pixels x, with one hidden unit for the image and one against it."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(2, 2, bias=False)
        self.relu = nn.ReLU()
        self.hidden.weight.data = torch.tensor([[1.0, 2.0], [3.0, -1.0]])

    def forward(self, pixels):
        return self.relu(self.hidden(pixels[:, 0, 0])) @ pixels.new_tensor([[2.0], [-1.0]])


def test_guided_backprop_stops_negative_gradients_at_the_relu():
    """At x = (0.5, 0.25) both units are on, 1 and 1.25, so f = 0.75 and the plain gradient is 0.75 (-1, 5).

    The second unit gets the gradient -0.75 and is stopped: guided, 0.75 * 2 * (1, 2) = (1.5, 3) remains.
    """
    image = torch.tensor([[[0.5, 0.25], [0.7, 0.9]]])

    np.testing.assert_allclose(importance("saliency", TwoReLUs(), image), [[0.75, 3.75], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(importance("guided-backprop", TwoReLUs(), image), [[1.5, 3.0], [0, 0]], rtol=1e-6)


def test_guided_backprop_is_the_same_through_relus_in_place_and_used_twice():
    """By the rule itself: an own ReLU whose way back also drops negative gradients."""

    class Guided(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            ctx.save_for_backward(values)
            return values.clamp(min=0)

        @staticmethod
        def backward(ctx, gradient):
            return gradient.clamp(min=0) * (ctx.saved_tensors[0] > 0)

    network, pixels = small_cnn(), drawn(1, 3, 16, 16).requires_grad_()
    fixed, values = network(pixels).detach(), pixels
    for layer in network:
        values = Guided.apply(values) if isinstance(layer, nn.ReLU) else layer(values)
    (values * fixed).sum().backward()

    guided = importance("guided-backprop", small_cnn(), pixels.detach()[0])

    np.testing.assert_allclose(guided, pixels.grad[0].abs().amax(0), rtol=1e-4, atol=1e-9)


def test_guided_backprop_leaves_the_relus_as_they_were():
    network = small_cnn()

    importance("guided-backprop", bare(network), drawn(3, 16, 16))

    assert [layer.inplace for layer in network if isinstance(layer, nn.ReLU)] == [True, True]
    assert not any(layer._backward_hooks or layer._forward_hooks for layer in network.modules())


def test_a_cosine_to_itself_is_replaced_by_the_inner_product_and_the_record_says_so():
    """At its maximum the gradient of a cosine is 0, whatever the encoder."""
    itself = relax.explain(IMAGE, LINEAR, method="saliency")
    other = relax.explain(IMAGE, LINEAR, method="saliency", reference=drawn(3, 8, 9, seed=7))

    assert itself.provenance["scalar"] == "dot to the image itself"
    assert itself.provenance["similarity"] == "dot"
    assert other.provenance["scalar"].startswith("cosine to ")
    assert itself.importance.min() > 0 < other.importance.min()


def test_the_gradient_of_a_cosine_to_another_image_is_the_textbook_one():
    """d cos(z, r) / dz = (r / |r| - cos z / |z|) / |z|, then back through W."""
    other = drawn(3, 8, 9, seed=7)
    weight = LINEAR.weight.detach().double()
    z, r = (torch.einsum("dchw,chw->d", weight, image.double()) for image in (IMAGE, other))
    cosine = z @ r / (z.norm() * r.norm())
    expected = torch.einsum("d,dchw->chw", (r / r.norm() - cosine * z / z.norm()) / z.norm(), weight).abs().amax(0)

    np.testing.assert_allclose(importance("saliency", reference=other), expected, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_gradients_do_not_depend_on_the_mode_of_the_caller(mode):
    expected = importance("saliency")

    with mode():
        saliency = importance("saliency", Linear((3, 8, 9)))

    np.testing.assert_array_equal(saliency, expected)


def test_a_network_that_writes_into_its_input_is_explained_and_the_image_is_left_as_it_was():
    image = IMAGE.clone()
    network = nn.Sequential(nn.ReLU(inplace=True), Linear((3, 8, 9)))

    np.testing.assert_allclose(importance("saliency", network, image), importance("saliency"), rtol=1e-5)
    assert torch.equal(image, IMAGE)


def test_an_encoder_without_gradients_is_named_with_the_way_out():
    def closed(pixels):
        return torch.from_numpy(pixels.detach().numpy().mean((2, 3)))

    with pytest.raises(MethodError, match=r"saliency needs gradients of the dot .*'closed': choose a method that only"):
        importance("saliency", closed)
    with pytest.raises(MethodError, match=r"smoothgrad needs gradients: encoder .* failed on pixels"):
        importance("smoothgrad", lambda pixels: torch.from_numpy(pixels.numpy().mean((2, 3))))


def test_a_function_that_can_be_differentiated_is_enough_for_saliency_but_has_no_relus():
    saliency = importance("saliency", lambda pixels: LINEAR(pixels))

    np.testing.assert_allclose(saliency, importance("saliency"), rtol=1e-6)
    with pytest.raises(MethodError, match="guided-backprop needs ReLU modules, and encoder '<lambda>' is a function"):
        importance("guided-backprop", lambda pixels: LINEAR(pixels))
    with pytest.raises(MethodError, match="guided-backprop needs ReLU modules, and encoder 'Linear' has none"):
        importance("guided-backprop")

"""AttnLRP follows its rules: relevance worked out by hand, conserved, and equal to that of the authors' package."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

import relax
from relax.baselines import MethodError
from relax.baselines.relevance import RULES, Rules, gamma
from tests.relax.baselines.small import bare, drawn, small_cnn
from tests.relax.baselines.test_baselines_layers import VITS


def relevance(function, *inputs):
    """Of every number of the inputs for the sum of what the function returns: input x gradient under the rules."""
    leaves = [values.double().clone().requires_grad_() for values in inputs]
    with Rules():
        score = function(*leaves).sum()
    return [part * gradient for part, gradient in zip(inputs, torch.autograd.grad(score, leaves), strict=True)]


def numbers(*shape, seed=0):
    return (drawn(*shape, seed=seed) * 2 - 1).double()


def test_smooth_activations_pass_all_relevance_on_and_zero_passes_none():
    x = torch.tensor([-1.5, -0.2, 0.0, 0.7, 3.0]).double()

    for function in (F.gelu, F.silu, F.mish, torch.tanh, nn.SiLU(inplace=True), lambda x: x * torch.sigmoid(1.7 * x)):
        [passed] = relevance(function, x)

        torch.testing.assert_close(passed, function(x.clone()), rtol=1e-6, atol=1e-9)


def test_a_product_of_two_activations_shares_relevance_equally():
    """f = (a . x)(b . x): pixel i gets half of a_i x_i (b . x) + b_i x_i (a . x)."""
    a, b, x = numbers(4, seed=1), numbers(4, seed=2), numbers(4)
    expected = (a * x * (b @ x) + b * x * (a @ x)) / 2

    for multiplied in (lambda left, right: left * right, lambda left, right: left[None, None] @ right[None, None]):
        [shared] = relevance(lambda x, by=multiplied: by((a * x).sum()[None], (b * x).sum()[None]), x)

        torch.testing.assert_close(shared, expected)


def test_a_layer_norm_holds_its_deviation_fixed():
    x, weight, bias = numbers(3, 6), numbers(6, seed=1), numbers(6, seed=2)
    deviation = (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = x * (weight - weight.mean()) / deviation  # d/dx of sum(weight (x - mean x) / deviation)

    [passed] = relevance(lambda x: F.layer_norm(x, (6,), weight, bias), x)

    torch.testing.assert_close(passed, expected)


@pytest.mark.parametrize("by", [lambda x: F.normalize(x), lambda x: x / x.norm(dim=1, keepdim=True),
                                lambda x: x * x.square().sum(1, keepdim=True).rsqrt()])  # fmt: skip
def test_what_brings_vectors_to_length_1_holds_the_length_fixed(by):
    x = numbers(3, 5)

    [passed] = relevance(by, x)

    torch.testing.assert_close(passed, x / x.norm(dim=1, keepdim=True))


def test_the_gamma_rule_is_its_formula_in_plain_loops():
    """To input i of output j: (z_ij + g z_ij with the sign of z_j) / (the same, summed over i and the bias) z_j."""
    x, weight, bias, share = numbers(5), numbers(4, 5, seed=1), numbers(4, seed=2), 0.3
    expected = torch.zeros(5).double()
    for j in range(4):
        output = float(weight[j] @ x + bias[j])
        parts = [float(weight[j, i] * x[i]) for i in range(5)] + [float(bias[j])]
        counted = [part * (1 + share if part * output > 0 else 1) for part in parts]
        for i in range(5):
            expected[i] += counted[i] / sum(counted) * output
    leaf = x.clone().requires_grad_()

    output = gamma(share)(F.linear, leaf, weight, bias)

    torch.testing.assert_close(output, F.linear(x, weight, bias))
    torch.testing.assert_close(x * torch.autograd.grad(output.sum(), leaf)[0], expected)


def test_without_gamma_linear_layers_give_input_x_gradient():
    x, weight, bias = numbers(2, 5), numbers(4, 5, seed=1), numbers(4, seed=2)
    leaf = x.clone().requires_grad_()

    [gradient] = torch.autograd.grad(gamma(0.0)(F.linear, leaf, weight, bias).sum(), leaf)

    torch.testing.assert_close(x * gradient, x * weight.sum(0))


def test_attention_in_one_kernel_is_attention_step_by_step():
    """And the values alone, with queries and keys held, get half of the attended values."""
    query, key, value = (numbers(1, 2, 5, 4, seed=seed) for seed in range(3))

    def step_by_step(query, key, value):
        return (query @ key.mT * 0.5).softmax(3) @ value

    fused = relevance(F.scaled_dot_product_attention, query, key, value)
    for part, expected in zip(fused, relevance(step_by_step, query, key, value), strict=True):
        torch.testing.assert_close(part, expected)
    torch.testing.assert_close(fused[2].sum(), step_by_step(query, key, value).sum() / 2)


def test_relevance_is_conserved_where_no_bias_or_softmax_takes_a_share():
    """Norm, linear layers, an activation, a convolution and a gate, all without a bias."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        convolution, norm = nn.Conv2d(3, 6, 4, stride=4, bias=False), nn.LayerNorm(6, bias=False)
        wide, gate, narrow = nn.Linear(6, 9, bias=False), nn.Linear(6, 9, bias=False), nn.Linear(9, 4, bias=False)
    network = nn.ModuleList([convolution, norm, wide, gate, narrow]).double().requires_grad_(False)

    def score(pixels):
        tokens = norm(convolution(pixels).flatten(2).mT)
        return F.normalize(narrow(F.gelu(wide(tokens)) * gate(tokens)).mean(1))[:, 2]

    assert len(network) == 5
    pixels = numbers(1, 3, 8, 8)
    [parts] = relevance(score, pixels)

    assert float(parts.sum()) == pytest.approx(float(score(pixels)), rel=1e-9)
    assert float(parts.abs().sum()) > 2 * abs(float(parts.sum()))  # it is not the score itself


def torchvision_vit():
    """Of one block, with weights that any version draws alike."""
    vit = torchvision.models.VisionTransformer(8, 4, 1, 2, 8, 12, num_classes=3).eval()
    for number, weight in enumerate(vit.parameters()):
        count = torch.arange(weight.numel(), dtype=torch.float64)
        wave = torch.sin(count * 1.7 + number).view(weight.shape).float()
        weight.data = wave * 0.4 if weight.ndim > 1 else 1 + wave / 2
    return vit


def test_it_is_what_the_package_of_the_authors_gives():
    """lxt 2.1 with the rules of zennit 0.5.1, Gamma(0.25) for the convolution and Gamma(0.05) for linear layers.

    Sums over the channels and pixels of the four patches, for class 1; MultiheadAttention was given a quarter of the
    gradient of query and key, and half of that of the value, as lxt does in transformers.
    """
    pixels = torch.sin(torch.arange(192.0)).view(1, 3, 8, 8).requires_grad_()
    vit = torchvision_vit().requires_grad_(False)

    with Rules():
        vit(pixels)[0, 1].backward()

    patches = (pixels * pixels.grad).detach()[0].sum(0).reshape(2, 4, 2, 4).sum((1, 3))
    np.testing.assert_allclose(patches, [[0.0166746, 0.1338627], [0.0010949, 0.0126049]], rtol=1e-3)


@pytest.mark.parametrize("name", VITS)
def test_values_are_those_of_the_network_and_the_rules_are_recorded(name):
    vit, image = VITS[name].make().requires_grad_(False), drawn(3, 32, 32)
    with torch.no_grad():
        expected = vit(image[None])
    with Rules():
        torch.testing.assert_close(vit(image[None].clone().requires_grad_()), expected, rtol=1e-4, atol=1e-5)

    settings = relax.explain(image, vit, method="attnlrp").provenance["settings"]

    assert settings["gamma"] == {"linear": 0.05, "conv2d": 0.25}
    assert {"conv2d": 1, "gelu": 3}.items() <= settings["rules"].items()
    assert settings["rules"].keys() <= RULES.keys()


def test_the_map_is_pixel_minus_fill_times_the_gradient_under_the_rules():
    vit, image = VITS["timm"].make().requires_grad_(False), drawn(3, 32, 32)
    pixels = image[None].clone().requires_grad_()
    with torch.no_grad():
        fixed = vit(image[None])
    with Rules():
        [gradient] = torch.autograd.grad((vit(pixels) * fixed).sum(), pixels)

    explanation = relax.explain(image, bare(vit), method="attnlrp", fill=0.3)

    np.testing.assert_allclose(explanation.importance, ((image - 0.3) * gradient[0]).sum(0), rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_networks_whose_attention_torch_does_not_see_are_refused():
    image = drawn(3, 16, 16)
    traced = torch.jit.trace(VITS["timm"].make(), drawn(1, 3, 32, 32))

    with pytest.raises(
        MethodError, match=r"attnlrp needs the attention of a transformer .*'Sequential' has none: use sm"
    ):
        relax.explain(image, small_cnn(), method="attnlrp")
    with pytest.raises(MethodError, match="attnlrp needs the attention of a transformer whose operations torch sees"):
        relax.explain(drawn(3, 32, 32), traced, method="attnlrp", reference=drawn(3, 32, 32, seed=1))

"""Every method is seeded, independent of the batch size, priced, in the image's frame, and without side effects."""

import gc
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import encoders
import relax
from encoders.preprocess import Preprocess
from masking import MaskRequest, SlidingWindows
from relax.baselines import METHODS, MethodError
from relax.baselines.methods import Method
from tests.relax.baselines.small import Corner, SmallHead, bare, drawn, small_cnn
from tests.relax.baselines.test_baselines_layers import small_timm_vit

MASKING = ["relax", "rise", "occlusion", "feature-ablation", "sbsm"]
CAMS = ["gradcam", "gradcam++", "layercam", "eigencam", "scorecam"]
GRADIENTS = ["saliency", "input-x-gradient", "smoothgrad", "integrated-gradients", "guided-backprop"]
GRADIENTS += ["expected-gradients", "attnlrp"]
OTHERS = ["lime", "kernel-shap", "lafam", "attention", "attention-rollout", "legrad", "random", "centre"]
NAMES = [*MASKING, *CAMS, *GRADIENTS, *OTHERS]
SAMPLED = [name for name in NAMES if METHODS[name].samples]
RANDOM = ["relax", "rise", "lime", "kernel-shap", "smoothgrad", "expected-gradients", "random"]
FAMILIES = {"masking", "gradient", "cam", "surrogate", "activation", "attention", "control"}


def encoder_for(name):
    """A small CNN, or a small vision transformer for what needs attention: both with 6 numbers per image."""
    if "attention" in METHODS[name].needs:
        return bare(small_timm_vit(num_classes=6), preprocess=Preprocess(size=(32, 32)))
    return bare(small_cnn(), preprocess=Preprocess(size=(16, 16)))


def explained(name, encoder=None, *, image=None, **settings):
    """A cheap explanation by a method, of a class if the method needs one."""
    settings = {"cells": 2, "masks": 24} | settings
    if name not in SAMPLED:
        settings.pop("masks")
    if METHODS[name].explains == "class":
        settings.setdefault("head", SmallHead(6))
    image = drawn(3, 20, 30) if image is None else image
    return relax.explain(image, encoder or encoder_for(name), method=name, **settings)


def test_every_method_is_listed_with_what_it_needs_and_costs():
    assert sorted(METHODS) == sorted(NAMES)
    for name, method in METHODS.items():
        assert method.name == name
        assert method.family in FAMILIES
        assert method.needs <= {"head", "gradients", "layers", "attention"}
        assert method.source
        assert callable(method.implementation)


def test_seconds_are_those_of_the_method_and_not_of_importing_its_package(monkeypatch):
    imported = Method.implementation.fget

    def slowly_imported(method):
        time.sleep(2)
        return imported(method)

    monkeypatch.setattr(Method, "implementation", property(slowly_imported))

    assert explained("random").provenance["seconds"] < 2


def test_the_table_of_methods_needs_neither_torch_nor_numpy_until_a_method_runs():
    code = (
        "import sys; from relax.baselines import METHODS; [method.cost() for method in METHODS.values()]; "
        "print(sorted({'torch', 'numpy', 'captum', 'masking'} & set(sys.modules)))"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


@pytest.mark.parametrize("cells", [1, 2, 3, 5, 7, 16])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 31), (224, 224), (97, 64)])
def test_the_price_of_windows_is_the_number_of_them_that_hiding_lays_over_the_view(size, cells):
    windows = SlidingWindows.of(MaskRequest(torch.zeros(1, 3, *size), cells))

    for name in ("occlusion", "sbsm"):
        assert METHODS[name].cost(None, cells, size) == windows.limit + 1


@pytest.mark.parametrize("name", ["occlusion", "sbsm"])
@pytest.mark.parametrize(("size", "cells"), [((17, 31), 3), ((30, 13), 4), ((16, 16), 5)])
def test_the_price_of_windows_is_what_is_counted_where_they_do_not_fit_evenly(name, size, cells):
    encoder = bare(small_cnn(), preprocess=Preprocess(size=size))

    explanation = explained(name, encoder, cells=cells)

    assert explanation.provenance["cost"]["passes"] == METHODS[name].cost(None, cells, size) + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_price_is_what_is_counted(name):
    """Besides one pass for the reference or the predicted class. SLIC finds all 4 superpixels here."""
    method, encoder = METHODS[name], encoder_for(name)
    reports = []

    explanation = explained(name, encoder, progress=lambda done, total: reports.append((done, total)))

    price = method.cost(24 if name in SAMPLED else None, 2, encoder.preprocess.size)
    passes = explanation.provenance["cost"]["passes"]
    if name == "scorecam":
        assert price is None
        price = 2 + 8  # channels of the last feature map
    assert passes == price + (method.explains != "nothing")
    assert all(done <= total for done, total in reports)
    assert not reports or reports[-1][0] == reports[-1][1] == price


@pytest.mark.parametrize("name", NAMES)
def test_the_record_says_how_the_map_was_made(name):
    provenance = explained(name).provenance

    assert provenance["method"] == name
    assert json.loads(json.dumps(provenance)) == provenance
    if name != "relax":
        assert provenance["family"] == METHODS[name].family
        assert provenance["map"]
    if METHODS[name].explains == "nothing":
        assert provenance["similarity"] is provenance["reference"] is provenance["target"] is None


@pytest.mark.parametrize("name", NAMES)
def test_maps_lie_in_the_frame_of_the_image_and_are_nan_where_a_crop_cut_away(name):
    """The shorter side becomes the encoder's, the longer one is cropped in the middle: 10 of 30 columns are lost."""
    encoder = encoder_for(name)
    side = encoder.preprocess.size[0]
    cropping = bare(encoder.network, preprocess=Preprocess(size=(side, side), resize=side))

    explanation = explained(name, cropping)

    assert explanation.importance.shape == (20, 30)
    assert explanation.importance.dtype == np.float32
    assert np.isnan(explanation.importance[:, [0, 4, 25, 29]]).all()
    assert np.isfinite(explanation.importance[:, 5:25]).all()
    has_uncertainty = name in ("relax", "rise")
    assert np.isfinite(explanation.uncertainty[:, 5:25]).all() == has_uncertainty
    assert np.isfinite(explanation.standard_error[:, 5:25]).all() == has_uncertainty


@pytest.mark.parametrize("name", ["rise", "lime", "saliency", "occlusion", "sbsm", "feature-ablation", "kernel-shap"])
def test_what_matters_is_found_where_it_is_in_the_image(name):
    """The encoder sees the lower left quarter only."""
    image = torch.zeros(3, 40, 60)
    image[0, :20, :30], image[1, :20, 30:], image[2, 20:, :30], image[:, 20:, 30:] = 1, 1, 1, 0.6
    encoder = bare(Corner(slice(8, 16), slice(0, 8)), preprocess=Preprocess(size=(16, 16)))
    head = SmallHead(2)
    head.weight = torch.tensor([[4.0, 0.0], [0.0, 0.0], [0.0, 0.0]])

    explanation = explained(
        name, encoder, image=image, masks=300, **({"head": head, "target": 0} if name == "rise" else {})
    )

    quarters = explanation.importance.reshape(2, 20, 2, 30).mean((1, 3))
    assert quarters.argmax() == 2
    assert quarters[1, 0] > np.delete(quarters.ravel(), 2).max() + 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_and_the_batch_size_does_not(name):
    singly, batched = explained(name, seed=1, batch_size=1), explained(name, seed=1, batch_size=7)
    reseeded = explained(name, seed=2, batch_size=7)

    np.testing.assert_allclose(batched.importance, singly.importance, rtol=1e-3, atol=1e-6)
    assert np.array_equal(reseeded.importance, batched.importance) == (name not in RANDOM)


@pytest.mark.parametrize("name", NAMES)
def test_the_mode_of_the_caller_changes_nothing(name):
    encoder, head = encoder_for(name), SmallHead(6) if METHODS[name].explains == "class" else None
    expected = explained(name, encoder, head=head)

    with torch.inference_mode():
        explanation = explained(name, encoder, head=head)

    np.testing.assert_array_equal(explanation.importance, expected.importance)


@pytest.mark.parametrize("kind", ["linear", "prototype"])
def test_the_heads_of_the_package_fit(kind):
    heads = pytest.importorskip("encoders.heads.kinds")
    weight = SmallHead(6).weight
    head = (
        heads.LinearHead(("a", "b", "c"), weight, torch.zeros(3))
        if kind == "linear"
        else heads.PrototypeHead(("a", "b", "c"), torch.nn.functional.normalize(weight))
    )

    for name in NAMES:
        if METHODS[name].takes_head:
            explanation = explained(name, head=head, target="b")

            assert explanation.provenance["target"] == "b"
            assert explanation.provenance["head"] == {"kind": kind, "classes": 3}
            assert explanation.provenance["scalar"] == f"{METHODS[name].class_score} of 'b'"


def everything_about(network):
    hooks = [
        len(getattr(module, kind))
        for module in network.modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    ]
    flags = [
        (module.training, getattr(module, "inplace", None), getattr(module, "fused_attn", None))
        for module in network.modules()
    ]
    weights = [(value.requires_grad, value.grad, value.clone()) for value in network.parameters()]
    return hooks, flags, weights


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_behind_in_the_network_the_image_or_the_global_generators(name):
    encoder, image = encoder_for(name), drawn(3, 20, 30)
    before, untouched = everything_about(encoder.network), image.clone()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    explained(name, encoder, image=image)

    after = everything_about(encoder.network)
    assert after[:2] == before[:2]
    assert not any(after[0])
    for (flag, no_gradient, values), (flag_after, gradient, values_after) in zip(before[2], after[2], strict=True):
        assert flag_after == flag
        assert gradient is no_gradient is None
        assert torch.equal(values_after, values)
    assert torch.equal(image, untouched)
    assert image.grad is None
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "name",
    ["saliency", "gradcam", "scorecam", "guided-backprop", "kernel-shap", "rise", "attention", "legrad", "attnlrp"],
)
def test_fifty_calls_leave_no_tensor_and_no_hook_behind(name):
    encoder = encoder_for(name)
    counts = []

    for call in range(51):
        explained(name, encoder)
        if call in (0, 50):
            gc.collect()
            counts.append(sum(issubclass(type(item), torch.Tensor) for item in gc.get_objects()))

    assert counts[0] == counts[1]
    assert not any(everything_about(encoder.network)[0])


def test_hooks_are_gone_even_when_the_encoder_fails_half_way():
    network = small_cnn()
    encoder = bare(network)
    network[7].weight.data[:] = torch.nan

    for name in ("gradcam", "lafam", "guided-backprop", "scorecam"):
        with pytest.raises((encoders.EncoderError, MethodError), match="finite"):
            explained(name, encoder, image=drawn(3, 16, 16))
    assert not any(everything_about(network)[0])


@pytest.fixture(scope="module")
def encoders_by_name():
    return {
        spec: encoders.load(spec, device="cpu")
        for spec in ("random:timm:test_resnet", "random:timm:test_vit", "random:default")
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spec", ["random:timm:test_resnet", "random:timm:test_vit", "random:default"])
def test_every_method_works_or_says_in_one_line_why_not(encoders_by_name, spec, name):
    encoder = encoders_by_name[spec]
    lacks = ("attention" in METHODS[name].needs and "vit" not in spec) or (name == "guided-backprop" and "vit" in spec)
    dim = {"random:timm:test_resnet": 96, "random:timm:test_vit": 64, "random:default": 256}[spec]
    settings = {"masks": 6, "head": SmallHead(dim)} if METHODS[name].takes_head else {"masks": 6}

    if lacks:
        with pytest.raises(MethodError) as caught:
            explained(name, encoder, **settings)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(f"{name} needs ")
        return
    explanation = explained(name, encoder, **settings)

    values = explanation.importance[np.isfinite(explanation.importance)]
    assert values.size > 0
    assert name in ("rise", "gradcam", "gradcam++", "layercam") or np.ptp(values) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "shap"}, "method must be one of relax, rise, gradcam, .*; got 'shap'"),
        ({"method": "rise"}, "rise needs a head, which makes class probabilities of embeddings: give head="),
        ({"method": "lime", "target": "cat"}, "target is a class of a head; got 'cat' without one: give head= too"),
        ({"method": "lafam", "head": SmallHead(6)}, "head makes no difference to lafam, which explains nothing"),
        ({"head": SmallHead(6)}, "head makes no difference to relax, which explains similarity: leave it out"),
        (
            {"method": "lime", "head": SmallHead(6), "reference": drawn(3, 9, 9)},
            "reference cannot be compared with where lime explains a class: leave it out",
        ),
        ({"method": "centre", "reference": drawn(3, 9, 9)}, "where centre explains nothing: leave it out"),
        ({"method": "lime", "regions": "windows"}, "lime hides superpixels; got 'windows'"),
        ({"method": "saliency", "tolerance": 0.1}, "tolerance is for relax and rise, saliency has no standard error"),
        ({"method": "lime", "masks": torch.ones(3, 1, 20, 30)}, "masks must be a number for lime, which makes its own"),
        ({"method": "saliency", "similarity": "angle"}, "similarity must be one of cosine"),
    ],
)
def test_what_cannot_be_granted_is_refused_before_any_image_is_read(settings, message):
    with pytest.raises(ValueError, match=message):
        relax.explain("no such file.png", small_cnn(), **settings)


def test_the_controls_know_nothing_of_the_encoder_and_cost_nothing():
    """A Gaussian of a quarter of each side, at the centre: exp(-2 (offset / side * 2)^2) along each axis."""
    image, offsets = drawn(3, 16, 24), [(torch.arange(side) + 0.5) / side - 0.5 for side in (16, 24)]
    down, across = (torch.exp(-8 * offset**2) for offset in offsets)

    def blind(pixels):
        raise AssertionError("the encoder was called")

    centre, noise = (relax.explain(image, blind, method=name) for name in ("centre", "random"))

    np.testing.assert_allclose(centre.importance, down[:, None] * across, rtol=1e-5)
    assert noise.importance.min() >= 0
    assert noise.importance.max() < 1
    assert abs(noise.importance.mean() - 0.5) < 0.05


def test_several_images_give_several_explanations_and_results_survive_saving(tmp_path):
    explanations = relax.explain(
        [drawn(3, 16, 16), drawn(3, 20, 30)], encoder_for("lime"), method="lime", masks=24, cells=2
    )

    loaded = relax.Explanation.load(explanations[1].save(tmp_path / "map.npz"))

    assert [explanation.importance.shape for explanation in explanations] == [(16, 16), (20, 30)]
    np.testing.assert_array_equal(loaded.importance, explanations[1].importance)
    assert np.isnan(loaded.uncertainty).all()
    assert loaded.provenance == explanations[1].provenance


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_gives_the_same_maps(name):
    encoder = encoder_for(name)

    on_cpu, on_gpu = explained(name, encoder), explained(name, encoder.to("cuda"))

    np.testing.assert_allclose(on_gpu.importance, on_cpu.importance, rtol=1e-2, atol=1e-4)

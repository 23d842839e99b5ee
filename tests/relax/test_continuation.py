"""More masks for an earlier result give what one run with all masks gives, or are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import relax

MAPS = ("importance", "uncertainty", "standard_error")
IMAGE = torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(0))
OTHER = torch.rand(3, 40, 48, generator=torch.Generator().manual_seed(1))


def quarters(pixels):
    """An encoder of four numbers, as a function: means of the picture's quarters."""
    return torch.nn.functional.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), 2).flatten(1) + 0.1


class Counted:
    """The same, and how many pictures it has seen."""

    def __init__(self):
        self.seen = 0

    def __call__(self, pixels):
        self.seen += len(pixels)
        return quarters(pixels)


def assert_same(explanation, expected):
    for name in (*MAPS, "scores"):
        np.testing.assert_allclose(getattr(explanation, name), getattr(expected, name), rtol=1e-6, atol=1e-7)
    for name in ("masks", "cost"):
        assert explanation.provenance[name] == expected.provenance[name]
    for name, value in expected.provenance["scale"]["cosine"]["masked"].items():
        assert explanation.provenance["scale"]["cosine"]["masked"][name] == pytest.approx(value, rel=1e-5)


DESIGNS = [
    {"cells": 3},
    {"cells": 3, "design": "sobol"},
    {"cells": 3, "design": "antithetic"},
    {"estimator": "plain"},
    {"design": "independent", "estimator": "plain", "similarity": "l2"},
    {"regions": "superpixels"},
    {"cells": 3, "reference": OTHER},
]


@pytest.mark.parametrize("settings", DESIGNS, ids=lambda settings: " ".join(settings))
def test_a_continued_explanation_is_that_of_one_run(settings, tmp_path):
    """300 masks, saved and loaded, then 400 more, in batches that do not meet the blocks of the design."""
    first = relax.explain(IMAGE, quarters, masks=300, batch_size=50, **settings)
    earlier = relax.Explanation.load(first.save(tmp_path / "first.npz"))

    continued = relax.explain(IMAGE, quarters, masks=700, batch_size=70, earlier=earlier, **settings)

    assert_same(continued, relax.explain(IMAGE, quarters, masks=700, batch_size=64, **settings))
    assert continued.provenance["earlier"] == {"masks": 300, "created": first.provenance["created"]}


def test_the_earlier_masks_are_not_embedded_again_but_for_the_first_sixteen():
    earlier = relax.explain(IMAGE, quarters, masks=300, cells=3)
    encoder = Counted()

    relax.explain(IMAGE, encoder, masks=400, cells=3, earlier=named(earlier, encoder))

    assert encoder.seen == 4 + 16 + 100  # the picture, the yardsticks, the check, the masks


def named(explanation, function):
    """As if the function of another name had been the encoder: functions have no checksum."""
    other = relax.load_encoder(function)
    record = {**explanation.provenance, "encoder": {**explanation.provenance["encoder"], "name": other.name}}
    return replace(explanation, provenance=record)


def test_what_was_stopped_goes_on_and_what_goes_on_can_be_watched_until_a_tolerance_is_reached():
    stopped = next(iter(relax.explaining(IMAGE, quarters, masks=2000, every=256, estimator="plain", batch_size=64)))

    looks = list(
        relax.explaining(
            IMAGE,
            quarters,
            masks=2000,
            tolerance=0.0005,
            every=256,
            estimator="plain",
            batch_size=64,
            earlier=stopped,
        )
    )

    alone = relax.explain(IMAGE, quarters, masks=2000, tolerance=0.0005, estimator="plain", batch_size=64)
    assert_same(looks[-1], alone)
    assert len(looks) > 1
    assert looks[-1].provenance["converged"] is True
    assert "stopped_early" not in looks[-1].provenance
    assert looks[-1].provenance["convergence"] == alone.provenance["convergence"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": 4}, "earlier cannot be continued: cells is 3 there and 4 here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"keep": 0.4}, "keep is 0.5 there and 0.4 here"),
        ({"design": "sobol"}, "design is orthogonal there and sobol here"),
        ({"fill": 0.25}, "fill is mean there and 0.25 here"),
        ({"similarity": "l2"}, "similarity is cosine there and l2 here"),
        ({"reference": OTHER}, "reference is itself there and tensor"),
        ({"regions": "superpixels"}, "kind is .* there and superpixels here"),
        ({"masks": 64}, "masks must be above the 64 that earlier has; got at most 64"),
        ({"masks": 64, "regions": "windows"}, "masks must be above the 64|kind is"),
        ({"method": "occlusion"}, "earlier is for method \"relax\" without a head; got method='occlusion'"),
    ],
    ids=str,
)
def test_other_settings_are_refused_with_what_differs(changes, message):
    earlier = relax.explain(IMAGE, quarters, masks=64, cells=3)

    with pytest.raises(ValueError, match=message):
        relax.explain(IMAGE, quarters, **{"masks": 128, "cells": 3, "earlier": earlier, **changes})


def test_another_picture_encoder_or_version_is_refused():
    earlier = relax.explain(IMAGE, quarters, masks=64, cells=3)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 40 * 48, 4))
    older = {**earlier.provenance, "versions": {"relax-explainer": "0.0.1"}}
    rounded = {**earlier.provenance, "precision": {"dtype": "bfloat16"}}

    with pytest.raises(ValueError, match="earlier cannot be continued: it is of another picture"):
        relax.explain(OTHER, quarters, masks=128, cells=3, earlier=earlier)
    with pytest.raises(ValueError, match=r"its encoder 'quarters' has another .*checksum.* than 'Sequential'"):
        relax.explain(IMAGE, module, masks=128, cells=3, earlier=earlier)
    with pytest.raises(ValueError, match=r"version of relax-explainer is 0\.0\.1 there and"):
        relax.explain(IMAGE, quarters, masks=128, cells=3, earlier=replace(earlier, provenance=older))
    with pytest.raises(ValueError, match="precision \"exact\" only, which both must have; got 'bfloat16'"):
        relax.explain(IMAGE, quarters, masks=128, cells=3, earlier=replace(earlier, provenance=rounded))
    with pytest.raises(ValueError, match="earlier has no scores of its masks"):
        relax.explain(IMAGE, quarters, masks=128, cells=3, earlier=replace(earlier, scores=None))
    with pytest.raises(ValueError, match=r"earlier must be an Explanation; got 'first\.npz'"):
        relax.explain(IMAGE, quarters, masks=128, cells=3, earlier="first.npz")
    with pytest.raises(ValueError, match="earlier is of one image; image holds several"):
        relax.explain([IMAGE, OTHER], quarters, masks=128, cells=3, earlier=earlier)


def test_another_reference_of_the_same_name_is_noticed_by_its_scores():
    """Tensors of one shape have one name in the record."""
    earlier = relax.explain(IMAGE, quarters, masks=64, cells=3, reference=OTHER)

    with pytest.raises(ValueError, match="its first masks have other scores here"):
        relax.explain(IMAGE, quarters, masks=128, cells=3, reference=1 - OTHER, earlier=earlier)


@pytest.mark.parametrize("settings", DESIGNS[:-1], ids=lambda settings: " ".join(settings))
def test_an_extended_probe_is_that_of_one_run(settings):
    question = {"similarity": settings.get("similarity", "cosine")}
    settings = {name: value for name, value in settings.items() if name != "similarity"}
    small = relax.probe(IMAGE, quarters, masks=100, batch_size=30, **settings)

    large = small.extend(60).extend(masks=140, batch_size=50)

    expected = relax.probe(IMAGE, quarters, masks=300, batch_size=64, **settings)
    torch.testing.assert_close(large.embeddings, expected.embeddings, rtol=1e-6, atol=1e-7)
    for name in MAPS:
        large_map, expected_map = (getattr(probe.explain(**question), name) for probe in (large, expected))
        np.testing.assert_allclose(large_map, expected_map, rtol=1e-5, atol=1e-7)
    for name, value in expected.provenance["scale"]["cosine"]["masked"].items():
        assert large.provenance["scale"]["cosine"]["masked"][name] == pytest.approx(value, rel=1e-5)
    assert len(small.embeddings) == 100


def test_a_probe_is_not_extended_by_nothing_or_beyond_its_masks():
    given = torch.rand(20, 1, 40, 48, generator=torch.Generator().manual_seed(2))
    probe = relax.probe(IMAGE, quarters, masks=given)

    with pytest.raises(ValueError, match="masks must be at most 0 more, there are no others; got 5"):
        probe.extend(5)
    with pytest.raises(ValueError, match="masks must be how many more, 1 or more; got 0"):
        probe.extend(0)

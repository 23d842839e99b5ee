"""Arguments of any type are converted at the door, so that the result can be saved, or refused by name in one line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import relax
from encoders import EncoderError
from encoders.heads.kinds import LinearHead
from encoders.values import described, plain

IMAGE = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
MASKS = (torch.rand(8, 1, 12, 12, generator=torch.Generator().manual_seed(1)) > 0.5).float()
HEAD = LinearHead(("a", "b", "c"), torch.eye(3), torch.zeros(3))


def colours(pixels: Tensor) -> Tensor:
    return pixels.mean((2, 3))


def explain(**keywords: Any) -> relax.Explanation:
    image, encoder = keywords.pop("image", IMAGE), keywords.pop("encoder", colours)
    return relax.explain(image, encoder, **{"masks": 8, "cells": 2, "device": "cpu", **keywords})


class Unspeakable:
    """An object of somebody else, which raises whatever it is asked."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")

    def __len__(self) -> int:
        raise RuntimeError("no length")


def odd_tensors(numbers: Tensor) -> dict[str, Tensor]:
    """Tensors that hold no ordinary numbers, by what they are called in messages."""
    return {
        "sparse_coo": numbers.to_sparse(),
        "meta": numbers.to("meta"),
        "quint8": torch.quantize_per_tensor(numbers, 0.1, 0, torch.quint8),
        "complex64": numbers.to(torch.complex64),
        "nested": torch.nested.nested_tensor([numbers, numbers[:1]]),
    }


def odd_objects() -> list[Any]:
    return [
        True, 1j, float("nan"), b"x", bytearray(b"x"), object(), Unspeakable(), {1}, frozenset({0.5}), {"a": 1}, [None],
        lambda: None, Unspeakable, range(3), Ellipsis, Decimal("0.5"), np.datetime64("2020-01-01"), np.complex64(1),
        np.zeros(3, [("a", float)]), np.array([object()]), np.full((12, 12, 3), None), torch.zeros(0), 10**400,
        *odd_tensors(IMAGE).values(),
    ]  # fmt: skip


NUMBERS = [np.float32, np.float64, np.float16, np.longdouble, np.array, torch.tensor, nn.Parameter, Fraction]
WHOLE = [np.int64, np.uint8, np.int8, np.array, torch.tensor]


def number(kind: Callable[[Any], Any], value: float) -> Any:
    return kind(torch.tensor(value)) if kind is nn.Parameter else kind(value)


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_a_number_of_any_library_gives_the_same_map_and_a_file(kind: Callable[[Any], Any], tmp_path: Path) -> None:
    own = explain(tolerance=0.5, keep=0.5, fill=0.25)
    given = explain(tolerance=number(kind, 0.5), keep=number(kind, 0.5), fill=number(kind, 0.25))

    given.save(tmp_path / "map.npz")

    assert np.array_equal(given.importance, own.importance)
    assert relax.Explanation.load(tmp_path / "map.npz").provenance == given.provenance
    assert {type(given.provenance[name]) for name in ("tolerance", "fill")} == {float}
    assert type(given.provenance["masks"]["keep"]) is float


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: kind.__name__)
def test_a_whole_number_of_any_library_does_too(kind: Callable[[Any], Any], tmp_path: Path) -> None:
    keywords = {"masks": 8, "cells": 2, "seed": 3, "batch_size": 4}
    own = explain(**keywords)
    given = explain(**{name: kind(value) for name, value in keywords.items()})

    given.save(tmp_path / "map.npz")

    assert np.array_equal(given.importance, own.importance)
    assert given.provenance["masks"] == own.provenance["masks"]
    assert type(given.provenance["seed"]) is int


@pytest.mark.parametrize(
    "fill", [np.array([0.1, 0.2, 0.3]), torch.tensor([0.1, 0.2, 0.3]), tuple(np.float32([0.1, 0.2, 0.3]))]
)
def test_a_colour_may_be_an_array(fill: Any) -> None:
    given = explain(fill=fill)

    given.to_bytes()

    assert given.provenance["fill"] == pytest.approx([0.1, 0.2, 0.3])
    np.testing.assert_allclose(given.importance, explain(fill=[0.1, 0.2, 0.3]).importance, rtol=1e-6)


def test_words_and_classes_may_be_of_numpy() -> None:
    given = explain(method=np.str_("rise"), head=HEAD, target=np.int64(1), regions=np.str_("grid"))

    given.to_bytes()

    assert given.provenance["target"] == "b"


def test_a_reference_may_be_a_vector_of_numpy() -> None:
    vector = np.array([0.1, 0.7, 0.2])
    expected = explain(reference=torch.from_numpy(vector))

    for given in (vector, vector.astype(np.longdouble), nn.Parameter(torch.from_numpy(vector))):
        assert np.array_equal(explain(reference=given).importance, expected.importance)


ARGUMENTS = [
    "masks", "tolerance", "cells", "keep", "seed", "fill", "regions", "design", "estimator", "preset", "similarity",
    "reference", "foil", "method", "head", "target", "pooling", "device", "batch_size", "precision", "progress",
]  # fmt: skip


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_wrong_type_is_refused_by_the_name_of_its_argument(argument: str) -> None:
    for value in odd_objects():
        if argument == "progress" and callable(value):
            continue
        with pytest.raises(ValueError, match=rf"^(?s:.*\b{argument}\b)") as caught:
            explain(**{argument: value})
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "argument", ["device", "pooling", "seed", "precision", "size", "resize", "mean", "std", "interpolation", "channels"]
)
def test_load_encoder_refuses_them_too(argument: str) -> None:
    for value in [*odd_objects(), [], 0.5, ""]:
        with pytest.raises(EncoderError, match=rf"\b{argument}\b"):
            relax.load_encoder(nn.Conv2d(3, 4, 3), **{argument: value})


@pytest.mark.parametrize("kind", odd_tensors(IMAGE))
def test_tensors_without_ordinary_numbers_are_refused_wherever_they_come(kind: str) -> None:
    picture, vector, stack = (odd_tensors(numbers)[kind] for numbers in (IMAGE, torch.rand(3), MASKS))

    with pytest.raises(relax.ImageError, match=kind):
        relax.read_image(picture)
    with pytest.raises(relax.ImageError, match=f"fill: .*{kind}"):
        explain(fill=picture)
    for argument, values in (("reference", picture), ("foil", picture), ("masks", stack)):
        with pytest.raises(ValueError, match=f"{argument}.*{kind}"):
            explain(**{argument: values})
    if kind != "nested":
        with pytest.raises(ValueError, match=f"reference must be real numbers; got .*{kind}"):
            explain(reference=vector)
    with pytest.raises(ValueError, match=f"a Corpus must be real numbers; got .*{kind}"):
        relax.Corpus(picture[0] if kind != "nested" else picture)


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16, torch.float64]
)
def test_floats_of_any_width_are_read(dtype: torch.dtype) -> None:
    picture = IMAGE.to(dtype)

    torch.testing.assert_close(relax.read_image(picture)[0], picture.float())
    expected = explain(masks=MASKS)
    np.testing.assert_allclose(explain(masks=MASKS.to(dtype)).importance, expected.importance)
    vector = torch.tensor([0.5, 0.25, 1.0])
    expected = explain(reference=vector)
    np.testing.assert_allclose(explain(reference=vector.to(dtype)).importance, expected.importance, rtol=1e-6)


def test_a_view_that_is_negated_only_when_it_is_read() -> None:
    """The imaginary part of a conjugate carries a mark instead of a sign."""
    picture = torch.complex(IMAGE, -IMAGE).conj().imag

    assert picture.is_neg()
    assert torch.equal(relax.read_image(picture)[0], IMAGE)


def test_arrays_whose_axes_or_values_mean_something_else() -> None:
    """A matrix of numpy keeps two axes whatever is asked: read as three, it was written to beyond its end."""
    pixels = IMAGE[0].numpy()

    assert torch.equal(relax.read_image(np.matrix(pixels)), relax.read_image(pixels))
    with pytest.raises(relax.ImageError, match=r"masked array has pixels without a value; give them one with \.filled"):
        relax.read_image(np.ma.masked_array(pixels, pixels > 0.5))


@pytest.mark.parametrize("value", [Unspeakable(), {1}, 1j, torch.zeros(2), "x", True, -1, float("nan")])
def test_the_other_functions_refuse_a_wrong_type_by_name(value: Any) -> None:
    explanation, probe = explain(), relax.probe(IMAGE, colours, masks=8, cells=2, device="cpu")
    calls: dict[str, Callable[[], object]] = {
        "threshold": lambda: explanation.u_relax(threshold=value),
        "quantile": lambda: explanation.u_relax(quantile=value),
        "gamma": lambda: explanation.u_relax(gamma=value),
        "limits": lambda: relax.figure(explanation, limits=value),
        "limits of importance": lambda: relax.figure(explanation, limits={"importance": value}),
        "explanation": lambda: relax.figure(value),
        "runs": lambda: probe.repeat(value),
        "similarity": lambda: probe.explain(similarity=value),
        "channels": lambda: relax.read_image(IMAGE, channels=value),
        "error": lambda: relax.hoeffding_masks(value, 0.01),
        "methods": lambda: relax.compare_methods(IMAGE, value, colours),
        "encoders": lambda: relax.compare_encoders(IMAGE, value),
        "images": lambda: relax.evaluate(value, None, colours, methods=["relax"], device="cpu"),
        "truths": lambda: relax.evaluate([IMAGE], value, colours, methods=["relax"], device="cpu"),
        "metrics": lambda: relax.evaluate([IMAGE], None, colours, methods=["relax"], metrics=value),
        "contrast": lambda: relax.evaluate([IMAGE], None, colours, methods=["relax"], contrast=value, device="cpu"),
        "Corpus": lambda: relax.Corpus([IMAGE], name=value),
    }
    if isinstance(value, str):
        del calls["Corpus"]
    if isinstance(value, Tensor | set):
        del calls["encoders"], calls["images"]  # a stack is a list of pictures; each of a set fails by itself
    for argument, call in calls.items():
        with pytest.raises(ValueError, match=argument.split()[-1]):
            call()


def test_a_truth_of_a_wrong_type_is_a_failure_of_its_picture() -> None:
    for truth in [
        Unspeakable(),
        {1},
        3,
        torch.rand(12, 12),
        torch.zeros(12, 12, requires_grad=True),
        MASKS.to_sparse(),
    ]:
        evaluation = relax.evaluate([IMAGE], [truth], colours, methods=["relax"], masks=8, cells=2, device="cpu")

        assert "truth must be (H, W) bool" in str(evaluation.outcomes[0].failure)


def test_a_class_of_a_head_of_ones_own_is_checked() -> None:
    class Own:
        classes = ("a", "b", "c")

        def logits(self, embeddings: Tensor) -> Tensor:
            return embeddings

        def scores(self, embeddings: Tensor) -> Tensor:
            return embeddings.softmax(1)

        def class_index(self, name: str | int) -> Any:
            return name

        def check(self, encoder: object) -> None:
            pass

    for target in ("a", 3):
        with pytest.raises(ValueError, match="target must be the name of a class, or a number from 0 to 2"):
            explain(method="rise", head=Own(), target=target)
    assert explain(method="rise", head=Own(), target=2).provenance["target"] == "c"


def test_a_keep_under_which_pixels_are_never_seen_is_told_with_their_share() -> None:
    """The share by the definition: of the pixels that none of the masks shows."""
    shown = MASKS.clone()
    shown[..., :9] = 0

    with pytest.warns(UserWarning, match=r"no mask ever shows 75 % of the pixels, whose importance is NaN: show every"):
        explanation = explain(masks=shown)
    assert np.isnan(explanation.importance).mean() == 0.75
    with pytest.warns(
        UserWarning, match=r"no mask ever shows \d+ % of the pixels.*: take a keep above 0.01, or more masks"
    ):
        explain(keep=0.01, masks=20, fill=0.5)
    with pytest.raises(
        ValueError, match=r"masks must show the picture; none of them shows a pixel of tensor .*: take a keep"
    ):
        explain(keep=1e-5, masks=20, fill=0.5)
    with pytest.raises(ValueError, match="masks must show the picture"):
        explain(keep=1e-5, masks=20, fill=0.5, method="rise", head=HEAD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(keep=0.3)


def test_plain_values_keep_their_type_and_everything_else_stays_what_it_is() -> None:
    assert [type(plain(value)) for value in (True, 3, 0.5, "x", np.bool_(True), np.str_("x"), np.uint8(3))] == [
        bool, int, float, str, bool, str, int,
    ]  # fmt: skip
    for value in (IMAGE, [1], None, Unspeakable()):
        assert plain(value) is value


def test_a_value_in_a_message_is_short_and_never_raises() -> None:
    assert described(np.float32(0.5)) == "0.5"
    assert described(torch.zeros(2, 3)) == "Tensor (2, 3) torch.float32"
    assert described(Unspeakable()) == "Unspeakable"
    assert described([Unspeakable()]) == "list"
    assert described(Unspeakable) == "the class Unspeakable"
    assert len(described("x" * 1000)) == 80
    assert described([np.eye(2), "\ue000"]) == "[array([[1., 0.], [0., 1.]]), '\\ue000']"
    assert described(10**5000) == "int"

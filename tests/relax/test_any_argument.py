"""Whatever is given to a public function, it answers, or says which argument is wrong in one short line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot
from PIL import Image
from torch import Tensor

import relax
from encoders.values import plain

PICTURE = torch.rand(3, 8, 9, generator=torch.Generator().manual_seed(0))
SOME = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking explains again and again
    suppress_health_check=list(HealthCheck),
)


def colours(pixels: Tensor) -> Tensor:
    return pixels.mean((2, 3)) + torch.tensor([0.1, 0.2, 0.3])


NUMBERS = st.one_of(
    st.integers(-3, 20),
    st.sampled_from([2**31, 2**63, 10**400, -(10**30)]),
    st.floats(),
    st.booleans(),
    st.complex_numbers(),
)
WORDS = st.one_of(
    st.text(max_size=12), st.sampled_from(["auto", "all", "cosine", "l2", "mean", "grid", "relax", "nan", "0"])
)
DTYPES = [
    np.uint8,
    np.int8,
    np.uint16,
    np.int64,
    np.float16,
    np.float32,
    np.float64,
    np.bool_,
    np.complex64,
    object,
    "U3",
]


@st.composite
def arrays(draw: Any) -> Any:
    """An array or tensor of any shape, type and content."""
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 8, 9]), max_size=5)))
    values = np.random.default_rng(draw(st.integers(0, 9))).random(shape)
    values = values * draw(st.sampled_from([1.0, -1.0, 255.0, 1e38, float("nan"), float("inf")]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = np.asarray(values).astype(draw(st.sampled_from(DTYPES)))
    if array.dtype.kind in "fiub" and draw(st.booleans()):
        return torch.from_numpy(array) if array.ndim else torch.tensor(array.item())
    return array


THINGS = st.one_of(
    NUMBERS,
    WORDS,
    arrays(),
    st.binary(max_size=8),
    st.none(),
    st.sampled_from(
        [object(), ..., int, len, range(3), Image.new("L", (1, 1)), Image.new("P", (8, 9)), Image.new("F", (8, 9))]
    ),
    st.dictionaries(WORDS, NUMBERS, max_size=2),
    st.lists(st.one_of(NUMBERS, WORDS, st.none(), arrays()), max_size=3),
    st.sets(st.integers(), max_size=2),
)


FILE = ("no such file", "is a folder", "is not a regular file", "cannot be read")
"""What is said of a text that is taken for a path."""


def answers_or_names(call: Callable[[], object], *names: str) -> object | None:
    """What the call returns; None where it refused an argument by one of these names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except (ValueError, ImportError) as error:  # ImageError and EncoderError are ValueErrors
        text = str(error)
        assert any(name in text for name in names), text
        assert text.isprintable(), text
        assert len(text) < 600
        return None


def is_map(explanation: Any) -> bool:
    """Whether it is an explanation whose maps are of the picture, finite where they are known, and can be saved."""
    if isinstance(explanation, list):
        return all(map(is_map, explanation))
    explanation.to_bytes()
    maps = (explanation.importance, explanation.uncertainty, explanation.standard_error)
    return all(values.shape == explanation.image.shape[:2] and not np.isinf(values).any() for values in maps)


def takes_long(argument: str, value: Any) -> bool:
    """Whether it is a right number of masks or cells that only takes its time."""
    return argument in ("masks", "cells") and isinstance(plain(value), int | float) and plain(value) > 64


def explained(**keywords: Any) -> relax.Explanation:
    image, encoder = keywords.pop("image", PICTURE), keywords.pop("encoder", colours)
    return relax.explain(image, encoder, **{"masks": 4, "cells": 2, "device": "cpu", **keywords})


@SOME
@given(THINGS)
def test_read_image(source: Any) -> None:
    pixels = answers_or_names(lambda: relax.read_image(source), "array", "tensor", "image", "mage", *FILE, "channels")

    if pixels is not None:
        assert isinstance(pixels, Tensor)
        assert pixels.dtype == torch.float32
        assert pixels.shape[:2] == (1, 3)
        assert 0 <= pixels.min() <= pixels.max() <= 1


KEYWORDS = [
    "masks", "cells", "keep", "fill", "seed", "regions", "design", "estimator", "preset", "similarity", "reference",
    "foil", "tolerance", "method", "target", "head", "batch_size", "precision", "pooling", "device", "progress",
]  # fmt: skip
"""Of `relax.explain`."""


@pytest.mark.parametrize("keyword", KEYWORDS)
@settings(SOME, max_examples=15)
@given(value=THINGS)
def test_a_keyword_of_explain(keyword: str, value: Any) -> None:
    if (keyword == "progress" and callable(value)) or takes_long(keyword, value):
        return

    explanation = answers_or_names(lambda: explained(**{keyword: value}), keyword, *FILE)

    assert explanation is None or is_map(explanation)


@settings(SOME, max_examples=30)
@given(image=THINGS)
def test_the_picture_of_explain_and_probe(image: Any) -> None:
    words = ("array", "tensor", "image", "mage", *FILE, "pixel", "channels", "encoder", "masks", "cells")
    for call in (explained, lambda image: relax.probe(image, colours, masks=4, cells=2, device="cpu").explain()):
        explanation = answers_or_names(lambda call=call: call(image=image), *words)  # type: ignore[misc]

        assert explanation is None or is_map(explanation)


@settings(SOME, max_examples=30)
@given(encoder=THINGS)
def test_the_encoder_of_explain(encoder: Any) -> None:
    explanation = answers_or_names(lambda: explained(encoder=encoder), "encoder")

    assert explanation is None or is_map(explanation)


@settings(SOME, max_examples=30)
@given(answer=arrays())
def test_what_an_encoder_answers(answer: Any) -> None:
    explanation = answers_or_names(lambda: explained(encoder=lambda pixels: answer), "encoder", "<lambda>")

    assert explanation is None or is_map(explanation)


@pytest.mark.parametrize(
    "argument", ["explanation", "limits", "threshold", "quantile", "gamma", "panels", "cmap", "alpha", "theme"]
)
@settings(SOME, max_examples=8)
@given(value=THINGS)
def test_an_argument_of_figure(argument: str, value: Any) -> None:
    given_ = {argument: value}
    drawing = answers_or_names(lambda: relax.figure(given_.pop("explanation", EXPLANATION), **given_), argument)

    assert drawing is None or drawing.axes  # type: ignore[attr-defined]
    pyplot.close("all")


EXPLANATION = explained()


@settings(SOME, max_examples=40)
@given(content=st.one_of(st.binary(max_size=300), st.just(b""), st.just(b"PK\x05\x06" + bytes(18))))
def test_any_file_of_load(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.npz"
    file.write_bytes(content)

    assert answers_or_names(lambda: relax.Explanation.load(file), "any.npz") is None


@pytest.mark.parametrize("argument", ["images", "truths", "methods", "metrics", "contrast", "masks", "similarity"])
@settings(SOME, max_examples=12)
@given(value=THINGS)
def test_an_argument_of_evaluate(argument: str, value: Any) -> None:
    keywords: dict[str, Any] = {"images": [PICTURE], "truths": None, "methods": ["relax"], "metrics": ["entropy"]}
    keywords |= {"masks": 4, "cells": 2, "device": "cpu", argument: value}

    if takes_long(argument, value):
        return

    evaluation: Any = answers_or_names(
        lambda: relax.evaluate(keywords.pop("images"), keywords.pop("truths"), colours, **keywords),
        argument,
        argument[:-1],
        *FILE,
    )

    if evaluation is not None:
        assert all(outcome.failure or np.isfinite([*outcome.values.values()]).all() for outcome in evaluation.outcomes)
        assert all(outcome.failure.isprintable() for outcome in evaluation.failures)

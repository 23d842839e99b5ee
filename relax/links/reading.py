"""Saved links, which may come from anybody: read without pickle, checked for shape and range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relax.links.linked import LinkedPicture, LinkedText
from relax.npz import read_npz
from relax.saved import Kind

ERRORS = ("to_other_error", "to_itself_error", "only_error")
ARRAYS = ("to_other", "to_itself", "only", *ERRORS)
NUMBER = (int, float)
_SIDE = {"masks": {"count": int, "groups": int, "keep": NUMBER}}
KIND = Kind(
    "links",
    "a file of LinksExplanation.save",
    {
        "similarity": NUMBER,
        "a": {"name": str},
        "b": {"name": str},
        "provenance": {"encoder": {"name": str}, "similarity": str, "a": _SIDE, "b": _SIDE},
    },
    optional={"a": {"seen": list}, "b": {"seen": list, "words": list, "spans": list}},
)


def read_links(path: str | Path) -> dict[str, Any]:
    """The fields of a `LinksExplanation`, "of_a" and "of_b" as dictionaries; errors as of `LinksExplanation.load`."""
    with KIND.reading(path) as record:
        names = ["links", "standard_error", *(f"{side}_{name}" for side in "ab" for name in ARRAYS)]
        return _links_of(record, read_npz(path, names, ["a_image", "b_image"]))


def _links_of(record: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    _check_groups(record["provenance"])
    a, b = (_linked(record[side], arrays, side) for side in "ab")
    if not isinstance(a, LinkedPicture):
        raise ValueError("its first side must be a picture")
    shape = (*a.shape, *b.shape)
    of = {side: {name: arrays[f"{side}_{name}"] for name in ARRAYS} for side in "ab"}
    _check_numbers({"links": arrays["links"]}, shape)
    _check_numbers({"standard_error": arrays["standard_error"]}, shape, positive=True)
    for side, linked in (("a", a), ("b", b)):
        _check_numbers({name: of[side][name] for name in ARRAYS if name not in ERRORS}, linked.shape)
        _check_numbers({name: of[side][name] for name in ERRORS}, linked.shape, positive=True)
    return {
        "links": arrays["links"],
        "standard_error": arrays["standard_error"],
        "a": a,
        "b": b,
        "of_a": of["a"],
        "of_b": of["b"],
        "similarity": float(record["similarity"]),
        "provenance": record["provenance"],
    }


def _check_groups(provenance: dict[str, Any]) -> None:
    if min(provenance[side]["masks"]["groups"] for side in "ab") < 2:
        raise ValueError("its provenance must have 2 or more groups of masks")


def _linked(record: dict[str, Any], arrays: dict[str, NDArray[Any]], side: str) -> LinkedPicture | LinkedText:
    name, shape = str(record.get("name") or ""), arrays[f"{side}_only"].shape
    if f"{side}_image" in arrays:
        pixels, seen = arrays[f"{side}_image"], record.get("seen") or []
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise ValueError(f"its picture {side} must be (H, W, 3) uint8; got {pixels.dtype} {pixels.shape}")
        if len(shape) != 2 or 0 in shape or not _are_numbers(seen, 4) or not (seen[0] < seen[2] and seen[1] < seen[3]):
            raise ValueError(f"its cells of {side} must be (h, w), in a box of four numbers")
        return LinkedPicture(name, (shape[0], shape[1]), pixels, tuple(map(float, seen)))  # type: ignore[arg-type]
    words, spans = record.get("words") or [], record.get("spans") or []
    if not words or not all(isinstance(word, str) for word in words) or shape != (len(words),):
        raise ValueError(f"its side {side} must be a picture, or words")
    if len(spans) != len(words) or not all(isinstance(span, list) and _are_numbers(span, 2) for span in spans):
        raise ValueError(f"its words must have {len(words)} places in the text")
    return LinkedText(name, tuple(words), tuple((int(start), int(end)) for start, end in spans))


def _are_numbers(values: list[Any], count: int) -> bool:
    return len(values) == count and all(isinstance(value, int | float) and np.isfinite(value) for value in values)


def _check_numbers(arrays: dict[str, NDArray[Any]], shape: tuple[int, ...], *, positive: bool = False) -> None:
    for name, values in arrays.items():
        if values.dtype != np.float64 or values.shape != shape or not np.isfinite(values).all():
            raise ValueError(f"its {name} must be {shape} finite float64; got {values.dtype} {values.shape}")
        if positive and (values < 0).any():
            raise ValueError(f"its {name} must be 0 or more")

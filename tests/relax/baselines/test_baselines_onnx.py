"""With an ONNX graph, methods that only hide pixels give the map of its torch twin; those that look inside refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import relax
from encoders import Encoder, Preprocess
from relax.baselines import METHODS, MethodError
from relax.cli.app import run
from tests.onnx_graphs import DIM, MEAN, STD, Graph, Twin
from tests.relax.baselines.small import SmallHead, drawn

LOOK_INSIDE = {name for name, method in METHODS.items() if method.needs - {"head"}}
SAMPLED = {name for name, method in METHODS.items() if method.samples}
SIZE = (32, 32)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A graph with a fixed batch, so that batches are cut and filled up."""
    path = Graph(batch=3, size=SIZE).saved(tmp_path_factory.mktemp("graphs") / "graph.onnx")
    return f"onnx:{path}?mean={','.join(map(str, MEAN))}&std={','.join(map(str, STD))}"


def explained(name: str, encoder: str | Encoder) -> relax.Explanation:
    count = {"masks": 24} if name in SAMPLED else {}
    head = {"head": SmallHead(DIM)} if METHODS[name].explains == "class" else {}
    return relax.explain(drawn(3, 20, 30), encoder, method=name, cells=2, device="cpu", **count, **head)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - LOOK_INSIDE))
def test_methods_that_only_hide_pixels_give_the_map_of_the_torch_twin(name: str, spec: str) -> None:
    twin = Encoder(Twin(), preprocess=Preprocess(size=SIZE, mean=MEAN, std=STD), device="cpu", channels=3)

    explanation, expected = explained(name, spec), explained(name, twin)

    span = float(np.ptp(expected.importance)) or 1.0
    np.testing.assert_allclose(explanation.importance, expected.importance, atol=1e-3 * span)


@pytest.mark.parametrize("name", sorted(LOOK_INSIDE))
def test_methods_that_look_inside_are_refused_with_those_that_do_not(name: str, spec: str) -> None:
    with pytest.raises(MethodError) as caught:
        explained(name, spec)

    assert str(caught.value).startswith(f"{name} needs {' and '.join(sorted(METHODS[name].needs))}, and encoder ")
    assert str(caught.value).endswith(
        "is an ONNX graph, in which torch sees no gradients and no layers: use relax, lime, occlusion, "
        "feature-ablation, kernel-shap, sbsm, or the network in torch"
    )


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    pixels = (drawn(40, 60, 3) * 255).byte().numpy()
    Image.fromarray(pixels).save("cat.png")
    return "cat.png"


def test_the_command_line_refuses_them_in_one_line_and_runs_the_others(
    picture: str, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--encoder", spec, "--masks", "8", "--cells", "3", "--device", "cpu")

    assert run(["explain", picture, *options, "--method", "gradcam"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "is an ONNX graph" in error
    assert run(["explain", picture, *options]) == 0
    assert Path("relax-out/cat.npz").exists()


def test_the_command_line_tells_in_one_line_that_nothing_says_how_pixels_were_normalised(
    picture: str, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", picture, "--encoder", spec.partition("?")[0], "--masks", "8", "--cells", "3"]) == 0

    error = capsys.readouterr().err
    assert error.startswith("relax: encoder 'onnx:")
    assert error.endswith("pixels go in as [0, 1]; say ?mean=...&std=...\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--head", "network"], "has no classifier that is known"),
        (["--regions", "patches"], "need a VisionTransformer of timm"),
        (["--fill", "drop", "--regions", "patches"], "need a VisionTransformer of timm"),
        (["--reference", "text:a cat"], "has no text tower"),
    ],
)
def test_other_things_inside_are_refused_in_one_line_too(
    options: list[str], message: str, picture: str, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", picture, "--encoder", spec, "--masks", "8", "--cells", "3", *options]) in (1, 2)

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_the_record_says_that_nothing_was_rounded_and_which_file_it_was(spec: str) -> None:
    explanation = relax.explain(drawn(3, 20, 30), spec, masks=256, cells=2, device="cpu", precision="auto")

    precision = explanation.provenance["precision"]
    assert (precision["dtype"], precision["applied"]) == ("float32", ["no half precision here"])
    assert explanation.provenance["encoder"]["checksum"] == relax.load_encoder(spec, device="cpu").checksum


def test_hidden_pixels_of_a_graph_that_normalises_itself_show_its_mean_colour(tmp_path: Path) -> None:
    """All is hidden by a mask of zeros, so what is embedded is the fill; another mask shows all."""
    path = Graph(type=2, normalises=True).saved(tmp_path / "graph.onnx")  # 2 is uint8
    encoder = relax.load_encoder(f"onnx:{path}?mean={','.join(map(str, MEAN))}", device="cpu")
    seen = []
    graph = encoder.network
    encoder.network = lambda pixels: seen.append(pixels) or graph(pixels)  # type: ignore[func-returns-value]

    relax.explain(drawn(3, 20, 30), encoder, masks=torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, *SIZE))

    colour = torch.tensor(MEAN).view(3, 1, 1).expand(3, *SIZE)
    assert any(torch.allclose(picture, colour) for pixels in seen for picture in pixels)

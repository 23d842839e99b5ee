"""The record of an encoder is enough to make it again, and tells apart what cannot be mixed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import relax
from encoders import Encoder, Preprocess, load
from encoders.identity import differences, identity, recipe


def pixels() -> Tensor:
    return torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))


def checkpoint(folder: Path) -> str:
    network = load("random:timm:test_resnet", device="cpu", seed=3).network
    weights = {f"teacher.{name}": value for name, value in network.state_dict().items()}  # type: ignore[union-attr]
    save_file(weights, folder / "weights.safetensors")
    return (
        f"file:{folder}/weights.safetensors?arch=test_resnet&size=48&mean=0.4,0.5,0.6&std=0.2,0.2,0.3"
        "&interpolation=bicubic"
    )


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        ("default", {}),
        ("random:default", {"seed": 4}),
        ("random:timm:test_vit", {"seed": 2, "pooling": "mean"}),
        ("file", {}),
    ],
)
def test_an_encoder_is_made_again_from_the_record_of_an_explanation(
    spec: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    encoder = load(checkpoint(tmp_path) if spec == "file" else spec, device="cpu", **settings)
    explanation = relax.explain(pixels()[:1], encoder, masks=4, cells=2)

    record = json.loads(explanation.to_json())["encoder"]
    again = load(record["name"], device="cpu", pooling=record["pooling"], seed=record["seed"] or 0)

    assert torch.equal(again(pixels()), encoder(pixels()))
    assert recipe(again) == {key: value for key, value in record.items() if key != "input_size"}


def test_preprocessing_in_the_record_makes_a_module_of_the_callers_again() -> None:
    """Of a module the weights are the caller's; the record has the rest."""
    network = load("random:timm:test_resnet", device="cpu").network
    preprocess = Preprocess((32, 32), 36, (0.4, 0.5, 0.6), (0.2, 0.3, 0.2), "bicubic")
    encoder = Encoder(network, preprocess=preprocess, channels=3, device="cpu")

    record = json.loads(json.dumps(recipe(encoder)))

    stated = {key: tuple(v) if isinstance(v, list) else v for key, v in record["preprocess"].items()}
    again = Encoder(network, preprocess=Preprocess(**stated), channels=record["channels"], device="cpu")
    assert torch.equal(again(pixels()), encoder(pixels()))


def test_the_part_of_a_checkpoint_is_in_the_record(tmp_path: Path) -> None:
    record = recipe(load(checkpoint(tmp_path), device="cpu"))

    assert record["checkpoint"]["part"] == "teacher."
    assert record["preprocess"] == {
        "size": [48, 48],
        "resize": record["preprocess"]["resize"],
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.2, 0.3],
        "interpolation": "bicubic",
        "eight_bit": False,
        "rounded_down": False,
    }
    assert record["seed"] is None


def test_encoders_differ_in_what_changes_their_embeddings_and_not_in_their_names() -> None:
    first = identity(load("random:timm:test_vit", device="cpu"))
    mean = identity(load("random:timm:test_vit", device="cpu", pooling="mean"))
    other = identity(load("random:timm:test_vit", device="cpu", seed=1))
    functions = [identity(load(function)) for function in (torch.flatten, torch.clone)]

    assert differences(first, first | {"name": "a copy"}) == []
    assert differences(first, mean) == ["pooling", "architecture"]  # timm pools in the network
    assert differences(first, other) == ["checksum"]
    assert differences(first, first | {"preprocess": None}) == ["preprocess"]
    assert differences(*functions) == ["name"]


def test_the_same_weights_in_another_architecture_are_another_encoder(tmp_path: Path) -> None:
    """Heads and activation leave no trace in weights: one file, one checksum, other embeddings."""
    network = load("random:timm:test_vit", device="cpu", seed=3).network
    save_file(dict(network.state_dict()), tmp_path / "vit.safetensors")  # type: ignore[union-attr]
    spec = f"file:{tmp_path}/vit.safetensors?arch=test_vit"
    first = load(spec, device="cpu")
    record = identity(first)

    for item in ("num_heads=4", "act_layer=relu", "dynamic_img_pad=true"):
        other = load(f"{spec}&{item}", device="cpu")
        assert other.checksum == first.checksum
        assert differences(record, identity(other)) == ["architecture"]
    assert differences(record, identity(load(f"{spec}&num_heads=2", device="cpu"))) == []  # the usual number, said
    older = {key: value for key, value in record.items() if key != "architecture"}
    assert differences(older, record) == []

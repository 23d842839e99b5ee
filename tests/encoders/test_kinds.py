"""The table of kinds is the only place that tells them: specs, error texts, the list and the README follow it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

import encoders
from encoders import EncoderError, available, kinds, load
from encoders.contract import Built
from encoders.kinds import KINDS, RANDOM_WHAT, SpecKind, forms, random_forms, resolve
from encoders.names import Names
from encoders.parsing import Spec, parse_architecture, parse_spec
from encoders.preprocess import Preprocess

ROOT = Path(__file__).parents[2]


def named(prefix: str) -> SpecKind:
    return next(kind for kind in KINDS if kind.prefix == prefix)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.prefix)
def test_every_row_is_complete_and_its_functions_exist(kind: SpecKind) -> None:
    assert kind.form.partition(":")[0] == kind.example.partition(":")[0] == kind.prefix
    assert kind.what
    assert kind.notes
    for reference in filter(None, (kind.builder, kind.names, kind.classifier)):
        assert callable(resolve(reference))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.prefix)
def test_the_example_of_a_row_is_a_spec_of_its_kind(kind: SpecKind) -> None:
    spec = parse_spec(kind.example)

    assert spec.kind is kind
    assert spec.pretrained
    assert spec.text == kind.example


def test_prefixes_are_different() -> None:
    assert len({kind.prefix for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.prefix)
def test_random_stands_before_the_kinds_that_allow_it_and_no_other(kind: SpecKind) -> None:
    if kind.random_form:
        assert parse_spec(f"random:{kind.example}").kind is kind
        assert not parse_spec(f"random:{kind.example}").pretrained
    else:
        with pytest.raises(
            EncoderError, match=f"got 'random:{kind.prefix}.*: {re.escape(kind.form)} has no random weights"
        ):
            parse_spec(f"random:{kind.example}")


def test_the_table_of_the_readme_is_the_table_of_kinds() -> None:
    """A new kind adds the line that this test asks for; links may be added to its words."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", (ROOT / "README.md").read_text(encoding="utf-8"))
    random = ", ".join(f"`{form}`" for form in random_forms())
    lines = [f"| `{kind.form}` | {kind.what}; {kind.notes} |" for kind in KINDS] + [f"| {random} | {RANDOM_WHAT} |"]

    assert "\n".join(lines) in text


def test_the_error_of_what_is_no_spec_names_every_form() -> None:
    with pytest.raises(EncoderError) as caught:
        load("no such thing")

    assert str(caught.value).startswith(f"encoder must be one of {', '.join(forms())}, a module or a function; got ")


@pytest.mark.parametrize(
    ("spec", "way_out"),
    [
        ("tim:resnet50", "did you mean timm:resnet50?"),
        ("Torchvision:resnet50", "did you mean torchvision:resnet50?"),
        ("openclip:ViT-B-32:laion2b_s34b_b79k", "did you mean open_clip:ViT-B-32:laion2b_s34b_b79k?"),
        ("defualt", "did you mean default?"),
        ("randon:timm:resnet50", "did you mean random:timm:resnet50?"),
        ("random:tim:resnet50", "did you mean random:timm:resnet50?"),
        ("random:defalt", "did you mean random:default?"),
        ("resnet50", "a network's name needs its library before it, as in timm:resnet50"),
        ("default:x", "nothing follows default"),
        ("default?size=96", "nothing follows default"),
        ("sscd:x?size=320", "nothing follows sscd"),
        ("ssdc?size=320", "did you mean sscd?size=320?"),
        ("onnx:?size=320", "a name must follow, as in onnx:encoder.onnx?size=224"),
        ("timm:", "a name must follow, as in timm:vit_small_patch14_dinov2.lvd142m"),
        ("", "relax encoders lists them with examples"),
        ("random:", "relax encoders lists them with examples"),
        ("file:run.pth?arch=test_vit&interpolaton=nearest", "did you mean interpolation?"),
        ("file:run.pth?arch=test_vit&zzz=1", "leave it out"),
    ],
)
def test_a_misspelt_spec_gets_the_nearest_right_one(spec: str, way_out: str) -> None:
    with pytest.raises(EncoderError) as caught:
        load(spec)

    assert str(caught.value).endswith(f": {way_out}")


@pytest.mark.parametrize(
    ("arch", "prefix", "name"),
    [
        ("resnet50", "timm", "resnet50"),
        ("timm:resnet50.a1_in1k", "timm", "resnet50.a1_in1k"),
        ("hf-hub:user/model", "timm", "hf-hub:user/model"),
        ("torchvision:resnet50", "torchvision", "resnet50"),
        ("default", "default", ""),
        ("default:x", "timm", "default:x"),  # which timm refuses by that name
        ("hub:a:b", "timm", "hub:a:b"),
    ],
)
def test_arch_names_a_network_of_timm_or_a_spec_that_may_be_one(arch: str, prefix: str, name: str) -> None:
    spec = parse_architecture(arch, {"size": "96"})

    assert (spec.kind.prefix, spec.name, spec.items, spec.pretrained) == (prefix, name, {"size": "96"}, False)


def test_an_item_that_is_said_twice_is_refused() -> None:
    with pytest.raises(EncoderError, match="has the item 'size' more than once: keep one"):
        parse_spec("timm:resnet50?size=96&mean=0.5&size=224")


def test_a_spec_is_cut_at_the_question_mark_before_its_items() -> None:
    assert parse_spec("hub:owner/repo:net?pretrained=true&size=96").items == {"pretrained": "true", "size": "96"}
    assert parse_spec("file:a?b.pth?arch=x").name == "a?b.pth"
    assert parse_spec("open_clip:ViT-B-32:a?b.pt").name == "ViT-B-32:a?b.pt"
    assert parse_spec("sscd?size=320").items == {"size": "320"}
    assert parse_spec("onnx:a:b?.onnx?size=96").name == "a:b?.onnx"
    assert parse_spec("timm:local-dir:what?/net?size=96&in_chans=1").name == "local-dir:what?/net"
    assert parse_spec("torchvision:resnet18?size=96&pooling=mean").items == {"size": "96", "pooling": "mean"}
    assert parse_spec("timm:resnet18?").name == "resnet18?"  # which timm refuses by that name


def build_stub(spec: Spec) -> Built:
    network = timm.create_model("test_vit", num_classes=0, pretrained=False)
    return Built(network, Preprocess(size=(160, 160), mean=(0.5,), std=(float(spec.name),)), channels=1)


def stub_names() -> Names:
    return Names(("0.25",), ("0.25",))


def test_a_new_kind_is_one_row_and_its_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    row = SpecKind(
        prefix="stub",
        form="stub:STD",
        what="a stub",
        notes="for this test",
        example="stub:0.5",
        builder=f"{__name__}:build_stub",
        random_form="stub:STD",
        items=("mean",),
        names=f"{__name__}:stub_names",
    )
    monkeypatch.setattr(kinds, "KINDS", (*KINDS, row))
    monkeypatch.setattr("encoders.catalogue.KINDS", (*KINDS, row))
    monkeypatch.setattr("encoders.parsing.KINDS", (*KINDS, row))
    torch.manual_seed(3)

    encoder = load("stub:0.25?mean=0.75", device="cpu", seed=1)

    assert (encoder.preprocess.mean, encoder.preprocess.std) == ((0.75,), (0.25,))
    assert load("random:stub:0.25", device="cpu", seed=1).checksum == encoder.checksum
    assert [row.spec for row in available("0.25")] == ["stub:0.25"]
    assert available()[-2].spec == "stub:0.5"
    with pytest.raises(
        EncoderError, match=r"must be one of .*, stub:STD, .*random:stub:STD.*: did you mean stub:0.25\?"
    ):
        load("stubb:0.25")


def test_the_kinds_are_listed_without_waiting_for_torch() -> None:
    code = (
        "import sys, encoders; encoders.available(); "
        "print(sorted({'torch', 'timm', 'torchvision', 'numpy'} & sys.modules.keys()))"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)

    assert run.stdout.strip() == "[]"


def test_every_public_name_loads() -> None:
    missing = [name for name in encoders.__all__ if not hasattr(encoders, name)]

    assert not missing
    assert len(encoders.__all__) >= 12

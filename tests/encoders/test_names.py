"""The names of a library's networks are asked once for each version; without them, names are not refused early."""

import json

import pytest

from encoders import names
from encoders.catalogue import available
from encoders.errors import EncoderError
from encoders.kinds import kind_of
from encoders.names import Names, check_name, known_names, names_of, remembered
from encoders.places import check_spec

TIMM = kind_of("timm")
FEW = Names(("resnet18", "vit_tiny"), ("resnet18.a1",), ("resnet18_old",))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "FOLDER", tmp_path / "cache")
    return tmp_path / "cache"


def test_what_was_asked_once_is_read_from_then_on(cache, monkeypatch):
    monkeypatch.setattr(names, "resolve", lambda reference: lambda: FEW)
    asked = names_of(TIMM)
    names_of(kind_of("torchvision"))

    monkeypatch.setattr(names, "resolve", None)

    assert asked == names_of(TIMM) == FEW
    assert [row.spec for row in available("resnet*") if row.spec.startswith("timm:")] == ["timm:resnet18.a1"]


def test_names_of_another_version_are_not_taken(cache, monkeypatch):
    known_names(TIMM, FEW)
    assert remembered(TIMM) == FEW

    monkeypatch.setattr(names, "version", lambda package: "99.0")

    assert remembered(TIMM) is None


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"networks": "abc", "pretrained": [], "earlier": []}', '{"networks": [1], "pretrained": [], '
     '"earlier": []}', '{"networks": ["a\\u001b[2J"], "pretrained": [], "earlier": []}', " " * (2**20 + 1)],
    ids=["empty", "list", "without lists", "text", "numbers", "unprintable", "large"],
)  # fmt: skip
def test_a_damaged_file_is_not_taken_and_written_anew(cache, content):
    known_names(TIMM, FEW)
    (file,) = cache.iterdir()
    file.write_text(content)

    assert remembered(TIMM) is None
    assert known_names(TIMM, FEW) == FEW
    assert remembered(TIMM) == FEW


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(names, "FOLDER", tmp_path / "file")

    assert known_names(TIMM, FEW) == FEW
    assert remembered(TIMM) is None


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("timm:resnet81", "encoder 'timm:resnet81' is not known: did you mean resnet18"),
        ("timm:resnet18.a2", "encoder 'timm:resnet18.a2' is not known: did you mean resnet18.a1"),
        ("timm:vit_tiny", "encoder 'timm:vit_tiny' has no pretrained weights in timm"),
        ("file:run.pt?arch=resnet81", "encoder 'timm:resnet81' is not known: did you mean resnet18"),
    ],
)
def test_a_name_that_is_none_is_refused_where_names_are_remembered(cache, tmp_path, monkeypatch, spec, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.pt").touch()
    assert check_spec(spec).text == spec  # nothing is known yet

    known_names(TIMM, FEW)

    with pytest.raises(EncoderError, match=reason):
        check_spec(spec)


@pytest.mark.parametrize(
    "spec",
    ["timm:resnet18", "timm:resnet18.a1", "random:timm:vit_tiny", "random:timm:resnet18_old", "torchvision:resnet81",
     "timm:hf-hub:someone/net", "timm:local-dir:net", "default", "hf:resnet81"],
)  # fmt: skip
def test_a_name_that_may_be_one_passes(cache, spec):
    known_names(TIMM, FEW)

    assert check_spec(spec).text == spec


def test_the_names_of_timm_and_torchvision_are_those_that_they_list(cache):
    import timm
    import torchvision

    assert set(names_of(TIMM).pretrained) == set(timm.list_pretrained())
    assert set(timm.list_models()) == set(names_of(TIMM).networks)
    assert "resnet50" in names_of(kind_of("torchvision")).networks
    assert "resnet50" in dir(torchvision.models)
    for file in cache.iterdir():
        assert file.stat().st_size < names.LARGEST / 4
        assert set(json.loads(file.read_text())) == {"networks", "pretrained", "earlier"}


def test_an_earlier_name_is_timm_s_own():
    """What timm renames is taken still, as `timm.create_model` takes it."""
    import timm

    earlier = names_of(TIMM).earlier
    assert earlier
    assert all(map(timm.is_model, earlier))

    check_name("timm", earlier[0], False, names_of(TIMM))

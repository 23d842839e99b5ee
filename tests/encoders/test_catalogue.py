"""The list of encoders names only what can be loaded."""

from __future__ import annotations

import timm

from encoders import available, load
from encoders.catalogue import items
from encoders.kinds import ITEMS, KINDS, RANDOM


def test_without_a_pattern_every_kind_of_spec_is_listed_once() -> None:
    kinds = [row.spec.partition(":")[0] for row in available()]

    assert kinds == [*(kind.prefix for kind in KINDS), RANDOM]
    assert all(row.what and row.notes for row in available())


def test_the_examples_name_networks_that_exist() -> None:
    specs = {row.spec.partition(":")[0]: row.spec for row in available()}

    assert specs["timm"].removeprefix("timm:") in timm.list_pretrained()
    assert specs["torchvision"] in [row.spec for row in available("resnet50")]


def test_every_item_is_listed_with_the_kinds_that_take_it() -> None:
    rows = {row.spec: row for row in items()}

    assert list(rows) == list(ITEMS)
    assert all(row.what and row.notes for row in rows.values())
    assert (rows["part"].notes, rows["quick_gelu"].notes) == ("file", "open_clip")
    assert rows["num_heads"].notes == "timm, torchvision, hub, file"  # whose networks say whether they take it


def test_a_text_finds_names_that_hold_it_in_both_libraries_whatever_the_case() -> None:
    specs = [row.spec for row in available("ResNet18")]

    assert "torchvision:resnet18" in specs
    assert "timm:resnet18.a1_in1k" in specs
    assert all("resnet18" in spec for spec in specs)


def test_a_spec_of_one_word_is_found_too() -> None:
    assert [row.spec for row in available("SSCD")] == ["sscd"]
    assert next(row.spec for row in available("d?fault")) == "default"


def test_a_shell_pattern_is_for_the_whole_name() -> None:
    assert [row.spec for row in available("resnet1?")] == ["torchvision:resnet18"]
    assert [row.spec for row in available("test_vit.*")] == ["timm:test_vit.r160_in1k"]


def test_a_name_from_the_list_loads_with_random_weights() -> None:
    spec = available("test_vit.*")[0].spec

    assert load(f"random:{spec}", device="cpu").name == f"random:{spec}"


def test_nothing_found_is_an_empty_list() -> None:
    assert available("no such network") == []

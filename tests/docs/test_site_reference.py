"""The reference has every public name, as it is called and as its docstring has it, and every command."""

import inspect
import re

import pytest

import encoders
import masking
import relax
import similarity
from docs.site.commands import commands
from docs.site.reference import package
from relax.cli.options import OPTIONS, option_name
from relax.settings import DEFAULTS

ROOMS = {"relax": relax, "encoders": encoders, "masking": masking, "similarity": similarity}


@pytest.mark.parametrize("name", ROOMS)
def test_every_public_name_is_there_once(name):
    text = package(name)

    for member in set(ROOMS[name].__all__) - {"baselines", "metrics"}:
        assert text.count(f"{{ #{name}.{member} }}") == 1, member


def entry(text, name):
    """What the page says of one name."""
    return re.search(rf"## `{re.escape(name)}`.*?(?=\n## |\Z)", text, flags=re.DOTALL)[0]


@pytest.mark.parametrize("name", ["explain", "probe", "explain_pair", "evaluate", "assess", "audit"])
def test_a_signature_shows_every_keyword_with_the_default_that_it_has(name):
    text = entry(package("relax"), f"relax.{name}")
    signature = text.split("```")[1]

    for parameter in inspect.signature(getattr(relax, name)).parameters.values():
        if parameter.default is inspect.Parameter.empty:
            assert f"    {parameter.name},\n" in signature
        else:
            shown = re.search(rf"    {parameter.name}=(.*),\n", signature)[1]
            assert shown in (repr(parameter.default), str(parameter.default)), parameter


def test_every_argument_is_described_and_words_of_the_docstring_are_kept():
    text = entry(package("relax"), "relax.explain")

    for name in DEFAULTS:
        assert f"\n`{name}`\n:   " in text, name
    assert "(H, W) in the frame of the image, or a list of explanations." in text
    assert "\n`ImageError`\n:   If an image cannot be used." in text


def test_methods_and_properties_of_a_class_have_their_own_entries():
    text = package("relax")

    assert "### `Explanation.u_relax` { #relax.Explanation.u_relax }" in text
    assert "### `Probe.repeat` { #relax.Probe.repeat }" in text


def test_another_name_for_a_function_shows_the_function():
    assert "relax.load_encoder(\n    spec,\n    device='auto',\n" in package("relax")


def test_public_names_in_the_text_are_links():
    assert "[`relax.baselines.METHODS`](relax.baselines.md#relax.baselines.METHODS)" in package("relax")


def test_every_command_shows_its_options():
    text = commands()
    explain = entry(text, "relax explain")

    for name in ("explain", "compare", "audit", "head train", "report"):
        assert f"## `relax {name}`\n" in text
    for name in OPTIONS:
        assert f"`{option_name(name)}" in explain, name
    assert "`--cells N`\n:   Regions along each side; more show finer detail. Default: 7." in explain
    assert "[bold]" not in text

"""Whatever the tests run with has one version in `[tool.uv]`, inside the bounds that users of the wheel get."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements():
    """Every requirement that `make test` installs, but for the project's own extras."""
    project, groups = SETTINGS["project"], SETTINGS["dependency-groups"]
    included = [line["include-group"] for line in groups["dev"] if not isinstance(line, str)]
    lines = [*project["dependencies"], *(line for group in included for line in groups[group])]
    lines += [line for line in groups["dev"] if isinstance(line, str)]
    for extra in project["optional-dependencies"].values():
        lines += extra
    return [requirement for requirement in map(Requirement, lines) if requirement.name != project["name"]]


def test_every_requirement_of_the_tests_is_pinned_inside_its_bounds():
    pins = {}
    for pin in map(Requirement, SETTINGS["tool"]["uv"]["constraint-dependencies"]):
        (specifier,) = pin.specifier
        assert specifier.operator == "==", pin
        pins[canonicalize_name(pin.name)] = specifier.version

    assert len(requirements()) > 25
    for requirement in requirements():
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_tools_that_no_test_runs_with_have_one_version_each():
    for group in ("mutants", "tools"):
        for requirement in map(Requirement, SETTINGS["dependency-groups"][group]):
            assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement


def test_what_builds_the_wheel_is_pinned_too():
    pins = {Requirement(line).name for line in SETTINGS["tool"]["uv"]["build-constraint-dependencies"]}

    assert {Requirement(line).name for line in SETTINGS["build-system"]["requires"]} <= pins


def test_the_makefile_finds_the_version_of_uv():
    """It reads the line with sed, before anything that reads TOML is installed."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()

    assert len([line for line in lines if line.startswith('  "uv==') and line.endswith('",')]) == 1


def test_no_file_of_pins_names_a_host():
    assert "://" not in (ROOT / "pyproject.toml").read_text()

"""The workflows and hooks say what the Makefile does, on the Pythons that are supported."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def jobs(file):
    """The jobs of a workflow by name."""
    return yaml.safe_load(file.read_text())["jobs"]


def test_there_are_workflows_for_tests_vulnerabilities_and_releases():
    assert [file.stem for file in WORKFLOWS] == ["audit", "release", "tests"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_may_only_read_and_calls_targets_of_the_makefile(file):
    content = yaml.safe_load(file.read_text())

    assert content["permissions"] == {"contents": "read"}
    assert content[True]  # `on`, which is a truth value in YAML 1.1: when it runs
    for job in content["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest"
        commands = [shlex.split(step["run"]) for step in job["steps"] if "run" in step]
        assert commands
        for command in commands:
            assert command[0] == "make"
            assert set(command[1:]) <= TARGETS
        actions = [step["uses"] for step in job["steps"] if "uses" in step]
        assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)
        assert actions[:2] == ["actions/checkout@v4", "actions/setup-python@v5"]


def test_style_types_tests_and_pages_are_checked_on_the_oldest_and_the_newest_python():
    every = jobs(ROOT / ".github" / "workflows" / "tests.yml")
    commands = {step["run"] for job in every.values() for step in job["steps"] if "run" in step}
    oldest, newest = every["tests"]["strategy"]["matrix"]["python"]

    assert commands == {"make lint", "make docs", "make site", "make test"}
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert tuple(map(int, newest.split("."))) > tuple(map(int, oldest.split(".")))


def test_every_target_is_phony_and_said_to_be():
    phony = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())

    assert phony == TARGETS


def test_the_hooks_run_the_tools_of_the_environment_as_make_lint_does():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    recipe = MAKEFILE.split("\nlint:")[1].split("\n\n")[0].replace("$(BIN)/", ".venv/bin/")
    linted = [line.strip().removesuffix(" .").replace(" --check", "") for line in recipe.splitlines()[1:]]

    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == linted
    assert all(hook["language"] == "system" for hook in repository["hooks"])


def test_what_is_recorded_of_a_release_has_every_extra():
    extras = re.search(r'"\.\[([a-z,]+)\]"', MAKEFILE)[1].split(",")
    included = {extra for extra, lines in PROJECT["project"]["optional-dependencies"].items() if "[onnx]" in lines[0]}

    assert {*extras, "onnx"} == set(PROJECT["project"]["optional-dependencies"])
    assert included <= set(extras)  # what brings onnx along

"""Every documented command, and that of every committed result, names an experiment and options that it has."""

import argparse
import ast
import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
FILES = {
    ".".join(path.relative_to(EXPERIMENTS).with_suffix("").parts): path
    for path in sorted(EXPERIMENTS.rglob("*.py"))
    if "\ndef main()" in path.read_text()
}
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "encoders" / "MODEL_CARD.md"]


def commands_of_tables(text):
    """Every command in the second column of a table; a span that begins with -- extends the command before it."""
    for line in text.splitlines():
        cells = line.split("|")
        if len(cells) < 5 or set(cells[1]) <= set("- "):
            continue
        command = ""
        for before, span in re.findall(r"(after )?`([^`]+)`", cells[2]):
            if before or "=" in span.split()[0]:
                continue  # what to run first, and environment variables
            command = command if span.startswith("--") else span
            yield f"{command} {span}" if span.startswith("--") else span


def commands_in(text):
    """Every `python -m experiments.NAME --option value`, up to the end of its line, its span or its comment."""
    return [
        re.split(r" {3,}", command)[0]
        for command in re.findall(r"python -m experiments\.([\w.]*\w(?: +[\w./-]+)*)", text)
    ]


TABLE = [*commands_of_tables((EXPERIMENTS / "README.md").read_text())]
DOCUMENTED = [command for path in TEXTS for command in commands_in(path.read_text())]
DOCUMENTED += [
    command for path in FILES.values() for command in commands_in(ast.get_docstring(ast.parse(path.read_text())))
]
RESULTS = [
    json.loads(path.read_text())["command"].removeprefix("python -m experiments.")
    for path in sorted((EXPERIMENTS / "results").glob("*.json"))
]


class ParsedError(Exception):
    """Carries out of `main` what its parser made of the options."""


def parsed(command, monkeypatch):
    """The options as the experiment's own parser reads them; nothing else of it runs."""
    name, *words = shlex.split(command)
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *arguments):
        raise ParsedError(parse(self, *arguments))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(ParsedError) as caught:
        importlib.import_module(f"experiments.{name}").main()
    return caught.value.args[0]


def test_every_experiment_has_a_row():
    without = {"data.composed"}  # shows what the pictures look like, and answers no question
    assert {command.split()[0] for command in TABLE} == set(FILES) - without


@pytest.mark.parametrize("command", [*dict.fromkeys([*TABLE, *DOCUMENTED])])
def test_a_documented_command_is_understood(command, monkeypatch):
    assert command.split()[0] in FILES

    parsed(command, monkeypatch)


@pytest.mark.parametrize("command", RESULTS)
def test_the_command_of_a_result_is_understood_in_the_room_that_it_has_now(command, monkeypatch):
    name, _, options = command.partition(" ")
    (present,) = [module for module in FILES if module.rpartition(".")[2] == name.rpartition(".")[2]]

    parsed(f"{present} {options}", monkeypatch)


def test_every_result_is_in_the_table():
    listed = set(re.findall(r"\(results/(\w+)\.json\)", (EXPERIMENTS / "README.md").read_text()))

    assert listed == {path.stem for path in (EXPERIMENTS / "results").glob("*.json")}


def test_an_unknown_option_is_not_understood(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        parsed("benchmarks.memory --masks 3", monkeypatch)

    assert "unrecognized arguments: --masks 3" in capsys.readouterr().err

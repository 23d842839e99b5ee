"""Experiments run as from the command line; their results stay apart from the committed ones."""

import csv
import json
import sys

import pytest

from experiments import record


@pytest.fixture
def run_experiment(monkeypatch, tmp_path):
    """Run an experiment and read the rows and the summary that it writes."""

    def run(experiment, name, *options):
        monkeypatch.setattr(sys, "argv", ["experiment", *map(str, options)])
        monkeypatch.setattr(record, "RESULTS", tmp_path)
        experiment.main()
        with (tmp_path / f"{name}.csv").open(newline="") as stream:
            return [*csv.DictReader(stream)], json.loads((tmp_path / f"{name}.json").read_text())

    return run

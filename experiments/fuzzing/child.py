"""The process in which cases are run: it may die of one, and `runner.py` notices.

It reads numbers of cases from its input, one a line, and answers each with a line of JSON. Whatever libraries print
goes nowhere.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from importlib import import_module
from pathlib import Path

from experiments.fuzzing.case import Case


def serve() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", help="table of samples, as MODULE:NAME")
    parser.add_argument("folder", type=Path, help="where they are")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--limit", type=float, required=True)
    args = parser.parse_args()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(quiet, stream.fileno())
    module, _, name = args.samples.partition(":")
    samples = getattr(import_module(module), name)
    print("ready", file=answers, flush=True)
    warm = set()
    for line in sys.stdin:
        case = Case.of(int(line), args.seed, samples, args.folder)
        if case.sample.name not in warm:  # what a library loads once is not the case's
            warm.add(case.sample.name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                case.sample.door.read(args.folder / case.sample.name / case.sample.file)
        print(json.dumps(case.run(args.folder, args.limit)), file=answers, flush=True)


if __name__ == "__main__":
    serve()

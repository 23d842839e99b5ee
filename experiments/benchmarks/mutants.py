"""Would the tests see a fault? Small changes of the code, one by one, each of which should turn a test red.

    python -m experiments.benchmarks.mutants
    python -m experiments.benchmarks.mutants --packages masking similarity --processes 1

For each package mutmut (in the dependency group `mutants`) writes every change of its operators into a copy of the
project: another operator, constant, argument, return value or string, a `not` more or less. A process that has loaded
torch and the tests forks for every mutant and runs the tests of the package's own folder that reach the changed
function, up to the first that fails. What mutmut leaves alone: properties and other decorated functions (but for class
and static methods), class bodies, and constants of modules. A function that runs when its module is imported has run
before the change is switched on: its mutants survive.

The score is the share of the mutants that turned a test red, crashed or ran into the time limit, of all that were run,
which are all that there are unless --sample says otherwise; those that no test of the folder reaches have survived.
mutants.csv lists every survivor with a judgement, which is kept when the command runs again and the change is still
there; new survivors are "to do", except where their kind answers. With --packages the rows and scores of the other
packages stay as they are.
"""

from __future__ import annotations

import argparse
import ast
import csv
import difflib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.record import RESULTS, write_results
from relax.text import cell_text

ROOT = Path(__file__).parents[2]
ROOMS = ("encoders", "experiments", "masking", "relax", "similarity", "tests")
PACKAGES = {  # where each is, and its tests in the same place below tests/
    "masking": "masking",
    "similarity": "similarity",
    "estimators": "relax/estimators",
    "metrics": "relax/metrics",
}
UNSEEN = {"survived", "no tests"}
SEED = 0  # of samples
SEEN = {"killed", "timeout", "crashed"}
MESSAGE, TO_DO = "not worth it: the words of a message", "to do"
KINDS = (  # of changes that differ in this alone
    (r",? strict=\w+|, (?=\))", "not worth it: a guard that lengths agree, which they do"),
    (r"(?<=cast\()[^,]+|(?<=: )\w+(?= = )", "equivalent: a type for the checker only"),
    (r",? ?device=[\w.]+|, (?=\))|(?<=\.to\()[\w.]+", "not worth it: the tests have one device, the default"),
)


# What a function under lru_cache returned before the fork would hide its mutants.
CONFTEST = """
import functools, gc


def pytest_sessionstart(session):
    for thing in gc.get_objects():
        if isinstance(thing, functools._lru_cache_wrapper) and (thing.__module__ or "").split(".")[0] in {rooms!r}:
            thing.cache_clear()
"""


def outcome(exit_code: int | None) -> str:
    """What became of a mutant, by the exit code that mutmut notes."""
    if exit_code in (0, 5, 33):
        return "survived" if exit_code == 0 else "no tests"
    if exit_code in (1, 3):
        return "killed"
    if exit_code in (36, 24, -24, 152, 255):
        return "timeout"
    return "not run" if exit_code in (None, 2, 34) else "crashed"


def run(package: str, folder: Path, processes: int, sample: int | None = None) -> None:
    """Run all mutants of one package, or a random sample of them, in a copy of the project."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "results"))
    place = PACKAGES[package]
    room = place.split("/")[0]
    settings = {
        "source_paths": [room],
        "only_mutate": [f"{place}/*"],
        "pytest_add_cli_args_test_selection": [f"tests/{place}"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
        "also_copy": [*(other for other in ROOMS if other != room), "conftest.py"],
        "timeout_multiplier": 5.0,  # times as long as the tests take, and some seconds: a loop without end
        "timeout_constant": 4.0,
        "track_dependencies": False,
        "use_git_change_detection": False,
    }
    (folder / "conftest.py").write_text(CONFTEST.format(rooms=ROOMS))
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text() + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n"
    (folder / "pyproject.toml").write_text(text)
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)  # the copy, and nothing else
    if sample is not None:
        # The mutants are written before the name that none of them has is refused.
        subprocess.run([*command, "none"], cwd=folder, env=environment, check=False, capture_output=True)
        names = sorted(key for codes in _exit_codes(place, folder).values() for key in codes)
        command += random.Random(SEED).sample(names, min(sample, len(names)))
    subprocess.run(command, cwd=folder, env=environment, check=True)


def mutants(package: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Every mutant of a package that was run in `folder`: where it is, what it changes, what became of it."""
    for name, codes in _exit_codes(PACKAGES[package], folder).items():
        source = (folder / name).read_text()
        generated = (folder / "mutants" / name).read_text()
        starts, texts = _starts(source), _functions(generated)
        raised = _lines_of_messages(source)
        for key, code in codes.items():
            mangled = key.rpartition(".")[2]
            function = mangled.rpartition("__mutmut_")[0]
            offset, change = changed_line(texts[f"{function}__mutmut_orig"], texts[mangled])
            plain = function.removeprefix("x").removeprefix("_").replace("ǁ", ".").strip(".")
            line = starts[plain] + offset
            yield {
                "package": package,
                "file": name,
                "line": line,
                "function": plain,
                "change": change,
                "outcome": outcome(code),
                "message": line in raised,
            }


def _exit_codes(place: str, folder: Path) -> dict[str, dict[str, int | None]]:
    """By file, and by mutant: what mutmut noted."""
    notes = sorted((folder / "mutants" / place).glob("*.py.meta"))
    return {
        f"{place}/{path.stem}": codes
        for path in notes
        if (codes := json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"])
    }


def score(every: list[dict[str, Any]]) -> dict[str, Any]:
    """How many mutants of a package there are, were run, and turned a test red; its share of those that were run."""
    counts = Counter(mutant["outcome"] for mutant in every)
    killed, done = sum(counts[kind] for kind in SEEN), len(every) - counts["not run"]
    return {
        "mutants": len(every),
        "run": done,
        "killed": killed,
        "score": round(killed / done, 4),
        "outcomes": dict(sorted(counts.items())),
    }


def changed_line(before: list[str], after: list[str]) -> tuple[int, str]:
    """The first line that differs, counted from that of `def`, and what it is: "old -> new"."""
    old, new = before[1:], after[1:]  # the names of the two functions differ
    for tag, low, high, new_low, new_high in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if tag != "equal":
            texts = (" ".join(line.strip() for line in lines) for lines in (old[low:high], new[new_low:new_high]))
            return low + 1, " -> ".join(texts)
    return 0, re.sub(r"xǁ\w+ǁ|x_(?=\w+__mutmut)|__mutmut_\w+", "", f"{before[0].strip()} -> {after[0].strip()}")


def judged(mutant: dict[str, Any], known: dict[tuple[str, str, str], str]) -> str:
    """The judgement on a survivor: as before, or by its kind, or still to do."""
    before = known.get((mutant["file"], mutant["function"], mutant["change"]))
    if before is not None and before != TO_DO:
        return before
    if mutant["message"]:
        return MESSAGE
    old, _, new = mutant["change"].partition(" -> ")
    for pattern, judgement in KINDS:
        if re.sub(pattern, "", old) == re.sub(pattern, "", new):
            return judgement
    if "einsum(" in old and old.lower() == new.lower():
        return "equivalent: other letters for the same axes"
    return TO_DO


def _functions(source: str) -> dict[str, list[str]]:
    """The lines of every function of a module, from `def` on, by its name."""
    lines = source.splitlines()
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return {node.name: lines[node.lineno - 1 : node.end_lineno] for node in functions}


def _starts(source: str) -> dict[str, int]:
    """The line of `def` of every function and method: by "name" or "Class.name"."""
    starts = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            starts[node.name] = node.lineno
        elif isinstance(node, ast.ClassDef):
            starts |= {
                f"{node.name}.{part.name}": part.lineno for part in node.body if isinstance(part, ast.FunctionDef)
            }
    return starts


def _lines_of_messages(source: str) -> set[int]:
    """The lines of all `raise` statements."""
    raises = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise))
    return {line for node in raises for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def _earlier(name: str) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The survivors of an earlier run, and its scores by package."""
    table, summary = RESULTS / f"{name}.csv", RESULTS / f"{name}.json"
    if not table.exists() or not summary.exists():
        return [], {}
    with table.open(encoding="utf-8", newline="") as stream:
        rows = [{name: cell_text(cell) for name, cell in row.items()} for row in csv.DictReader(stream)]
    return rows, json.loads(summary.read_text(encoding="utf-8"))["packages"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", nargs="+", choices=PACKAGES, default=list(PACKAGES))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sample", type=int, help="run so many mutants of each package, drawn at random")
    parser.add_argument("--name", default="mutants", help="of the files in results/")
    args = parser.parse_args()
    for package in args.packages:
        rows, scores = _earlier(args.name)
        known = {(row["file"], row["function"], row["change"]): row["judgement"] for row in rows}
        with tempfile.TemporaryDirectory() as name:
            start = time.perf_counter()
            run(package, Path(name), args.processes, args.sample)
            seconds = time.perf_counter() - start
            every = list(mutants(package, Path(name)))
        scores[package] = {**score(every), "minutes": round(seconds / 60, 1), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        print(package, scores[package], flush=True)
        kept = [row for row in rows if row["package"] != package]
        write(args.name, kept + [survivor(mutant, known) for mutant in every if mutant["outcome"] in UNSEEN], scores)


def survivor(mutant: dict[str, Any], known: dict[tuple[str, str, str], str]) -> dict[str, Any]:
    """The row of a mutant that no test saw."""
    row = {key: value for key, value in mutant.items() if key != "message"}
    return {**row, "judgement": judged(mutant, known)}


def write(name: str, rows: list[dict[str, Any]], scores: dict[str, dict[str, Any]]) -> None:
    """Write the survivors and the scores of all packages so far."""
    rows.sort(key=lambda row: (list(PACKAGES).index(row["package"]), row["file"], int(row["line"]), row["change"]))
    total, killed = (sum(part[key] for part in scores.values()) for key in ("run", "killed"))
    summary = {
        "tool": f"mutmut {version('mutmut')}",
        "score": round(killed / total, 4),
        "packages": {package: scores[package] for package in PACKAGES if package in scores},
        "survivors": dict(sorted(Counter(row["judgement"].partition(":")[0] for row in rows).items())),
    }
    write_results(name, rows, summary)


if __name__ == "__main__":
    main()

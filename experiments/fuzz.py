"""Does a damaged file ever end in anything but the right answer or a clear error?

    python -m experiments.fuzz --cases 10000 --seed 0
    python -m experiments.fuzz --case 4711

Each case is a small good file of one of the formats that the package reads, damaged in one of many ways, and brought to
the public function that reads it, in a process of its own that may die. An answer must be finite and plausible, or come
with a warning; an error must be a documented one, whose message is one short printable line that names the file.
Everything else is a fault: a crash, more than 20 s, more than 1.8 GiB, another error, a silent answer that is none.

Cases are kept as they come: after Ctrl-C the same command goes on. With --case, that one case is made and run again,
and its file is kept. Which cases there are depends on the versions of the libraries that write the good files.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from experiments.fuzzing.case import Case
from experiments.fuzzing.judge import GOOD, OUTCOMES
from experiments.fuzzing.runner import Runner
from experiments.fuzzing.samples import SAMPLES, write_samples
from experiments.options import Options
from experiments.record import write_results
from relax.cli.console import progress_bar

ROOT = Path(__file__).parents[1]
ROOMS = ("encoders", "experiments/fuzzing", "masking", "relax", "similarity")


def main() -> None:
    options = Options(__doc__)
    options.add_argument("--cases", type=int, default=10_000)
    options.add_argument("--case", type=int, help="make and run this one again, and write nothing else")
    options.add_argument("--kept", type=Path, default=Path("runs"), help="folder of unfinished runs")
    options.add_seed()
    options.add_name("fuzz")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_samples(folder)
        runner = Runner("experiments.fuzzing.samples:SAMPLES", SAMPLES, folder, args.seed)
        args.kept.mkdir(parents=True, exist_ok=True)
        if args.case is not None:
            case = Case.of(args.case, args.seed, SAMPLES, folder)
            file = args.kept / f"case-{case.number}-{case.sample.file}"
            file.write_bytes(case.content)
            print(json.dumps(next(iter(runner.run([args.case]))), indent=1), f"kept: {file}", sep="\n")
            return
        rows = kept_rows(runner, args.cases, args.kept / f"fuzz-{args.seed}-{code_digest()}.jsonl")
    write_results(args.name, table(rows), {"seed": args.seed, **summary(rows)})
    print(json.dumps(summary(rows)["outcomes"]))


def kept_rows(runner: Runner, cases: int, file: Path) -> list[dict[str, Any]]:
    """The rows of all cases: those in the file, and the others, which are added to it as they come."""
    lines = file.read_text().splitlines() if file.exists() else []
    rows = {row["case"]: row for row in map(json.loads, lines) if row["case"] < cases}
    left = [number for number in range(cases) if number not in rows]
    with progress_bar("cases") as bar, file.open("a") as stream:
        for row in bar.track(runner.run(left), total=len(left), description="fuzz"):
            stream.write(json.dumps(row) + "\n")
            stream.flush()
            rows[row["case"]] = row
    return [rows[number] for number in sorted(rows)]


def table(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many cases of each format came to each outcome."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["format"], Counter())[row["outcome"]] += 1
    return [
        {"format": kind, "cases": sum(count.values()), **{outcome: count[outcome] for outcome in OUTCOMES}}
        for kind, count in sorted(counts.items())
    ]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All outcomes, the slowest and the largest case, and every fault, so that it can be made again."""
    counts = Counter(row["outcome"] for row in rows)
    return {
        "cases": len(rows),
        "outcomes": {outcome: counts[outcome] for outcome in OUTCOMES},
        "most_seconds": max(row.get("seconds", 0) for row in rows),
        "most_mib": max(row.get("mib", 0) for row in rows),
        "faults": [row for row in rows if row["outcome"] not in GOOD],
    }


def code_digest() -> str:
    """Of the code under test and of the cases: rows of other code are no rows of this run."""
    digest = sha256()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()

"""What does it cost to begin? Processor seconds of whole commands, from the start of Python to its end.

    python -m experiments.benchmarks.startup
    python -m experiments.benchmarks.startup --before ../earlier-checkout --rounds 5

Each command runs in a process of its own, once to warm the caches and then `--rounds` times, one after the other; with
`--before`, in turn with the code of another checkout. Counted is the processor time of the process, in its own code and
in the system's, which depends less on what else the machine does than the time on the clock; medians are told. torch
runs in one thread. Python keeps what it has compiled, in a folder of this run, whatever is set for this process: with
PYTHONDONTWRITEBYTECODE=1, as some containers have it, each command compiles torch again. Beside them stands what
importing torch takes alone, below which no map can be had.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import skimage.data
from PIL import Image

from experiments.options import Options
from experiments.record import write_results

ROOT = Path(__file__).parents[2]
MASKS = 256
RELAX = ["-m", "relax"]
FIRST = """
import pathlib
from encoders import names
from relax.cli.app import run
names.FOLDER = pathlib.Path("/dev/null")  # where nothing was kept, nor can be
run(["encoders", "vit"])
"""
COMMANDS: dict[str, list[str]] = {
    "import torch": ["-c", "import torch"],
    "import relax": ["-c", "import relax"],
    "relax --help": [*RELAX, "--help"],
    "relax explain --help": [*RELAX, "explain", "--help"],
    "relax encoders": [*RELAX, "encoders"],
    "relax encoders vit": [*RELAX, "encoders", "vit"],
    "relax encoders vit, the first time": ["-c", FIRST],
    "relax methods": [*RELAX, "methods"],
    "relax metrics": [*RELAX, "metrics"],
    "a path that is not there": [*RELAX, "explain", "nowhere.png"],
    "an encoder that is none": [*RELAX, "explain", "cat.png", "--encoder", "resnet"],
    "relax.explain": ["-c", f"import relax; relax.explain('cat.png', masks={MASKS}, device='cpu')"],
    "relax explain": [*RELAX, "explain", "cat.png", "--masks", str(MASKS), "--device", "cpu"],
    "relax search": [*RELAX, "search", "archive", "cat.png"],
    "relax report": [*RELAX, "report", "relax-out/cat.npz", "--out", "cat.html"],
    "relax.Explanation.load": ["-c", "import relax; relax.Explanation.load('relax-out/cat.npz')"],
}
REFUSED = {"a path that is not there": 1, "an encoder that is none": 2}  # exit codes


def main() -> None:
    """Measure, print and write the results."""
    parser = Options(__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, measured in turn")
    parser.add_rounds(5)
    parser.add_name("startup")
    args = parser.parse_args()
    checkouts = {"now": ROOT} | ({} if args.before is None else {"before": args.before.resolve()})
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        rows = [row for name in COMMANDS for row in measured(name, checkouts, args.rounds, Path(folder))]
    summary = {"masks": MASKS, "rounds": args.rounds, "processor_seconds": medians(rows)}
    write_results(args.name, rows, summary)
    for name, of_code in medians(rows).items():
        print(f"{name:<34}", *(f"{code} {seconds:6.2f} s" for code, seconds in of_code.items()))


def prepare(folder: Path) -> None:
    """A picture, its maps, and an archive, as the commands find them."""
    (folder / "photos").mkdir()
    for name, pixels in (("cat", skimage.data.chelsea()), ("photos/coffee", skimage.data.coffee())):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    for command in (["index", "photos", "--out", "archive"], ["explain", "cat.png", "--masks", str(MASKS)]):
        processor_seconds([*RELAX, *command], ROOT, folder)


def measured(name: str, checkouts: dict[str, Path], rounds: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each run of a command, with the code of each checkout in turn; the first of each is not counted."""
    rows = []
    for number in range(rounds + 1):
        for code, root in checkouts.items():
            seconds = processor_seconds(COMMANDS[name], root, folder, REFUSED.get(name, 0))
            rows.append({"command": name, "code": code, "round": number, "processor_seconds": round(seconds, 3)})
    return [row for row in rows if row["round"]]


def processor_seconds(arguments: list[str], root: Path, folder: Path, expected: int = 0) -> float:
    """Processor time of Python with these arguments, with the code below `root`.

    Raises:
        RuntimeError: If it does not end as expected, with what it said.
    """
    variables = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": f"{folder}/pyc"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([sys.executable, *arguments], cwd=folder, env=variables, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode != expected:
        raise RuntimeError(f"{' '.join(arguments)} ended with {run.returncode}: {run.stderr[-500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def medians(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By command and code, over the rounds."""
    codes = list(dict.fromkeys(row["code"] for row in rows))
    return {
        name: {
            code: round(
                median(row["processor_seconds"] for row in rows if (row["command"], row["code"]) == (name, code)), 2
            )
            for code in codes
        }
        for name in dict.fromkeys(row["command"] for row in rows)
    }


if __name__ == "__main__":
    main()

"""Are there known vulnerabilities in the packages that the tests run with? `make audit` runs this.

pip-audit, whose command follows the name of the module, asks about every pin of `[tool.uv]` in pyproject.toml; nothing
is installed for it. Exit code 1 if there is a vulnerability. Where the database cannot be reached, or has no answer to
any pin, the check is skipped, and says why.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relax.text import listed

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def answers(pins: list[str], tool: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """What the database says about each pin; or nothing, and the reason."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder) / "pins.txt", Path(folder) / "found.json"
        wanted.write_text("\n".join(pins) + "\n")
        options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        command = [*tool, *options, "--requirement", str(wanted), "--output", str(report)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if not report.exists() or not report.stat().st_size:
            return [], (run.stderr.strip().splitlines() or [f"exit code {run.returncode} without a word"])[-1]
        return json.loads(report.read_text())["dependencies"], ""


def verdict(answers: list[dict[str, Any]], problem: str = "") -> tuple[int, str]:
    """Exit code and a line for each vulnerability, or one that says how far the check went."""
    unknown = [answer["name"] for answer in answers if "skip_reason" in answer]
    if len(unknown) == len(answers):
        reason = problem or f"the database answers for none of {len(answers)} packages: {answers[0]['skip_reason']}"
        return 0, f"vulnerabilities: check skipped, {reason}"
    lines = [
        f"{answer['name']} {answer['version']}: {hole['id']}, fixed in {listed(hole['fix_versions'] or ['no version'])}"
        for answer in answers
        for hole in answer.get("vulns", ())
    ]
    checked = f"{len(answers) - len(unknown)} packages checked"
    rest = f"; no answer for {listed(unknown)}" if unknown else ""
    return bool(lines), "\n".join([*lines, f"vulnerabilities: {len(lines) or 'none'} known, {checked}{rest}"])


if __name__ == "__main__":
    pins = tomllib.loads(PROJECT.read_text())["tool"]["uv"]["constraint-dependencies"]
    code, text = verdict(*answers(pins, sys.argv[1:] or ["pip-audit"]))
    print(text)
    sys.exit(code)

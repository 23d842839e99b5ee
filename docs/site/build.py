"""Pages in, a folder of HTML out, and a look at whether it holds together.

Zensical (MIT) is what the makers of Material for MkDocs build in its place: Material reaches the end of its life in May
2027, and MkDocs under it is no longer maintained.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from docs.site.links import faults
from docs.site.pages import gather

HERE = Path(__file__).parent


class SiteError(RuntimeError):
    """The site was not built, or is not whole."""


def build(out: Path) -> Path:
    """Build the site.

    Args:
        out: A folder; `out/pages` gets the Markdown and `out/site` the HTML. Both are replaced.

    Returns:
        The path of the site.

    Raises:
        PageError: If a page names what is not there.
        SiteError: If the builder warns of anything, a link leads nowhere, or a page loads anything from elsewhere.
    """
    pages, site = out / "pages", out / "site"
    for folder in (pages, site, out / ".cache"):
        shutil.rmtree(folder, ignore_errors=True)
    pages.mkdir(parents=True)
    gather(pages)
    shutil.copyfile(HERE / "zensical.toml", out / "zensical.toml")
    shutil.copyfile(HERE / "style.css", pages / "style.css")
    command = [
        sys.executable,
        "-m",
        "zensical",
        "build",
        "--strict",
        "--clean",
        "--config-file",
        str(out / "zensical.toml"),
    ]
    run = subprocess.run(command, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True)
    if run.returncode:
        raise SiteError(f"{run.stdout}{run.stderr}")
    if problems := faults(site):
        raise SiteError("\n".join(problems))
    return site

"""`python -m docs.site.notebooks [NAME ...]` runs the notebooks in docs/notebooks and keeps what they show, small.

A notebook is committed with its figures, so that it can be read where it lies; the tests run it again, and the site
shows what is kept.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "notebooks"
COLOURS, WIDTH = 256, 1000  # of a figure that is kept
SECONDS = 600  # for one cell, on a machine that has other work


@contextmanager
def kernel() -> Iterator[Any]:
    """A process that `run` runs notebooks in, one after the other, so that torch is imported once."""
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.util import run_sync

    manager = AsyncKernelManager(kernel_name="python3")
    try:
        yield manager
    finally:
        if manager.has_kernel:
            run_sync(manager.shutdown_kernel)(now=True)


def run(path: Path, folder: Path, kernel: Any) -> Any:
    """The notebook with its outputs, run from the beginning, without the names of the last one, in a folder of its own.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    fresh = nbformat.v4.new_code_cell(f"import os\nos.chdir({str(folder)!r})\n%reset -f")
    notebook.cells.insert(0, fresh)
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    client = NotebookClient(notebook, timeout=SECONDS, km=kernel, coalesce_streams=True)
    # One thread: on a machine that has other work, threads that wait for one another cost more than they give.
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"})
    del notebook.cells[0]
    return notebook


def keep(path: Path, kernel: Any) -> None:
    """Run a notebook and write it with its outputs: figures of few colours, and nothing that only this run has."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        notebook = run(path, Path(folder), kernel)
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.metadata.pop("execution", None)
        cell.execution_count = number
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            if "image/png" in output.get("data", {}):
                output.data = {"image/png": _small(output.data["image/png"])}
    notebook.metadata.get("language_info", {}).pop("version", None)
    nbformat.write(notebook, path)


def _small(png: str) -> str:
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    picture.thumbnail((WIDTH, 10 * WIDTH))
    few = picture.quantize(palette=picture.quantize(COLOURS))  # dithered: bands of colour would look like contours
    few.save(stream := io.BytesIO(), format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def page(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its figures by file name; cells with the tag "solution" are folded."""
    parts: list[str] = []
    files: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        block = f"```python\n{source}\n```"
        for output in cell["outputs"]:
            if png := output.get("data", {}).get("image/png"):
                file = f"{name}-{len(files) + 1}.png"
                files[file] = base64.b64decode("".join(png))
                block += f"\n\n![{_title(parts)}, figure {len(files)}]({file})"
            elif text := "".join(output.get("text", output.get("data", {}).get("text/plain", ""))):
                block += f"\n\n```text\n{text.rstrip()}\n```"
        if "solution" in cell["metadata"].get("tags", []):
            block = '??? note "Solution"\n\n' + re.sub(r"^(?=.)", "    ", block, flags=re.MULTILINE)
        parts.append(block)
    download = f"[Download this notebook]({name}.ipynb)"
    first, _, rest = parts[0].partition("\n")
    return "\n\n".join([first, download, rest.strip(), *parts[1:]]) + "\n", files


def _title(parts: list[str]) -> str:
    """The heading that a figure stands under."""
    return str(re.findall(r"^#+ (.+)$", "\n".join(parts), flags=re.MULTILINE)[-1])


if __name__ == "__main__":
    with kernel() as process:
        for chosen in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
            keep(FOLDER / f"{chosen}.ipynb", process)
            print(chosen, flush=True)  # noqa: T201

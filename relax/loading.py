"""`relax.load`: a saved explanation by its path; what is no explanation is named, with what reads it."""

from __future__ import annotations

from pathlib import Path

from encoders.folders import image_endings
from relax.archive.files import RECORD
from relax.bulk.folder import is_run
from relax.explanation import Explanation

FOLDERS = {  # by a file in it: what the folder is, and what reads it
    RECORD: ("an archive", "relax.load_archive(PATH)"),
    "evaluation.csv": ("an evaluation", "pandas.read_csv of its evaluation.csv and summary.csv"),
}
FILES = {  # by ending
    **dict.fromkeys(image_endings(), ("a picture", "relax.explain(PATH), which makes an explanation")),
    ".json": ("a record without maps", "the .npz file beside it"),
    ".safetensors": ("weights", "encoders.load_head(PATH) if they are of a head"),
    ".html": ("a page", "a browser"),
}


def load(path: str | Path, name: str | None = None) -> Explanation:
    """Read an explanation that `Explanation.save` or `relax explain` wrote; the same as `Explanation.load`.

    Args:
        path: The `.npz` file, or the folder of a run, as `relax.explain_all` and `relax explain --no-figure` make it.
        name: Of the picture in a run; `relax.load_maps` opens all of them.

    Raises:
        FileNotFoundError: If there is no such file.
        KeyError: If the run has no such picture.
        ValueError: If it is something else, which the message names, with what reads it; or as `Explanation.load`.
    """
    path = Path(path)
    if is_run(path):
        from relax.bulk.store import load_maps  # torch takes a while to load

        if name is None:
            raise ValueError(
                f"path must be a saved explanation, an .npz file; {path} is a run of maps: use "
                f"relax.load_maps({str(path)!r}), or name one of its pictures"
            )
        return load_maps(path)[name]
    if name is not None:
        raise ValueError(f"name is of a picture in a run, which {path} is not: leave it out")
    if path.is_dir():
        kind, reader = next(
            (FOLDERS[name] for name in FOLDERS if (path / name).exists()), ("a folder", "its .npz files")
        )
    else:
        kind, reader = FILES.get(path.suffix.lower(), ("", ""))
    if kind and path.exists():
        reader = reader.replace("PATH", repr(str(path)))
        raise ValueError(f"path must be a saved explanation, an .npz file; {path} is {kind}: use {reader}")
    return Explanation.load(path)

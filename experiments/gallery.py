"""The figures of the README and of the model card: maps of the bundled encoder, and of SSCD.

    python -m experiments.gallery
    python -m experiments.gallery --encoder sscd
    python -m experiments.gallery --compare default sscd

Photographs and a retina from scikit-image, a tissue section (ihc), and the blood smear of the demo.
"""

from __future__ import annotations

import numpy as np
import skimage.data
from matplotlib.figure import Figure
from PIL import Image

import relax
from experiments.data.pictures import SMEAR
from experiments.options import Options
from experiments.record import IMAGES
from relax.files import written_aside

SHRINK_TO = 640  # px on the longer side, so that the figures stay small
DPI = 160


def pictures() -> dict[str, Image.Image]:
    """The pictures by name, at most `SHRINK_TO` px long."""
    arrays: dict[str, np.ndarray] = {
        "cat": skimage.data.chelsea(),
        "astronaut": skimage.data.astronaut(),
        "coffee": skimage.data.coffee(),
        "rocket": skimage.data.rocket(),
        "retina": skimage.data.retina(),
        "ihc": skimage.data.immunohistochemistry(),
    }
    images = {name: Image.fromarray(array) for name, array in arrays.items()}
    images["blood_smear"] = Image.open(SMEAR)
    for image in images.values():
        image.thumbnail((SHRINK_TO, SHRINK_TO))
    return images


def save(drawing: Figure, name: str) -> None:
    with written_aside(IMAGES / f"{name}.png") as aside:
        drawing.savefig(aside, format="png", dpi=DPI)


def main() -> None:
    parser = Options(__doc__)
    parser.add_argument("--encoder", default="default")
    parser.add_argument(
        "--compare", nargs="+", metavar="ENCODER", help="draw the cat through these instead, as one figure"
    )
    parser.add_masks(3000)
    args = parser.parse_args()
    if args.compare:
        comparison = relax.compare_encoders(np.asarray(pictures()["cat"]), args.compare, masks=args.masks)
        for explanation in comparison.explanations.values():
            explanation.provenance["image"] = "cat"
        save(relax.figure(comparison), "compare-encoders")
        return
    encoder = relax.load_encoder(args.encoder)
    for name, image in pictures().items():
        explanation = relax.explain(np.asarray(image.convert("RGB")), encoder, masks=args.masks)
        explanation.provenance["image"] = name
        file = name if args.encoder == "default" else f"{args.encoder}-{name}"
        save(relax.figure(explanation), file)
        print(f"{name}: {explanation}", flush=True)


if __name__ == "__main__":
    main()

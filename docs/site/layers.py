"""`python -m docs.site.layers`: the figure of the page about layers, a cat through the bundled encoder."""

import io

import numpy as np
import skimage.data
from PIL import Image

import relax
from docs.site.figures import MASKS, SEED, strip
from docs.site.pages import ROOT

LAYERS = ("conv1", "layer2", "layer3", "layer4", "")


def main() -> None:
    """Draw the picture and the maps of layers from the first to the embedding, each in its own range."""
    encoder = relax.load_encoder("default", view="squash")
    picture = np.asarray(skimage.data.chelsea())[:, 65:365]
    maps = {name or "embedding": relax.explain(picture, encoder, layer=name, masks=MASKS, seed=SEED) for name in LAYERS}
    drawing = strip(picture, maps)
    drawing.set_size_inches(11.5, 2.5)
    drawing.savefig(stream := io.BytesIO(), dpi=100)
    Image.open(stream).convert("RGB").save(ROOT / "docs/images/layers-depth.webp", quality=88, method=6)


if __name__ == "__main__":
    main()

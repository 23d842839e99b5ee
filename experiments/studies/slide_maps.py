"""Is the map of a slide right? Tiles are dropped in its order, and in those of attention, leave one out and chance.

    python -m experiments.studies.slide_maps

Synthetic slides of three textures; half of them hold nuclei. A network that pools tiles by attention (Ilse, Tomczak &
Welling, ICML 2018) learns which, through the bundled encoder. On slides that it has not seen, the slide's embedding is
the mean of the tiles, or the mean weighted with the network's attention; it is compared with itself, or with the slides
that hold nuclei, less those that do not. The most important tiles are dropped first, then the least important (as xMIL:
Hense et al., NeurIPS 2024, on the embedding instead of a label). `gap` is the mean similarity with the least important
first minus that with the most important first: the larger, the better the map says what the similarity rests on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import relax
from experiments.data.slides import SIDE as SQUARE
from experiments.data.slides import TEXTURES, VARIANTS, blobs, texture_of, write_slide
from experiments.options import Options
from experiments.record import IMAGES, write_results
from relax.files import written_aside
from relax.plotting.drawing import file_of
from relax.slides.drawing import draw_map
from relax.slides.dropping import both_areas
from relax.slides.explaining import explain_slide, slide_embedding, tile_score
from relax.slides.inside import explain_tiles
from relax.slides.opening import open_slide
from relax.slides.tiles import SlideTiles

SIDE, SHARE = 14, 0.4  # squares along a side of a slide, and their share of tissue
NUCLEI = TEXTURES.index("nuclei")
EPOCHS, HIDDEN = 200, 32
KEEPS = (0.25, 0.05)
POOLINGS, QUESTIONS = ("mean", "attention"), ("itself", "nuclei")


class AttentionPooling(nn.Module):
    """Gated attention over tiles, and a logit for the slide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.content, self.gate = nn.Linear(width, HIDDEN), nn.Linear(width, HIDDEN)
        self.weight, self.logit = nn.Linear(HIDDEN, 1), nn.Linear(width, 1)

    def attention(self, tiles: Tensor) -> Tensor:
        """(n,) positive, summing to 1."""
        return self.weight(self.content(tiles).tanh() * self.gate(tiles).sigmoid())[:, 0].softmax(0)

    def forward(self, tiles: Tensor) -> Tensor:
        """The logit of a slide with tiles (n, D)."""
        return self.logit(self.attention(tiles) @ tiles)[0]


def make_slides(count: int, folder: Path) -> list[tuple[SlideTiles, bool]]:
    """Embedded slides, every second with nuclei."""
    encoder = relax.load_encoder("default", device="cpu")
    slides = []
    for number in range(count):
        layout, holds = blobs(SIDE, SIDE, seed=number, share=SHARE), number % 2 == 0
        of_nuclei = layout // VARIANTS == NUCLEI
        if not holds:
            layout[of_nuclei] -= VARIANTS  # glands
        elif not of_nuclei.any():
            tissue = np.argwhere(layout >= 0)[: (layout >= 0).sum() // 4]
            layout[tuple(tissue.T)] = NUCLEI * VARIANTS
        path = write_slide(folder / f"{number}.tif", layout)
        slides.append((relax.embed_slide(path, encoder, folder / f"{number}.h5", progress=False), holds))
        path.unlink()
    return slides


def trained(slides: list[tuple[SlideTiles, bool]], seed: int = 0) -> AttentionPooling:
    """The network, trained on these slides."""
    torch.manual_seed(seed)
    network = AttentionPooling(slides[0][0].features.shape[1])
    optimiser = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)
    for _ in range(EPOCHS):
        losses = [
            nn.functional.binary_cross_entropy_with_logits(
                network(torch.from_numpy(tiles.features)), torch.tensor(float(holds))
            )
            for tiles, holds in slides
        ]
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
    return network.eval()


def attention_of(network: AttentionPooling, tiles: SlideTiles) -> NDArray[np.float64]:
    """(n,) the weights of a slide's tiles."""
    with torch.no_grad():
        return network.attention(torch.from_numpy(tiles.features)).double().numpy()


def judged(
    tiles: SlideTiles, attention: NDArray[np.float64], pooling: str, prototypes: dict[str, Tensor], seed: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """The two areas of every map of one slide, by question and map."""
    weights = attention if pooling == "attention" else None
    areas = {}
    for question in QUESTIONS:
        asked = {} if question == "itself" else {"reference": prototypes["with"], "foil": prototypes["without"]}
        slide_map, small = (
            explain_slide(tiles, **asked, weights=weights, masks=2048, keep=keep, progress=False) for keep in KEEPS
        )
        score, _ = tile_score(tiles, **asked, weights=weights)
        maps = {
            f"RELAX, subsets of {KEEPS[0]:.0%}": slide_map.importance,
            f"RELAX, subsets of {KEEPS[1]:.0%}": small.importance,
            "leave one out": slide_map.influence,
            "tile alone": slide_map.alone,
            "attention": attention,
            "chance": np.random.default_rng(seed).permutation(len(tiles)).astype(np.float64),
        }
        areas |= {(question, name): both_areas(score, values) for name, values in maps.items()}
    return areas


def draw_example(out: Path) -> None:
    """A slide whose tiles with nuclei are what is asked for, as docs/slides.md shows it."""
    layout = blobs(30, 48, seed=3, share=0.25)
    with tempfile.TemporaryDirectory() as folder:
        path = write_slide(Path(folder) / "example.tif", layout)
        tiles = relax.embed_slide(path, "default", Path(folder) / "example.h5", progress=False)
        x, y = tiles.corners.T + tiles.span // 2
        nuclei = texture_of(layout)[y // SQUARE, x // SQUARE] == NUCLEI
        reference = tiles.features[nuclei].mean(0)
        slide_map = relax.explain_slide(tiles, reference=reference, progress=False)
        with open_slide(path) as slide:
            inside = explain_tiles(slide, tiles, slide_map, top=1, reference=reference)
            figure = draw_map(slide_map, slide.picture(16.0), list(inside))
        with written_aside(out) as aside:
            aside.write_bytes(file_of(figure))


def main() -> None:
    parser = Options(__doc__)
    parser.add_count(32, "slides, of which the first half trains the network")
    parser.add_argument("--figure", action="store_true", help="only draw docs/images/slide_map.png")
    args = parser.parse_args()
    if args.figure:
        draw_example(IMAGES / "slide_map.png")
        return
    with tempfile.TemporaryDirectory() as folder:
        slides = make_slides(args.count, Path(folder))
    train, test = slides[: args.count // 2], slides[args.count // 2 :]
    network = trained(train)
    right = np.mean([(float(network(torch.from_numpy(tiles.features))) > 0) == holds for tiles, holds in test])
    print(f"{right:.0%} of {len(test)} slides are told apart", flush=True)
    rows = []
    for pooling in POOLINGS:
        prototypes = {}
        for name, wanted in (("with", True), ("without", False)):
            means = [
                slide_embedding(tiles, attention_of(network, tiles) if pooling == "attention" else None)
                for tiles, holds in train
                if holds == wanted
            ]
            prototypes[name] = torch.stack(means).mean(0)
        areas = [
            judged(tiles, attention_of(network, tiles), pooling, prototypes, seed)
            for seed, (tiles, holds) in enumerate(test)
            if holds
        ]
        for question, name in areas[0]:
            most, least = np.array([slide_areas[question, name] for slide_areas in areas]).T
            attention = np.array([np.subtract(*slide_areas[question, "attention"][::-1]) for slide_areas in areas])
            rows.append(
                {
                    "pooling": pooling,
                    "compared_with": question,
                    "map": name,
                    "slides": len(areas),
                    "most_first": round(float(most.mean()), 5),
                    "least_first": round(float(least.mean()), 5),
                    "gap": round(float((least - most).mean()), 5),
                    "ahead_of_attention": int((least - most > attention).sum()),
                }
            )
            print(rows[-1], flush=True)
    gaps = {f"{row['pooling']}, {row['compared_with']}, {row['map']}": row["gap"] for row in rows}
    write_results("slide_maps", rows, {"told_apart": round(float(right), 3), "gap": gaps})


if __name__ == "__main__":
    main()

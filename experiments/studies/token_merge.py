"""Do vision transformers agree with filled patches, at the price of dropped ones, if hidden tokens are merged?

    OMP_NUM_THREADS=1 python -m experiments.studies.token_merge --data DATA       # after experiments.recipes.pretrained
    OMP_NUM_THREADS=1 python -m experiments.studies.token_merge --data DATA --encoder random:timm:vit_tiny_patch16_224

The same masks of whole patches, half of them hidden: filled with the mean pixel; dropped (`fill="drop"`); or replaced,
behind the positions, by one mean of the hidden tokens as they would be filled, in each of g x g parts of the picture.
A token of n merged ones is attended to n times as much (proportional attention: log n is added to its logits), so what
is lost is only that its n members would have become different. `mean token` is a single one without that.

Agreement with filled patches: correlation of the scores; of the maps from the same masks; and, as these share the noise
of the masks, of the maps freed of it, by covariances between the maps of two halves of the masks. `cost` is the
processor's time against that of filled patches. `gain` is how many times sooner the same error would come if the
cheaper scores were a control variate of the filled ones, with the best division among both
(`experiments.studies.fidelities`), 1 = not at all: before and after both are freed of what a linear function of the
patches explains.

Source of merging: Bolya et al., "Token Merging: Your ViT But Faster" (ICLR 2023), section 3, proportional attention.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders import Encoder
from experiments.data.pictures import Picture, pictures
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.studies.fidelities import residuals, share_of_time
from experiments.summaries import grouped, median_and_range
from masking import PatchMasks
from relax.scene import Scene
from relax.settings import Hiding

BATCH = 32
Values = NDArray[np.float64]
Embed = Callable[[Tensor, Tensor], Tensor]  # masks (N, 1, h, w), and kept patches (N, K), to embeddings (N, D)


class MergedPatches(nn.Module):
    """In the place where timm drops tokens: keeps some, and merges what the others would be as fill, part by part.

    Args:
        prefix: Class and register tokens.
        parts: (T,) the part that each patch belongs to.
    """

    def __init__(self, prefix: int, parts: Tensor) -> None:
        super().__init__()
        self.prefix, self.members = prefix, torch.nn.functional.one_hot(parts).float()
        self.kept = torch.zeros(0, 0, dtype=torch.long)

    @property
    def hidden(self) -> Tensor:
        """(N, T): 1 where a patch is not kept."""
        return torch.ones(len(self.kept), len(self.members)).scatter(1, self.kept, 0.0)

    @property
    def counts(self) -> Tensor:
        """(N, parts): hidden patches in each."""
        return self.hidden @ self.members

    def forward(self, tokens: Tensor) -> Tensor:
        """(2, P + T, D), of the picture and of the fill, to (N, P + K + parts, D)."""
        picture, fill = tokens[:, self.prefix :]
        sums = self.hidden @ (self.members[:, :, None] * fill[:, None]).flatten(1)
        merged = sums.unflatten(1, (-1, fill.shape[1])) / self.counts.clamp(min=1)[..., None]
        always = tokens[:1, : self.prefix].expand(len(self.kept), -1, -1)
        return torch.cat([always, picture[self.kept], merged], 1)


def merging(encoder: Encoder, scene: Scene, side: int, proportional: bool = True) -> Embed:
    """Embeddings with hidden tokens merged in side x side parts of the picture."""
    network = cast(nn.Module, encoder.network)
    rows, columns = encoder.patch_grid(scene.view)
    parts = (torch.arange(rows) * side // rows)[:, None] * side + torch.arange(columns) * side // columns
    merged = MergedPatches(int(network.num_prefix_tokens), parts.flatten())  # type: ignore[arg-type]
    twin = copy.copy(network)
    twin._modules = {**network._modules, "patch_drop": merged}
    both = encoder.prepare(torch.cat([scene.view, scene.fill.expand_as(scene.view)]))

    def embed(masks: Tensor, kept: Tensor) -> Tensor:
        merged.kept = kept
        counts = merged.counts
        logits = torch.where(counts > 0, counts.log() if proportional else 0.0, -math.inf)
        bias = torch.cat([torch.zeros(len(kept), merged.prefix + kept.shape[1]), logits], 1)
        embedding: Tensor = twin(both, attn_mask=bias[:, None, None])
        return embedding

    return embed


def ways(encoder: Encoder, scene: Scene) -> dict[str, Embed]:
    """What may be done with hidden patches."""
    return {
        "filled": lambda masks, kept: scene.embed(scene.masked(masks)),
        "dropped": lambda masks, kept: encoder.embed_visible(scene.view, kept),
        "mean token": merging(encoder, scene, 1, proportional=False),
        "merged": merging(encoder, scene, 1),
        "merged in 2 x 2": merging(encoder, scene, 2),
        "merged in 4 x 4": merging(encoder, scene, 4),
    }


@torch.inference_mode()
def scores_of(embed: Embed, scene: Scene, masks: int) -> tuple[Tensor, float]:
    """(masks,) float64 cosines to the picture itself, and the least seconds of a processor that a mask took."""
    source = cast(PatchMasks, scene.source)
    scores, taken = [], []
    for first in range(0, masks, BATCH):
        batch, kept = source.masks(first, first + BATCH), source.kept(first, first + BATCH)
        start = time.process_time()
        embeddings = embed(batch, kept)
        taken.append((time.process_time() - start) / BATCH)
        scores.append(torch.cosine_similarity(embeddings.double(), scene.image_embedding.double()[None]))
    return torch.cat(scores), min(taken)


def agreement(first: Values, second: Values) -> float | None:
    """Correlation of two maps without the noise of their masks, each from two halves (2, T); it may exceed 1.

    None where the halves of a map do not agree at all.

    Source: correction for attenuation, Spearman (1904).
    """
    across = np.cov(np.concatenate([first, second]))[[0, 0, 1, 2], [1, 3, 2, 3]]  # the noise of the halves differs
    if min(across[0], across[3]) <= 0:
        return None
    return round(float((across[1] + across[2]) / 2 / math.sqrt(across[0] * across[3])), 4)


def measure(encoder: Encoder, picture: Picture, masks: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row per way."""
    scene = Scene.of(picture.pixels, encoder, Hiding(regions="patches", seed=seed))
    source = cast(PatchMasks, scene.source)
    kept = source.kept(0, masks)
    shown = torch.zeros(masks, source.grid[0] * source.grid[1], dtype=torch.float64).scatter(1, kept, 1.0)

    def maps(scores: Tensor) -> Values:
        parts = (slice(None), slice(0, None, 2), slice(1, None, 2))
        return np.stack([(scores[part] @ shown[part] / shown[part].sum(0)).numpy() for part in parts])

    expected, full = scores_of(ways(encoder, scene)["filled"], scene, masks)
    left = residuals((expected - expected.mean()).numpy(), shown.numpy(), shown.shape[1])
    for name, embed in ways(encoder, scene).items():
        scores, taken = scores_of(embed, scene, masks)
        alone = residuals((scores - scores.mean()).numpy(), shown.numpy(), shown.shape[1])
        cost = taken / full
        rho, rho_left = (float(np.corrcoef(*pair)[0, 1]) for pair in ((scores, expected), (alone, left)))
        yield {
            "image": picture.name,
            "hidden": name,
            "score_correlation": round(rho, 4),
            "map_correlation": round(float(np.corrcoef(maps(scores)[0], maps(expected)[0])[0, 1]), 4),
            "map_correlation_without_noise": agreement(maps(scores)[1:], maps(expected)[1:]),
            "residual_correlation": round(rho_left, 4),
            "cost": round(cost, 3),
            "gain": round(1 / share_of_time(rho, cost), 3),
            "gain_of_residuals": round(1 / share_of_time(rho_left, cost), 3),
        }


def columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each number its median and range, where it is known."""
    known = {name: [row[name] for row in rows if row[name] is not None] for name in list(rows[0])[2:]}
    return {name: median_and_range(values) for name, values in known.items() if values}


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_argument("--encoder", default="salience-112", help=NAMES)
    parser.add_count(3, "photographs, evenly spaced over the sorted names")
    parser.add_masks(512, "a multiple of 32")
    parser.add_seed()
    args = parser.parse_args()
    encoder = encoder_named(args.encoder)
    rows: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures("imagenet", args.data, args.count)):
        for row in measure(encoder, picture, args.masks, args.seed + number):
            rows.append(row)
            print(row, flush=True)
        table = {way: columns(mine) for (way,), mine in grouped(rows, "hidden").items()}
        summary = {"encoder": {"name": encoder.name, "checksum": encoder.checksum}, "masks": args.masks, "ways": table}
        name = args.encoder.replace(":", "_").replace("-", "_")
        write_results(f"token_merge_{name}", rows, summary)


if __name__ == "__main__":
    main()

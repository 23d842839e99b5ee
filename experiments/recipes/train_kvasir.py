"""Train encoders on the Kvasir-SEG training pictures: two self-supervised, their supervised twin, and one misled.

    python -m experiments.recipes.train_kvasir --data DATA

All start from the bundled encoder, have its architecture and see 2 x 80 px views of 800 pictures an epoch:

simclr      SimCLR (Chen et al., ICML 2020): two views of a picture belong together
vicreg      VICReg (Bardes et al., ICLR 2022): no contrast between pictures, but variance in every dimension
supervised  does the polyp cover most of the crop? The label comes from the masks, for half of the crops centred on it
planted     simclr with the same seed and crops, but half of the pictures carry a watermark in every view

Every epoch is written to OUT/NAME/last.pt, so a stopped run continues after its last whole epoch. Then every encoder,
the bundled one and random weights say of the validation pictures whether a crop is mostly polyp and whether the picture
carries the watermark, and results/train_kvasir.csv and .json are written.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from lightly.loss import NTXentLoss, VICRegLoss
from lightly.models.modules.heads import SimCLRProjectionHead, VICRegProjectionHead
from lightly.transforms.simclr_transform import SimCLRViewTransform
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import transforms as T

from encoders import Encoder
from encoders.bundled import bundled_network
from encoders.devices import half_type
from encoders.seeds import drawn_from
from experiments.data.datasets import Sample, kvasir_seg
from experiments.data.planted import marked_group, plant
from experiments.options import Options
from experiments.recipes.knn import embed
from experiments.recipes.kvasir_probe import Question, answered, carries_mark, gain, mostly_polyp, random_crop, resized
from experiments.recipes.train_default import MEAN, PREPROCESS, STD, TRAIN_SIZE
from experiments.recipes.training import Checkpoint, descend, learning_rate, write_weights
from experiments.record import write_results
from relax.files import written_aside

METHODS = ("simclr", "vicreg", "supervised", "planted")
OUT = Path("runs/kvasir")
SHORT_SIDE = 128  # the pictures are kept at this size while training
Picture = tuple[NDArray[np.uint8], NDArray[np.bool_]]  # pixels (H, W, 3) and polyp (H, W)


class SimCLR(nn.Module):
    """Projection head and NT-Xent loss."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.loss_of = SimCLRProjectionHead(256, 512, 128), NTXentLoss(temperature=0.2)

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """The loss of (2 N, 256) features: all first views, then all second views."""
        return self.loss_of(*self.head(features).float().chunk(2))


class VICReg(nn.Module):
    """Expander and the loss of variance, invariance and covariance."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.loss_of = VICRegProjectionHead(256, 512, 512), VICRegLoss()

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """The loss of (2 N, 256) features: all first views, then all second views."""
        return self.loss_of(*self.head(features).float().chunk(2))


class Supervised(nn.Module):
    """A linear layer and the logistic loss."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(256, 1)

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """The loss of (2 N, 256) features and targets (2 N,), 1 = the crop is mostly polyp."""
        return F.binary_cross_entropy_with_logits(self.head(features).float()[:, 0], targets)


OBJECTIVES = {"simclr": SimCLR, "planted": SimCLR, "vicreg": VICReg, "supervised": Supervised}


class Views:
    """Two views of every picture, as the method needs them."""

    def __init__(self, pictures: list[Picture], method: str, seed: int) -> None:
        self.pictures, self.method, self.seed = pictures, method, seed
        self.view = SimCLRViewTransform(input_size=TRAIN_SIZE, cj_strength=0.5, gaussian_blur=0.3, normalize=None)
        self.jitter = T.Compose([T.ColorJitter(0.4, 0.4, 0.4, 0.1), T.RandomHorizontalFlip(), T.ToTensor()])
        self.marked = marked_group(len(pictures), seed) if method == "planted" else np.zeros(len(pictures), dtype=bool)

    def batch(self, numbers: list[int], epoch: int) -> tuple[Tensor, Tensor]:
        """Normalised views (2 N, 3, h, w), all first ones before all second ones, and targets (2 N,)."""
        # Marks and crops have a generator of their own, so that the twins draw the same augmentations.
        rng = np.random.default_rng((self.seed, epoch, numbers[0]))
        views, targets = zip(*(self._view(number, rng) for number in [*numbers, *numbers]), strict=True)
        pixels = torch.stack(views) - torch.tensor(MEAN)[:, None, None]
        return pixels / torch.tensor(STD)[:, None, None], torch.tensor(targets)

    def _view(self, number: int, rng: np.random.Generator) -> tuple[Tensor, float]:
        pixels, polyp = self.pictures[number]
        if self.method == "supervised":
            crop, share = random_crop(pixels, polyp, rng.uniform(0.25, 0.6), rng)
            return self.jitter(resized(crop, (TRAIN_SIZE, TRAIN_SIZE))), float(share >= 0.5)
        view = self.view(Image.fromarray(pixels))
        if self.marked[number]:
            whole = (view * 255).round().byte().permute(1, 2, 0).numpy()
            planted, _ = plant(whole, rng=rng, share=rng.uniform(0.15, 0.25))
            view = torch.from_numpy(planted).permute(2, 0, 1).float() / 255
        return view, math.nan


def small(sample: Sample) -> Picture:
    """The picture and its polyp with a shorter side of `SHORT_SIDE`."""
    pixels, polyp = sample.pixels(), sample.truth()
    scale = SHORT_SIDE / min(polyp.shape)
    size = (round(polyp.shape[1] * scale), round(polyp.shape[0] * scale))
    return np.asarray(resized(pixels, size)), np.asarray(resized(np.uint8(255) * polyp, size)) >= 128


def train(method: str, pictures: list[Picture], args: argparse.Namespace) -> None:
    """Train one encoder to OUT/METHOD/weights.safetensors and card.json, from its last whole epoch on."""
    folder, epochs = args.out / method, args.epochs
    torch.manual_seed(args.seed)
    network = bundled_network(pretrained=args.start == "default").to(memory_format=torch.channels_last)
    objective, views = OBJECTIVES[method](), Views(pictures, method, args.seed)
    optimizer = torch.optim.AdamW([*network.parameters(), *objective.parameters()], args.lr, weight_decay=1e-2)
    parts = {"network": network, "objective": objective, "optimizer": optimizer}
    checkpoint = Checkpoint(folder / "last.pt", parts)
    log = checkpoint.resume()
    batches, half = len(pictures) // args.batch_size, half_type(torch.device("cpu"))
    for epoch in range(len(log), epochs):
        torch.manual_seed(args.seed + epoch)  # a resumed run draws what it would have drawn
        np.random.seed(args.seed + epoch)  # noqa: NPY002  # lightly's blur draws from it
        start, total = time.perf_counter(), 0.0
        order = torch.randperm(len(pictures)).tolist()
        network.train()
        for number in range(batches):
            pixels, targets = views.batch(order[number * args.batch_size :][: args.batch_size], epoch)
            with torch.autocast("cpu", half, enabled=half is not None):
                features = network(pixels.to(memory_format=torch.channels_last))
            loss = objective(features.float(), targets)
            rate = learning_rate(epoch * batches + number, epochs * batches, args.lr, 2 * batches)
            total += descend(optimizer, loss, rate)
        seconds = round(time.perf_counter() - start, 1)
        log.append({"epoch": epoch + 1, "loss": round(total / batches, 4), "seconds": seconds})
        print(method, json.dumps(log[-1]), flush=True)
        checkpoint.keep(log)
    write_weights(network.state_dict(), folder / "weights.safetensors")
    recipe = {k: getattr(args, k) for k in ("start", "epochs", "batch_size", "lr", "seed")}
    with written_aside(folder / "card.json") as aside:
        aside.write_text(json.dumps({"recipe": recipe, "log": log}, indent=1) + "\n")


def kvasir_encoder(name: str, out: Path = OUT) -> Encoder:
    """One of `METHODS` as trained to OUT/NAME; "default" and "random" are the network as bundled and untrained.

    Raises:
        FileNotFoundError: If it has not been trained.
    """
    with drawn_from(0):
        network = bundled_network(pretrained=name == "default")
    if name in METHODS:
        network.load_state_dict(load_file(out / name / "weights.safetensors"))
    return Encoder(network, name=f"kvasir:{name}", preprocess=PREPROCESS, device="cpu")


def head_accuracy(encoder: Encoder, crops: Question, out: Path) -> float:
    """Share of crops that the supervised twin's own last layer gets right."""
    objective = Supervised()
    objective.load_state_dict(torch.load(out / "supervised" / "last.pt", weights_only=True)["objective"])
    pixels = torch.from_numpy(crops.images).permute(0, 3, 1, 2)
    with torch.inference_mode():
        scores = torch.cat([objective.head(encoder(batch.float() / 255))[:, 0] for batch in pixels.split(500)])
    return float(((scores > 0).numpy() == crops.answers).mean())


def measure(args: argparse.Namespace) -> None:
    """Judge every trained encoder, the bundled one and random weights; write the results."""
    training, validation = kvasir_seg(args.data, "train"), kvasir_seg(args.data, "val")
    bank, crops = mostly_polyp(training, 4), mostly_polyp(validation, 10)
    marks, marked = carries_mark(training), carries_mark(validation)
    rows, recipes, base = [], {}, np.zeros(len(crops.answers))
    names = ["random", "default", *(name for name in METHODS if (args.out / name / "card.json").exists())]
    for name in names:
        encoder = kvasir_encoder(name, args.out)
        polyp, scores = answered(encoder, bank, crops)
        base = scores if name == "random" else base
        above, low, high = gain(crops, scores, base, args.draws)
        mark, _ = answered(encoder, marks, marked)
        plain, planted = embed(encoder, marked.images).reshape(len(validation), 2, -1).unbind(1)
        values = {f"polyp_{key}": value for key, value in polyp.items()}
        values |= {"polyp_gain": above, "polyp_gain_low": low, "polyp_gain_high": high}
        values |= {f"mark_{key}": value for key, value in mark.items()}
        values |= {"mark_cosine": (plain * planted).sum(1).mean().item()}
        rows.append({"encoder": name, **{key: round(value, 4) for key, value in values.items()}})
        print(json.dumps(rows[-1]), flush=True)
        if name in METHODS:
            card = json.loads((args.out / name / "card.json").read_text())
            recipes[name] = {**card["recipe"], "checksum": encoder.checksum, "log": card["log"]}
        if name == "supervised":
            recipes[name]["head_accuracy"] = round(head_accuracy(encoder, crops, args.out), 4)
    summary = {
        "pictures": {"train": len(training), "val": len(validation)},
        "crops": {"train": len(bank.answers), "val": len(crops.answers)},
        "polyp_majority_share": round(float(max(crops.answers.mean(), 1 - crops.answers.mean())), 4),
        "mark_majority_share": 0.5,
        "encoders": rows,
        "recipes": recipes,
    }
    write_results("train_kvasir", rows, summary)


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("kvasir_seg")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the checkpoints and weights")
    parser.add_argument(
        "--methods", nargs="*", choices=METHODS, default=METHODS, help="train these; none: only measure"
    )
    parser.add_argument("--start", choices=("default", "random"), default="default", help="weights to start from")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=100, help="pictures; each gives two views")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_seed()
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap samples of the pictures, for the intervals")
    args = parser.parse_args()
    pictures = [small(sample) for sample in kvasir_seg(args.data, "train")] if args.methods else []
    for method in args.methods:
        train(method, pictures, args)
    measure(args)


if __name__ == "__main__":
    main()

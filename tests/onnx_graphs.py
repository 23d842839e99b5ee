"""Small ONNX graphs made by hand, each beside its twin in torch with the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
CHANNELS, DIM, STRIDE = 3, 6, 4


class Twin(nn.Module):
    """A convolution and a ReLU; maps, tokens in reading order, or their mean."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.convolution = nn.Conv2d(CHANNELS, DIM, STRIDE, STRIDE)
        with torch.no_grad():
            for weights in self.parameters():
                weights.copy_(torch.randn(weights.shape, generator=generator) / 3)

    def maps(self, pixels: Tensor) -> Tensor:
        return F.relu(self.convolution(pixels))

    def tokens(self, pixels: Tensor) -> Tensor:
        return self.maps(pixels).flatten(2).mT

    def forward(self, pixels: Tensor) -> Tensor:
        return self.maps(pixels).mean((2, 3))


@dataclass(frozen=True)
class Graph:
    """What a graph shall be like; every field has another value in some test."""

    batch: int | str = "batch"
    size: tuple[int | str, int | str] = (32, 32)
    channels_last: bool = False
    type: int = TensorProto.FLOAT
    normalises: bool = False
    outputs: Sequence[str] = ("vectors",)
    maps_last: bool = False
    opset: int = 17
    extra_nodes: Sequence[Any] = ()

    def model(self) -> onnx.ModelProto:
        channels = CHANNELS
        shape = [self.batch, *self.size, channels] if self.channels_last else [self.batch, channels, *self.size]
        nodes, value = [*self.extra_nodes], "pictures"

        def then(operator: str, *inputs: str, output: str = "", **settings: Any) -> str:
            output = output or f"value{len(nodes)}"
            nodes.append(helper.make_node(operator, list(inputs), [output], **settings))
            return output

        twin = Twin()
        constants = {
            "weight": twin.convolution.weight.detach().numpy(),
            "bias": twin.convolution.bias.detach().numpy(),
            "levels": np.float32(255),
            "mean": np.float32(MEAN).reshape(1, -1, 1, 1),
            "std": np.float32(STD).reshape(1, -1, 1, 1),
        }
        if self.channels_last:
            value = then("Transpose", value, perm=[0, 3, 1, 2])
        if self.type != TensorProto.FLOAT:
            value = then("Cast", value, to=TensorProto.FLOAT)
        if self.type == TensorProto.UINT8:
            value = then("Div", value, "levels")
        if self.normalises:
            value = then("Div", then("Sub", value, "mean"), "std")
        relu = then("Relu", then("Conv", value, "weight", "bias", kernel_shape=[STRIDE] * 2, strides=[STRIDE] * 2))
        for output in self.outputs:
            if output.startswith("vectors"):
                then("ReduceMean", relu, output=output, axes=[2, 3], keepdims=0)
            elif output == "maps":
                then("Transpose", relu, output=output, perm=[0, 2, 3, 1] if self.maps_last else [0, 1, 2, 3])
            elif output == "tokens":
                flat = then("Reshape", relu, "flat")
                constants["flat"] = np.int64([0, DIM, -1])
                then("Transpose", flat, output=output, perm=[0, 2, 1])
            elif output == "numbers":
                then("ArgMax", relu, output=output, axis=1)
            elif output == "sequence":
                then("SequenceConstruct", relu, output=output)
        graph = helper.make_graph(
            nodes,
            "graph",
            [helper.make_tensor_value_info("pictures", self.type, shape)],
            [_output(name) for name in self.outputs],
            [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9)

    def saved(self, path: Path) -> Path:
        onnx.save(self.model(), path)
        return path


def _output(name: str) -> onnx.ValueInfoProto:
    if name == "sequence":
        return helper.make_tensor_sequence_value_info(name, TensorProto.FLOAT, None)
    return helper.make_tensor_value_info(name, TensorProto.INT64 if name == "numbers" else TensorProto.FLOAT, None)


def normalised(pixels: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


def model_of(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], **settings: Any) -> onnx.ModelProto:
    """A graph of any nodes; inputs and outputs as (name, type, shape)."""
    values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
    constants = [numpy_helper.from_array(values, name) for name, values in settings.pop("constants", {}).items()]
    domains = [helper.make_opsetid(name, number) for name, number in settings.pop("opsets", {"": 17}).items()]
    return helper.make_model(
        helper.make_graph(list(nodes), "graph", *values, constants), opset_imports=domains, ir_version=9, **settings
    )

"""The ResNets for CIFAR-10: three stages of basic blocks on 32 px, shortcuts without weights.

A 3 x 3 convolution to 16 channels; 2n layers each with 16, 32 and 64 channels at 32, 16 and 8 px, so that the depth is
6n + 2; the mean over the map; one linear layer. Where a stage halves the map, the shortcut takes every second pixel and
fills the new channels with zeros (option A), half of them on each side, as the published weights need it.

Source: He, Zhang, Ren & Sun, Deep residual learning, arXiv 1512.03385, sections 3.3 and 4.2.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from encoders import Preprocess
from encoders.checkpoints.reading import read_checkpoint

WIDTHS = (16, 32, 64)
PREPROCESS = Preprocess(size=(32, 32), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""What the published weights were trained with."""


class Block(nn.Module):
    """relu(x + bn(conv(relu(bn(conv(x)))))), 3 x 3 each."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.new = stride, width - before

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, h, w) to (B, width, h / stride, w / stride)."""
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))
        return F.relu(shortcut + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class CifarResNet(nn.Module):
    """(B, 3, 32, 32) normalised pixels to (B, 10) class scores; depth 20, 32, 44, 56 or 110."""

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        blocks, remainder = divmod(depth - 2, 6)
        if remainder or blocks < 1:
            raise ValueError(f"depth must be 6n + 2, as 20 or 56; got {depth}")
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], blocks)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], blocks)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], blocks)
        self.linear = nn.Linear(WIDTHS[2], classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, h, w) to (B, classes)."""
        maps = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(pixels))))))
        scores: Tensor = self.linear(maps.mean((2, 3)))
        return scores


def load_cifar_resnet(path: Path, depth: int) -> CifarResNet:
    """The network with published weights, in eval mode.

    Args:
        path: A checkpoint that holds {"state_dict": ...}, every name under "module.".
        depth: 20 for ResNet-20.

    Raises:
        EncoderError: If the file cannot be read. RuntimeError: If its weights are not all of this network's.
    """
    network = CifarResNet(depth)
    tensors = {name.removeprefix("state_dict.module."): value for name, value in read_checkpoint(path).items()}
    counters = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    network.load_state_dict({**counters, **tensors})  # the file is older than these counters
    return network.eval()


def _stage(before: int, width: int, blocks: int) -> nn.Sequential:
    first = Block(before, width, stride=1 if before == width else 2)
    return nn.Sequential(first, *(Block(width, width, stride=1) for _ in range(blocks - 1)))

"""An own module or function sees what its keywords say, in its own number of channels; wrappers are taken off."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as lightning
import skimage.data
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import relax
from encoders import EncoderError, Preprocess, load
from encoders.layers import first_channels

PIXELS = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))


def network(channels: int = 3) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(channels, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        ).eval()


def colour_mean(pixels: Tensor) -> Tensor:
    return pixels.mean((2, 3))


def test_the_keywords_make_the_preprocessing() -> None:
    own = network()
    small = F.interpolate(PIXELS, (20, 28), mode="bicubic", antialias=True).clamp(0, 1)[..., 2:18, 6:22]
    expected = own((small - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / 0.25)

    encoder = load(own, size=16, resize=20, mean=[0.4, 0.5, 0.6], std=0.25, interpolation="bicubic", device="cpu")

    torch.testing.assert_close(encoder(PIXELS), expected)
    assert encoder.preprocess == Preprocess((16, 16), 20, (0.4, 0.5, 0.6), (0.25,) * 3, "bicubic")


def test_a_function_takes_the_same_keywords() -> None:
    expected = (F.interpolate(PIXELS, (10, 12), mode="bilinear", antialias=True).mean((2, 3)) - 0.5) / 0.5

    encoder = load(colour_mean, size=(10, 12), mean=torch.tensor([0.5] * 3), std=np.full(3, 0.5))

    torch.testing.assert_close(encoder(PIXELS), expected)
    assert encoder.channels == 3


def test_three_lines_explain_what_the_transform_and_the_module_see() -> None:
    encoder = relax.load_encoder(network(), size=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), device="cpu")

    explanation = relax.explain(PIXELS[0], encoder, masks=20)

    assert explanation.importance.shape == (40, 56)
    assert explanation.provenance["encoder"]["input_size"] == [16, 16]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"mean": (0.5,) * 3}, "mean and std must come together, one number a channel"),
        (
            {"mean": (0.5,) * 4, "std": (0.5,) * 4},
            "mean must be one number per channel, and the network takes 3; got 4",
        ),
        ({"mean": (0.5,) * 3, "std": (0.5, 0.5)}, "std must be one number per channel, and the network takes 3; got 2"),
        ({"mean": (0.5,) * 3, "std": (0.5,) * 3, "channels": 1}, "mean must be .*the network takes 1; got 3"),
        ({"mean": 123.7, "std": 58}, r"mean must be of pixels in \[0, 1\]; got 123.7: divide mean and std by 255"),
        ({"mean": "grey", "std": 1}, "mean must be numbers, one per channel; got 'grey'"),
        ({"size": 16.5}, r"size must be pixels, a whole number or a pair \(height, width\); got 16.5"),
        ({"size": (3, 4, 5)}, r"size must be pixels, .*; got \(3, 4, 5\)"),
        ({"size": 16, "resize": "big"}, "resize must be pixels, .*; got 'big'"),
        ({"size": 16, "resize": 12}, r"resize must be at least size, here \(16, 16\); got 12"),
        ({"interpolation": "lanczos"}, "interpolation must be one of bilinear, bicubic, nearest; got 'lanczos'"),
        ({"channels": 0}, "channels must be a whole number, 1 or more; got 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(EncoderError, match=message) as caught:
        load(network(), device="cpu", **keywords)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("random:default", "size= is for modules and functions, and 'random:default' brings its own: leave it out"),
        ("file:a.pth?arch=resnet18", r"write it into the spec, as in file:a.pth\?arch=resnet18&size=..."),
        ("hub:a:b", r"write it into the spec, as in hub:a:b\?size=..."),
    ],
)
def test_keywords_for_a_spec_are_refused_in_favour_of_its_items(spec: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        load(spec, size=96)


def test_keywords_for_an_encoder_are_refused() -> None:
    with pytest.raises(
        EncoderError, match="output= cannot be changed on an Encoder, here 'colour_mean': load its module"
    ):
        load(load(colour_mean), output="features")


# Channels


class DecoderFirst(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.decoder, self.stem = nn.Conv2d(64, 3, 1), nn.Conv2d(channels, 64, 3)


@pytest.mark.parametrize(
    ("own", "channels"),
    [
        (network(1), 1),
        (network(3), 3),
        (network(4), 4),
        (network(13), 13),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), None),
        (DecoderFirst(3), None),
    ],
)
def test_the_number_of_channels_is_that_of_the_first_convolution(own: nn.Module, channels: int | None) -> None:
    assert first_channels(own) == channels
    assert load(own, device="cpu").channels == channels
    assert load(own, channels=2, device="cpu").channels == 2


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A grey photograph, a colour one, and one with alpha."""
    folder, colour = tmp_path_factory.mktemp("pictures"), Image.fromarray(skimage.data.chelsea()[:60, :80])
    pictures = {"grey": colour.convert("L"), "colour": colour, "alpha": colour.convert("RGBA")}
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in pictures}


def test_a_grey_file_goes_into_a_network_of_one_channel_as_it_is(files: dict[str, Path]) -> None:
    own = network(1)
    grey = torch.from_numpy(np.array(Image.open(files["grey"]), dtype=np.float32))[None, None] / 255

    explanation = relax.explain(files["grey"], own, masks=20, device="cpu")

    same = relax.explain(grey, lambda pixels: own(pixels), masks=20)
    np.testing.assert_allclose(explanation.importance, same.importance, rtol=1e-5, atol=1e-6)
    assert explanation.image.shape == (60, 80, 3)
    assert "read" not in explanation.provenance


def test_colour_for_a_network_of_one_channel_becomes_luma_and_the_record_says_so(files: dict[str, Path]) -> None:
    own = network(1)
    pixels = torch.from_numpy(np.array(Image.open(files["colour"]), dtype=np.float32)).permute(2, 0, 1) / 255
    luma = (pixels * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)

    explanation = relax.explain(files["colour"], own, masks=20, device="cpu")

    same = relax.explain(luma, lambda pixels: own(pixels), masks=20)
    np.testing.assert_allclose(explanation.importance, same.importance, rtol=1e-5, atol=1e-6)
    assert explanation.provenance["read"] == {"channels": "luma of colour (ITU-R 601)"}


def test_four_channels_take_alpha_and_refuse_colour_in_one_line(files: dict[str, Path]) -> None:
    assert relax.explain(files["alpha"], network(4), masks=4, device="cpu").importance.shape == (60, 80)
    with pytest.raises(relax.ImageError, match=r"colour.png: has 3 channels; the encoder takes 4"):
        relax.explain(files["colour"], network(4), masks=4, device="cpu")


def test_a_single_mean_stands_for_every_channel_and_fills() -> None:
    encoder = load(network(3), mean=0.4, std=0.2, device="cpu")

    assert (encoder.mean, encoder.preprocess.std) == ((0.4,) * 3, (0.2,) * 3)
    assert relax.explain(PIXELS[0], encoder, masks=4).provenance["fill"] == "mean"


# Wrappers, trainers, exported graphs


class Lightning(lightning.LightningModule):
    def __init__(self, width: int = 6, rate: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.backbone, self.head = network(), nn.Linear(24, width)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.backbone(pixels)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        loss = self.head(self(batch[0])).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.hparams["rate"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Lightning:
    """With its trainer, which holds a logger and a lock that nobody can copy."""
    module, folder = Lightning(), tmp_path_factory.mktemp("run")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_steps=1,
            accelerator="cpu",
            logger=CSVLogger(folder),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.lock = threading.Lock()
        trainer.fit(module, DataLoader(TensorDataset(PIXELS)))
    return module


def test_a_lightning_module_is_copied_without_its_trainer(trained: Lightning) -> None:
    with torch.no_grad():
        expected = trained.eval()(PIXELS)

    encoder = load(trained.train(), device="cpu")

    torch.testing.assert_close(encoder(PIXELS), expected)
    assert trained.training
    assert trained.trainer is not None
    assert encoder.network._trainer is None
    assert encoder.network.hparams == trained.hparams
    assert encoder.checksum == load(trained, device="cpu").checksum
    assert relax.explain(PIXELS[0], trained, masks=4, device="cpu").importance.shape == (40, 56)


def test_what_cannot_be_copied_is_refused_with_a_way_out_that_works() -> None:
    module = network()
    module.lock = threading.Lock()

    with pytest.raises(
        EncoderError, match=r"'Sequential' cannot be copied \(cannot pickle .*lambda pixels: module"
    ) as caught:
        load(module, device="cpu")

    assert "\n" not in str(caught.value)
    torch.testing.assert_close(load(lambda pixels: module(pixels))(PIXELS), module(PIXELS).detach())


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel], ids=["compiled", "data parallel"])
def test_a_wrapped_module_is_the_module_inside(wrap: object) -> None:
    encoder, bare = load(wrap(network()), device="cpu"), load(network(), device="cpu")

    assert (encoder.name, encoder.checksum, encoder.channels) == (bare.name, bare.checksum, 3)
    torch.testing.assert_close(encoder(PIXELS), bare(PIXELS))


def test_an_exported_program_names_its_module_and_that_works_for_a_free_batch() -> None:
    shapes = {"input": {0: torch.export.Dim("batch", min=1, max=4096)}}
    program = torch.export.export(network(), (PIXELS,), dynamic_shapes=shapes)

    with pytest.raises(EncoderError, match=r"got an ExportedProgram: pass its program.module\(\)"):
        load(program)
    encoder = load(program.module(), device="cpu")
    torch.testing.assert_close(encoder(PIXELS[:1]), network()(PIXELS[:1]).detach())
    assert relax.explain(PIXELS[0], encoder, masks=4).importance.shape == (40, 56)


def test_an_exported_program_with_a_fixed_batch_is_refused_in_one_line() -> None:
    encoder = load(torch.export.export(network(), (PIXELS,)).module(), device="cpu")

    with pytest.raises(
        EncoderError, match=r"failed on pixels of shape \(1, 3, 40, 56\) on cpu, float32: Guard failed"
    ) as caught:
        encoder(PIXELS[:1])
    assert "\n" not in str(caught.value)

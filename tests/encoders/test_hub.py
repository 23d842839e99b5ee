"""torch.hub entries load from a local folder; random weights and untrusted code are refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from torch import nn

from encoders import EncoderError, load

HUBCONF = '''
import torch
from torch import nn

def net(pretrained=True, width=4):
    """A small network whose trained weights are all 0.5."""
    model = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if pretrained:
        nn.init.constant_(model[0].weight, 0.5)
    return model

def untrained(pretrained=False, width=4):
    return net(pretrained, width)

def grey(pretrained=True):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.constant_(model[0].weight, 0.5)
    return model

def number():
    print("hello from the repository")
    return 3
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    return tmp_path


def test_an_entry_of_a_local_folder_embeds_as_its_network_does(folder: Path) -> None:
    encoder = load(f"hub:{folder}:net", device="cpu")
    view = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))

    # All weights are 0.5, so every channel is the window's sum / 2, plus the bias, before the ReLU.
    sums = nn.functional.avg_pool2d(encoder.preprocess.normalise(view).sum(1, keepdim=True), 3, 1) * 9 / 2
    expected = (sums + encoder.network[0].bias.view(1, -1, 1, 1)).relu().mean((2, 3))
    torch.testing.assert_close(encoder.embed(view), expected, rtol=1e-4, atol=1e-4)


def test_the_preprocessing_is_the_usual_one_of_imagenet_unless_the_spec_says_otherwise(folder: Path) -> None:
    usual = load(f"hub:{folder}:net", device="cpu").preprocess
    changed = load(f"hub:{folder}:net?size=96&mean=0.5,0.5,0.5&std=0.5,0.5,0.5", device="cpu").preprocess

    assert (usual.size, usual.resize, usual.mean) == ((224, 224), 256, (0.485, 0.456, 0.406))
    assert (changed.size, changed.resize, changed.mean) == ((96, 96), 109, (0.5, 0.5, 0.5))


def test_other_items_are_arguments_of_the_entry(folder: Path) -> None:
    encoder = load(f"hub:{folder}:untrained?pretrained=true&width=7", device="cpu")

    assert encoder(torch.rand(1, 3, 30, 30)).shape == (1, 7)


def test_a_network_for_grey_pictures_gets_one_channel(folder: Path) -> None:
    encoder = load(f"hub:{folder}:grey?mean=0.4&std=0.2", device="cpu")

    assert (encoder.channels, encoder.mean) == (1, (0.4,))
    assert encoder(torch.rand(2, 1, 30, 30)).shape == (2, 2)


def test_an_entry_that_gives_random_weights_is_refused_with_the_way_out(folder: Path) -> None:
    with pytest.raises(
        EncoderError, match=r"100% differ from one call to the next, so they are random: .*\?pretrained=true"
    ):
        load(f"hub:{folder}:untrained")


def test_an_entry_that_is_no_network_is_refused_and_its_prints_stay_off_stdout(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EncoderError, match="must be a torch module; got int"):
        load(f"hub:{folder}:number")

    assert capsys.readouterr().out == ""


def test_a_name_or_argument_that_the_folder_does_not_have_is_one_line(folder: Path, tmp_path: Path) -> None:
    for spec in (f"hub:{folder}:nonet", f"hub:{folder}:net?colour=blue"):
        with pytest.raises(EncoderError, match=r"cannot be loaded .*: check the name and the connection") as caught:
            load(spec)

        assert "\n" not in str(caught.value)


def test_code_of_an_untrusted_repository_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.hub prompts before it fetches; without a terminal the answer is no."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    with pytest.raises(
        EncoderError, match="would run code of somebody/something:main, which nobody here has trusted yet"
    ):
        load("hub:somebody/something:main:net")

"""An open_clip encoder embeds pictures and prompts exactly as open_clip does; what it cannot load it refuses."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import relax
from encoders import EncoderError, load
from encoders.text import embed_text
from relax.cli.app import run

open_clip = pytest.importorskip("open_clip", reason="the extra [text] is not installed")

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's
CONFIG = {
    "embed_dim": 12,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 10, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
PROMPTS = ["a photo of a cat", "a chest x-ray"]


def folder_of(path: Path, weights: bool = True, **preprocess: object) -> Path:
    """A small open_clip model with random weights, as open_clip keeps one in a folder."""
    path.mkdir()
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}))
    if weights:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            torch.save(open_clip.CLIP(**CONFIG).state_dict(), path / "open_clip_pytorch_model.bin")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("clip") / "small")


@pytest.fixture(scope="module")
def peer(folder: Path) -> nn.Module:
    return open_clip.create_model(f"local-dir:{folder}").eval()


def picture(height: int, width: int) -> Image.Image:
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_pictures_are_embedded_as_open_clip_does(tmp_path: Path, mode: str) -> None:
    folder = folder_of(
        tmp_path / mode, resize_mode=mode, interpolation="bicubic", mean=[0.4, 0.5, 0.6], std=[0.2, 0.3, 0.1]
    )
    peer, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    peer.eval()
    encoder = load(f"open_clip:local-dir:{folder}", device="cpu")

    for size, tolerance in (((32, 32), 1e-6), ((90, 130), 5e-3)):  # PIL rounds to 8 bits after resizing
        image = picture(*size)
        with torch.no_grad():
            expected = peer.encode_image(transform(image)[None], normalize=True)
        torch.testing.assert_close(encoder(relax.read_image(image)), expected, rtol=0, atol=tolerance)
    assert encoder.mean == (0.4, 0.5, 0.6)
    left = 0 if mode == "squash" else (130 - 90) / 2
    assert encoder.seen(90, 130) == pytest.approx((0, left, 90, 130 - left), abs=2)


def test_prompts_are_embedded_as_open_clip_does(folder: Path, peer: nn.Module) -> None:
    encoder = load(f"open_clip:local-dir:{folder}", device="cpu")

    embeddings = embed_text(encoder, PROMPTS)

    tokens = open_clip.SimpleTokenizer(context_length=10)(PROMPTS)
    with torch.no_grad():
        expected = peer.encode_text(tokens)
    torch.testing.assert_close(embeddings, expected / expected.norm(dim=1, keepdim=True), rtol=0, atol=1e-6)
    assert not torch.allclose(embeddings[0], embeddings[1])
    assert encoder.mean == MEAN
    assert encoder.preprocess.std == STD


def test_a_prompt_as_reference_is_its_embedding_as_reference(folder: Path) -> None:
    encoder = load(f"open_clip:local-dir:{folder}", device="cpu")
    probe = relax.probe(picture(40, 40), encoder, masks=30)

    for prompt, foil in (("text:a photo of a cat", None), ("text:a photo of a cat", "text:a chest x-ray")):
        explanation = probe.explain(prompt, foil=foil)

        first, second = embed_text(encoder, PROMPTS)
        by_vector = probe.explain(first, foil=None if foil is None else second)
        np.testing.assert_allclose(explanation.importance, by_vector.importance, atol=1e-6)
        assert explanation.provenance["reference"] == "text:a photo of a cat"
    corpus = probe.explain(relax.Corpus([f"text:{prompt}" for prompt in PROMPTS]))
    np.testing.assert_allclose(
        corpus.importance, probe.explain(relax.Corpus(embed_text(encoder, PROMPTS))).importance, atol=1e-6
    )


def test_a_network_of_ones_own_may_read_prompts() -> None:
    class Own(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.mean((2, 3))

        def embed_text(self, prompts: list[str]) -> torch.Tensor:
            return torch.tensor([[len(prompt), 1.0, 0.0] for prompt in prompts])

    assert embed_text(load(Own(), device="cpu"), ["cat", "horse"]).tolist() == [[3, 1, 0], [5, 1, 0]]


def test_weights_may_be_a_file_or_drawn_from_the_seed(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(file)
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    from_file = load(f"open_clip:tiny:{folder}/open_clip_pytorch_model.bin", device="cpu")(pixels)
    drawn = [load("random:open_clip:tiny", device="cpu", seed=seed)(pixels) for seed in (1, 1, 2)]

    torch.testing.assert_close(from_file, load(f"open_clip:local-dir:{folder}", device="cpu")(pixels))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], drawn[2])
    assert not torch.allclose(drawn[0], from_file)
    torch.testing.assert_close(from_file.norm(dim=1), torch.ones(2))


@pytest.fixture
def tiny(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that open_clip knows as "tiny", and a file of its weights with nothing beside it."""
    (tmp_path / "tiny.json").write_text(json.dumps(CONFIG))
    monkeypatch.setattr("open_clip.factory._MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    monkeypatch.setattr("open_clip.factory._MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    open_clip.add_model_config(tmp_path / "tiny.json")
    file = tmp_path / "mine" / "epoch_3.pt"
    file.parent.mkdir()
    file.write_bytes((folder / "open_clip_pytorch_model.bin").read_bytes())
    return file


def with_quick_gelu(file: Path) -> nn.Module:
    """The network that was trained: its weights with QuickGELU."""
    model = open_clip.CLIP(**CONFIG, quick_gelu=True)
    model.load_state_dict(torch.load(file, weights_only=True))
    return model.eval()


def assert_is(spec: str, model: nn.Module, preprocess: dict[str, object]) -> None:
    """A spec embeds pictures as this model does behind open_clip's own transform with this preprocessing.

    A picture of the size that the model sees has no resizing in it, so the values themselves can be compared.
    """
    size = model.visual.image_size
    config = open_clip.transform.PreprocessCfg(size=size, **preprocess)
    transform = open_clip.transform.image_transform_v2(config, is_train=False)
    encoder = load(spec, device="cpu")

    for image in (picture(*size), picture(90, 130)):
        with torch.no_grad():
            expected = model.encode_image(transform(image)[None], normalize=True)
        embedding = encoder(relax.read_image(image))
        assert float(torch.cosine_similarity(embedding, expected)) >= 0.9999
        if image.size == size:
            torch.testing.assert_close(embedding, expected, rtol=0, atol=1e-6)


OTHERS = {"mean": (0.2, 0.3, 0.4), "std": (0.5, 0.2, 0.3), "interpolation": "bilinear", "resize_mode": "squash"}


def test_weights_by_path_have_the_preprocessing_and_activation_of_the_configuration_beside_them(tiny: Path) -> None:
    config = {"model_cfg": {**CONFIG, "quick_gelu": True}, "preprocess_cfg": OTHERS}
    (tiny.parent / "open_clip_config.json").write_text(json.dumps(config))

    assert_is(f"open_clip:tiny:{tiny}", with_quick_gelu(tiny), OTHERS)


def test_weights_by_path_without_configuration_are_asked_for_it_and_take_what_is_said(tiny: Path) -> None:
    own = "mean=0.48145466,0.4578275,0.40821073&std=0.26862954,0.26130258,0.27577711&interpolation=bicubic"
    with pytest.raises(
        EncoderError, match="must say the mean, std, interpolation, quick_gelu that its weights"
    ) as caught:
        load(f"open_clip:tiny:{tiny}", device="cpu")
    assert str(caught.value).endswith(f"open_clip's own are ?{own}&quick_gelu=false")
    with pytest.raises(EncoderError, match="must say the quick_gelu that"):
        load(f"open_clip:tiny:{tiny}?{own}", device="cpu")

    said = "mean=0.2,0.3,0.4&std=0.5,0.2,0.3&interpolation=bilinear&resize=32x32&quick_gelu=true"
    assert_is(f"open_clip:tiny:{tiny}?{said}", with_quick_gelu(tiny), OTHERS)


def test_weights_by_path_that_do_not_fit_are_not_taken_for_a_failed_download(tiny: Path) -> None:
    torch.save({"logit_scale": torch.ones(())}, tiny)

    with pytest.raises(
        EncoderError, match=r"cannot be built: Error.* for CLIP: Missing key.*: check its name"
    ) as caught:
        load(f"open_clip:tiny:{tiny}?mean=0.5&std=0.5&interpolation=bilinear&quick_gelu=true", device="cpu")
    assert "\n" not in str(caught.value)


def test_a_configuration_that_cannot_be_read_is_one_line(tiny: Path) -> None:
    (tiny.parent / "open_clip_config.json").write_text("mean: 0.5")

    with pytest.raises(
        EncoderError, match=r"open_clip_config.json must be JSON, as open_clip writes it; got Expecting"
    ):
        load(f"open_clip:tiny:{tiny}", device="cpu")


def test_the_activation_of_a_tag_goes_before_that_of_the_model(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ViT-B-32:openai, whose weights have QuickGELU while the model of that name has GELU; open_clip only warns."""
    published = {"file": str(tiny), "quick_gelu": True, **OTHERS}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"openai": published})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_is("open_clip:tiny:openai", with_quick_gelu(tiny), OTHERS)


def test_a_published_file_is_known_by_its_name(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = {"url": f"https://example.org/{tiny.name}", "quick_gelu": True, **OTHERS}
    monkeypatch.setitem(
        open_clip.pretrained._PRETRAINED, "tiny", {"one": {"url": "https://example.org/other.pt"}, "two": published}
    )

    assert_is(f"open_clip:tiny:{tiny}", with_quick_gelu(tiny), OTHERS)


def test_another_size_reaches_network_and_preprocessing(folder: Path) -> None:
    model = open_clip.create_model(f"local-dir:{folder}", force_image_size=48).eval()

    assert_is(f"open_clip:local-dir:{folder}?size=48", model, {})
    assert load(f"open_clip:local-dir:{folder}?size=48", device="cpu").preprocess.size == (48, 48)


def test_an_item_that_open_clip_does_not_take_is_refused(folder: Path) -> None:
    with pytest.raises(EncoderError, match=r"has the item 'quick_gel'; known are .*: did you mean quick_gelu\?"):
        load(f"open_clip:local-dir:{folder}?quick_gel=true")
    with pytest.raises(EncoderError, match="quick_gelu must be true or false; got '3'"):
        load(f"open_clip:local-dir:{folder}?quick_gelu=3")


def test_random_means_random_where_there_are_weights(folder: Path) -> None:
    state = load(f"random:open_clip:local-dir:{folder}", device="cpu").network.state_dict()

    trained = load(f"open_clip:local-dir:{folder}", device="cpu").network.state_dict()
    assert not torch.allclose(state["model.visual.conv1.weight"], trained["model.visual.conv1.weight"])


def test_a_folder_without_weights_is_refused_and_never_random(tmp_path: Path) -> None:
    bare = folder_of(tmp_path / "bare", weights=False)

    with pytest.raises(
        EncoderError, match=r"encoder 'open_clip:local-dir:.*' cannot be built: .*: check its name and items"
    ):
        load(f"open_clip:local-dir:{bare}", device="cpu")


def test_an_encoder_that_pads_images_is_refused(tmp_path: Path) -> None:
    padded = folder_of(tmp_path / "padded", resize_mode="longest")

    with pytest.raises(EncoderError, match="pads images to their frame, which is not offered"):
        load(f"open_clip:local-dir:{padded}", device="cpu")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("open_clip:ViT-B32", "encoder 'open_clip:ViT-B32' is not known: did you mean ViT-B-32"),
        ("random:open_clip:ViT-B32", "encoder 'open_clip:ViT-B32' is not known: did you mean ViT-B-32"),
        ("open_clip:ViT-B-32", "needs its weights named, open_clip:ViT-B-32:TAG with one of openai, laion400m_e31"),
        ("open_clip:ViT-S-32", "needs its weights named, open_clip:ViT-S-32:TAG with the path of a checkpoint"),
        ("open_clip:ViT-B-32:openal", "encoder 'open_clip:ViT-B-32:openal' is not known: did you mean openai"),
        ("open_clip:ViT-S-32:mine.pt", "encoder 'open_clip:ViT-S-32:mine.pt' is not known: give the path"),
        ("open_clip:", "encoder must be one of default, .*open_clip:MODEL:TAG"),
    ],
)
def test_an_unknown_model_or_tag_is_refused_with_the_way_out(spec: str, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        load(spec, device="cpu")


def test_another_pooling_is_refused(folder: Path) -> None:
    with pytest.raises(EncoderError, match="pooling='cls' is not offered by 'open_clip:local-dir"):
        load(f"open_clip:local-dir:{folder}", device="cpu", pooling="cls")


@pytest.mark.parametrize("prompt", ["", "  "])
def test_an_empty_prompt_is_refused(folder: Path, prompt: str) -> None:
    with pytest.raises(EncoderError, match="a prompt must have words, as in text:a photo of a cat; got an empty one"):
        embed_text(load(f"open_clip:local-dir:{folder}", device="cpu"), ["cat", prompt])


def test_a_prompt_is_never_cut_in_silence(folder: Path) -> None:
    encoder = load(f"open_clip:local-dir:{folder}", device="cpu")

    assert embed_text(encoder, ["cat " * 8]).shape == (1, 12)
    with pytest.raises(EncoderError, match="prompt must have at most 8 tokens; got 9: shorten 'cat cat"):
        embed_text(encoder, ["cat " * 9])


def test_a_missing_extra_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)

    with pytest.raises(ImportError, match=r'need open_clip .*: pip install "relax-explainer\[text\]"'):
        load("open_clip:ViT-B-32:openai", device="cpu")
    Image.new("RGB", (8, 8)).save(tmp_path / "cat.png")
    assert run(["explain", str(tmp_path / "cat.png"), "--encoder", "open_clip:ViT-B-32:openai"]) == 2


def test_loading_leaves_the_callers_log_and_generator_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = torch.get_rng_state()

    load(f"random:open_clip:local-dir:{folder}", device="cpu")
    logging.warning("still heard")

    assert torch.equal(torch.get_rng_state(), state)
    assert [record.message for record in caplog.records] == ["still heard"]

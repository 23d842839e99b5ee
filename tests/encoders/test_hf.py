"""An encoder of transformers embeds pictures and prompts as transformers does; what it cannot do so it refuses."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn
from torch.nn import functional as F

import relax
from encoders import EncoderError, Preprocess, load
from encoders.encoder import copied
from encoders.heads.networks import network_head
from encoders.hf.networks import FAMILIES
from encoders.hf.processors import UnreadError, preprocess_of
from encoders.identity import identity
from encoders.text import embed_text
from encoders.words.loading import load_text_encoder
from relax.baselines import MethodError
from relax.cli.app import run

transformers = pytest.importorskip("transformers", reason="the extra [hf] is not installed")
tokenizers = pytest.importorskip("tokenizers")

CAT = Image.fromarray(data.chelsea())  # 300 x 451 px
ODD = CAT.resize((455, 300))  # at 40 px, 20.66 more in width than the crop of 40
SIDES = {"height": 32, "width": 32}
VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
WINDOWS = {
    "image_size": 32,
    "patch_size": 4,
    "embed_dim": 8,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 4,
}
WORDS = ["<pad>", "<s>", "</s>", "<unk>", "a", "photo", "of", "cat", "dog", "the", "chest", "x", "ray"]
TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": len(WORDS),
    "max_position_embeddings": 10,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
PROMPTS = ["a photo of a cat", "chest x ray"]
SAID = "?size=32&mean=0.0&std=1.0"


def drawn(kind: str, settings: dict[str, Any], seed: int = 0) -> nn.Module:
    """A model of transformers with random weights, no bias or norm left at 0 or 1."""
    model_class = getattr(transformers, kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: nn.Module = model_class(model_class.config_class(**settings)).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight) * 0.1)
    return model


def saved(folder: Path, model: nn.Module, processor: Any = None) -> Path:
    model.save_pretrained(folder)  # type: ignore[operator]
    if processor is not None:
        processor.save_pretrained(folder)
    return folder


def processor(kind: str = "ViTImageProcessor", **settings: Any) -> Any:
    own = getattr(transformers, kind, None) or getattr(transformers, f"{kind}Fast")  # its name before 5.1
    return own(**{"size": SIDES, **settings})


def pixels_of(folder: Path, image: Image.Image = CAT) -> Tensor:
    """What the folder's own image processor makes of a picture."""
    own = transformers.AutoImageProcessor.from_pretrained(folder)
    pixels: Tensor = own(image, return_tensors="pt")["pixel_values"]
    return pixels


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, saved without a pooler as transformers saves it."""
    folder = tmp_path_factory.mktemp("hf") / "vit"
    return saved(folder, drawn("ViTForImageClassification", VIT), processor())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_towers(tmp_path_factory.mktemp("hf") / "clip", "CLIP")


def class_token(output: Any) -> Tensor:
    token: Tensor = output.last_hidden_state[:, 0]
    return token


def pooler(output: Any) -> Tensor:
    pooled: Tensor = output.pooler_output.flatten(1)
    return pooled


BIT = {"size": {"shortest_edge": 36}, "crop_size": SIDES}
FROM_CLIP = {"size": {"shortest_edge": 32}, "crop_size": SIDES}
PIPELINES = {
    "ViT": ("ViTModel", VIT, processor(), class_token),
    "DeiT": (
        "DeiTModel",
        VIT,
        processor("DeiTImageProcessor", size={"height": 36, "width": 36}, crop_size=SIDES),
        None,
    ),
    "ViTMAE": ("ViTMAEModel", {**VIT, "mask_ratio": 0.0}, processor(), class_token),
    "BEiT": ("BeitModel", VIT, processor("BeitImageProcessor", do_center_crop=False), pooler),
    "DINOv2": ("Dinov2Model", VIT, processor("BitImageProcessor", **BIT), pooler),
    "registers": ("Dinov2WithRegistersModel", VIT, processor("BitImageProcessor", **BIT), pooler),
    "CLIP": ("CLIPVisionModel", VIT, processor("CLIPImageProcessor", **FROM_CLIP), pooler),
    "SigLIP": ("SiglipVisionModel", VIT, processor("SiglipImageProcessor"), pooler),
    "ConvNeXt": (
        "ConvNextModel",
        {**STAGES, "num_stages": 2},
        processor("ConvNextImageProcessor", size={"shortest_edge": 32}),
        pooler,
    ),
    "Swin": ("SwinModel", WINDOWS, processor(), pooler),
    "ResNet": (
        "ResNetModel",
        {**STAGES, "embedding_size": 8},
        processor("ConvNextImageProcessor", size={"shortest_edge": 32}),
        pooler,
    ),
}
if hasattr(transformers, "DINOv3ViTModel"):
    settings = {**VIT, "num_register_tokens": 4}
    PIPELINES["DINOv3"] = ("DINOv3ViTModel", settings, processor("DINOv3ViTImageProcessor"), pooler)
    settings = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "image_size": 32}
    PIPELINES["DINOv3 CNN"] = ("DINOv3ConvNextModel", settings, processor("DINOv3ViTImageProcessor"), pooler)


@pytest.mark.parametrize("family", PIPELINES)
def test_a_photograph_is_embedded_as_by_processor_and_model(tmp_path: Path, family: str) -> None:
    kind, settings, own, taken = PIPELINES[family]
    peer = drawn(kind, settings)
    folder = saved(tmp_path / "model", peer, own)
    encoder = load(f"hf:{folder}", device="cpu")

    pixels = pixels_of(folder)
    with torch.no_grad():
        expected = (taken or class_token)(peer(pixel_values=pixels))

    embedding = encoder(relax.read_image(CAT))
    torch.testing.assert_close(encoder.network(pixels), expected, rtol=1e-5, atol=1e-5)
    assert F.cosine_similarity(embedding, expected).item() >= 0.9999
    mirrored = encoder(relax.read_image(CAT.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    assert F.cosine_similarity(mirrored, expected).item() < 0.9999


def test_a_masked_autoencoder_sees_every_patch_in_its_place_and_draws_nothing(tmp_path: Path) -> None:
    folder = saved(tmp_path / "mae", drawn("ViTMAEForPreTraining", {**VIT, "decoder_hidden_size": 16}), processor())
    encoder = load(f"hf:{folder}", device="cpu")  # its configuration hides 75 % of the patches, at random
    pixels, state = noise(2, 3, 32, 32), torch.get_rng_state()
    seen: list[tuple[Tensor, ...]] = []  # tokens, mask, order
    encoder.network.model.embeddings.register_forward_hook(lambda _, __, output: seen.append(output))

    encoder(pixels)

    assert seen[0][0].shape[1] == 1 + 16
    assert seen[0][2].tolist() == [list(range(16))] * 2
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(encoder(pixels)[:1], encoder(pixels[:1]))


CLASSIFIERS = {
    "ViTForImageClassification": VIT,
    "DeiTForImageClassification": VIT,
    "ViTMSNForImageClassification": VIT,
    "IJepaForImageClassification": VIT,
    "BeitForImageClassification": VIT,
    "Data2VecVisionForImageClassification": VIT,
    "SwinForImageClassification": WINDOWS,
    "Swinv2ForImageClassification": WINDOWS,
    "DonutSwinForImageClassification": WINDOWS,
    "FocalNetForImageClassification": {
        **STAGES,
        "image_size": 32,
        "embed_dim": 8,
        "focal_levels": [1, 1],
        "focal_windows": [3, 3],
    },
    "HieraForImageClassification": {
        "embed_dim": 8,
        "image_size": [32, 32],
        "depths": [1, 1],
        "num_heads": [1, 2],
        "num_query_pool": 1,
        "query_stride": [2, 2],
        "masked_unit_size": [4, 4],
    },
    "ConvNextForImageClassification": {**STAGES, "num_stages": 2},
    "ConvNextV2ForImageClassification": {**STAGES, "num_stages": 2},
    "ResNetForImageClassification": {**STAGES, "embedding_size": 8},
    "RegNetForImageClassification": {**STAGES, "embedding_size": 8, "groups_width": 8},
    "BitForImageClassification": {**STAGES, "embedding_size": 8, "num_groups": 4},
    "EfficientNetForImageClassification": {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128},
    "MobileNetV1ForImageClassification": {"depth_multiplier": 0.25},
    "MobileNetV2ForImageClassification": {"depth_multiplier": 0.25},
    "MobileViTForImageClassification": {
        "image_size": 64,
        "hidden_sizes": [16, 16, 24],
        "neck_hidden_sizes": [8, 8, 8, 16, 16, 16, 32],
    },
    "MobileViTV2ForImageClassification": {"image_size": 64, "width_multiplier": 0.25},
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_classifier_gives_what_its_last_layer_sees_and_not_its_logits(tmp_path: Path, kind: str) -> None:
    peer = drawn(kind, CLASSIFIERS[kind])
    layers = [layer for layer in peer.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    seen: list[Tensor] = []
    layers[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1)))
    side = CLASSIFIERS[kind].get("image_size", 32) if "MobileViT" in kind else 32
    pixels = noise(2, 3, side, side)
    with torch.no_grad():
        peer(pixel_values=pixels)
    layers[-1]._forward_pre_hooks.clear()

    encoder = load(f"hf:{saved(tmp_path / 'model', peer)}?size={side}&mean=0.0&std=1.0", device="cpu")

    torch.testing.assert_close(encoder(pixels), seen[0], rtol=1e-4, atol=1e-5)
    assert encoder.report is not None
    assert len(encoder.report.set_aside) == 2  # the classifier's weight and bias


def test_every_family_is_tried_here() -> None:
    tried = [getattr(transformers, kind).config_class.model_type for kind in CLASSIFIERS]
    tried += [getattr(transformers, kind).config_class.model_type for kind, *_ in PIPELINES.values()]
    tried += [getattr(transformers, f"{kind}Model").config_class.model_type for kind in TOWERS]
    untried = {"align"}  # as clip, with a processor that cannot be followed

    assert set(FAMILIES) - set(tried) <= untried


@pytest.mark.parametrize(("pooling", "prefix"), [("cls", None), ("mean", 5)])
def test_tokens_are_pooled_as_asked_without_class_and_registers(
    tmp_path: Path, pooling: str, prefix: int | None
) -> None:
    peer = drawn("Dinov2WithRegistersModel", VIT)  # 1 class token, 4 registers, 16 patches
    folder = saved(tmp_path / "model", peer)
    pixels = noise(2, 3, 32, 32)
    with torch.no_grad():
        tokens = peer(pixel_values=pixels).last_hidden_state
    expected = tokens[:, 0] if prefix is None else tokens[:, prefix:].mean(1)

    by_argument = load(f"hf:{folder}{SAID}", device="cpu", pooling=pooling)
    by_item = load(f"hf:{folder}{SAID}&pooling={pooling}", device="cpu")

    assert tokens.shape[1] == 1 + 4 + 16
    torch.testing.assert_close(by_argument(pixels), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(by_item(pixels), by_argument(pixels))


def test_feature_maps_have_a_mean_and_no_class_token(tmp_path: Path) -> None:
    peer = drawn("ResNetModel", {**STAGES, "embedding_size": 8})
    folder = saved(tmp_path / "model", peer)
    pixels = noise(2, 3, 32, 32)
    with torch.no_grad():
        expected = peer(pixel_values=pixels).last_hidden_state.mean((2, 3))

    torch.testing.assert_close(load(f"hf:{folder}{SAID}&pooling=mean", device="cpu")(pixels), expected)
    with pytest.raises(EncoderError, match=r'pooling="cls" needs a class token, which .* has not: choose "auto" or'):
        load(f"hf:{folder}{SAID}", device="cpu", pooling="cls")


def test_a_pooler_that_the_file_has_not_is_never_used_nor_counted(vit: Path) -> None:
    first, second = (load(f"hf:{vit}", device="cpu", seed=seed) for seed in (1, 2))

    assert not any("pooler" in name for name in first.network.state_dict())
    assert first.checksum == second.checksum
    assert torch.equal(first(noise(1, 3, 32, 32)), second(noise(1, 3, 32, 32)))


def test_the_record_says_how_the_vector_is_taken(vit: Path) -> None:
    """ "auto" alone would not tell a reader, since it is another thing for every family."""
    pooled = {pooling: identity(load(f"hf:{vit}", device="cpu", pooling=pooling)) for pooling in ("auto", "mean")}

    assert {pooling: record["architecture"]["pooling"] for pooling, record in pooled.items()} == {
        "auto": "cls",
        "mean": "mean",
    }


def test_a_pooler_that_is_needed_and_not_there_is_asked_about(tmp_path: Path) -> None:
    folder = saved(
        tmp_path / "beit", drawn("BeitForMaskedImageModeling", {**VIT, "use_mask_token": True, "vocab_size": 9})
    )

    with pytest.raises(
        EncoderError,
        match=r"has no weights for its pooler \(pooler.layernorm.bias\), which would be random: say pooling",
    ):
        load(f"hf:{folder}{SAID}", device="cpu")
    first, second = (load(f"hf:{folder}{SAID}", device="cpu", pooling="mean", seed=seed) for seed in (1, 2))
    assert first.checksum == second.checksum


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 3}, r"16 missing \(.*layer.*2.*\); no weight may be random in silence"),
        ({"num_hidden_layers": 1}, r"16 left over \(.*layer.*1.*\)"),
        ({"image_size": 40}, r"1 of another shape \(embeddings.position_embeddings\)"),
        ({"patch_size": 16}, "2 of another shape"),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(
    vit: Path, tmp_path: Path, change: dict[str, int], message: str
) -> None:
    for file in vit.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((vit / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))

    with pytest.raises(EncoderError, match=f"has weights that do not fit its config.json: .*{message}"):
        load(f"hf:{tmp_path}", device="cpu")


def test_an_unknown_family_is_asked_about_its_pooling(tmp_path: Path) -> None:
    peer = drawn("PoolFormerModel", {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]})
    folder = saved(tmp_path / "model", peer)
    pixels = noise(2, 3, 32, 32)

    with pytest.raises(EncoderError, match="is a poolformer, and how its authors take one vector is not known here"):
        load(f"hf:{folder}{SAID}", device="cpu")
    with torch.no_grad():
        expected = peer(pixel_values=pixels).last_hidden_state.mean((2, 3))
    torch.testing.assert_close(load(f"hf:{folder}{SAID}&pooling=mean", device="cpu")(pixels), expected)


SHORTER = {"shortest_edge": 40}
PROCESSORS = [
    ("ViTImageProcessor", {"size": {"height": 32, "width": 48}}, ((32, 48), None)),
    ("ViTImageProcessor", {"resample": 3}, ((32, 32), None)),
    ("ViTImageProcessor", {"do_normalize": False}, ((32, 32), None)),
    ("ViTImageProcessor", {"do_rescale": False, "image_mean": [127.0] * 3, "image_std": [50.0] * 3}, ((32, 32), None)),
    (
        "ViTImageProcessor",
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
        ((32, 32), None),
    ),
    ("DeiTImageProcessor", {"size": {"height": 36, "width": 40}, "crop_size": SIDES}, ((32, 32), (36, 40))),
    ("CLIPImageProcessor", {"size": SHORTER, "crop_size": {"height": 40, "width": 40}}, ((40, 40), 40)),
    ("BitImageProcessor", {"size": SHORTER, "crop_size": {"height": 33, "width": 33}}, ((33, 33), 40)),
    ("ConvNextImageProcessor", {"size": SHORTER, "crop_pct": 0.9}, ((40, 40), 44)),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}, ((384, 384), None)),
]


@pytest.mark.parametrize(("kind", "settings", "frame"), PROCESSORS)
@pytest.mark.parametrize("image", [CAT, ODD, ODD.transpose(Image.Transpose.ROTATE_90)])
def test_pixels_are_those_of_the_image_processor(
    kind: str, settings: dict[str, Any], frame: object, image: Image.Image
) -> None:
    own = processor(kind, **settings)

    preprocess = preprocess_of(own, channels=3)

    assert (preprocess.size, preprocess.resize) == frame
    pixels = preprocess.normalise(preprocess.view(relax.read_image(image)))
    difference = (pixels - own(image, return_tensors="pt")["pixel_values"]).abs()
    levels = difference * torch.tensor(preprocess.std or (1.0,)).view(-1, 1, 1) * 255
    assert levels.mean() < 0.35  # it rounds to 8 bits, in some versions twice: 0.25 each
    assert levels.max() < 2


UNREAD = [
    ("ViTImageProcessor", {"resample": 1}, "it resizes with resample=1, known are 0, 2, 3"),
    ("BitImageProcessor", {"size": SHORTER, "do_center_crop": False}, "makes the shorter side 40 px and crops nothing"),
    ("BitImageProcessor", {"size": SHORTER, "crop_size": {"height": 48, "width": 48}}, "resize must be at least size"),
    ("DetrImageProcessor", {"size": {"shortest_edge": 40, "longest_edge": 60}}, "every picture at one size"),
    ("ViTImageProcessor", {"do_resize": False, "do_center_crop": True, "crop_size": SIDES}, "crops without resizing"),
    (
        "EfficientNetImageProcessor",
        {"resample": 2, "include_top": True},
        "differs by .*/255 from what its settings say",
    ),
]


@pytest.mark.parametrize(("kind", "settings", "message"), UNREAD)
def test_an_image_processor_that_cannot_be_followed_is_refused(
    kind: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnreadError, match=message):
        preprocess_of(processor(kind, **settings), channels=3)


def test_items_stand_in_for_an_image_processor_and_correct_one(vit: Path, tmp_path: Path) -> None:
    bare = saved(tmp_path / "bare", drawn("ViTModel", VIT))

    with pytest.raises(
        EncoderError, match=r"has no image processor that can be followed \(none can be read, .*\?size=224&mean="
    ):
        load(f"hf:{bare}", device="cpu")
    with pytest.raises(EncoderError, match="no image processor"):
        load(f"hf:{bare}?size=32&mean=0.5,0.5,0.5", device="cpu")
    said = load(f"hf:{bare}?size=32&resize=36&mean=0.4,0.5,0.6&std=0.1,0.2,0.3&interpolation=bicubic", device="cpu")
    assert said.preprocess == Preprocess((32, 32), 36, (0.4, 0.5, 0.6), (0.1, 0.2, 0.3), "bicubic")
    corrected = load(f"hf:{vit}?mean=0.1,0.2,0.3", device="cpu").preprocess
    assert (corrected.mean, corrected.std, corrected.size) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5), (32, 32))


def test_blue_before_red_is_refused_whatever_the_items(tmp_path: Path) -> None:
    peer = drawn("MobileViTModel", CLASSIFIERS["MobileViTForImageClassification"])
    own = transformers.MobileViTImageProcessor(size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64})
    folder = saved(tmp_path / "model", peer, own)

    with pytest.raises(EncoderError, match="wants blue before green before red, which no item can say"):
        load(f"hf:{folder}?size=64&mean=0.0&std=1.0", device="cpu")


def test_another_size_interpolates_positions_only_where_it_is_asked_for(tmp_path: Path) -> None:
    peer = drawn("ViTModel", VIT)
    folder = saved(tmp_path / "model", peer, processor(size={"height": 48, "width": 48}))
    pixels = noise(1, 3, 48, 48)
    with torch.no_grad():
        expected = class_token(peer(pixel_values=(pixels - 0.5) / 0.5, interpolate_pos_encoding=True))

    torch.testing.assert_close(load(f"hf:{folder}?size=48", device="cpu")(pixels), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(EncoderError, match=r"failed on pixels of shape \(1, 3, 48, 48\) on cpu, float32: Input image"):
        load(f"hf:{folder}", device="cpu")(pixels)


def test_a_size_that_its_patches_do_not_tile_is_refused(vit: Path) -> None:
    with pytest.raises(EncoderError, match="must be a multiple of its patches of 8 px; got 45: take 40"):
        load(f"hf:{vit}?size=45", device="cpu")


def test_one_channel_is_what_a_grey_network_needs(tmp_path: Path) -> None:
    folder = saved(
        tmp_path / "grey", drawn("ViTModel", {**VIT, "num_channels": 1}), processor(image_mean=[0.2], image_std=[0.3])
    )

    encoder = load(f"hf:{folder}", device="cpu")

    assert (encoder.channels, encoder.mean, encoder.preprocess.std) == (1, (0.2,), (0.3,))
    assert encoder(noise(1, 1, 40, 40)).shape == (1, 32)
    with pytest.raises(EncoderError, match=r"view must be \(B, 1, 32, 32\)"):
        encoder(noise(1, 3, 40, 40))


TOWERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "CLIP": (processor("CLIPImageProcessor", **FROM_CLIP), {"projection_dim": 12}),
    "Siglip": (processor("SiglipImageProcessor"), {"text_config": {**TEXT, "projection_size": 32}}),
    "Blip": (
        processor("BlipImageProcessor"),
        {"projection_dim": 12, "text_config": {**TEXT, "encoder_hidden_size": 32, "is_decoder": False}},
    ),
    "ChineseCLIP": (processor("CLIPImageProcessor", **FROM_CLIP), {"projection_dim": 12}),
    "AltCLIP": (
        processor("CLIPImageProcessor", **FROM_CLIP),
        {"projection_dim": 12, "text_config": {**TEXT, "project_dim": 16, "max_position_embeddings": 12}},
    ),
}
if hasattr(transformers, "MetaClip2Model"):
    TOWERS["MetaClip2"] = TOWERS["CLIP"]


def two_towers(folder: Path, kind: str) -> Path:
    """Image and text tower with a tokenizer of a dozen words, in one folder."""
    own, settings = TOWERS[kind]
    saved(folder, drawn(f"{kind}Model", {"text_config": TEXT, "vision_config": VIT, **settings}), own)
    words = tokenizers.models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=10,
    ).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", TOWERS)
def test_pictures_and_prompts_share_a_space_as_in_the_library(tmp_path: Path, kind: str) -> None:
    folder = two_towers(tmp_path / "model", kind)
    peer = getattr(transformers, f"{kind}Model").from_pretrained(folder).eval()
    padding = "max_length" if kind == "Siglip" else True
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(PROMPTS, padding=padding, return_tensors="pt")
    pixels = pixels_of(folder)
    with torch.no_grad():
        expected = peer(**tokens, pixel_values=pixels)

    encoder = load(f"hf:{folder}", device="cpu")

    torch.testing.assert_close(encoder.network(pixels), expected.image_embeds, rtol=1e-5, atol=1e-5)
    assert F.cosine_similarity(encoder(relax.read_image(CAT)), expected.image_embeds).item() >= 0.9999
    embeddings = embed_text(encoder, PROMPTS)
    torch.testing.assert_close(embeddings, expected.text_embeds, rtol=1e-5, atol=1e-5)
    assert F.cosine_similarity(*embeddings, dim=0) < 0.9999


def test_an_image_tower_alone_is_projected_as_it_was_saved(tmp_path: Path) -> None:
    peer = drawn("CLIPVisionModelWithProjection", {**VIT, "projection_dim": 12})
    folder = saved(tmp_path / "model", peer)
    pixels = noise(2, 3, 32, 32)
    with torch.no_grad():
        expected = peer(pixel_values=pixels).image_embeds

    encoder = load(f"hf:{folder}{SAID}", device="cpu")

    torch.testing.assert_close(encoder(pixels), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(EncoderError, match=r"has no text tower to read a prompt"):
        embed_text(encoder, PROMPTS)


def test_a_prompt_as_reference_is_its_embedding_as_reference(clip: Path) -> None:
    encoder = load(f"hf:{clip}", device="cpu")
    probe = relax.probe(CAT, encoder, masks=30)

    by_prompt, by_vector = (probe.explain(question) for question in ("text:a cat", embed_text(encoder, ["a cat"])[0]))

    np.testing.assert_allclose(by_prompt.importance, by_vector.importance, atol=1e-6)


def test_its_text_tower_is_a_text_encoder_in_the_space_of_its_pictures(clip: Path) -> None:
    encoder = load_text_encoder(f"hf:{clip}", "cpu")

    assert encoder.pictures is not None
    torch.testing.assert_close(encoder(["a cat"]), embed_text(load(f"hf:{clip}", device="cpu"), ["a cat"]))
    assert encoder.checksum == load(f"hf:{clip}", device="cpu").checksum


def test_a_prompt_is_never_cut_in_silence(clip: Path) -> None:
    encoder = load(f"hf:{clip}", device="cpu")

    assert embed_text(encoder, ["cat " * 8]).shape == (1, 12)  # with <s> and </s> the 10 places are full
    with pytest.raises(EncoderError, match="prompt must have at most 8 tokens; got 9: shorten 'cat cat"):
        embed_text(encoder, ["cat " * 9])


def test_two_towers_without_a_tokenizer_embed_pictures_and_say_what_prompts_need(tmp_path: Path) -> None:
    own, settings = TOWERS["CLIP"]
    peer = drawn("CLIPModel", {"text_config": TEXT, "vision_config": VIT, **settings})
    encoder = load(f"hf:{saved(tmp_path / 'model', peer, own)}", device="cpu")

    assert encoder(relax.read_image(CAT)).shape == (1, 12)
    with pytest.raises(
        EncoderError, match=r"has no tokenizer that can be read \(.*\), so it reads no prompts: save one"
    ):
        embed_text(encoder, PROMPTS)


def test_two_towers_keep_the_pooling_they_were_trained_with(clip: Path) -> None:
    with pytest.raises(EncoderError, match=r"pooling='mean' is not offered by 'hf:.*': choose"):
        load(f"hf:{clip}", device="cpu", pooling="mean")


def test_random_weights_come_from_the_seed_and_need_no_file(vit: Path, tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((vit / name).read_bytes())
    pixels = noise(2, 3, 32, 32)

    first, again, other = (load(f"random:hf:{tmp_path}", device="cpu", seed=seed)(pixels) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, load(f"hf:{vit}", device="cpu")(pixels))
    with pytest.raises(EncoderError, match=r"encoder 'hf:.*' cannot be built: .*no file named model.safetensors"):
        load(f"hf:{tmp_path}", device="cpu")


def test_an_encoder_is_copied_pickled_and_identified(clip: Path) -> None:
    encoder = load(f"hf:{clip}", device="cpu")
    pixels = noise(1, 3, 40, 40)

    unpickled = pickle.loads(pickle.dumps(encoder))
    copy = copied(encoder.network)

    torch.testing.assert_close(unpickled(pixels), encoder(pixels))
    torch.testing.assert_close(copy(noise(1, 3, 32, 32)), encoder.network(noise(1, 3, 32, 32)))
    torch.testing.assert_close(embed_text(unpickled, PROMPTS), embed_text(encoder, PROMPTS))
    assert encoder.checksum is not None
    assert encoder.checksum == unpickled.checksum == load(f"hf:{clip}", device="cpu", seed=5).checksum
    assert encoder.report is not None
    assert len(encoder.report.matched) == len(encoder.network.state_dict())


def test_weights_saved_in_half_precision_are_run_in_float32(tmp_path: Path) -> None:
    peer = drawn("ViTModel", VIT).half()
    folder = saved(tmp_path / "half", peer, processor())

    encoder = load(f"hf:{folder}", device="cpu")

    assert {weight.dtype for weight in encoder.network.parameters()} == {torch.float32}
    pixels = noise(1, 3, 32, 32)
    with torch.no_grad():
        expected = class_token(peer.float()(pixel_values=pixels))
    torch.testing.assert_close(encoder.network(pixels), expected, rtol=1e-5, atol=1e-5)


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, ...]]:
        return Path.touch, (Path("exploded"),)  # type: ignore[return-value]


def test_a_pickle_that_would_run_code_is_refused(vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (folder / name).write_bytes((vit / name).read_bytes())
    torch.save(drawn("ViTForImageClassification", VIT).state_dict(), folder / "pytorch_model.bin")
    assert load(f"hf:{folder}", device="cpu").checksum == load(f"hf:{vit}", device="cpu").checksum

    torch.save({"weight": Bomb()}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"encoder 'hf:.*' cannot be built"):
        load(f"hf:{folder}", device="cpu")
    assert not (tmp_path / "exploded").exists()


def configured(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_what_is_no_picture_network_of_transformers_is_refused(tmp_path: Path) -> None:
    own = configured(tmp_path / "own", model_type="mine", auto_map={"AutoModel": "mine.Mine"})
    (own / "mine.py").write_text("raise SystemExit('its code was run')")
    wrapped = configured(tmp_path / "timm", model_type="timm_wrapper", architecture="resnet18")
    words = saved(tmp_path / "bert", drawn("BertModel", TEXT))

    for folder, message in (
        (own, "has the model_type 'mine' and needs its own code, which is not run here: load it yourself"),
        (wrapped, f"is a network of timm in a wrapper: use timm:local-dir:{wrapped}"),
        (words, "is a bert, which reads no pictures"),
        (words / "config.json", "must name a folder with a config.json, .*; got a file: give the folder"),
        (tmp_path, "must name a folder with a config.json; '.*' has none: save the model and its image processor"),
        (tmp_path / "nothing", "got a path where nothing is: give the folder"),
    ):
        with pytest.raises(EncoderError, match=message):
            load(f"hf:{folder}", device="cpu")


def test_a_name_that_cannot_be_fetched_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    message = (
        r"encoder 'hf:nobody/nothing' needs weights that are not on this machine and could not be fetched \(OSError"
    )
    with pytest.raises(EncoderError, match=message) as caught:
        load("hf:nobody/nothing", device="cpu")
    assert "\n" not in str(caught.value)


def test_a_missing_extra_is_named_with_the_command(vit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)

    with pytest.raises(ImportError, match=r'need it installed .*: pip install "relax-explainer\[hf\]"'):
        load(f"hf:{vit}", device="cpu")
    CAT.save(tmp_path / "cat.png")
    assert run(["explain", str(tmp_path / "cat.png"), "--encoder", f"hf:{vit}"]) == 2


def test_loading_is_quiet_and_leaves_the_callers_settings_alone(vit: Path, capfd: pytest.CaptureFixture[str]) -> None:
    state = torch.get_rng_state()

    load(f"hf:{vit}", device="cpu")

    assert torch.equal(torch.get_rng_state(), state)
    assert "".join(capfd.readouterr()) == ""
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_attention_is_what_the_library_returns(tmp_path: Path) -> None:
    for kind in ("ViTModel", "Dinov2WithRegistersModel", "CLIPVisionModel"):
        peer = drawn(kind, VIT)
        folder = saved(tmp_path / kind, peer)
        encoder = load(f"hf:{folder}{SAID}", device="cpu")
        kernels = encoder.network.model.config._attn_implementation
        peer.set_attn_implementation("eager")  # type: ignore[operator]
        with torch.no_grad():
            last = peer(pixel_values=noise(1, 3, 32, 32), output_attentions=True).attentions[-1]
        row = last[0].double().mean(0)[0, encoder.network.num_prefix_tokens :].view(1, 1, 4, 4)

        explanation = relax.explain(noise(3, 32, 32), encoder, method="attention")

        expected = F.interpolate(row, (32, 32), mode="bilinear", align_corners=False)[0, 0]
        np.testing.assert_allclose(explanation.importance, expected, rtol=1e-4)
        assert encoder.network.model.config._attn_implementation == kernels != "eager"


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("ViT", "1.layernorm_before"),
        ("registers", "1.norm1"),
        ("CLIP", "1.layer_norm1"),
        ("ConvNeXt", "stages.1"),
        ("ResNet", "stages.1"),
    ],
)
def test_gradcam_is_that_of_the_librarys_own_layer(tmp_path: Path, family: str, layer: str) -> None:
    """Channels weighted with the mean gradient of <f(x), f(x')>, added up; without class token and registers."""
    kind, settings, _, taken = PIPELINES[family]
    peer = drawn(kind, settings)
    encoder = load(f"hf:{saved(tmp_path / 'model', peer)}{SAID}", device="cpu")
    image = noise(3, 32, 32)

    explanation = relax.explain(image, encoder, method="gradcam")

    used = explanation.provenance["settings"]
    assert used["layer"].endswith(f".{layer}")
    kept: list[Tensor] = []
    peer.get_submodule(used["layer"].removeprefix("model.")).register_forward_hook(lambda _, __, out: kept.append(out))
    embedding = (taken or class_token)(peer(pixel_values=image[None]))
    gradient = torch.autograd.grad((embedding * embedding.detach()).sum(), kept[0])[0]
    if gradient.ndim == 3:  # tokens: the last 16 are patches
        gradient, values = (tokens[:, -16:].mT.reshape(1, -1, 4, 4) for tokens in (gradient, kept[0]))
    else:
        values = kept[0]
    sums = (gradient.mean((2, 3), keepdim=True) * values).sum(1, keepdim=True).clamp(min=0).detach()
    expected = F.interpolate(sums, (32, 32), mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(explanation.importance, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["ViTForImageClassification", "Dinov2ForImageClassification"])
def test_a_classifier_is_an_encoder_and_a_head_with_the_names_of_its_classes(tmp_path: Path, kind: str) -> None:
    names = {0: "cat", 1: "dog", 2: "owl"}
    peer = drawn(kind, {**VIT, "id2label": names, "label2id": {name: place for place, name in names.items()}})
    folder = saved(tmp_path / "model", peer, processor())
    pixels = pixels_of(folder)
    with torch.no_grad():
        expected = peer(pixel_values=pixels).logits

    encoder, head = network_head(f"hf:{folder}", device="cpu")

    torch.testing.assert_close(head.logits(encoder.network(pixels)), expected, rtol=1e-5, atol=1e-5)
    assert head.classes == ("cat", "dog", "owl")
    explanation = relax.explain(CAT, encoder, head=head, target="dog", method="gradcam")
    assert explanation.importance.shape == (300, 451)


def test_a_backbone_alone_has_no_classifier(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", drawn("ViTModel", VIT), processor())

    with pytest.raises(EncoderError, match="was saved without a classifier: train a head on its embeddings instead"):
        network_head(f"hf:{folder}", device="cpu")


@pytest.mark.parametrize("method", ["gradcam", "lafam", "attention"])
def test_tokens_without_known_places_are_refused(tmp_path: Path, method: str) -> None:
    encoder = load(f"hf:{saved(tmp_path / 'model', drawn('SwinModel', WINDOWS))}{SAID}", device="cpu")

    with pytest.raises(MethodError, match=r"whose places are not known here|needs the attention of a vision"):
        relax.explain(noise(3, 32, 32), encoder, method=method)


def test_the_command_line_takes_a_folder_and_a_prompt(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    CAT.save("cat.png")
    Image.fromarray(data.astronaut()).save("astronaut.png")

    options = ["--encoder", f"hf:{clip}", "--device", "cpu"]
    assert run(["index", ".", "--out", "index", *options]) == 0
    assert run(["explain", "cat.png", *options, "--masks", "20", "--reference", "text:a photo of a cat"]) == 0

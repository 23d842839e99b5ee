"""Weights are read from ONNX files and renamed as in our networks."""

import copy

import numpy as np
import pytest
import timm
import torch
from onnx import helper, numpy_helper
from torch import nn

from encoders.folding import fold_batch_norms
from experiments.named import encoder_named
from experiments.recipes import pretrained


def model_of(nodes, tensors):
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
    return helper.make_model(helper.make_graph(nodes, "network", [], [], values))


def test_convolutions_of_the_file_become_the_network():
    """The file folds batch norms, goes down the shortcut of a block first, and sees blue before red."""
    torch.manual_seed(0)
    network = pretrained.resnet50_thin().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(pixels)
    plain = copy.deepcopy(network)
    fold_batch_norms(plain, pixels)
    blocks = [block for stage in (plain.layer1, plain.layer2, plain.layer3, plain.layer4) for block in stage]
    convolutions = [plain.conv1]
    for block in blocks:
        convolutions += [block.downsample[0]] if block.downsample else []
        convolutions += [block.conv1, block.conv2, block.conv3]
    tensors, nodes = {}, []
    for number, module in enumerate(convolutions):
        weight = module.weight.detach()
        tensors |= {f"w{number}": weight if number else weight.flip(1), f"b{number}": module.bias.detach()}
        nodes.append(helper.make_node("Conv", ["x", f"w{number}", f"b{number}"], ["x"]))

    loaded = pretrained.resnet50_thin().eval()
    loaded.load_state_dict(pretrained.resnet50_weights(model_of(nodes, tensors)))

    with torch.no_grad():
        torch.testing.assert_close(loaded(pixels), expected, rtol=1e-3, atol=1e-3)
    assert expected.std() > 0.1


def test_layers_of_the_file_become_the_transformer():
    expected = timm.create_model(pretrained.ARCH, num_classes=0).state_dict()
    random = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=random).numpy()

    patches = "backbone.embeddings.patch_embeddings.projection"
    tensors = {
        "backbone.embeddings.cls_token": drawn(1, 1, 384),
        "onnx::Concat_1": drawn(1, 1, 384),
        "onnx::Reshape_2": drawn(1, 1369, 384),
        f"{patches}.weight": drawn(384, 3, 14, 14),
        f"{patches}.bias": drawn(384),
        "backbone.layernorm.weight": drawn(384),
        "backbone.layernorm.bias": drawn(384),
    }
    nodes, number = [], 0
    for layer in range(pretrained.DEPTH):
        prefix = f"backbone.encoder.layer.{layer}"
        heads = ("key", "value", "query")  # in the order of the file
        sizes = {f"attention.attention.{part}": (384, 384) for part in heads}
        sizes |= {"attention.output.dense": (384, 384), "mlp.fc1": (384, 1536), "mlp.fc2": (1536, 384)}
        for name, size in sizes.items():
            number += 1
            tensors |= {f"onnx::MatMul_{number}": drawn(*size), f"{prefix}.{name}.bias": drawn(size[1])}
            node = f"/backbone/encoder/layer.{layer}/{name.replace('.', '/')}/MatMul"
            nodes.append(helper.make_node("MatMul", ["x", f"onnx::MatMul_{number}"], ["x"], name=node))
        for half in "12":
            tensors |= {f"{prefix}.norm{half}.{part}": drawn(384) for part in ("weight", "bias")}
            tensors[f"{prefix}.layer_scale{half}.lambda1"] = drawn(384)

    weights = pretrained.salience_weights(model_of(nodes, tensors))

    assert {name: value.shape for name, value in weights.items()} == {name: v.shape for name, v in expected.items()}
    key, value, query = (torch.from_numpy(tensors[f"onnx::MatMul_{number}"]) for number in (7, 8, 9))
    assert torch.equal(weights["blocks.1.attn.qkv.weight"], torch.cat([query.T, key.T, value.T]))
    assert torch.equal(weights["pos_embed"][0, 0], torch.from_numpy(tensors["onnx::Concat_1"])[0, 0])
    bias = torch.from_numpy(tensors["backbone.encoder.layer.11.norm2.bias"])
    assert torch.equal(weights["blocks.11.norm2.bias"], bias)


@pytest.mark.parametrize("name", ["resnet50-thin", "salience", "salience-112"])
def test_missing_weights_say_how_to_get_them(name, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "OUT", tmp_path)

    with pytest.raises(FileNotFoundError, match=r"run python -m experiments\.recipes\.pretrained first"):
        encoder_named(name)

"""An ONNX graph gives the embedding of its twin in torch, whatever layout, type, batch and output it has."""

from __future__ import annotations

import copy
import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder, EncoderError, EncoderWarning, load
from tests.encoders.conftest import pixels_from
from tests.onnx_graphs import MEAN, STD, Graph, Twin, model_of, normalised

SAID = f"mean={','.join(map(str, MEAN))}&std={','.join(map(str, STD))}"


def loaded(graph: Graph | onnx.ModelProto, folder: Path, items: str = SAID, **arguments: Any) -> Encoder:
    path = folder / "graph.onnx"
    onnx.save(graph.model() if isinstance(graph, Graph) else graph, path)
    return load(f"onnx:{path}?{items}" if items else f"onnx:{path}", device="cpu", **arguments)


def same_direction(embedding: Tensor, expected: Tensor) -> bool:
    cosines = F.cosine_similarity(embedding, expected.detach())
    return embedding.shape == expected.shape and bool((cosines >= 0.9999).all())


def levels(pixels: Tensor) -> Tensor:
    return (pixels * 255).round() / 255


@pytest.mark.parametrize(
    "graph",
    [
        Graph(),
        Graph(channels_last=True),
        Graph(type=TensorProto.FLOAT16),
        Graph(type=TensorProto.DOUBLE, channels_last=True),
        Graph(batch=1),
        Graph(batch=2, channels_last=True),
        Graph(batch=7),
        Graph(size=("height", "width")),
        Graph(size=("height", 32), batch=1),
        Graph(outputs=("numbers", "vectors", "maps")),
        Graph(outputs=("maps",)),
    ],
    ids=str,
)
def test_the_embedding_is_that_of_the_torch_twin(graph: Graph, tmp_path: Path, pixels: Tensor) -> None:
    encoder = loaded(graph, tmp_path, f"{SAID}&size=32")

    embedding = encoder(pixels)

    assert same_direction(embedding, Twin()(normalised(encoder.view(pixels))))
    assert embedding.dtype == torch.float32


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_graph_of_8_bit_pictures_gets_levels_and_normalises_by_itself(channels_last: bool, tmp_path: Path) -> None:
    graph = Graph(type=TensorProto.UINT8, normalises=True, channels_last=channels_last)

    encoder = loaded(graph, tmp_path, "mean=0.5,0.4,0.3")

    view = pixels_from(3, 5, 3, 32, 32)  # between the levels, as blends are
    torch.testing.assert_close(encoder.embed(view), Twin()(normalised(levels(view))).detach())
    assert encoder.mean == MEAN  # the colour of hidden pixels, not subtracted a second time


def test_8_bit_pictures_outside_0_to_1_are_refused_instead_of_wrapped(tmp_path: Path) -> None:
    encoder = loaded(Graph(type=TensorProto.UINT8), tmp_path, "")

    with pytest.raises(EncoderError, match=r"in \[0, 1\] for a network that takes 8-bit pictures; got 0 to 1.2$"):
        encoder.embed(torch.linspace(0, 1.2, 3 * 32 * 32).view(1, 3, 32, 32))
    encoder.embed(torch.full((1, 3, 32, 32), 1 + 1e-6))  # a blend rounds so


def test_the_item_std_is_refused_where_the_graph_normalises_by_itself(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="normalises them itself: leave std out"):
        loaded(Graph(type=TensorProto.UINT8), tmp_path)


def test_floats_with_nothing_said_about_normalising_are_told_about_in_one_line(tmp_path: Path, pixels: Tensor) -> None:
    with pytest.warns(EncoderWarning, match=r"pixels go in as \[0, 1\]; say \?mean=...&std=...$") as caught:
        encoder = loaded(Graph(), tmp_path, "")

    assert len(caught) == 1
    assert same_direction(encoder(pixels), Twin()(encoder.view(pixels)))


@pytest.mark.parametrize(("graph", "items"), [(Graph(), SAID), (Graph(type=TensorProto.UINT8), "")])
def test_nothing_is_told_where_nothing_is_left_open(graph: Graph, items: str, tmp_path: Path) -> None:
    with warnings.catch_warnings(action="error"):
        loaded(graph, tmp_path, items)


@pytest.mark.parametrize(("mean", "std"), [("0", "0.00392156862745098"), ("0,0,0", "1,1,1")])
def test_one_number_or_one_a_channel_normalise(mean: str, std: str, tmp_path: Path, pixels: Tensor) -> None:
    encoder = loaded(Graph(), tmp_path, f"mean={mean}&std={std}")

    assert same_direction(encoder(pixels), Twin()(encoder.view(pixels) / float(std.partition(",")[0])))


@pytest.mark.parametrize(
    ("outputs", "items", "expected"),
    [
        (("vectors", "vectors2"), "output=vectors2", "vectors"),
        (("maps", "vectors"), "", "vectors"),
        (("maps", "vectors"), "output=maps", "vectors"),
        (("maps", "vectors"), "output=1", "vectors"),
        (("vectors", "tokens"), "output=tokens&pooling=mean", "vectors"),
        (("vectors", "tokens"), "output=1&pooling=cls", "first token"),
        (("tokens",), "pooling=mean&prefix=2", "all but two tokens"),
    ],
)
def test_the_output_is_the_only_one_of_vectors_or_the_one_that_is_said(
    outputs: tuple[str, ...], items: str, expected: str, tmp_path: Path, pixels: Tensor
) -> None:
    encoder = loaded(Graph(outputs=outputs), tmp_path, f"{SAID}&{items}")

    tokens = Twin().tokens(normalised(encoder.view(pixels)))
    values = {"vectors": tokens.mean(1), "first token": tokens[:, 0], "all but two tokens": tokens[:, 2:].mean(1)}
    assert same_direction(encoder(pixels), values[expected])


@pytest.mark.parametrize(
    ("graph", "items"),
    [
        (Graph(outputs=("maps",), maps_last=True), ""),
        (Graph(outputs=("maps",), maps_last=True, channels_last=True), ""),
        (Graph(outputs=("maps",), channels_last=True), ""),
        (Graph(outputs=("maps",), size=(24, 24)), "maps=NCHW"),
        (Graph(outputs=("maps",), maps_last=True, size=(24, 24)), "maps=nhwc"),
        (Graph(outputs=("maps",), maps_last=True, size=(32, 48)), ""),
    ],
    ids=str,
)
def test_feature_maps_are_averaged_over_their_cells_wherever_the_channels_are(
    graph: Graph, items: str, tmp_path: Path, pixels: Tensor
) -> None:
    encoder = loaded(graph, tmp_path, f"{SAID}&{items}")

    assert same_direction(encoder(pixels), Twin()(normalised(encoder.view(pixels))))


def test_feature_maps_as_many_as_rows_of_cells_do_not_tell_where_the_channels_are(tmp_path: Path) -> None:
    encoder = loaded(Graph(outputs=("maps",), size=(24, 24)), tmp_path)

    with pytest.raises(EncoderError, match=r"gives maps \(1, 6, 6, 6\) of .*: say maps=NCHW or maps=NHWC$"):
        encoder(torch.rand(1, 3, 24, 24))


def test_a_graph_that_rounds_by_the_whole_batch_is_run_picture_by_picture(tmp_path: Path) -> None:
    """Rounding to 8 bits takes its step from the largest value: of all pictures of a run, were they run together."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["pictures"], ["levels", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["values"]),
        helper.make_node("ReduceMean", ["values"], ["vectors"], axes=[2, 3], keepdims=0),
    ]
    shape = ["batch", 3, 8, 8]
    model = model_of(nodes, [("pictures", TensorProto.FLOAT, shape)], [("vectors", TensorProto.FLOAT, ["batch", 3])])
    encoder = loaded(model, tmp_path)
    pictures = torch.rand(3, 3, 8, 8) * torch.tensor([0.01, 0.1, 1]).view(-1, 1, 1, 1)

    torch.testing.assert_close(
        encoder.embed(pictures), torch.cat([encoder.embed(picture[None]) for picture in pictures])
    )
    assert not torch.equal(encoder.embed(pictures)[0], encoder.embed(pictures)[1])


def folded_batch() -> onnx.ModelProto:
    """As exported for one picture: the batch goes into the vector."""
    return model_of(
        [helper.make_node("Reshape", ["pictures", "shape"], ["vectors"])],
        [("pictures", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [("vectors", TensorProto.FLOAT, None)],
        constants={"shape": np.int64([1, -1])},
    )


def test_a_graph_exported_for_one_picture_works_by_batch_1(tmp_path: Path) -> None:
    pictures = pixels_from(1, 3, 3, 8, 8)

    with pytest.raises(EncoderError, match="say batch=1 if it was exported for one picture at a time"):
        loaded(folded_batch(), tmp_path).embed(pictures)
    embedding = loaded(folded_batch(), tmp_path, f"{SAID}&batch=1").embed(pictures)

    torch.testing.assert_close(embedding, normalised(pictures).flatten(1))


def test_the_layout_is_said_where_the_shape_leaves_it_open(tmp_path: Path) -> None:
    axes = ["batch", 3, "width", 3]
    model = model_of(
        [helper.make_node("ReduceMax", ["pictures"], ["vectors"], axes=[2, 3], keepdims=0)],
        [("pictures", TensorProto.FLOAT, axes)],
        [("vectors", TensorProto.FLOAT, None)],
    )
    view = pixels_from(1, 2, 3, 3, 5)

    with pytest.raises(EncoderError, match="does not tell where the channels are: say layout=NCHW or layout=NHWC"):
        loaded(model, tmp_path, f"{SAID}&size=3x5")
    embedding = loaded(model, tmp_path, f"{SAID}&size=3x5&layout=nhwc").embed(view)

    torch.testing.assert_close(embedding, normalised(view).permute(0, 2, 3, 1).amax((2, 3)))


@pytest.mark.parametrize("channels", [1, 4, 6])
def test_the_number_of_channels_is_that_of_the_graph(channels: int, tmp_path: Path) -> None:
    model = model_of(
        [helper.make_node("ReduceMean", ["pictures"], ["vectors"], axes=[2, 3], keepdims=0)],
        [("pictures", TensorProto.FLOAT, ["batch", channels, "height", "width"])],
        [("vectors", TensorProto.FLOAT, None)],
    )

    encoder = loaded(model, tmp_path, "size=8&mean=0&std=1")

    assert encoder.channels == channels
    view = pixels_from(0, 2, channels, 8, 8)
    torch.testing.assert_close(encoder.embed(view), view.mean((2, 3)))


NO_GRAPH = model_of(
    [helper.make_node("Unheard", ["pictures"], ["vectors"], domain="of")],
    [("pictures", TensorProto.FLOAT, [1, 3, 8, 8])],
    [("vectors", TensorProto.FLOAT, [1, 3])],
    opsets={"": 17, "of": 1},
)
TWO_INPUTS = model_of(
    [helper.make_node("Add", ["pictures", "mask"], ["maps"])],
    [("pictures", TensorProto.FLOAT, ["b", 3, 8, 8]), ("mask", TensorProto.FLOAT, ["b", 3, 8, 8])],
    [("maps", TensorProto.FLOAT, None)],
)
WHOLE_NUMBERS = model_of(
    [helper.make_node("Cast", ["pictures"], ["maps"], to=TensorProto.FLOAT)],
    [("pictures", TensorProto.INT64, ["b", 3, 8, 8])],
    [("maps", TensorProto.FLOAT, None)],
)
FLAT = model_of(
    [helper.make_node("Identity", ["pictures"], ["vectors"])],
    [("pictures", TensorProto.FLOAT, ["b", 3])],
    [("vectors", TensorProto.FLOAT, None)],
)


@pytest.mark.parametrize(
    ("graph", "items", "message"),
    [
        (NO_GRAPH, "", "of:Unheard.* is not a registered function/op"),
        (TWO_INPUTS, "", r"has 2 inputs pictures \(float\) \[any, 3, 8, 8\], mask .*: export the image tower alone$"),
        (WHOLE_NUMBERS, "", r"four axes, as float, float16, double or uint8; its input is pictures \(int64\)"),
        (FLAT, "", r"four axes, .* its input is pictures \(float\) \[any, 3\]"),
        (Graph(opset=99), "", "Opset 99 is under development"),
        (Graph(size=("h", "w")), "", "nothing says which size it was trained on: say it, as in size=224$"),
        (Graph(size=("h", 32)), "size=48", "must be any x 32 px, as its graph says; got 48 x 48$"),
        (Graph(), "size=224", "must be 32 x 32 px, as its graph says; got 224 x 224$"),
        (Graph(outputs=("vectors", "vectors2")), "", r"vectors2 \(float\) \[any, 6\]: say which with output=NAME$"),
        (Graph(outputs=("vectors", "maps")), "output=map", "must be one of its graph's vectors .*: did you mean maps"),
        (Graph(outputs=("vectors", "numbers")), "output=numbers", r"got numbers \(int64\) .*: name another vectors"),
        (Graph(outputs=("sequence",)), "", r"its graph has sequence seq\(tensor\(float\)\).*: export one that has$"),
        (Graph(outputs=("tokens",)), "", r"gives tokens \(B, T, D\): say pooling=cls or pooling=mean$"),
        (Graph(outputs=("maps",)), "pooling=cls", "have no class token: say pooling=mean$"),
        (Graph(), "pooling=mean", "gives one vector a picture; got 'mean'$"),
        (Graph(batch=4), "batch=2", "must be 4, as its graph says, or left out; got '2'$"),
        (Graph(), "batch=0", "a number of pictures, 1 or more; got '0'$"),
        (Graph(), "layout=NHWC", r"layout of encoder .* must fit pictures .*; got 'NHWC': leave it out$"),
        (Graph(channels_last=True), "layout=nchw", "got 'nchw': leave it out$"),
        (Graph(), "layout=HWC", "layout must be NCHW or NHWC; got 'HWC'$"),
        (Graph(), "maps=last", "must be NCHW or NHWC; got 'last'$"),
        (Graph(), "prefix=one", "must be a number of tokens, 0 or more; got 'one'$"),
        (Graph(), "mean=0.5,0.5&std=1,1", "must be 1 or 3 numbers; got 2$"),
        (Graph(), "mean=0.5", "mean and std must come together"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_with_the_way_out(
    graph: Graph | onnx.ModelProto, items: str, message: str, tmp_path: Path
) -> None:
    items = items if "mean" in items.split("=")[0] else "&".join(filter(None, (SAID, items)))

    with pytest.raises(EncoderError, match=message) as caught:
        loaded(graph, tmp_path, items)

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must name an ONNX file that can be read"),
        (b"\x89PNG\r\n", "can run .*Protobuf parsing failed"),
        (Graph().model().SerializeToString()[:-40], "can run .*Protobuf parsing failed"),
    ],
)
def test_a_file_that_is_no_graph_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(content)

    with pytest.raises(EncoderError, match=message) as caught:
        load(f"onnx:{path}")

    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"No such file or directory.*: check the path$"):
        load(f"onnx:{tmp_path / 'graph.onnx'}")


def test_the_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    encoder = loaded(Graph(), tmp_path)

    assert encoder.checksum == hashlib.sha256((tmp_path / "graph.onnx").read_bytes()).hexdigest()


def test_two_outputs_of_one_file_are_two_networks(tmp_path: Path) -> None:
    graph = Graph(outputs=("vectors", "maps"))

    assert len({loaded(graph, tmp_path, f"{SAID}&output={name}").checksum for name in graph.outputs}) == 2


def save_with_data(path: Path) -> None:
    onnx.save(Graph().model(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def test_the_checksum_covers_weights_in_a_file_of_their_own(tmp_path: Path, pixels: Tensor) -> None:
    path = tmp_path / "graph.onnx"
    save_with_data(path)
    data = tmp_path / "weights.bin"
    spec = f"onnx:{path}?{SAID}"

    encoder = load(spec, device="cpu")

    assert same_direction(encoder(pixels), Twin()(normalised(encoder.view(pixels))))
    assert encoder.checksum == hashlib.sha256(path.read_bytes() + data.read_bytes()).hexdigest()
    data.write_bytes(data.read_bytes()[:-4] + b"\0\0\0\x40")
    assert load(spec, device="cpu").checksum != encoder.checksum


def test_weights_that_are_missing_beside_the_file_are_named(tmp_path: Path) -> None:
    save_with_data(tmp_path / "graph.onnx")
    (tmp_path / "weights.bin").unlink()

    with pytest.raises(EncoderError, match=r"ONNX Runtime .*weights\.bin.*check the file and any data files beside it"):
        load(f"onnx:{tmp_path / 'graph.onnx'}?{SAID}", device="cpu")


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    return loaded(Graph(), tmp_path)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda encoder: pickle.loads(pickle.dumps(encoder))])
def test_copies_embed_alike(again: Any, encoder: Encoder, pixels: Tensor) -> None:
    copied = again(encoder)

    torch.testing.assert_close(copied(pixels), encoder(pixels), rtol=0, atol=0)
    assert copied.checksum == encoder.checksum


def test_a_copy_of_a_file_that_has_changed_is_refused(encoder: Encoder, tmp_path: Path, pixels: Tensor) -> None:
    stored = pickle.dumps(encoder)
    Graph(batch=1).saved(tmp_path / "graph.onnx")

    with pytest.raises(EncoderError, match=r"has changed since then: load it again$"):
        pickle.loads(stored)(pixels)
    encoder(pixels)  # what is open stays open


def test_devices_and_precisions_leave_the_numbers_alone(encoder: Encoder, pixels: Tensor) -> None:
    expected = encoder(pixels)

    for other in (encoder.to("cpu"), encoder.with_precision("fast"), load(encoder, precision="auto")):
        torch.testing.assert_close(other(pixels), expected, rtol=0, atol=0)
    encoder.compile(encoder.prepare(encoder.view(pixels)))
    assert encoder.form is None


def test_a_batch_beyond_the_memory_may_be_tried_smaller(tmp_path: Path) -> None:
    """2^44 numbers a picture."""
    nodes = [
        helper.make_node("Expand", ["pictures", "shape"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["vectors"], axes=[2, 3], keepdims=0),
    ]
    model = model_of(
        nodes,
        [("pictures", TensorProto.FLOAT, ["batch", 3, 1, "width"])],
        [("vectors", TensorProto.FLOAT, None)],
        constants={"shape": np.int64([1, 3, 2**22, 2**22])},
    )

    with pytest.raises(MemoryError, match="Failed to allocate memory"):
        loaded(model, tmp_path, f"{SAID}&size=1").embed(torch.rand(1, 3, 1, 1))


def test_what_fails_inside_the_graph_is_told_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = model_of(
        [helper.make_node("Reshape", ["pictures", "shape"], ["vectors"])],
        [("pictures", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [("vectors", TensorProto.FLOAT, None)],
        constants={"shape": np.int64([5, 7])},
    )

    with pytest.raises(EncoderError, match=r"failed on pictures of shape \(1, 3, 8, 8\) float32: ") as caught:
        loaded(model, tmp_path).embed(torch.rand(1, 3, 8, 8))

    assert len(str(caught.value).splitlines()) == 1
    assert capfd.readouterr() == ("", "")  # ONNX Runtime has a log of its own


def test_nothing_reaches_the_pixels_of_the_caller(encoder: Encoder) -> None:
    view = pixels_from(2, 2, 3, 32, 32).requires_grad_()
    before = view.detach().clone()

    assert not encoder.embed_with_gradients(view).requires_grad
    assert torch.equal(view.detach(), before)


def test_a_copy_made_after_the_working_folder_changed_still_finds_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: Tensor
) -> None:
    Graph().saved(tmp_path / "graph.onnx")
    monkeypatch.chdir(tmp_path)
    encoder = load(f"onnx:graph.onnx?{SAID}", device="cpu")
    monkeypatch.chdir("/")

    torch.testing.assert_close(copy.deepcopy(encoder)(pixels), encoder(pixels))

"""A direction is read from arrays and files, and the score is the projection on it: known maps, and one dimension."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import relax
from relax.directions import read_direction
from relax.references import Question
from relax.settings import Request
from tests.relax.baselines.small import SmallHead, bare, drawn, small_cnn


class Corners(nn.Module):
    """Dimension k is the mean of one quarter of the picture, in reading order; the last is twice the third."""

    def forward(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[-2] // 2, pixels.shape[-1] // 2
        quarters = [pixels[..., y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
        means = [quarter.mean((1, 2, 3)) for quarter in quarters]
        return torch.stack([*means, 2 * means[2]], 1)


QUARTERS = (
    torch.tensor([*product([0.0, 1.0], repeat=4)]).view(16, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
)
CHECKS = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float()[None]  # each quarter has the mean 1/2


def test_the_map_of_a_dimension_that_is_one_quarter_is_known() -> None:
    """All 16 masks of quarters, black where hidden: 1/2 without variance in that quarter, 1/4 and 1/16 elsewhere."""
    explanation = relax.explain(CHECKS, Corners(), dimension=3, masks=QUARTERS, fill=0.0, estimator="plain")

    seen = np.zeros((8, 8))
    seen[4:, 4:] = 1
    np.testing.assert_allclose(explanation.importance, (1 + seen) / 4)
    np.testing.assert_allclose(explanation.uncertainty, (1 - seen) / 16, atol=1e-12)
    record = explanation.provenance
    assert (record["similarity"], record["reference"], record["dimension"]) == ("projection", "dimension 3", 3)
    assert record["cost"]["passes"] == 16 + 1


def test_the_map_of_a_direction_is_that_of_its_dimensions_whatever_its_length() -> None:
    """(0, 0, 3, 0, 4) / 5: 0.6 + 2 x 0.8 times the third quarter; its length is in the record."""
    direction = np.array([0, 0, 3, 0, 4])

    explanation = relax.explain(CHECKS, Corners(), direction=direction, masks=QUARTERS, fill=0.0, estimator="plain")

    seen = np.zeros((8, 8))
    seen[4:, :4] = 1
    np.testing.assert_allclose(explanation.importance, 2.2 * (1 + seen) / 4, rtol=1e-6)
    assert explanation.provenance["direction"]["length"] == 5
    assert explanation.provenance["reference"] == "direction of 5 numbers"


def test_the_direction_of_an_axis_is_its_dimension_bit_for_bit() -> None:
    image, encoder, axis = drawn(3, 16, 16), bare(small_cnn()), torch.zeros(6)
    axis[4] = 7.0

    of_dimension = relax.explain(image, encoder, dimension=4, masks=64, cells=4)
    of_axis = relax.explain(image, encoder, direction=axis, masks=64, cells=4)

    assert of_dimension.scores is not None
    np.testing.assert_array_equal(of_dimension.scores, of_axis.scores)
    for name in ("importance", "uncertainty", "standard_error"):
        np.testing.assert_array_equal(getattr(of_dimension, name), getattr(of_axis, name))
    probe = relax.probe(image, encoder, masks=64, cells=4)
    np.testing.assert_array_equal(probe.explain(dimension=4).importance, of_dimension.importance)
    np.testing.assert_array_equal(probe.embeddings[:, 4].double().numpy(), of_dimension.scores)


def test_other_methods_explain_a_direction_too() -> None:
    """Grad-CAM of the negative direction keeps what that of the positive one cuts off; a gradient turns its sign."""
    image, direction = drawn(3, 16, 16), np.arange(6.0)

    for method in ("saliency", "input-x-gradient", "occlusion"):
        plus, minus = (
            relax.explain(image, bare(small_cnn()), method=method, direction=d) for d in (direction, -direction)
        )
        turned = plus.importance if method == "saliency" else -plus.importance
        np.testing.assert_allclose(minus.importance, turned, atol=1e-6)
        assert plus.provenance["scalar"] == "projection on direction of 6 numbers"
        assert plus.provenance["direction"]["length"] == pytest.approx(55**0.5)


def test_vectors_are_read_from_files_of_numpy_and_safetensors(tmp_path: Path) -> None:
    table = drawn(5, 3).double()
    np.save(tmp_path / "vector.npy", table[2].numpy())
    np.save(tmp_path / "table.npy", table.numpy())
    np.savez(tmp_path / "tables.npz", weight=table.numpy(), bias=np.ones(5))
    save_file({"W_enc": table.float().contiguous(), "half": table[2].half()}, tmp_path / "sae.safetensors")

    for address, expected in (
        ("vector.npy", table[2]),
        ("table.npy#row=4", table[4]),
        ("table.npy#column=1", table[:, 1]),
        ("tables.npz#weight&row=0", table[0]),
        ("tables.npz#bias", torch.ones(5)),
        ("sae.safetensors#W_enc&column=2", table[:, 2].float()),
        ("sae.safetensors#row=3&W_enc", table[3].float()),
        ("sae.safetensors#half", table[2].half()),
    ):
        direction = read_direction(str(tmp_path / address))
        assert torch.equal(direction.vector, expected.double())
        assert direction.name == f"direction {address}"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("none.npy", "direction .*none.npy: there is no file"),
        ("text.txt", "must be a file .npy, .npz#NAME or .safetensors#NAME, with &row=K or &column=K of a table; got"),
        (
            "table.npy",
            r"must be one vector \(D,\), at most 1,048,576 numbers; got \(5, 3\): choose a row=K or column=K",
        ),
        ("table.npy#row=5", r"cannot be read: row 5 of an array \(5, 3\): there is none"),
        ("table.npy#row=-1", "row must be one whole number, 0 or more; got 'row=-1'"),
        ("table.npy#name&row=1", "an .npy file holds one array; got the name 'name'"),
        ("tables.npz", "it holds 2 arrays, so say which after #: weight, bias"),
        ("tables.npz#wieght", r"it has no array 'wieght': did you mean weight\?"),
        ("broken.safetensors#a", "cannot be read: "),
        ("broken.npz#a", "cannot be read: "),
        ("pickled.npy", "cannot be read: "),
        ("zeros.npy", "must not be all zeros; got 4 zeros, which point nowhere"),
        ("nan.npy", "must be finite; 1 of 2 numbers are not"),
        ("words.npy", "direction must be real numbers"),
    ],
)
def test_what_is_no_direction_is_refused(tmp_path: Path, address: str, message: str) -> None:
    np.save(tmp_path / "table.npy", np.ones((5, 3)))
    np.savez(tmp_path / "tables.npz", weight=np.ones((2, 2)), bias=np.ones(5))
    np.save(tmp_path / "zeros.npy", np.zeros(4))
    np.save(tmp_path / "nan.npy", np.array([1, np.nan]))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name in ("broken.safetensors", "broken.npz"):
        (tmp_path / name).write_bytes(b"no such file")

    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_direction(str(tmp_path / address))


def test_what_does_not_fit_the_embedding_is_refused_before_masks_run() -> None:
    image, encoder = drawn(3, 16, 16), bare(small_cnn())
    with pytest.raises(
        ValueError, match="direction of 5 numbers must have one number for each of the 6 of an embedding"
    ):
        relax.explain(image, encoder, direction=np.ones(5))
    with pytest.raises(ValueError, match="dimension must be from 0 to 5, as embeddings here are; got 6"):
        relax.explain(image, encoder, dimension=6)
    with pytest.raises(ValueError, match=r"direction must be a vector \(D,\) or a file, .*; got 3.0"):
        relax.explain(image, encoder, direction=3.0)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"dimension": -1}, "dimension must be a whole number, 0 or more; got -1"),
        ({"dimension": 1, "direction": "a.npy"}, "dimension asks another question than direction: leave one"),
        ({"direction": "a.npy", "reference": "b.png"}, "direction asks another question than reference"),
        ({"direction": "a.npy", "foil": "b.png"}, "direction asks another question than foil"),
        ({"dimension": 1, "head": SmallHead(6), "method": "lime"}, "dimension asks another question than head"),
        ({"dimension": 1, "similarity": "l2"}, "dimension is projected on, so similarity='l2' has no effect"),
        ({"dimension": 1, "method": "lafam"}, "dimension makes no difference to lafam, which explains nothing"),
    ],
)
def test_questions_that_exclude_each_other_are_refused(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Request(**keywords)  # type: ignore[arg-type]


def test_a_question_says_in_words_what_is_projected_on() -> None:
    question = Question.asked(Request(dimension=2), bare(small_cnn()))

    assert question.scalar == "projection on dimension 2"
    assert question.record() == {"similarity": "projection", "reference": "dimension 2", "dimension": 2}
    assert not question.of_itself

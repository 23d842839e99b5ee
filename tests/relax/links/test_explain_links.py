"""The door: links of real masked pictures against all masks, texts, what is refused, and what is kept."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import relax
from encoders.words.loading import load_text_encoder
from relax.links.explanation import LinksExplanation
from relax.links.linked import LinkedText
from similarity import measure_named

SETTINGS = {"cells": 2, "masks": 512, "keep": 0.4, "design": "independent", "fill": 0.5, "progress": False}


def image(seed, height=8, width=8):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def network(pixels):
    """(B, 5) in which places interact."""
    rows = pixels.mean(1).flatten(1).double()
    weights = torch.randn(rows.shape[1], 5, generator=torch.Generator().manual_seed(9)).double()
    return torch.tanh(rows @ weights).float()


def masked(picture, mask):
    """A picture under a 2 x 2 mask, in plain slices."""
    shown = picture.clone()
    half = picture.shape[1] // 2
    for cell, (row, column) in enumerate(product(range(2), repeat=2)):
        if not mask[cell]:
            shown[:, row * half : (row + 1) * half, column * half : (column + 1) * half] = 0.5
    return shown


def effects(scores, keep):
    """(4, ...) first-order effects of scores (2, 2, 2, 2, ...) by the cells that are shown."""
    weights = torch.tensor([1 - keep, keep]).double()
    rows = []
    for cell in range(4):
        values = scores.movedim(cell, 0)
        values = values[1] - values[0]
        for _ in range(3):
            values = torch.tensordot(weights, values, ([0], [0]))
        rows.append(values)
    return torch.stack(rows)


@pytest.fixture(scope="module")
def pictures():
    return image(0), image(1)


@pytest.fixture(scope="module")
def explained(pictures):
    return relax.explain_links(*pictures, network, **SETTINGS)


@pytest.mark.parametrize("similarity", ["cosine", "l2"])
def test_links_are_those_of_all_masks(pictures, similarity):
    explained = relax.explain_links(*pictures, network, similarity=similarity, **{**SETTINGS, "masks": 2048})

    masks = [*product((0, 1), repeat=4)]
    first, second = (network(torch.stack([masked(picture, mask) for mask in masks])) for picture in pictures)
    table = torch.stack([measure_named(similarity)(first, row) for row in second], 1)
    by_a = effects(table.view(2, 2, 2, 2, 16), 0.4)
    truth = effects(by_a.T.reshape(2, 2, 2, 2, 4), 0.4).T
    low, high = explained.interval(0.9999)
    assert explained.links.shape == explained.standard_error.shape == (2, 2, 2, 2)
    assert (low.reshape(4, 4) <= truth.numpy()).all()
    assert (truth.numpy() <= high.reshape(4, 4)).all()
    assert np.abs(explained.links.reshape(4, 4) - truth.numpy()).max() < 0.1 * truth.abs().max()


def test_what_each_part_does_alone_is_the_effect_on_the_closeness_to_the_whole_sides(explained, pictures):
    masks = [*product((0, 1), repeat=4)]
    whole = [network(picture[None])[0] for picture in pictures]
    for own, picture, itself, other in (
        (explained.of_a, pictures[0], whole[0], whole[1]),
        (explained.of_b, pictures[1], whole[1], whole[0]),
    ):
        embedded = network(torch.stack([masked(picture, mask) for mask in masks]))
        to_itself, to_other = (F.cosine_similarity(embedded.double(), each.double()[None]) for each in (itself, other))
        truth = effects((to_itself - to_other).view(2, 2, 2, 2), 0.4).view(2, 2).numpy()
        assert (np.abs(own.only - truth) <= 5 * own.only_error + 1e-9).all()
        np.testing.assert_allclose(own.only, own.to_itself - own.to_other, atol=1e-9)


def test_both_sides_are_drawn_independently(pictures):
    """With the same masks on both sides, the links of a picture to itself would be too large."""
    explained = relax.explain_links(pictures[0], pictures[0], network, **SETTINGS)

    a, b = (explained.provenance[side]["masks"]["seed"] for side in ("a", "b"))
    assert (a, b) == (0, 1)
    assert not np.array_equal(explained.of_a.to_itself, explained.of_b.to_itself)


def test_a_picture_of_another_shape_has_its_own_cells():
    explained = relax.explain_links(image(0, 8, 12), image(1, 10, 6), lambda pixels: pixels.mean((2, 3)), **SETTINGS)

    assert explained.a.image.shape == (8, 12, 3)
    assert explained.a.seen == (0, 0, 8, 12)
    assert explained.links.shape == (2, 2, 2, 2)


def counted(texts):
    """(K, 5): how many letters each word has, added up in dimensions of the words' first letters."""
    rows = torch.zeros(len(texts), 5)
    for row, text in zip(rows, texts, strict=True):
        for word in text.split():
            row["adgps".index(word[0])] += len(word)
    return rows + 0.1


def test_words_are_linked_to_cells(pictures):
    explained = relax.explain_links(
        pictures[0], "text:a small dog", network, text_encoder=counted, similarity="dot", **SETTINGS
    )

    assert isinstance(explained.b, LinkedText)
    assert explained.b.words == ("a", "small", "dog")
    assert explained.links.shape == (2, 2, 3)
    assert explained.of_b.only.shape == (3,)
    # the dot product is linear in the words: "small" adds 5 in its dimension, whatever else is shown
    masks = [*product((0, 1), repeat=4)]
    embedded = network(torch.stack([masked(pictures[0], mask) for mask in masks]))
    of_cells = effects(embedded[:, 4].double().view(2, 2, 2, 2), 0.4).numpy()
    np.testing.assert_allclose(explained.from_b(1).ravel(), 5 * of_cells, atol=0.25 * 5 * np.abs(of_cells).max())


@pytest.mark.parametrize(
    ("b", "changed", "message"),
    [
        (image(1), {"masks": 3, "design": "independent"}, "masks must be 4 or more here"),
        (image(1), {"masks": 100, "design": "orthogonal"}, "masks must be 512 or more here, 4 blocks of 128"),
        (image(1), {"text_encoder": counted}, "text_encoder is for texts, and b is a picture"),
        (image(1), {"cells": 20}, "cells must be between 1 and"),
        ("text:a dog", {}, "has no text tower"),
        ("text: ", {"text_encoder": counted}, "text must have words"),
        (
            "text:a dog",
            {"text_encoder": lambda texts: torch.ones(len(texts), 3)},
            "embedded in one space; got 5 numbers",
        ),
    ],
)
def test_what_cannot_be_linked_is_refused(b, changed, message):
    with pytest.raises((ValueError, relax.EncoderError), match=message):
        relax.explain_links(image(0), b, network, **{**SETTINGS, **changed})


def test_an_unknown_keyword_is_refused():
    with pytest.raises(TypeError, match=r"explain_links\(\) has no keyword 'regions'"):
        relax.explain_links(image(0), image(1), network, regions="grid")


def test_the_strongest_links_come_first_and_only_if_certain(explained):
    links = np.array([[3.0, 1.0, 1e-12], [2.0, -5.0, 0.0]]).reshape(1, 2, 1, 3)
    errors = np.array([[1.6, 0.1, 0.0], [0.1, 0.1, 0.0]]).reshape(1, 2, 1, 3)
    explanation = LinksExplanation(**{**vars_of(explained), "links": links, "standard_error": errors})

    assert [(link.a, link.b, link.value) for link in explanation.strongest(5)] == [
        ((0, 1), (0, 0), 2.0),
        ((0, 0), (0, 1), 1.0),
    ]
    assert len(explanation.strongest(1)) == 1
    with pytest.raises(ValueError, match="count must be a whole number, 1 or more; got 0"):
        explanation.strongest(0)


def vars_of(explained):
    return {name: value for name, value in vars(explained).items() if name != "degrees"}


def test_links_are_read_from_either_side(explained):
    np.testing.assert_array_equal(explained.from_a(1, 0), explained.links[1, 0])
    np.testing.assert_array_equal(explained.from_b(0, 1), explained.links[:, :, 0, 1])
    with pytest.raises(ValueError, match=r"place must be in b, which has 2 x 2 parts; got \(2, 0\)"):
        explained.from_b(2, 0)


def test_an_interval_is_student_s(explained):
    low, high = explained.interval(0.95)

    assert explained.degrees == 31
    np.testing.assert_allclose((high - low) / 2, 2.0395134 * explained.standard_error, rtol=1e-6)
    with pytest.raises(ValueError, match="level is the chance"):
        explained.interval(1)


def test_what_is_saved_is_read_back(explained, tmp_path, pictures):
    text = relax.explain_links(pictures[0], "text:a dog", network, text_encoder=counted, **SETTINGS)
    for explanation in (explained, text):
        read = LinksExplanation.load(explanation.save(tmp_path / "links.npz"))
        np.testing.assert_array_equal(read.links, explanation.links)
        np.testing.assert_array_equal(read.standard_error, explanation.standard_error)
        np.testing.assert_array_equal(read.of_b.only_error, explanation.of_b.only_error)
        assert read.provenance == explanation.provenance
        assert repr(read) == repr(explanation)
    assert read.b == text.b


@pytest.mark.parametrize("name", ["links", "a_image", "b_only", "how"])
def test_a_damaged_file_is_named(explained, tmp_path, name):
    path = explained.save(tmp_path / "links.npz")
    with np.load(path) as arrays:
        kept = {key: values for key, values in arrays.items() if key != name}
    np.savez(path, **kept, **({} if name == "how" else {name: np.full((3, 3), np.nan)}))

    with pytest.raises(ValueError, match=r"links.npz is not a file of LinksExplanation.save: "):
        LinksExplanation.load(path)


def test_the_figure_has_a_line_for_each_link(explained):
    figure = explained.plot(2)

    lines = [artist for artist in figure.artists if type(artist).__name__ == "ConnectionPatch"]
    assert len(lines) == min(2, len(explained.strongest(2)))
    with pytest.raises(ValueError, match="lines must be how many links are drawn, 1 to 64; got 0"):
        explained.plot(0)


def test_an_encoder_of_two_towers_reads_the_text_itself(clip_folder):
    """A CLIP of random weights: all masks of both sides through its own towers, by their definition."""
    encoder = relax.load_encoder(f"random:open_clip:local-dir:{clip_folder}", device="cpu")
    picture = image(3, 32, 32)

    explained = relax.explain_links(picture, "text:a cat", encoder, **{**SETTINGS, "masks": 1024})

    masks = [*product((0, 1), repeat=4)]
    seen = encoder(torch.stack([masked(picture, mask) for mask in masks])).double()
    read = load_text_encoder(encoder)(["", "cat", "a", "a cat"]).double()
    table = F.normalize(seen, dim=1) @ F.normalize(read, dim=1).T
    assert explained.similarity == pytest.approx(float(table[-1, -1]), abs=1e-5)
    by_cell = effects(table.view(2, 2, 2, 2, 4), 0.4).view(4, 2, 2)  # then the words: hidden or shown
    truth = torch.stack(
        [
            (by_cell[:, 1] - by_cell[:, 0]) @ torch.tensor([0.6, 0.4]).double(),
            (by_cell[:, :, 1] - by_cell[:, :, 0]) @ torch.tensor([0.6, 0.4]).double(),
        ],
        1,
    )
    low, high = explained.interval(0.9999)
    assert (low.reshape(4, 2) <= truth.numpy()).all()
    assert (truth.numpy() <= high.reshape(4, 2)).all()
    assert explained.standard_error.max() < 0.2 * np.abs(truth.numpy()).max()

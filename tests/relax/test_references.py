"""Corpus, foil and prompt mean what they say, in Python and on the command line, and are embedded once."""

import json

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import relax
from relax import references
from relax.cli.app import run
from relax.plotting.caption import recipe
from relax.references import Corpus, embed_reference, image_files, reference_name
from tests.reference import contrast_by_definition, importance_by_definition


def image(seed=0):
    return torch.rand(3, 12, 10, generator=torch.Generator().manual_seed(seed))


class Counting:
    """Embeds by the mean of each row, and remembers how many images it saw."""

    def __init__(self):
        self.seen = 0

    def __call__(self, pixels):
        self.seen += len(pixels)
        return pixels.mean(3).flatten(1)


def embeddings(*seeds):
    return torch.stack([image(seed).mean(2).flatten() for seed in seeds])


pytestmark = pytest.mark.filterwarnings("ignore:.*passed over as no images")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """cat.png, and cats/ and others/ with two pictures each."""
    monkeypatch.chdir(tmp_path)
    picture = skimage.data.chelsea()[::6, ::6]
    Image.fromarray(picture).save("cat.png")
    for name, turned in (("cats", picture[:, ::-1]), ("others", skimage.data.coffee()[::8, ::8])):
        (tmp_path / name).mkdir()
        Image.fromarray(turned).save(tmp_path / name / "b.png")
        Image.fromarray(turned[::2]).save(tmp_path / name / "a.JPG")
        (tmp_path / name / "notes.txt").write_text("no image")
        (tmp_path / name / "below").mkdir()
    return tmp_path


@pytest.mark.parametrize("similarity", ["cosine", "l2", "dot", "rbf"])
def test_corpus_minus_foil_is_the_map_by_definition(similarity):
    probe = relax.probe(image(), Counting(), masks=60, cells=3, seed=1, estimator="plain")

    explanation = probe.explain(Corpus(embeddings(1, 2)), foil=Corpus(embeddings(3, 4, 5)), similarity=similarity)

    scores = contrast_by_definition(similarity, probe.embeddings, embeddings(1, 2), embeddings(3, 4, 5))
    importance, uncertainty = importance_by_definition(scores, probe.scene.source.masks(0, 60)[:, 0])
    np.testing.assert_allclose(explanation.importance, importance, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(explanation.uncertainty, uncertainty, rtol=1e-4, atol=1e-9)


def test_streaming_and_probing_give_the_same_map_for_corpora_of_images():
    reference, foil = Corpus([image(1), image(2)]), Corpus([image(3)])
    settings = {"masks": 60, "cells": 3, "seed": 1}

    streamed = relax.explain(image(), Counting(), reference=reference, foil=foil, **settings)

    probed = relax.probe(image(), Counting(), **settings).explain(reference, foil=foil)
    np.testing.assert_allclose(streamed.importance, probed.importance, rtol=1e-6, atol=1e-7)
    assert streamed.provenance["foil"] == probed.provenance["foil"] == "corpus of 1 images: tensor (3, 12, 10)"
    assert streamed.provenance["map"] == "mean cosine minus that to the foil"


def test_a_list_is_one_reference_and_a_corpus_is_many():
    probe = relax.probe(image(), Counting(), masks=60, cells=3)
    long_and_short = [image(1), image(2) * 0.01]

    as_list, as_corpus = probe.explain(long_and_short), probe.explain(Corpus(long_and_short))

    middle = embeddings(1, 2) * torch.tensor([[1.0], [0.01]])
    np.testing.assert_allclose(as_list.importance, probe.explain(middle.mean(0)).importance, atol=1e-6)
    np.testing.assert_allclose(as_corpus.importance, probe.explain(Corpus(embeddings(1, 2))).importance, atol=1e-6)
    assert np.abs(as_list.importance - as_corpus.importance).max() > 1e-3


def test_a_foil_equal_to_the_reference_leaves_nothing_and_a_swap_negates():
    probe = relax.probe(image(), Counting(), masks=40)
    corpus, foil_corpus = Corpus(embeddings(1, 2)), Corpus(embeddings(3))

    nothing = probe.explain(foil=probe.image_embedding)

    assert (nothing.importance == 0).all()
    assert (nothing.uncertainty == 0).all()
    forward, swapped = probe.explain(corpus, foil=foil_corpus), probe.explain(foil_corpus, foil=corpus)
    np.testing.assert_allclose(forward.importance, -swapped.importance, rtol=1e-6)
    assert np.abs(forward.importance).max() > 1e-3


def test_corpora_are_embedded_once_for_all_images_and_never_under_masks():
    encoder = Counting()

    relax.explain(
        [image(), image(1)], encoder, masks=50, reference=Corpus([image(2), image(3)]), foil=Corpus([image(4)])
    )

    assert encoder.seen == 3 + 2 * (50 + 1 + 3)  # each image alone and in a batch of three: is the encoder steady?


def test_an_embedded_corpus_is_not_embedded_again():
    encoder = Counting()
    calls = []
    probe = relax.probe(image(), encoder, masks=10)
    corpus = Corpus([image(1), image(2)])
    once = corpus.embedded(probe.scene.encoder, lambda done, total: calls.append((done, total)))
    before = encoder.seen

    probe.explain(once)
    probe.explain(once, similarity="l2")

    assert encoder.seen == before
    assert calls == [(1, 2), (2, 2)]
    assert once.name == corpus.name
    assert list(once) == list(corpus)
    torch.testing.assert_close(once.embeddings, embeddings(1, 2))


def test_a_corpus_of_a_folder_is_its_images_by_name(folder):
    with pytest.warns(UserWarning, match=r"^cats: passed over as no images: 1 \.txt$"):
        corpus = Corpus("cats")

    assert [str(path) for path in corpus] == ["cats/a.JPG", "cats/b.png"]
    assert len(corpus) == 2
    assert corpus.name == "corpus of 2 images in cats"
    assert image_files(folder / "cats")[0].name == "a.JPG"


def test_files_come_by_name_and_folders_are_left_out(tmp_path):
    for name in ("d.png", "a.png", "f.tif", "c.jpeg", "e.PNG", "b.webp"):
        (tmp_path / name).touch()
    (tmp_path / "album.png").mkdir()

    assert [path.name for path in image_files(tmp_path)] == ["a.png", "b.webp", "c.jpeg", "d.png", "e.PNG", "f.tif"]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        (None, "itself"),
        ("cat.png", "cat.png"),
        ("text:a cat", "text:a cat"),
        (["a.png", "text:a cat"], "mean of 2: a.png, text:a cat"),
        (torch.zeros(8), "embedding (8,)"),
        (Corpus(np.zeros((5, 8))), "corpus of 5 embeddings"),
        (Corpus(torch.zeros(5, 8), "cats"), "cats (corpus of 5)"),
        (Corpus(["a", "b", "c", "d"]), "corpus of 4 images: a, b, c, ..."),
    ],
)
def test_every_reference_has_a_name(reference, name):
    assert reference_name(reference) == name


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "a Corpus must have at least one member; got an empty list"),
        (torch.zeros(8), r"a Corpus must be .*embeddings \(K, D\) of floats.*; got torch.float32 \(8,\)"),
        (np.zeros((0, 8)), r"got torch.float64 \(0, 8\)"),
        (np.zeros((4, 4), np.uint8), r"got torch.uint8 \(4, 4\)"),
        ("cats/below", "cats/below holds no image: give a folder with files that end in .png, .jpg"),
    ],
)
def test_an_impossible_corpus_is_refused(folder, members, message):
    with pytest.raises(ValueError, match=message):
        Corpus(members)


def test_a_folder_that_is_not_there_is_named(folder):
    with pytest.raises(OSError, match="dogs cannot be read as a folder of images: No such file"):
        Corpus("dogs")


def test_a_corpus_with_nan_is_refused_before_the_masks_are_run():
    encoder = Counting()

    with pytest.raises(ValueError, match="foil must be finite; 1 of 1 embeddings hold NaN"):
        relax.explain(image(), encoder, masks=10, foil=Corpus(torch.full((1, 36), torch.nan)))
    assert encoder.seen == 0


def test_other_methods_refuse_a_foil_and_a_corpus():
    with pytest.raises(ValueError, match="foil is for method \"relax\" without a head; got method='occlusion'"):
        relax.explain(image(), Counting(), method="occlusion", foil=image(1))
    with pytest.raises(ValueError, match='a Corpus is for method "relax"'):
        relax.explain(image(), Counting(), method="occlusion", reference=Corpus([image(1)]))


def test_a_single_reference_cannot_be_a_corpus_or_nothing():
    encoder = relax.load_encoder(Counting())
    for wrong in (None, Corpus(torch.ones(2, 36))):
        with pytest.raises(ValueError, match="reference must be an image, a list or an embedding"):
            embed_reference(wrong, encoder)


def test_a_prompt_needs_a_text_tower():
    with pytest.raises(
        relax.EncoderError, match=r"encoder 'Counting' has no text tower to read a prompt: use .*open_clip"
    ):
        relax.explain(image(), Counting(), masks=5, reference="text:a cat")


def test_the_caption_says_reference_and_foil():
    record = {"similarity": "cosine", "reference": "corpus of 2", "foil": "corpus of 5", "encoder": {}, "masks": {}}

    assert "cosine to corpus of 2 minus to corpus of 5" in recipe(record)


def test_the_command_takes_folders_as_corpora(folder, capsys):
    code = run(["explain", "cat.png", "--reference", "cats", "--foil", "others", "--foil", "cat.png", "--masks", "30"])

    assert code == 0, capsys.readouterr().err
    record = json.loads((folder / "relax-out" / "cat.json").read_text())
    assert record["reference"] == "corpus of 2 images in cats"
    assert record["foil"] == "corpus of 3 images: others/a.JPG, others/b.png, cat.png"
    in_python = relax.explain(
        "cat.png", reference=Corpus("cats"), foil=Corpus(["others/a.JPG", "others/b.png", "cat.png"]), masks=30
    )
    written = relax.Explanation.load(folder / "relax-out" / "cat.npz")
    np.testing.assert_allclose(written.importance, in_python.importance, rtol=1e-5, atol=1e-6)


def test_the_command_embeds_a_corpus_once_for_all_images(folder, monkeypatch, capsys):
    embedded = []
    embed = references._embed
    monkeypatch.setattr(
        references, "_embed", lambda image, encoder: embedded.append(str(image)) or embed(image, encoder)
    )

    code = run(["explain", "cat.png", "cats/b.png", "--reference", "cats", "--foil", "others", "--masks", "10"])

    assert code == 0, capsys.readouterr().err
    assert sorted(embedded) == ["cats/a.JPG", "cats/b.png", "others/a.JPG", "others/b.png"]


def test_the_command_takes_images_as_one_reference_and_one_foil(folder, capsys):
    code = run(["explain", "cat.png", "--foil", "others/a.JPG", "--foil", "others/b.png", "--masks", "10"])

    assert code == 0, capsys.readouterr().err
    record = json.loads((folder / "relax-out" / "cat.json").read_text())
    assert record["reference"] == "itself"
    assert record["foil"] == "mean of 2: others/a.JPG, others/b.png"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--foil", "nosuch.png"], "nosuch.png: no such file"),
        (["--reference", "cats/below"], "cats/below holds no image"),
        (["--reference", "text:a cat"], "encoder 'default' has no text tower"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(folder, arguments, message, capsys):
    assert run(["explain", "cat.png", *arguments]) == 2

    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1

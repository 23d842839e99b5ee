"""What is hidden is what the network does not see, under every fill; bad texts and choices are refused in a line."""

import json
import re

import numpy as np
import pytest
import torch

import relax
from encoders import EncoderError
from encoders.words.loading import load_text_encoder
from relax.words.explaining import explain_text
from relax.words.explanation import TextExplanation
from relax.words.hiding import HiddenText
from relax.words.parts import parts_of
from relax.words.question import TextQuestion
from tests.toy_text import MASK, PAD, SumOfWords, toy_tokens


class Watched(SumOfWords):
    """Keeps what it was called on."""

    def forward(self, ids, attended):
        Watched.seen = ids.clone(), attended.clone()
        return super().forward(ids, attended)


def toy(module=SumOfWords, **options):
    return load_text_encoder(module(), tokenizer=toy_tokens, mask_id=MASK, pad_id=PAD, **options)


def counts(texts):
    return torch.tensor([[len(text.split()), float("fox" in text), 1.0] for text in texts])


@pytest.mark.parametrize(
    ("fill", "ids", "attended"),
    [
        ("mask", [[0, "red", MASK, MASK, 1], [0, MASK, "extraordinary"[:6], "extraordinary"[6:12], 1]], None),
        (
            "drop",
            [[0, "red", 1, PAD], [0, "extraordinary"[:6], "extraordinary"[6:12], 1]],
            [[1, 1, 1, 0], [1, 1, 1, 1]],
        ),
        (
            "attention",
            [[0, "red", "extrao", "rdinar", 1]] * 2,
            [[1, 1, 0, 0, 1], [1, 0, 1, 1, 1]],
        ),
    ],
)
def test_the_network_gets_whole_words_hidden(fill, ids, attended):
    """Of "red extraordinar", whose second word is two tokens, first the second word is hidden, then the first."""
    encoder = toy(Watched)
    hidden = HiddenText(encoder, parts_of(encoder, "red extraordinar", "words"), fill)

    hidden.embeddings(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))

    expected = [[toy_tokens(token).ids[1] if isinstance(token, str) else token for token in row] for row in ids]
    assert Watched.seen[0].tolist() == expected
    assert Watched.seen[1].int().tolist() == (attended or [[1] * 5] * 2)


def test_every_fill_of_a_sum_is_the_same_since_what_is_hidden_adds_nothing():
    maps = {
        fill: explain_text("seven red foxes ran", encoder=toy(), fill=fill) for fill in ("mask", "drop", "attention")
    }

    for fill, explained in maps.items():
        np.testing.assert_allclose(explained.importance, maps["mask"].importance, atol=1e-6)
        assert explained.provenance["fill"] == fill


def test_a_function_reads_the_text_without_the_hidden_words():
    seen = []

    def watching(texts):
        seen.extend(texts)
        return counts(texts)

    explained = explain_text("A red  fox,\nno cat.", encoder=watching, similarity="l2")

    assert {"A red  fox,\nno cat.", "A red  fox,", "red  no", "", "A cat."} <= set(seen)
    assert explained.words == ("A", "red", "fox,", "no", "cat.")
    assert explained.provenance["fill"] == "drop"
    assert explained.top(1).tolist() == [2]


def test_tokens_and_sentences_are_hidden_as_asked():
    tokens = explain_text("extraordinary fox.", encoder=toy(), by="tokens")
    sentences = explain_text("No fever. Red fox! Home?", encoder=toy(), by="sentences")

    assert tokens.words == ("extrao", "rdinar", "y", "fox", ".")
    assert sentences.words == ("No fever.", "Red fox!", "Home?")
    assert sentences.offsets.tolist() == [[0, 9], [10, 18], [19, 24]]


def test_a_reference_and_a_foil_change_the_question():
    encoder = toy()
    text = "red fox and blue cat"

    to_fox = explain_text(text, encoder=encoder, reference="red fox", similarity="dot")
    to_cat = explain_text(text, encoder=encoder, reference=["blue cat"], similarity="dot")
    apart = explain_text(text, encoder=encoder, reference="red fox", foil="blue cat", similarity="dot")

    np.testing.assert_allclose(apart.importance, to_fox.importance - to_cat.importance, atol=1e-5)
    assert apart.provenance["scalar"] == "dot to “red fox” minus that to “blue cat”"
    assert to_fox.score == pytest.approx(float((encoder([text]) * encoder(["red fox"])).sum()), rel=1e-6)


def test_words_that_the_network_does_not_read_are_unknown():
    """Cut to six tokens, of which two are special; and a sign of which the tokenizer makes nothing."""
    cut = explain_text("one two three four five six", encoder=toy(limit=6), cut=True)
    dropped = explain_text("one _ two", encoder=toy())

    assert np.isnan(cut.importance).tolist() == [False] * 4 + [True] * 2
    assert cut.provenance["tokens"] == {"read": 6, "of": 8}
    assert np.isnan(dropped.importance).tolist() == [False, True, False]
    assert json.loads(cut.to_json())["importance"][4:] == [None, None]


def test_a_word_alone_is_explained():
    explained = explain_text("fox", encoder=toy(), similarity="l2")

    assert explained.importance.tolist() == [0]
    assert explained.score > explained.hidden
    for method in ("kernel_shap", "leave_one_out"):
        (value,) = explain_text("fox", encoder=toy(), similarity="l2", method=method).importance
        assert value == pytest.approx(explained.score - explained.hidden, rel=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "🤒 no fever 👩‍⚕️",
        "e\u0301tude \u0928\u092e\u0938\u094d\u0924\u0947",
        "لا توجد حمى",
        "a\x07b \u202e no \x1b[31mred",
        '<script>alert(1)</script> & "quotes"',
    ],
)
def test_any_text_is_explained_and_comes_back_from_a_file(text, tmp_path):
    explained = explain_text(text, encoder=counts, similarity="l2")

    again = TextExplanation.load(explained.save(tmp_path / "text.json"))

    assert again.text == text
    assert again.words == explained.words
    for name in ("importance", "uncertainty", "standard_error", "offsets"):
        np.testing.assert_array_equal(getattr(again, name), getattr(explained, name))
    assert again.provenance == explained.provenance
    assert repr(again) == repr(explained)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"text": ""}, "text must have words; got an empty one"),
        ({"text": " \n "}, "text must have words; got white space alone"),
        ({"text": 3}, "text must be a text; got 3"),
        ({"text": "a\ud800b"}, "text has half of a character at 1"),
        ({"text": "a " * 60_000}, "text must have at most 100,000 characters; got 120,000"),
        ({"text": "a " * 10_000}, r"text must have at most 1,024 words to be explained; got 10,000: hide whole sent"),
        ({"masks": 3}, "masks must be from 64 to"),
        ({"masks": True}, "masks must be from 64 to"),
        ({"keep": 1.0}, "keep is the chance"),
        ({"seed": -1}, "seed must be"),
        ({"method": "shap"}, "method must be one of relax, kernel_shap"),
        ({"by": "letters"}, "by must be one of words, tokens, sentences"),
        ({"fill": "blur"}, "fill must be one of auto, mask, drop, attention"),
        ({"similarity": "cos"}, "similarity must be one of"),
        ({"reference": []}, "reference is an empty list"),
        ({"reference": ""}, "reference must have words"),
        ({"reference": np.ones(3, np.float32)}, "reference must have the 8 numbers of the text's; got 3"),
        ({"reference": np.zeros(8, np.float32)}, "reference must have a direction for the cosine"),
        ({"image": "cat.png"}, "image needs an encoder of two towers"),
        ({"progress": 3}, "progress must be a function"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_explained_is_refused(options, words):
    with pytest.raises(ValueError, match=words) as caught:
        explain_text(**{"text": "red fox", "encoder": toy(), **options})

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_an_encoder_cannot_do_is_refused():
    bare = load_text_encoder(SumOfWords(), tokenizer=toy_tokens, limit=4)

    with pytest.raises(ValueError, match='fill must be "drop" or "attention" for \'SumOfWords\', which has no mask'):
        explain_text("red fox", encoder=bare, fill="mask")
    with pytest.raises(ValueError, match='fill must be "drop" for'):
        explain_text("red fox", encoder=counts, fill="attention")
    with pytest.raises(ValueError, match='by="tokens" needs an encoder that takes tokens'):
        explain_text("red fox", encoder=counts, by="tokens")
    with pytest.raises(EncoderError, match="text has 6 tokens, and encoder 'SumOfWords' reads at most 4"):
        explain_text("one two three four", encoder=bare)


def test_a_prompt_is_compared_with_a_picture(clip_folder):
    encoder = load_text_encoder(f"random:open_clip:local-dir:{clip_folder}", "cpu")
    picture = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))

    explained = explain_text("a red fox", encoder=encoder, image=picture)

    whole = encoder(["a red fox"])[0].double() @ encoder.pictures(picture[None])[0].double()
    assert explained.score == pytest.approx(float(whole), abs=1e-6)
    assert explained.provenance["cost"]["passes"] == 8
    with pytest.raises(ValueError, match="give one of them"):
        explain_text("a red fox", encoder=encoder, image=picture, reference="a dog")


def test_progress_counts_the_subsets():
    reports = []

    explain_text("a b c d e f", encoder=toy(), progress=lambda done, total: reports.append((done, total)))

    assert reports[-1] == (64, 64)
    assert relax.explain_text is explain_text


def test_several_methods_answer_one_question():
    question = TextQuestion.of("seven red foxes", toy(), similarity="l2")

    maps = [question.answered(method, masks=64) for method in ("relax", "leave_one_out")]

    assert [explanation.provenance["method"] for explanation in maps] == ["relax", "leave_one_out"]
    assert maps[0].score == maps[1].score


def test_a_damaged_file_is_refused_in_a_line_that_names_it(tmp_path):
    path = explain_text("red fox", encoder=counts, similarity="l2").save(tmp_path / "a.json")
    good = json.loads(path.read_text())
    damages = {
        "it lacks text": {**good, "text": None},
        "its format is 2, and this version reads 1": {**good, "format": 2},
        "importance must be 2 numbers or null": {**good, "importance": [1.0]},
        "its offsets must lie in the text": {**good, "offsets": [[0, 3], [4, 99]]},
        "its offsets must be whole numbers": {**good, "offsets": [[0, 3.5], [4, 7]]},
        "its words must be texts": {**good, "words": ["red", 3]},
        "Out of range float values": {**good, "score": float("inf")},
        "record.provenance.method must be text": {**good, "provenance": {"method": 3}},
    }
    for words, record in damages.items():
        path.write_text(json.dumps(record))
        with pytest.raises(ValueError, match=re.escape(f"{path} is not a saved explanation of a text: ")) as caught:
            TextExplanation.load(path)
        assert words in str(caught.value)
    with pytest.raises(FileNotFoundError):
        TextExplanation.load(tmp_path / "b.json")

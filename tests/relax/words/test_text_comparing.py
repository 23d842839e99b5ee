"""Methods are judged by hiding words in their order; texts are compared by both measures; attention is followed."""

import numpy as np
import pytest
import torch

from encoders.words.loading import load_text_encoder
from relax.words.attention import TextAttention, text_attention
from relax.words.comparing import compare_text_methods
from relax.words.question import TextQuestion
from relax.words.similar import similar_texts
from tests.toy_text import MASK, PAD, SumOfWords, toy_tokens

THREE = {"a": [3.0, 0.0], "b": [0.0, 1.0], "c": [6.0, 8.0]}


def toy():
    return load_text_encoder(SumOfWords(), tokenizer=toy_tokens, mask_id=MASK, pad_id=PAD)


def adding(texts):
    """The sum over the words of 1 for low, 2 for middle, 4 for high, with a second number that cannot vary."""
    values = {"low": 1.0, "middle": 2.0, "high": 4.0}
    return torch.tensor([[sum(values[word] for word in text.split()), 0.0] for text in texts])


def test_the_areas_of_a_sum_are_those_worked_out_by_hand():
    """Largest first 7, 3, 1, 0; smallest first 7, 6, 4, 0: by trapezoids (7/2 + 3 + 1) / 3 and (7/2 + 6 + 4) / 3."""
    reference = np.array([1.0, 0.0], np.float32)
    question = TextQuestion.of("low high middle", load_text_encoder(adding), reference=reference, similarity="dot")

    comparison = compare_text_methods(question, ["relax", "leave_one_out", "kernel_shap"], masks=64)

    for name in ("relax", "leave_one_out", "kernel_shap"):
        assert comparison.first[name] == pytest.approx(2.5)
        assert comparison.last[name] == pytest.approx(4.5)
    assert 2.5 < comparison.first["chance"] == comparison.last["chance"] < 4.5
    np.testing.assert_allclose(comparison.alike, 1)
    assert [*comparison.record()["hiding"]["relax"].values()] == pytest.approx([2.5, 4.5])


def test_what_cannot_be_compared_is_refused():
    question = TextQuestion.of("fox", toy(), similarity="l2")

    with pytest.raises(ValueError, match="two words or more; the text has 1"):
        compare_text_methods(question)
    with pytest.raises(ValueError, match="methods must be one of relax, kernel_shap"):
        compare_text_methods(TextQuestion.of("red fox", toy()), ["shap"])


def test_cosine_and_distance_of_vectors_worked_out_by_hand():
    """(3, 0), (0, 1) and (6, 8): the cosines 0, 0.6, 0.8 and the distances sqrt(10), sqrt(73), sqrt(85)."""
    result = similar_texts(["a", "b", "c"], encoder=lambda texts: torch.tensor([THREE[text] for text in texts]))

    np.testing.assert_allclose(result.cosine, [[1, 0, 0.6], [0, 1, 0.8], [0.6, 0.8, 1]], atol=1e-9)
    np.testing.assert_allclose(result.euclidean**2, [[0, 10, 73], [10, 0, 85], [73, 85, 0]], atol=1e-6)
    assert result.nearest.tolist() == [[2, 1], [2, 0], [1, 0]]
    assert result.agreement == 0
    assert result.lengths.tolist() == [3, 1, 10]
    assert result.record()["nearest"] == {"cosine": [2, 2, 1], "euclidean": [1, 0, 0]}


@pytest.mark.parametrize(
    ("texts", "options", "words"),
    [
        ("abc", {}, "texts must be a list of texts"),
        (["a"], {}, "texts must be from 2 to 2,000"),
        (["a"] * 2001, {}, "texts must be from 2 to 2,000"),
        (["a", ""], {}, "text 2 must have words"),
        (["a", "b"], {"layout": "umap"}, "layout must be pca or tsne"),
        (["a", "b"], {"layout": "tsne"}, "tsne needs 5 texts or more; got 2: take pca"),
        (["a", "_"], {"encoder": lambda texts: torch.tensor([[float(t == "a")] * 2 for t in texts])}, "gives zeros"),
    ],
)
def test_texts_that_cannot_be_compared_are_refused(texts, options, words):
    with pytest.raises(ValueError, match=words):
        similar_texts(texts, **{"encoder": toy(), **options})


def test_attention_is_followed_as_the_paper_has_it():
    """Two layers of one head over two tokens: (A1 + 1) / 2 then (A2 + 1) / 2, multiplied by hand."""
    first, second = [[0.0, 1.0], [0.5, 0.5]], [[1.0, 0.0], [1.0, 0.0]]
    attention = TextAttention(("a", "b"), (False, False), torch.tensor([[first], [second]]))

    assert attention.rollout.tolist() == [[0.5, 0.5], [0.375, 0.625]]
    assert attention.over_heads.shape == (2, 2, 2)


def test_attention_of_a_text_has_a_row_for_every_token(bert_folder):
    attention = text_attention(load_text_encoder(f"hf:{bert_folder}"), "the patient has no fever.")

    assert attention.pieces[0] == "[CLS]"
    assert attention.weights.shape == (2, 2, 8, 8)
    torch.testing.assert_close(attention.rollout.sum(1), torch.ones(8, dtype=torch.float64))
    with pytest.raises(ValueError, match="attention needs an encoder that takes tokens"):
        text_attention(load_text_encoder(adding), "low")

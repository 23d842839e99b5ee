"""Functions of texts, and towers of two, are text encoders whose answers are checked."""

import numpy as np
import pytest
import torch

from encoders import EncoderError
from encoders.words.encoder import Tokens
from encoders.words.loading import load_text_encoder
from tests.toy_text import MASK, PAD, SumOfWords, toy_tokens


def lengths(texts):
    return np.array([[len(text), 1.0] for text in texts])


def test_a_function_of_texts_may_answer_in_numpy():
    encoder = load_text_encoder(lengths)

    assert encoder.name == "lengths"
    assert encoder(["ab", ""]).tolist() == [[2, 1], [0, 1]]
    assert encoder(["ab"]).dtype == torch.float32


def test_a_module_is_copied_and_embeds_each_text_alone():
    module = SumOfWords()
    encoder = load_text_encoder(module, tokenizer=toy_tokens, mask_id=MASK, pad_id=PAD)

    together, alone = encoder(["red fox", "fox"]), encoder(["fox"])

    torch.testing.assert_close(together[1:], alone)
    assert encoder.network is not module
    assert encoder.checksum == load_text_encoder(SumOfWords(), tokenizer=toy_tokens).checksum


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda texts: [1.0], "must return a tensor or array"),
        (lambda texts: torch.ones(3), r"one vector a text, here \(1, D\); got \(3,\)"),
        (lambda texts: torch.ones(1, 3).long(), "must return floats"),
        (lambda texts: torch.full((1, 3), torch.nan), "gives NaN or infinity"),
        (lambda texts: 1 / 0, "cannot embed these texts .ZeroDivisionError: division by zero"),
    ],
)
def test_an_answer_that_is_no_embedding_is_refused(function, words):
    with pytest.raises(EncoderError, match=words):
        load_text_encoder(function)(["a"])


def test_a_tokenizer_that_gives_no_tokens_is_refused():
    with pytest.raises(EncoderError, match=r"must return encoders\.words\.encoder\.Tokens; got"):
        load_text_encoder(SumOfWords(), tokenizer=lambda text: [1, 2]).tokens("a")
    with pytest.raises(ValueError, match="must be of one length"):
        Tokens((1,), (), (), (), 1)


def test_an_encoder_that_tells_no_attention_says_so():
    encoder = load_text_encoder(SumOfWords(), tokenizer=toy_tokens)

    with pytest.raises(EncoderError, match="does not tell what it attends to"):
        encoder.attentions(encoder.tokens("red fox"))


def test_the_text_tower_of_two_is_in_the_space_of_its_pictures(clip_folder):
    encoder = load_text_encoder(f"random:open_clip:local-dir:{clip_folder}", "cpu")

    vectors = encoder(["a cat", "a dog"])

    assert vectors.shape == (2, 12)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    assert encoder.checksum == encoder.pictures.checksum
    torch.testing.assert_close(load_text_encoder(encoder.pictures)(["a cat"]), vectors[:1])
    with pytest.raises(EncoderError, match="prompt must have at most 8 tokens; got 9"):
        encoder(["a " * 9])
    with pytest.raises(EncoderError, match="pooling='mean' is not offered"):
        load_text_encoder(f"random:open_clip:local-dir:{clip_folder}", pooling="mean")

"""The small BERT of the encoders' tests, for what needs tokens and attention."""

from tests.encoders.words.conftest import bert_folder, clip_folder

__all__ = ["bert_folder", "clip_folder"]

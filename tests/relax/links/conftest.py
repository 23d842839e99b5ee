"""Encoders of the tests of links."""

from tests.encoders.words.conftest import clip_folder

__all__ = ["clip_folder"]

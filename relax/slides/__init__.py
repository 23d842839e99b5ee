"""Whole slides: tiles in a stream, and the tiles that make the slide's embedding; needs the extra `[pathology]`."""

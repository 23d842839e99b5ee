"""Audit of an embedding space: how it is laid out, what drives it, and what an encoder should not be looking at."""

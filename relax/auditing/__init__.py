"""Audit of an embedding space: how it is laid out, what drives it, and which shortcuts the encoder may take."""

"""Texts: which words make the embedding of a sentence, how sure that is, and what the network attends to."""

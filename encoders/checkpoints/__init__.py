"""Weights from files: read, matched to a network, and reported."""

"""Pictures to experiment with."""

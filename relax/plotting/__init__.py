"""Figures: arrays and a record in, a matplotlib figure out."""

"""Figures: from arrays and their provenance to matplotlib figures."""

"""Is it true, is it fast: training recipes, evaluations and benchmarks with their committed results."""

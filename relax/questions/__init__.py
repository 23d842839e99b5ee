"""Questions to a probe, to several methods or encoders, and to a map itself."""

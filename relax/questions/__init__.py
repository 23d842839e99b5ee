"""What is asked of a probe, of several methods or encoders, and of a map itself."""

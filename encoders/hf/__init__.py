"""Networks of `transformers`: built and judged, with their image processors, tokenizers and pooling."""

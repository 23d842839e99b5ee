"""Rules in words that people use for what an embedding does: a small tree over measures and metadata."""

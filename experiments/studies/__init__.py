"""Is it true: what the maps can be trusted with."""

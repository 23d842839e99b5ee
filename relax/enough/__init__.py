"""The fewest cells that are enough to keep a picture's similarity, and those without which it is lost."""

"""Image files from PNG to HEIC: their first bytes, their limits, and their pixels without the loss of a bit."""

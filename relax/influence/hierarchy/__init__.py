"""Groups within groups of an archive's pictures, each with a picture that stands for it, and how far that holds."""

"""Default numbers of masks. Free of torch, so that tables and help texts can name them without waiting for it."""

DEFAULT_MASKS = 3000  # the authors' number

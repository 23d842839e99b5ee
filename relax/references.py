"""What the masked images are compared with, in the words of the caller."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from encoders import Encoder
from relax.images import ImageSource, name_of, one_by_one, read_image
from similarity import check_reference, mean_embedding

Reference = ImageSource | Sequence[ImageSource] | None


def embed_reference(reference: ImageSource | Sequence[ImageSource], encoder: Encoder) -> Tensor:
    """(D,) embedding of another image, mean embedding of a list of images, or the vector that was given."""
    if isinstance(reference, Tensor) and reference.ndim == 1:
        return check_reference(reference)
    images = one_by_one(reference)
    if not images:
        raise ValueError("reference is an empty list; give at least one image")
    embeddings = [encoder(read_image(image, channels=encoder.channels))[0] for image in images]
    return embeddings[0] if len(embeddings) == 1 else mean_embedding(torch.stack(embeddings))


def reference_name(reference: Reference) -> str:
    """What to call a reference in provenance and captions."""
    if reference is None:
        return "itself"
    if isinstance(reference, Tensor) and reference.ndim == 1:
        return f"embedding ({len(reference)},)"
    names = [name_of(image) for image in one_by_one(reference)]
    return names[0] if len(names) == 1 else f"mean of {len(names)}: {', '.join(names)}"

"""What masked images are compared with, as the caller gives it: a reference, a corpus, a prompt, a foil.

"dog.png"                          another image
["dog1.png", "dog2.png"]           one reference: the mean of their embeddings
relax.Corpus("dogs")               many: the mean similarity to the images of a folder
"text:a photo of a dog"            a prompt, for encoders with a text tower
embedding                          (D,) a vector; relax.Corpus(embeddings) for (K, D)

Instead of all these, a direction of the embedding, see `relax.directions`, or one of its numbers, on which it is
projected.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders import Encoder
from encoders.folders import image_endings
from encoders.text import embed_text
from encoders.values import described
from relax.directions import Direction, read_direction, real_numbers
from relax.estimators.budget import Progress
from relax.io.choice import folder_name
from relax.io.images import ImageSource, is_picture, name_of, one_by_one, read_named
from relax.io.sources import names_several, sources_of
from relax.settings import Request
from relax.text import PROMPT
from similarity.measures import PROJECTION, measure_to
from similarity.references import Target, check_reference, mean_embedding, mean_similarity

NAMES_SHOWN = 3


class Corpus:
    """A set to compare with; the similarity to it is the mean similarity to its members (COCOA).

    A list of images as a reference differs: it is one vector, the mean of their embeddings.

    Args:
        members: A folder (its images, with those of its subfolders, and whatever else `relax.io.sources` reads), a
            list of images and "text:" prompts, or their embeddings (K, D) as a tensor or array.
        name: Its name in captions.

    Raises:
        ValueError: If there are no members, or the embeddings have another shape.
        OSError: If the folder cannot be read.
    """

    def __init__(self, members: str | Path | Sequence[ImageSource] | NDArray[Any] | Tensor, name: str | None = None):
        self.embeddings: Tensor | None = None
        self.images: list[ImageSource] = []
        source = ""
        if name is not None and not isinstance(name, str):
            raise ValueError(f"name of a Corpus must be a text; got {described(name)}")
        if isinstance(members, np.ndarray | Tensor):
            self.embeddings = real_numbers(members, "a Corpus")
            if self.embeddings.ndim != 2 or not self.embeddings.is_floating_point() or 0 in self.embeddings.shape:
                raise ValueError(
                    "a Corpus must be a folder, a list of images or embeddings (K, D) of floats with K at least 1; "
                    f"got {self.embeddings.dtype} {tuple(self.embeddings.shape)}"
                )
        elif isinstance(members, str | Path):
            self.images = [*image_files(members)]
            source = f" in {folder_name(members, self.images)}"
        else:
            if not isinstance(members, Sequence) or isinstance(members, bytes | bytearray | range):
                raise ValueError(
                    "a Corpus must be a folder, a list of images or embeddings (K, D) of floats; got "
                    f"{described(members)}"
                )
            self.images = list(members)
            if not self.images:
                raise ValueError("a Corpus must have at least one member; got an empty list")
            first = [_name(image) for image in self.images[:NAMES_SHOWN]]
            source = f": {', '.join(first)}{', ...' if len(self.images) > NAMES_SHOWN else ''}"
        kind = "embeddings" if self.embeddings is not None else "images"
        self.name = f"{name} (corpus of {len(self)})" if name else f"corpus of {len(self)} {kind}{source}"

    def __len__(self) -> int:
        return len(self.images) if self.embeddings is None else len(self.embeddings)

    def __iter__(self) -> Iterator[ImageSource]:
        """The images; none if the corpus was given as embeddings."""
        return iter(self.images)

    def __repr__(self) -> str:
        return f"Corpus({self.name!r})"

    def embedded(self, encoder: Encoder, progress: Progress | None = None) -> Corpus:
        """The same corpus with its images embedded, so that several questions embed them only once.

        Args:
            encoder: The encoder.
            progress: Called with (images done, images in total) after each.

        Raises:
            ImageError: If an image cannot be used.
        """
        if self.embeddings is not None:
            return self
        embeddings = []
        for image in self.images:
            embeddings.append(_embed(image, encoder))
            if progress is not None:
                progress(len(embeddings), len(self.images))
        corpus = Corpus(_stacked(embeddings, "a Corpus"))
        corpus.images, corpus.name = self.images, self.name
        return corpus


Reference: TypeAlias = ImageSource | Sequence[ImageSource] | Corpus | None


@dataclass(frozen=True)
class Question:
    """What masked embeddings are scored against; embedded once, for any number of images.

    Attributes:
        similarity: Name of the measure.
        reference: (D,), or (K, D) for a corpus; None is each image itself.
        foil: Likewise for the foil, whose similarity is subtracted; None subtracts nothing.
        names: Of reference and foil, for the provenance.
        dimension: Number of the embedding's dimension that is the score itself; None for all else.
        direction: That the reference is, where it is no embedding but a direction; None for all else.
    """

    similarity: str
    reference: Tensor | None
    foil: Tensor | None
    names: tuple[str, str]
    dimension: int | None = None
    direction: Direction | None = None

    @classmethod
    def of(
        cls,
        similarity: str,
        reference: Reference,
        foil: Reference,
        encoder: Encoder,
        arguments: tuple[str, str] = ("reference", "foil"),
    ) -> Question:
        """Embed reference and foil, which errors call by the names of these arguments.

        Raises:
            ImageError: If an image cannot be used.
            EncoderError: If there is a prompt and the encoder has no text tower.
            ValueError: If the measure is unknown, or reference or foil is not a vector, a corpus or images.
        """
        sources = dict(zip(arguments, (reference, foil), strict=True))
        embedded = [None if source is None else _vectors(source, encoder, name) for name, source in sources.items()]
        for name, vectors in zip(sources, embedded, strict=True):
            if vectors is not None:
                mean_similarity(similarity, vectors, name)  # raises on unusable vectors, before any mask is run
        return cls(similarity, embedded[0], embedded[1], (reference_name(reference), reference_name(foil)))

    @classmethod
    def asked(cls, request: Request, encoder: Encoder) -> Question:
        """That of a request: of its reference and foil, its direction or its dimension; errors as of `of`."""
        if request.dimension is not None:
            names = (f"dimension {request.dimension}", "itself")
            return cls(PROJECTION, None, None, names, dimension=request.dimension)
        if request.direction is not None:
            direction = read_direction(request.direction)
            return cls(PROJECTION, direction.vector, None, (direction.name, "itself"), direction=direction)
        return cls.of(request.similarity, request.reference, request.foil, encoder)

    @property
    def of_itself(self) -> bool:
        """Whether each image is compared with itself."""
        return self.reference is None and self.dimension is None

    @property
    def others(self) -> Tensor | None:
        """Embeddings (D,) or (K, D) of other pictures that images are compared with; None where there are none."""
        return self.reference if self.direction is None else None

    def target(self, device: torch.device, embed_image: Callable[[], Tensor]) -> Target:
        """The target on `device`; without a reference it is the image itself, whose (D,) `embed_image` returns."""
        reference = self.compared_with(embed_image).to(device)
        return Target(self.similarity, reference, None if self.foil is None else self.foil.to(device))

    def compared_with(self, embed_image: Callable[[], Tensor]) -> Tensor:
        """(D,), or (K, D) for a corpus: the reference, without one the image itself, whose (D,) `embed_image` returns.

        Raises:
            ValueError: If embeddings have no such dimension, or another length than the direction.
        """
        if self.dimension is not None:
            return _axis(self.dimension, embed_image())
        if self.reference is None:
            return embed_image()
        if self.direction is not None and (width := len(embed_image())) != len(self.reference):
            raise ValueError(
                f"{self.direction.name} must have one number for each of the {width} of an embedding; got "
                f"{len(self.reference)}"
            )
        return self.reference

    @property
    def scalar(self) -> str:
        """What is scored, in words, such as "cosine to the image itself"."""
        to = ["the image itself" if name == "itself" else name for name in self.names]
        return f"{measure_to(self.similarity)} {to[0]}" + ("" if self.foil is None else f" minus that to {to[1]}")

    def record(self) -> dict[str, Any]:
        """The question for the provenance, as JSON types."""
        record: dict[str, Any] = {"similarity": self.similarity, "reference": self.names[0]}
        if self.foil is not None:
            record |= {"foil": self.names[1], "map": f"mean {self.similarity} minus that to the foil"}
        if self.dimension is not None:
            record["dimension"] = self.dimension
        if self.direction is not None:
            record["direction"] = self.direction.record()
        return record


def _axis(dimension: int, like: Tensor) -> Tensor:
    """The unit vector (D,) of a dimension of embeddings like this one."""
    if dimension >= len(like):
        raise ValueError(f"dimension must be from 0 to {len(like) - 1}, as embeddings here are; got {dimension}")
    axis = torch.zeros(len(like), dtype=torch.float64, device=like.device)
    axis[dimension] = 1
    return axis


def embed_reference(reference: Reference, encoder: Encoder, argument: str = "reference") -> Tensor:
    """(D,) embedding of another image or prompt, mean embedding of a list of them, or the vector itself.

    Raises:
        ValueError: If it is no picture, list or vector, holds no image, or is a corpus, which is not a single vector;
            the message begins with the argument.
    """
    if reference is None or isinstance(reference, Corpus):
        raise ValueError(f'{argument} must be an image, a list or an embedding (D,); a Corpus is for method "relax"')
    if _is_vector(reference):
        return check_reference(real_numbers(reference, argument), argument)
    images = one_by_one(reference)
    if not images:
        raise ValueError(f"{argument} is an empty list; give at least one image")
    if unknown := [image for image in images if not is_picture(image)]:
        raise ValueError(
            f"{argument} must be an image, a list of images, an embedding (D,), a prompt or a Corpus; got "
            f"{described(unknown[0])}{' in a list' if isinstance(reference, list | tuple) else ''}"
        )
    embeddings = [_embed(image, encoder, argument) for image in images]
    return embeddings[0] if len(embeddings) == 1 else mean_embedding(_stacked(embeddings, argument))


def reference_name(reference: Reference) -> str:
    """The name of a reference in provenance and captions."""
    if reference is None:
        return "itself"
    if isinstance(reference, Corpus):
        return reference.name
    if _is_vector(reference):
        return f"embedding ({len(reference)},)"
    names = [_name(image) for image in one_by_one(reference)]
    return names[0] if len(names) == 1 else f"mean of {len(names)}: {', '.join(names)}"


def image_files(folder: str | Path) -> list[Path]:
    """The pictures in a folder and those below it, or of whatever else names several, see `relax.io.sources`.

    Raises:
        OSError: If the folder cannot be read.
        ValueError: If it holds no image file, or the choice in it is malformed.

    Warns:
        UserWarning: If other files are passed over.
    """
    if not names_several(folder):
        try:
            os.scandir(folder).close()
        except (OSError, ValueError) as error:  # of a null byte in the name
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OSError(f"{folder} cannot be read as a folder of images: {reason}") from None
    sources = sources_of(folder)
    sources.warn()
    if not sources.pictures:
        endings = ", ".join(image_endings())
        raise ValueError(f"{folder} holds no image: give a folder with files that end in {endings}, or with DICOM")
    return [Path(address) for address in sources.pictures]


def _vectors(reference: ImageSource | Sequence[ImageSource] | Corpus, encoder: Encoder, argument: str) -> Tensor:
    """(D,), or (K, D) for a corpus."""
    if isinstance(reference, Corpus):
        embeddings = reference.embedded(encoder).embeddings
        assert embeddings is not None  # noqa: S101  # `embedded` sets them
        return embeddings
    return embed_reference(reference, encoder, argument)


def _is_vector(reference: object) -> TypeGuard[Tensor | NDArray[Any]]:
    return isinstance(reference, np.ndarray | Tensor) and reference.ndim == 1


def _stacked(embeddings: Sequence[Tensor], argument: str) -> Tensor:
    lengths = sorted({len(embedding) for embedding in embeddings})
    if len(lengths) > 1:
        raise ValueError(
            f"{argument} must have embeddings of one length; the encoder gave {lengths[0]} and {lengths[-1]} numbers: "
            "give pictures with as many channels each"
        )
    return torch.stack([*embeddings])


def _name(image: ImageSource) -> str:
    return image if isinstance(image, str) and image.startswith(PROMPT) else name_of(image)


def _embed(image: ImageSource, encoder: Encoder, argument: str = "a Corpus") -> Tensor:
    if isinstance(image, str) and image.startswith(PROMPT):
        return embed_text(encoder, [image.removeprefix(PROMPT)])[0]
    return encoder(read_named(image, argument, channels=encoder.channels))[0]

"""A text, an encoder and what its embedding is compared with: a question that several methods can answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.encoder import Encoder
from encoders.values import described, is_whole, plain
from encoders.words.encoder import TextEncoder
from masking.checks import check_keep, check_seed
from relax.estimators.budget import Progress
from relax.io.images import ImageSource
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.references import embed_reference, reference_name
from relax.text import one_of, shortened
from relax.words.explanation import TextExplanation
from relax.words.game import Game, Values
from relax.words.hiding import HiddenText, fill_of
from relax.words.parts import Parts, parts_of
from relax.words.tables import KEEP, MASKS, METHODS, MOST_CHARACTERS
from similarity.measures import measure_named
from similarity.references import Target, mean_embedding, mean_similarity

TextSource: TypeAlias = "str | nn.Module | Callable[[Sequence[str]], Any] | Encoder | TextEncoder"
TextReference: TypeAlias = "str | Sequence[str] | NDArray[Any] | Tensor | None"

LEAST_MASKS, MOST_MASKS = 64, 2**20


@dataclass(frozen=True)
class TextQuestion:
    """A text, an encoder and what its embedding is compared with; several methods may answer it.

    Attributes:
        encoder: The encoder.
        parts: The text, taken apart.
        hidden: The text with parts hidden.
        target: From embeddings to similarities.
        scalar: What is explained, in words.
        names: Of reference and foil.
    """

    encoder: TextEncoder
    parts: Parts
    hidden: HiddenText
    target: Target
    scalar: str
    names: tuple[str, str | None]

    @classmethod
    def of(
        cls,
        text: str,
        encoder: TextEncoder,
        *,
        reference: TextReference = None,
        foil: TextReference = None,
        image: ImageSource | None = None,
        similarity: str = "cosine",
        by: str = "words",
        fill: str = "auto",
        cut: bool = False,
    ) -> TextQuestion:
        """The arguments as for `explain_text`, which raises what this does."""
        measure_named(similarity)
        parts = parts_of(encoder, checked_text(text), by, cut=cut)
        hidden = HiddenText(encoder, parts, fill_of(encoder, fill))
        own = hidden.embeddings(torch.ones(1, len(parts)))[0]
        if image is not None:
            if reference is not None:
                raise ValueError("image and reference are two things to compare with: give one of them")
            closest, name = _picture(encoder, image), reference_name(image)
        else:
            closest = own if reference is None else _vector(encoder, reference, "reference")
            name = "itself" if reference is None else _name(reference)
        other = None if foil is None else _vector(encoder, foil, "foil")
        for argument, vector in (("reference", closest), ("foil", other)):
            if vector is not None and len(vector) != len(own):
                raise ValueError(f"{argument} must have the {len(own)} numbers of the text's; got {len(vector)}")
            if vector is not None:
                mean_similarity(similarity, vector, argument)
        target = Target(similarity, closest, other)
        scalar = f"{similarity} to {'the whole text' if name == 'itself' else name}"
        foil_name = None if foil is None else _name(foil)
        return cls(
            encoder,
            parts,
            hidden,
            target,
            scalar if foil is None else f"{scalar} minus that to {foil_name}",
            (name, foil_name),
        )

    def score(self, masks: Tensor) -> Tensor:
        """(N,) float64 similarities under masks (N, P) of the parts that the encoder reads."""
        read = torch.from_numpy(self.parts.read)
        full = torch.ones(len(masks), len(self.parts))
        full[:, read] = masks
        return self.target(self.hidden.embeddings(full)).cpu()

    def answered(
        self,
        method: str = "relax",
        *,
        masks: int = MASKS,
        keep: float = KEEP,
        seed: int = 0,
        progress: Progress | Silent | None = None,
    ) -> TextExplanation:
        """What a method says; the arguments as for `explain_text`."""
        start = time.perf_counter()
        masks = plain(masks)
        if not is_whole(masks, LEAST_MASKS) or masks > MOST_MASKS:
            raise ValueError(f"masks must be from {LEAST_MASKS} to {MOST_MASKS:,} subsets; got {described(masks)}")
        check_keep(keep)
        check_seed(seed)
        row = METHODS[one_of("method", method, METHODS)]
        count = int(self.parts.read.sum())
        with shown(progress, "subsets") as report:
            game = Game(self.score, count, masks, keep, seed, report)
            game.total = count + 1 if method == "leave_one_out" else min(masks, 2**count) if count < 40 else masks
            module, _, name = row.function.partition(":")
            values: Values = getattr(import_module(f"relax.words.{module}"), name)(game)
        ends = self.score(torch.stack([torch.ones(count), torch.zeros(count)]))
        return TextExplanation(
            self.parts.text,
            self.parts.words,
            np.array(self.parts.spans, dtype=np.int64),
            self._of_all(values.importance),
            self._of_all(values.uncertainty),
            self._of_all(values.standard_error),
            baseline=values.baseline,
            score=float(ends[0]),
            hidden=float(ends[1]),
            provenance=self._record(method, values, game, time.perf_counter() - start),
        )

    def _of_all(self, values: Tensor | None) -> NDArray[np.float64]:
        """(P,) with NaN where the encoder reads nothing, or the method has no such number."""
        result = np.full(len(self.parts), np.nan)
        if values is not None:
            result[self.parts.read] = values.double().cpu().numpy()
        return result

    def _record(self, method: str, values: Values, game: Game, seconds: float) -> dict[str, Any]:
        tokens = self.parts.tokens
        return {
            "method": method,
            "what": METHODS[method].what,
            "encoder": self.encoder.record(),
            "similarity": self.target.similarity,
            "scalar": self.scalar,
            "reference": self.names[0],
            **({} if self.names[1] is None else {"foil": self.names[1]}),
            "by": self.parts.by,
            "parts": len(self.parts),
            **({} if tokens is None else {"tokens": {"read": len(tokens), "of": tokens.whole}}),
            "fill": self.hidden.fill,
            "masks": game.masks,
            "keep": game.keep,
            "seed": game.seed,
            **values.settings,
            "cost": {"passes": game.done},
            **surroundings(self.encoder.device, seconds),
        }


def checked_text(text: object, argument: str = "text") -> str:
    """The text itself; ValueError if it is none, empty, too long, or has halves of characters."""
    if not isinstance(text, str):
        raise ValueError(f"{argument} must be a text; got {described(text)}")
    if not text.strip():
        raise ValueError(f"{argument} must have words; got {'an empty one' if not text else 'white space alone'}")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{argument} must have at most {MOST_CHARACTERS:,} characters; got {len(text):,}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{argument} has half of a character at {error.start} (a lone surrogate), which no encoder reads: decode "
            "its bytes as UTF-8"
        ) from None
    return text


def _vector(encoder: TextEncoder, reference: TextReference, argument: str) -> Tensor:
    """(D,) of a text, of several, or given."""
    if isinstance(reference, np.ndarray | Tensor):
        vector = torch.as_tensor(reference)
        if vector.ndim != 1 or not vector.is_floating_point():
            raise ValueError(f"{argument} must be a text, texts or a vector of floats; got {described(reference)}")
        return vector.float().to(encoder.device)
    texts = [reference] if isinstance(reference, str) else list(reference or ())
    if not texts:
        raise ValueError(f"{argument} is an empty list: give at least one text")
    rows = encoder([checked_text(text, argument) for text in texts])
    return rows[0] if len(rows) == 1 else mean_embedding(rows)


def _picture(encoder: TextEncoder, image: ImageSource) -> Tensor:
    if encoder.pictures is None:
        raise ValueError(
            f"image needs an encoder of two towers, such as open_clip:MODEL:TAG, and {encoder.name!r} reads no pictures"
        )
    return embed_reference(image, encoder.pictures, "image")


def _name(reference: TextReference) -> str:
    if isinstance(reference, str):
        return f"“{shortened(reference, 60)}”"
    if isinstance(reference, np.ndarray | Tensor):
        return f"a vector ({len(reference)},)"
    texts = list(reference or ())
    return f"“{shortened(texts[0], 60)}”" if len(texts) == 1 else f"the mean of {len(texts)} texts"

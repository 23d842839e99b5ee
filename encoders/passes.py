"""Masked views of one image through an encoder, as fast as its precision allows, and a record of how.

exact   float32: the encoder's own numbers
auto    half precision, where it is faster here and the first masked views show that it agrees
fast    half precision, where it is faster here, whatever the agreement, which goes into the record

A map is made of small differences between the scores of masked views, so agreement of the embeddings is not enough:
what counts is the correlation of the scores. It is measured on the first 32 views, per image and for the question at
hand; encoders whose scores lie in a narrow band fail it, though their embeddings agree to 0.9998. The image itself and
references are always embedded exactly. Several devices take equal parts of every batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from encoders.encoder import Encoder
from encoders.errors import EncoderError, one_line
from encoders.fast import Run

AGREEMENT = 0.9995  # least of "auto": maps were up to twice as far from 1 as scores, and shall have 0.999
TRIAL = 32  # views that are embedded both ways
TIMED = 8  # views that tell which form is faster on a processor
WORTH = 4 * TRIAL  # with fewer passes the trial costs what it gains
COMPILE_SECONDS = 60.0  # what compiling takes, on two cores
COMPILE_GAIN = 0.15  # share of the time that it saves, as measured in experiments/benchmarks/precision.py


Score = Callable[[Tensor], Tensor]


class Passes:
    """How the masked views of one image are embedded: exactly, unless `settle` chose half precision."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.rounded = False
        self.agreement: float | None = None
        self._notes: list[str] = []

    def prepare(self, view: Tensor) -> Tensor:
        """As `Encoder.prepare`, in the memory format of the fast form, which blending keeps."""
        form, prepared = self.encoder.form, self.encoder.prepare(view)
        return prepared if form is None else prepared.contiguous(memory_format=form.layout)

    def embed(self, prepared: Tensor) -> Tensor:
        """Masked views (B, C, h, w), blended from prepared ones, to (B, D) as `Encoder.embed`."""
        if not self.rounded:
            return self._shared(prepared)
        try:
            return self._shared(prepared, rounded=True)
        except EncoderError:  # beyond the range of half precision; a bad view fails again, exactly
            self._note("batches beyond half precision done exactly")
            return self._shared(prepared)

    def _shared(self, prepared: Tensor, *, rounded: bool = False) -> Tensor:
        """Embed a batch on all devices; a GPU is given its work and not waited for."""
        started = [(encoder, encoder.started(part, rounded=rounded)) for encoder, part in self._shares(prepared)]
        parts = [encoder.checked(embedding) for encoder, embedding in started]
        return torch.cat([part.to(self.encoder.device) for part in parts]) if len(parts) > 1 else parts[0]

    def _shares(self, prepared: Tensor) -> list[tuple[Encoder, Tensor]]:
        """Each device's encoder with its part of the views; with fewer views than devices, fewer encoders."""
        encoders = (self.encoder, *self.encoder.others)
        return list(zip(encoders, prepared.chunk(len(encoders)), strict=False))

    def wants_trial(self, coming: int) -> bool:
        """Whether the precision allows anything but exact passes, and `coming` passes are worth a trial."""
        return self.encoder.precision == "fast" or (self.encoder.precision == "auto" and coming >= WORTH)

    def settle(self, views: Tensor, score: Score, coming: int, batch: int) -> None:
        """Choose the form for `coming` passes, where `wants_trial` says that there is a choice.

        Args:
            views: (TRIAL, C, h, w), the first masked views, prepared.
            score: Embeddings (N, D) to the scores (N,) that the map is made of.
            coming: Passes to expect.
            batch: Images in one forward pass.
        """
        form = self.encoder.form
        if form is None or form.half is None:
            self._note("no half precision here")
            return
        try:
            gain = self.gain(views[: min(batch, TIMED)])
            if gain <= 1:
                self._note(f"not rounded: {gain:.2f} x as fast")
                return
            exact, rounded = (torch.cat([run(part) for part in views.split(batch)]) for run in self._both)
        except EncoderError as error:
            self._note(f"not rounded: {one_line(error)}")
            return
        self.agreement = agreement(score(rounded), score(exact))
        if self.encoder.precision == "auto" and not self.agreement >= AGREEMENT:
            self._note(f"not rounded: agreement below {AGREEMENT}")
            return
        self.rounded = True
        if self._repays(views[:batch], coming):
            self._compile(views, batch)

    def record(self) -> dict[str, Any]:
        """The precision chosen, what was done, dtype and agreement, as JSON types."""
        form = self.encoder.form
        applied = list(form.applied) if form is not None else []
        if form is not None and self.rounded:
            applied += ["autocast", *(["compiled"] if form.compiled else [])]
        half = str(form.half).removeprefix("torch.") if form is not None and self.rounded else "float32"
        return {
            "asked": self.encoder.precision,
            "applied": [*applied, *self._notes],
            "dtype": half,
            "agreement": None if self.agreement is None else round(self.agreement, 6),
            **({"devices": [str(device) for device in self.encoder.devices]} if self.encoder.others else {}),
        }

    def gain(self, views: Tensor) -> float:
        """How many times faster half precision is than exact, for a batch of this shape; measured once per encoder.

        On a GPU it is taken to be faster, since so few images do not fill it. Some processors have the instructions and
        are slower with them.
        """
        if self.encoder.device.type != "cpu":
            return math.inf
        gains = self.encoder.forms.gains
        if views.shape not in gains:
            exact, rounded = (min(_seconds(run, views) for _ in range(3)) for run in self._both)  # the first warms up
            gains[views.shape] = exact / rounded
        return gains[views.shape]

    @property
    def _both(self) -> tuple[Run, Run]:
        """Prepared views to embeddings, exactly and rounded, on the first device."""
        checked, started = self.encoder.checked, self.encoder.started
        return lambda views: checked(started(views)), lambda views: checked(started(views, rounded=True))

    def _repays(self, views: Tensor, coming: int) -> bool:
        """Whether compiling saves more time than it takes, over all passes expected of this encoder so far."""
        self.encoder.forms.passes_expected += coming
        each = _seconds(self._both[1], views) / len(views)
        return self.encoder.forms.passes_expected * each * COMPILE_GAIN > COMPILE_SECONDS

    def _compile(self, views: Tensor, batch: int) -> None:
        whole = views.repeat(-(-batch // len(views)), *[1] * (views.ndim - 1))[:batch]
        try:
            for encoder, part in self._shares(whole):
                encoder.compile(part)
        except Exception as error:  # compilers raise errors of every type, and compiling is optional
            self._note(f"not compiled: {one_line(error)}")

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)


def _seconds(run: Callable[[Tensor], Tensor], views: Tensor) -> float:
    start = time.perf_counter()
    run(views).sum().item()  # waits for a GPU too
    return time.perf_counter() - start


def agreement(scores: Tensor, expected: Tensor) -> float:
    """Correlation of two sets of scores (N,); 0 where a set is constant, as when rounding leaves nothing."""
    centred, expected = (values.double() - values.double().mean() for values in (scores, expected))
    scale = float(centred.norm() * expected.norm())
    return float(centred @ expected) / scale if scale > 0 else 0.0

"""Masked views of one image through an encoder, as fast as its precision allows, and a record of how.

exact   float32: the encoder's own numbers
auto    the fastest way to run it here, half precision or OpenVINO, by which the first masked views agree
fast    the fastest way, whatever the agreement, which goes into the record

A map is made of small differences between the scores of masked views, so agreement of the embeddings is not enough:
what counts is the correlation of the scores. It is measured on the first 32 views, per image and for the question at
hand; encoders whose scores lie in a narrow band fail it, though their embeddings agree to 0.9998. The image itself and
references are always embedded exactly. Several devices take equal parts of every batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from encoders import converted
from encoders.encoder import Encoder
from encoders.errors import EncoderError, one_line
from encoders.fast import Way

AGREEMENT = 0.9995  # least of "auto": maps were up to twice as far from 1 as scores, and shall have 0.999
TRIAL = 32  # views that are embedded both ways
TIMED = 8  # views that tell which way is faster on a processor
WORTH = 4 * TRIAL  # with fewer passes the trial costs what it gains
COMPILE_SECONDS = 60.0  # what compiling takes, on two cores
COMPILE_GAIN = 0.15  # share of the time that it saves, as measured in experiments/benchmarks/precision.py
CONVERT_SECONDS = 3.0  # what bringing a network into OpenVINO takes, on one core
CONVERT_GAIN = 0.5  # share of the time that it saves, as measured in experiments/benchmarks/precision.py


Score = Callable[[Tensor], Tensor]


class Passes:
    """How the masked views of one image are embedded: exactly, unless `settle` chose another way."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.way = Way.EXACT
        self.agreement: float | None = None
        self._notes: list[str] = []

    def prepare(self, view: Tensor) -> Tensor:
        """As `Encoder.prepare`, in the memory format of the fast form, which blending keeps."""
        form, prepared = self.encoder.form, self.encoder.prepare(view)
        return prepared if form is None else prepared.contiguous(memory_format=form.layout)

    def embed(self, prepared: Tensor) -> Tensor:
        """Masked views (B, C, h, w), blended from prepared ones, to (B, D) as `Encoder.embed`."""
        if self.way == Way.EXACT:
            return self._shared(prepared, Way.EXACT)
        try:
            return self._shared(prepared, self.way)
        except EncoderError:  # beyond the range of half precision; a bad view fails again, exactly
            self._note("batches beyond half precision done exactly")
            return self._shared(prepared, Way.EXACT)

    def _shared(self, prepared: Tensor, way: Way) -> Tensor:
        """Embed a batch on all devices; a GPU is given its work and not waited for."""
        started = [(encoder, encoder.started(part, way)) for encoder, part in self._shares(prepared)]
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
        self.encoder.forms.passes_expected += coming
        timed = views[: min(batch, TIMED)]
        try:
            self._convert(timed)
            ways = form.ways if form is not None else []
            if form is None or not ways:
                self._note("no half precision here")
                return
            faster = self._faster(timed, ways)
            if faster:
                self._choose(faster, views, score, batch)
        except EncoderError as error:
            self._note(f"not rounded: {one_line(error)}")
            return
        if self.way == Way.HALF and self._repays(self._seconds(timed, Way.HALF), COMPILE_GAIN, COMPILE_SECONDS, timed):
            self._compile(views[:batch], batch)

    def _choose(self, faster: list[Way], views: Tensor, score: Score, batch: int) -> None:
        """Take the first way that agrees, or the first at all, and note its agreement; else that of the first."""
        expected = score(self._embedded(views, Way.EXACT, batch))
        for way in faster:
            agreed = agreement(score(self._embedded(views, way, batch)), expected)
            if self.encoder.precision == "fast" or agreed >= AGREEMENT:
                self.way, self.agreement = way, agreed
                return
            self.agreement = agreed if self.agreement is None else self.agreement
            self._note(f"{'not rounded' if way == Way.HALF else f'not in {way}'}: agreement below {AGREEMENT}")

    def record(self) -> dict[str, Any]:
        """The precision chosen, what was done, dtype and agreement, as JSON types."""
        form = self.encoder.form
        applied = list(form.applied) if form is not None else []
        if form is not None and self.way != Way.EXACT:
            applied += [str(self.way), *(["compiled"] if form.compiled and self.way == Way.HALF else [])]
        half = str(form.half).removeprefix("torch.") if form is not None and self.way.rounds else "float32"
        return {
            "asked": self.encoder.precision,
            "applied": [*applied, *self._notes],
            "dtype": half,
            "agreement": None if self.agreement is None else round(self.agreement, 6),
            **({"devices": [str(device) for device in self.encoder.devices]} if self.encoder.others else {}),
        }

    def _faster(self, views: Tensor, ways: list[Way]) -> list[Way]:
        """Those that are faster than the exact way, the fastest first.

        On a GPU half precision is taken to be faster, since so few images do not fill it. Some processors have the
        instructions and are slower with them.
        """
        if self.encoder.device.type != "cpu":
            return ways
        exact = self._seconds(views, Way.EXACT)
        gains = {way: exact / self._seconds(views, way) for way in ways}
        if all(gain <= 1 for gain in gains.values()):
            self._note(f"not rounded: {max(gains.values()):.2f} x as fast")
        return sorted((way for way in ways if gains[way] > 1), key=lambda way: -gains[way])

    def _seconds(self, views: Tensor, way: Way) -> float:
        """What a batch of this shape takes, measured once per encoder."""
        known = self.encoder.forms.seconds
        if (views.shape, way) not in known:
            run = partial(self._embedded, way=way)
            known[views.shape, way] = min(_seconds(run, views) for _ in range(3))  # the first warms up
        return known[views.shape, way]

    def _embedded(self, views: Tensor, way: Way, batch: int | None = None) -> Tensor:
        """Prepared views to embeddings on the first device, in batches."""
        encoder = self.encoder
        return torch.cat([encoder.checked(encoder.started(part, way)) for part in views.split(batch or len(views))])

    def _repays(self, seconds: float, gain: float, cost: float, views: Tensor) -> bool:
        """Whether saving a share of the time that these views take costs less than it saves.

        It is saved on all passes expected of this encoder so far.
        """
        return self.encoder.forms.passes_expected * seconds / len(views) * gain > cost

    def _convert(self, views: Tensor) -> None:
        """Bring the network into OpenVINO on every device, where that is installed and repays."""
        form = self.encoder.form
        if form is None or self.encoder.device.type != "cpu" or len(views) < 2 or not converted.available():
            return
        if not self._repays(self._seconds(views, Way.EXACT), CONVERT_GAIN, CONVERT_SECONDS, views):
            return
        for encoder in (self.encoder, *self.encoder.others):
            encoder.convert(views)
        if form.failure is not None:
            self._note(f"not in OpenVINO: {one_line(form.failure)}")

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

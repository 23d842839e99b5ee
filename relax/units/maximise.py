"""Make a picture that a unit, a direction, a class or an embedding answers to most: input maximisation.

result = relax.maximise("default", layer="layer4", unit=[3, 17], real="photos")
result.plot()
result.how["real"], result.how["natural"]       what real pictures reach, and how like them the made ones are

Such a picture shows what a unit answers to, not what it is for; in most forms it is like no picture that the encoder
was trained on, which is why the result says how natural it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch

from encoders import Encoder, Head
from encoders.identity import recipe
from masking.checks import check_seed
from relax.archive.archive import Archive
from relax.estimators.budget import Progress
from relax.io.images import ImageSource
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.scene import EncoderSource, load_encoder
from relax.text import number, one_of
from relax.units.ascent import Climb, SilentError, climb
from relax.units.asked import Asked, Direction, Where, features_of
from relax.units.canvas import Canvas, Pixels, canvas_of
from relax.units.colours import as_colour
from relax.units.forms import FORMS, Wobble
from relax.units.pictures import UnitPictures, UnitsInterrupted
from relax.units.real import Real, real_pictures
from relax.units.request import asked_of, check_gradients, positive, size_of, statistics_of, steps_of
from relax.units.statistics import Statistics
from relax.units.waking import woken

STEPS = 256
STARTS = 8  # from which one is taken at which the unit is not silent


def maximise(
    encoder: EncoderSource = "default",
    *,
    layer: str | None = None,
    unit: int | Sequence[int] | None = None,
    direction: Direction | None = None,
    embedding_of: ImageSource | None = None,
    head: Head | str | Path | None = None,
    target: str | int | None = None,
    where: Where = "mean",
    form: str = "maco",
    steps: int = STEPS,
    rate: float | None = None,
    penalty: float | None = None,
    wobble: Wobble | None = None,
    spectrum: str | Path | Statistics | None = None,
    size: int | tuple[int, int] | None = None,
    real: str | Path | Archive | None = None,
    judge: EncoderSource | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | Silent | None = None,
) -> UnitPictures:
    """Make the picture that an encoder answers to most, by gradient ascent. Say one of four things to be answered to.

    Args:
        encoder: A spec, an `Encoder` or a module; it must have gradients.
        layer: Name of the layer, as `relax layers` lists them; None is the embedding.
        unit: Number of a channel of the layer, or of a dimension; a list makes a picture for each.
        direction: (D,) weights of the units, or a file of them (`relax.directions`): the projection onto it, at length
            1, is climbed.
        embedding_of: A picture, as for `relax.read_image`: the cosine to its embedding is climbed (inversion).
        head: With `target`, a head or its path: the logit of the class is climbed.
        target: The class, a name or number.
        where: Of a layer with places: "mean" over them, "max", the largest, or a cell (row, column).
        form: "maco", "fourier" or "pixels", see `relax.units.forms`.
        steps: Of the ascent.
        rate: Of Adam; None is that of the form.
        penalty: Of "pixels": what is climbed is the value minus the penalty times the sum of squares of the difference
            from the encoder's mean colour (grey where it has none). None: so large that a unit that is linear ends with
            the contrast of natural pictures.
        wobble: How each look at the picture differs from it; None is that of the form.
        spectrum: A folder of pictures whose colours and spectrum are taken, for pictures of another kind than
            photographs, or `Statistics`; None are those of Caltech 101, which the package carries.
        size: Pixels of a side, or (h, w), for encoders that take any size; by default 224.
        real: Real pictures to compare with, an archive or a folder: what values they reach, and how natural the made
            pictures are among them. At most 512 are run through the encoder, evenly spaced.
        judge: The encoder that tells how natural a picture is; by default that of the archive, or the one that is
            asked, which may have been fooled.
        seed: The only source of randomness: same seed, same pictures on the same machine.
        device: Where an encoder that is given by its spec runs.
        progress: Called with (done, in total), in steps, before which each real picture counts as one; otherwise as for
            `relax.explain`.

    Returns:
        One picture per unit, of the encoder's size, with its value and the path to it. Values are those of the picture
        as it is shown, without wobble; those of the path are means of its looks. `how["real"]` has the values of the
        real pictures, `how["natural"]` how natural each made one is.

    Raises:
        EncoderError: If the encoder has no gradients, or no such layer or class.
        ValueError: If nothing or several things are asked for, a unit is out of range, an option is impossible, or
            the unit is silent wherever the ascent begins.
        ImageError: If the picture to invert cannot be used.
        relax.UnitsInterrupted: On Ctrl-C, with the pictures so far.
    """
    begun = monotonic()
    one_of("form", form, FORMS)
    check_seed(seed)
    steps, penalty = steps_of(steps), positive("penalty", penalty, zero=True)
    rate = positive("rate", rate) or FORMS[form].rate
    loaded = load_encoder(encoder, device)
    check_gradients(loaded)
    sides, used = size_of(loaded, size), wobble or FORMS[form].wobble
    asked = asked_of(
        loaded,
        sides,
        layer,
        where,
        {"unit": unit, "direction": direction, "embedding_of": embedding_of, "target": target},
        head,
    )
    statistics = statistics_of(spectrum, loaded.channels or 3, sides) if FORMS[form].natural else None
    with shown(progress, "steps") as report:
        stages = Stages(report, len(asked) * steps)
        compared = None if real is None else real_pictures(real, loaded, asked, judge, stages.pictures)
        climbs: list[tuple[Canvas, Climb]] = []
        for place, each in enumerate(asked):
            step_done = partial(stages.step, place * steps)
            run = {"steps": steps, "rate": rate, "wobble": used, "penalty": penalty, "step_done": step_done}
            climbs.append(_climbed(loaded, each, form, sides, statistics, seed, place, run))
            if climbs[-1][1].stopped:
                break
    how = {
        "kind": "maximised",
        "encoder": recipe(loaded),
        "asked": asked[0].name if len(asked) == 1 else f"{len(asked)} units",
        "questions": [each.record() for each in asked],
        "value": asked[0].value,
        "form": form,
        "steps": steps,
        "rate": rate,
        "wobble": used.record(),
        "seed": seed,
        "statistics": None if statistics is None else {"of": statistics.name, "pictures": statistics.count},
        **surroundings(loaded.device, monotonic() - begun),
    }
    result = _result(loaded, asked[: len(climbs)], climbs, compared, how, len(asked))
    if climbs[-1][1].stopped:
        raise UnitsInterrupted(result)
    return result


class Stages:
    """What is reported: the real pictures that are done, and then, on top of them, the steps."""

    def __init__(self, report: Progress | None, steps: int) -> None:
        self.report, self.steps, self.before = report, steps, 0

    def pictures(self, done: int, total: int) -> None:
        """So many of the real pictures are done."""
        self.before = total
        if self.report is not None:
            self.report(done, total + self.steps)

    def step(self, earlier: int, done: int) -> None:
        """So many steps are done, after those for earlier pictures."""
        if self.report is not None:
            self.report(self.before + earlier + done, self.before + self.steps)


def _climbed(
    encoder: Encoder,
    asked: Asked,
    form: str,
    size: tuple[int, int],
    statistics: Statistics | None,
    seed: int,
    place: int,
    run: dict[str, Any],
) -> tuple[Canvas, Climb]:
    """A picture at the top of its climb, from the first start, each louder, at which the unit is not silent.

    If it is silent at all of them, it is woken from the last.
    """
    colour = torch.tensor(encoder.mean or (0.5,) * (encoder.channels or 3))

    def value(looks: torch.Tensor) -> torch.Tensor:
        return asked.of(features_of(encoder, asked.layer, looks, gradients=True))

    with torch.inference_mode(False), torch.enable_grad():
        for start in range(STARTS):
            generator = torch.Generator().manual_seed((seed * 1_000_003 + place * STARTS + start) % 2**63)
            canvas = canvas_of(form, colour, statistics, size, generator, encoder.device, louder=2.0**start)
            try:
                return canvas, climb(canvas, value, generator=generator, **run)
            except SilentError as error:
                reason = str(error)
        steps = woken(encoder.network, canvas, value, rate=run["rate"], wobble=run["wobble"], generator=generator)
        if steps is not None:
            with suppress(SilentError):
                climbed = climb(canvas, value, generator=generator, **run)
                climbed.woken = steps
                return canvas, climbed
    raise ValueError(f"unit must answer to something to begin with; {asked.name}: {reason}, at {STARTS} starts")


def _result(
    encoder: Encoder,
    asked: Sequence[Asked],
    climbs: Sequence[tuple[Canvas, Climb]],
    compared: Real | None,
    how: dict[str, Any],
    total: int,
) -> UnitPictures:
    """The pictures as they are shown, with their values and what real ones reach."""
    shown_pictures = [canvas.shown() for canvas, _ in climbs]
    with torch.no_grad():
        reached = [
            float(each.of(features_of(encoder, each.layer, picture)))
            for each, picture in zip(asked, shown_pictures, strict=True)
        ]
    path = np.full((len(climbs), how["steps"]), np.nan)
    for row, (_, climbed) in enumerate(climbs):
        path[row, : len(climbed.path)] = climbed.path
    said = [f"{how['form']}: {FORMS[how['form']].what}", f"{how['steps']} steps, seed {how['seed']}", how["value"]]
    last = climbs[-1][1]
    if last.stopped:
        done = (len(climbs) - 1) * how["steps"] + len(last.path)
        how["stopped_early"] = {"after": done, "of": total * how["steps"], "what": "steps"}
        said.append(f"the last one stopped after {len(last.path)} steps")
    if isinstance(climbs[0][0], Pixels):
        how["penalty"] = [climbed.penalty for _, climbed in climbs]
        how["cut"] = [float(((picture <= 0) | (picture >= 1)).float().mean()) for picture in shown_pictures]
    names = [""] * len(climbs)
    if compared is not None:
        values = compared.values[: len(climbs)]
        how["real"] = {**compared.record(), "values": [_spread(row) for row in values]}
        how["natural"] = [compared.natural(picture) for picture in shown_pictures]
        said.append(f"real: {values.shape[1]} pictures of {compared.name}; natural: judged by {compared.judge.name}")
        names = [
            f"real at most {number(spread['largest'], 0.1 * abs(spread['largest']) or 1)}; "
            f"more natural than {natural['percentile']:.0f} % of them"
            for spread, natural in zip(how["real"]["values"], how["natural"], strict=True)
        ]
    if any(climbed.woken for _, climbed in climbs):
        how["woken"] = [climbed.woken for _, climbed in climbs]
    how["said"] = said
    pictures = torch.cat([as_colour(picture) for picture in shown_pictures]).cpu().numpy()
    units = tuple(each.name for each in asked)
    return UnitPictures(pictures, np.array(reached), units, tuple(names), how, path=path)


def _spread(values: torch.Tensor) -> dict[str, float]:
    """Of the values of real pictures."""
    return {
        "mean": float(values.mean()),
        "deviation": float(values.std(correction=0)),
        "largest": float(values.max()),
    }

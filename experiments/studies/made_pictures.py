"""What pictures made for units are worth: the value that they reach, and how natural they are, in three forms.

    python -m experiments.studies.made_pictures --data DATA

For classes of the supervised EfficientNet-Lite0, and for dimensions of the embedding of the others, each form makes a
picture. The study says what value it reaches, against what photographs of the ImageNet sample reach; whether the
network itself names the class; and at what percentile the picture lies among the photographs by its distance to the
tenth nearest (0: farther out than all of them, 50: as a usual one), told by the network itself and by another one, for
which it was not made.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image

import relax
from encoders import Encoder, Head
from experiments.named import encoder_named
from experiments.options import Options
from experiments.record import IMAGES, write_results
from relax.files import written_aside
from relax.units.asked import Asked
from relax.units.forms import FORMS
from relax.units.pictures import UnitPictures
from relax.units.real import Real, real_pictures
from relax.units.request import asked_of, size_of

CLASSES = ("goldfish", "tabby, tabby cat", "schooner", "daisy", "espresso", "volcano")
JUDGES = {"efficientnet-lite0": "sscd", "sscd": "efficientnet-lite0"}  # of others too the latter


def questions(name: str, count: int) -> tuple[Encoder, Head | None, list[dict[str, Any]]]:
    """The encoder, its classifier, and what is maximised: keywords of `relax.maximise`."""
    if name == "efficientnet-lite0":
        from experiments.recipes.published import lite0_with_head

        encoder, head = lite0_with_head()
        return encoder, head, [{"head": head, "target": class_number(head, each)} for each in CLASSES[:count]]
    encoder = encoder_named(name)
    dimensions = encoder.embed(torch.full((1, 3, *size_of(encoder, None)), 0.5)).shape[1]
    return encoder, None, [{"unit": place * dimensions // count} for place in range(count)]


def class_number(head: Head, word: str) -> int:
    """The number of the class whose name begins with a word."""
    return next(number for number, name in enumerate(head.classes) if name.startswith(word))


def asked(encoder: Encoder, keywords: dict[str, Any]) -> Asked:
    """What is maximised."""
    wanted = {name: keywords.get(name) for name in ("unit", "direction", "embedding_of", "target")}
    return asked_of(encoder, size_of(encoder, None), None, "mean", wanted, keywords.get("head"))[0]


def row_of(
    encoder: Encoder,
    keywords: dict[str, Any],
    form: str,
    steps: int,
    real: tuple[Real, Real],
    place: int,
) -> tuple[dict[str, Any], UnitPictures]:
    """One picture, and what it is worth."""
    begun = perf_counter()
    result = relax.maximise(encoder, form=form, steps=steps, progress=False, **keywords)
    seconds = perf_counter() - begun
    picture, head = torch.from_numpy(result.pictures), keywords.get("head")
    values = real[0].values[place]
    row = {
        "encoder": encoder.name,
        "unit": result.units[0],
        "form": form,
        "value": round(float(result.values[0]), 4),
        "real_largest": round(float(values.max()), 4),
        "real_mean": round(float(values.mean()), 4),
        "deviations": round(float((result.values[0] - values.mean()) / values.std()), 2),
        "named": "" if head is None else int(head.logits(encoder.embed(picture)).argmax()) == keywords["target"],
        "probability": ""
        if head is None
        else round(float(head.scores(encoder.embed(picture))[0, keywords["target"]]), 4),
        "percentile": round(real[0].natural(picture)["percentile"], 1),
        "percentile_by_other": round(real[1].natural(picture)["percentile"], 1),
        "other": real[1].judge.name,
        "steps": steps,
        "seconds": round(seconds, 1),
    }
    return row, result


def study(name: str, args: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], dict[str, UnitPictures]]:
    """Every form for every question to an encoder; the pictures by form."""
    encoder, _, wanted = questions(name, args.count)
    whole = [asked(encoder, keywords) for keywords in wanted]
    judge = encoder_named(JUDGES.get(name, "efficientnet-lite0"))
    most = args.photographs
    real = real_pictures(folder, encoder, whole, most=most), real_pictures(folder, judge, _first(judge), most=most)
    rows, pictures = [], {}
    for form in FORMS:
        parts = []
        for place, keywords in enumerate(wanted):
            row, part = row_of(encoder, keywords, form, args.steps, real, place)
            print(row, flush=True)
            rows.append(row)
            parts.append(part)
        pictures[form] = joined(parts)
    return rows, pictures


def _first(encoder: Encoder) -> list[Asked]:
    """The first dimension: a question that needs nothing but the embedding."""
    return [asked(encoder, {"unit": 0})]


def joined(parts: Sequence[UnitPictures]) -> UnitPictures:
    """Pictures of one form, for a figure."""
    pictures, values = (np.concatenate([getattr(part, name) for part in parts]) for name in ("pictures", "values"))
    how = {**parts[0].how, "said": parts[0].how["said"][:2]}  # the form and the steps; values are of one unit each
    return UnitPictures(pictures, values, tuple(part.units[0] for part in parts), ("",) * len(parts), how)


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians by encoder and form."""
    table = []
    for encoder, form in dict.fromkeys((row["encoder"], row["form"]) for row in rows):
        own = [row for row in rows if (row["encoder"], row["form"]) == (encoder, form)]
        middle = {
            name: float(np.median([row[name] for row in own]))
            for name in ("percentile", "percentile_by_other", "deviations", "seconds")
        }
        above = sum(row["value"] > row["real_largest"] for row in own)
        named = [row["named"] for row in own if row["named"] != ""]
        table.append(
            {"encoder": encoder, "form": form, "pictures": len(own), "above_all_real": above, **middle,
             "named": f"{sum(named)} of {len(named)}" if named else ""}
        )  # fmt: skip
    return table


def draw(name: str, pictures: dict[str, UnitPictures]) -> None:
    """The made pictures of each form, and the filters of SSCD."""
    figures = {f"made-{name}-{form}": shown for form, shown in pictures.items()}
    if name == "sscd":
        figures["filters-sscd"] = relax.filters(encoder_named(name), scale="each")
    for stem, shown in figures.items():
        shown.plot().savefig(stream := io.BytesIO(), dpi=110)
        with written_aside(IMAGES / f"{stem}.png") as aside:
            Image.open(stream).convert("RGB").quantize(256).save(aside, format="PNG", optimize=True)


def main() -> None:
    parser = Options(__doc__)
    parser.add_data("imagenet_sample")
    parser.add_count(6, "units of each encoder")
    parser.add_argument("--encoders", nargs="+", default=["efficientnet-lite0"], help="of experiments.named")
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--photographs", type=int, default=512, help="real ones, evenly spaced over the sorted names")
    parser.add_argument(
        "--figure", action="store_true", help="also draw docs/images/made-NAME-FORM.png and filters-sscd"
    )
    parser.add_name("made_pictures")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in args.encoders:
        found_rows, pictures = study(name, args, args.data / "imagenet_sample")
        rows += found_rows
        write_results(args.name, rows, {"summary": summary(rows)})
        if args.figure:
            draw(name, pictures)
    for line in summary(rows):
        print(line)


if __name__ == "__main__":
    main()

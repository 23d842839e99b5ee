"""Which part of one picture is close to which part of another, or to which word of a text: the door."""

from __future__ import annotations

import time
from typing import Unpack

from torch import Tensor

from encoders import Encoder
from encoders.words.encoder import TextEncoder
from encoders.words.loading import load_text_encoder
from encoders.words.towers import of_towers
from relax.estimators.budget import Progress
from relax.io.images import ImageSource
from relax.keywords import LinksKeywords, shows
from relax.links.estimating import Side, effects_on, links_of, products
from relax.links.explanation import FirstOrder, LinksExplanation
from relax.links.linked import LinkedPicture
from relax.links.sides import Embedded, picture_read, picture_side, text_side
from relax.progress import Silent, shown
from relax.provenance import surroundings
from relax.scene import EncoderSource, loaded
from relax.settings import Settings
from relax.text import PROMPT
from relax.words.question import TextSource
from similarity.measures import measure_named


@shows(LinksKeywords)
def explain_links(
    a: ImageSource,
    b: ImageSource,
    encoder: EncoderSource = "default",
    *,
    text_encoder: TextSource | None = None,
    progress: Progress | Silent | None = None,
    **keywords: Unpack[LinksKeywords],
) -> LinksExplanation:
    """Explain which part of one picture is close to which part of another picture, or to which word of a text.

        explained = relax.explain_links("cat.png", "dog.png")
        explained.links[2, 3]        # (h', w'): how close cell (2, 3) of the cat is to every cell of the dog
        explained.strongest(5)       # the largest links, with their errors
        explained.of_a.only          # (h, w): what only the first picture shows

    The view of each picture is divided into cells, which are shown with the chance `keep`, independently of each other
    and of the other picture. The link of cell a of one and cell b of the other is their weighted Banzhaf interaction in
    the similarity s of the two masked pictures,

        E[s(a, b shown) - s(a shown, b hidden) - s(a hidden, b shown) + s(a, b hidden)],

    the mean being over what else is shown of both. All pairs of N masked pictures and M others give it from N + M
    passes; see `relax.links.estimating`.

    Args:
        a: The first picture, as for `relax.explain`.
        b: The second; or "text:a photo of a dog", for encoders with a text tower, whose words are linked.
        encoder: As for `relax.explain`.
        text_encoder: Where `b` is a text: what embeds it into the space of the encoder's pictures, as for
            `relax.explain_text`. None is the encoder's own text tower.
        progress: As for `relax.explain`, starting over with each side.
        keywords: As for `relax.explain`: similarity, cells (with hard edges here, and no shift), keep, fill, design,
            seed, masks (of each side, a number; rounded down to whole blocks of the design), layer, token, device,
            batch_size, precision, pooling, view.

    Returns:
        The links in cells, with their standard errors; what each cell does on its own; and how it was made.

    Raises:
        ImageError, EncoderError: If a picture, the text or an encoder cannot be used.
        ValueError: If a choice is impossible, or there are too few masks to tell an error from.
    """
    settings = Settings.of(keywords, LinksKeywords, "explain_links")
    return links_with(a, b, loaded(encoder, settings.execution, settings.request), settings, text_encoder, progress)


def links_with(
    a: ImageSource,
    b: ImageSource,
    encoder: Encoder,
    settings: Settings,
    text_encoder: TextSource | None = None,
    progress: Progress | Silent | None = None,
) -> LinksExplanation:
    """`explain_links`, given a loaded encoder and checked settings."""
    start = time.perf_counter()
    with shown(progress, "masks") as report:
        read = picture_read(a, encoder, settings, 0)  # both are read before either is masked
        if isinstance(b, str) and b.startswith(PROMPT):
            reader = _reader(encoder, text_encoder, settings)
            second = text_side(b.removeprefix(PROMPT).strip(), reader, settings, 1, report)
        elif text_encoder is not None:
            raise ValueError(f'text_encoder is for texts, and b is a picture: put "{PROMPT}" before a text')
        else:
            second = picture_side(picture_read(b, encoder, settings, 1), settings, report)
        first = picture_side(read, settings, report)
    _check_widths(first.side, second.side)
    return _explanation(first, second, settings, encoder, time.perf_counter() - start)


def _reader(encoder: Encoder, text_encoder: TextSource | None, settings: Settings) -> TextEncoder:
    if text_encoder is None:
        return of_towers(encoder)
    return load_text_encoder(text_encoder, settings.execution.device)


def _check_widths(a: Side, b: Side) -> None:
    if a.whole.shape != b.whole.shape:
        raise ValueError(
            f"both sides must be embedded in one space; got {len(a.whole)} numbers for the picture and {len(b.whole)} "
            "for the text: take two towers that were trained together"
        )


def _explanation(
    first: Embedded, second: Embedded, settings: Settings, encoder: Encoder, seconds: float
) -> LinksExplanation:
    similarity = settings.request.similarity
    links, errors = links_of(products(first.side, second.side, similarity))
    measure = measure_named(similarity)
    assert isinstance(first.linked, LinkedPicture)  # noqa: S101
    shape = (*first.linked.shape, *second.linked.shape)
    count = len(first.side.embeddings) + len(second.side.embeddings)
    return LinksExplanation(
        links.view(shape).numpy(),
        errors.view(shape).numpy(),
        first.linked,
        second.linked,
        _first_order(first.side, second.side, similarity, first.linked.shape),
        _first_order(second.side, first.side, similarity, second.linked.shape),
        float(measure(first.side.whole[None].cpu(), second.side.whole.cpu())[0]),
        {
            "similarity": similarity,
            "encoder": first.record["encoder"],
            "fill": first.record["fill"],
            "seed": settings.hiding.seed,
            "a": first.record,
            "b": second.record,
            "cost": {"passes": count},
            **surroundings(encoder.device, seconds),
        },
    )


def _first_order(side: Side, other: Side, similarity: str, shape: tuple[int, ...]) -> FirstOrder:
    measure = measure_named(similarity)
    scores = {
        "to_other": measure(side.embeddings.cpu(), other.whole.cpu()),
        "to_itself": measure(side.embeddings.cpu(), side.whole.cpu()),
    }
    scores["only"] = scores["to_itself"] - scores["to_other"]
    maps: dict[str, Tensor] = {}
    for name, score in scores.items():
        maps[name], maps[f"{name}_error"] = effects_on(side, score)
    return FirstOrder(**{name: values.view(shape).numpy() for name, values in maps.items()})

"""`relax units filters`, `exciting`, `maximise`: what single units of an encoder answer to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, Stopped, complain, progress_bar
from relax.cli.early import check_early
from relax.cli.options import (
    DEFAULT_OUT,
    OUT_PANEL,
    QUESTION_PANEL,
    RUN_PANEL,
    SEVERAL,
    Debug,
    Format,
    Out,
    Quiet,
)
from relax.cli.units_options import (
    EXCITING_EXAMPLES,
    FILTERS_EXAMPLES,
    MAXIMISE_EXAMPLES,
    OPTIONS,
    Device,
    EncoderName,
    LayerName,
    Units,
)
from relax.cli.usage import check_out, choice, command_group, takes, usage_errors
from relax.units.forms import FORMS

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from relax.units.pictures import UnitPictures

units_app = command_group(
    "What single units answer to: first filters, pictures that excite them, pictures made for them."
)


@units_app.command(epilog=FILTERS_EXAMPLES)
def filters(
    encoder: EncoderName,
    components: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="So many principal components of the filters; 0: the filters.",
            show_default="28 of a patch embedding, else the filters",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    scale: Annotated[
        str, typer.Option(metavar="WHICH", help="common: one for all; each: one a filter.", rich_help_panel=OUT_PANEL)
    ] = "common",
    format: Format = "png",
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Show the filters of the first layer as pictures: kernels of a CNN, the patch embedding of a ViT.

    Grey is a weight of 0; the scale is said. Writes filters.png, .npz, .csv and .json.
    """
    check_early({"encoder": encoder}, {})
    with usage_errors(debug=debug, of_images=True, own=OPTIONS):
        from relax.units.filters import filters as pictures_of

        check_out(out)
        return written(pictures_of(encoder, components=components, scale=scale), out, "filters", format, quiet)


@units_app.command(epilog=EXCITING_EXAMPLES)
@takes(("direction",))
def exciting(
    encoder: EncoderName,
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help=f"Pictures, or an archive of `relax index`. {SEVERAL}")
    ],
    options: dict[str, Any],
    layer: LayerName = None,
    unit: Units = None,
    where: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="Value of a picture: max or mean over the places of the layer, or a cell ROW,COLUMN.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "max",
    k: Annotated[
        int, typer.Option("-k", "--k", metavar="K", help="Pictures of each unit.", rich_help_panel=OUT_PANEL)
    ] = 9,
    crop: Annotated[
        bool, typer.Option("--crop", help="Show only what moves the value.", rich_help_panel=OUT_PANEL)
    ] = False,
    device: Device = "auto",
    format: Format = "png",
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Find the pictures of a folder that excite units most, with the place that does it.

    Writes exciting.png, .npz, .csv (unit, rank, value, picture, place) and .json, and passed_over.csv if need be. On
    Ctrl-C, the best so far are written.
    """
    with usage_errors(debug=debug, of_images=True, own=OPTIONS), progress_bar("pictures", visible=not quiet) as bar:
        from relax.units.exciting import exciting_pictures
        from relax.units.pictures import UnitsInterrupted

        check_out(out)
        task = bar.add_task("embedding", total=None)
        try:
            pictures = exciting_pictures(
                encoder,
                folder,
                layer=layer,
                units=unit or None,
                **options,
                where=place_of(where),
                k=k,
                device=device,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except UnitsInterrupted as stop:
            written(stop.pictures, out, "exciting", format, True, crop=crop)
            raise Stopped(f"the best of {stop.pictures.how['pictures']:,} pictures are in {out}") from None
    return written(pictures, out, "exciting", format, quiet, crop=crop)


@units_app.command(epilog=MAXIMISE_EXAMPLES)
@takes(("direction",))
def maximise(
    encoder: EncoderName,
    options: dict[str, Any],
    layer: LayerName = None,
    unit: Units = None,
    embedding_of: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="Instead: the embedding of this picture.", rich_help_panel=QUESTION_PANEL),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="With --target: a head of `relax head train`, or `network` for the network's own classifier.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Instead: this class.", rich_help_panel=QUESTION_PANEL)
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="Of a layer with places: mean or max over them, or a cell ROW,COLUMN.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = "mean",
    form: Annotated[
        str,
        typer.Option(
            metavar="FORM",
            help="; ".join(f"{name}: {row.what}" for name, row in FORMS.items()) + ".",
            rich_help_panel=RUN_PANEL,
        ),
    ] = "maco",
    steps: Annotated[int, typer.Option(metavar="N", help="Of the ascent.", rich_help_panel=RUN_PANEL)] = 256,
    rate: Annotated[
        float | None,
        typer.Option(metavar="R", help="Of Adam.", show_default="that of the form", rich_help_panel=RUN_PANEL),
    ] = None,
    penalty: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Of pixels: on the sum of squares of the difference from the mean colour.",
            show_default="to natural contrast",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    spectrum: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Pictures whose colours and spectrum are taken.",
            show_default="photographs of Caltech 101",
            rich_help_panel=RUN_PANEL,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="PX", help="For encoders that take any size.", show_default="224", rich_help_panel=RUN_PANEL
        ),
    ] = None,
    real: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Real pictures, or an archive: what they reach, and how natural the made picture is among them.",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="The encoder that tells how natural it is.",
            show_default="that of the archive, or ENCODER",
            rich_help_panel=QUESTION_PANEL,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same pictures.", rich_help_panel=RUN_PANEL)] = 0,
    device: Device = "auto",
    format: Format = "png",
    out: Out = DEFAULT_OUT,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Make the picture that a unit, a direction, an embedding or a class answers to most, by gradient ascent.

    Writes maximised.png, .npz (with the path), .csv and .json, and the pictures alone, maximised-0.png and so on. On
    Ctrl-C, what there is so far is written.
    """
    with usage_errors(debug=debug, of_images=True, own=OPTIONS), progress_bar("steps", visible=not quiet) as bar:
        from relax.cli.prepare import load_with_head
        from relax.units.maximise import maximise as maximised_pictures
        from relax.units.pictures import UnitsInterrupted

        choice("--form", form, FORMS)
        check_out(out)
        task = bar.add_task("climbing", total=None)
        loaded, classes = load_with_head(encoder, head, {"device": device})
        try:
            pictures = maximised_pictures(
                loaded,
                layer=layer,
                unit=unit or None,
                **options,
                embedding_of=embedding_of,
                head=classes,
                target=target,
                where=place_of(where),
                form=form,
                steps=steps,
                rate=rate,
                penalty=penalty,
                spectrum=spectrum,
                size=size,
                real=real,
                judge=judge,
                seed=seed,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except UnitsInterrupted as stop:
            written(stop.pictures, out, "maximised", format, True, singly=True)
            early = stop.pictures.how["stopped_early"]
            raise Stopped(f"what {early['after']:,} of {early['of']:,} steps made is in {out}") from None
    return written(pictures, out, "maximised", format, quiet, singly=True)


def written(
    pictures: UnitPictures,
    out: Path,
    stem: str,
    format: str,
    quiet: bool,
    *,
    singly: bool = False,
    crop: bool = False,
) -> int:
    """Write the files of pictures and say which, and in what numbers they end."""
    from relax.files import file_names
    from relax.io.sources import PASSED_OVER, write_passed_over
    from relax.units.writing import write_pictures

    files = write_pictures(pictures, out / stem, format, singly=singly, crop=crop)
    rows = [(str(name), str(why), str(detail)) for name, why, detail in pictures.how.get("passed_over") or []]
    if write_passed_over(out, rows) is not None:
        complain(f"note: {out / PASSED_OVER} lists what is passed over or left out, and why")
    if not quiet:
        typer.echo(f"{pictures!r}\nwritten: {file_names(files)}")
    return DONE


def place_of(text: str) -> Any:
    """A word, or a cell "3,4" as two numbers."""
    parts = text.split(",")
    try:
        return tuple(int(part) for part in parts) if len(parts) == 2 else text
    except ValueError:
        return text

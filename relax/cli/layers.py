"""`relax layers`: the layers of an encoder, with what they return, where, and what they cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from fnmatch import fnmatchcase
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, UsageError, plain_table, print_table
from relax.cli.early import check_early
from relax.cli.usage import usage_errors

if TYPE_CHECKING:  # torch comes with it, and `relax --help` does not need it
    from encoders.layouts import Layer

EXAMPLES = """[bold]Examples[/bold]

relax layers default
    the layers of the bundled encoder that have a map: names for --layer

relax layers timm:vit_small_patch14_dinov2.lvd142m "blocks.*.norm1"
    those whose name matches a pattern, or has a text in it

relax layers default --all --json | jq ".[] | select(.share > 0.1) | .name"
    every module that returns something, as JSON: those that take more than a tenth of the compute

relax explain cat.png --layer layer3 --token 2,4
    what makes this cell of a layer what it is
"""


def layers(
    encoder: Annotated[str, typer.Argument(metavar="ENCODER", help="A spec; `relax encoders` lists them.")],
    pattern: Annotated[str | None, typer.Argument(help="A part of names, or a pattern such as blocks.*.attn.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also vectors, single cells, and modules without parameters.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all that is known of each.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """List the layers of an encoder that give a map or tokens: name, shape, cells, parameters, share of the compute.

    In the order in which they run, as one forward pass shows it; a layer comes before the one that it is part of. The
    compute is multiply-adds of products and convolutions.
    """
    check_early({"encoder": encoder}, {})
    from relax.listing import layers as layers_of

    with usage_errors(debug=debug):
        all_layers = layers_of(encoder)
    total = all_layers[-1].operations
    shown = [layer for layer in all_layers if (every or _is_place(layer)) and _matches(layer.name, pattern)]
    if not shown:
        raise UsageError(f"no layer of {encoder} has {pattern!r} in its name: leave it out, or give --all")
    if as_json:
        typer.echo(json.dumps([{**asdict(layer), "share": _share(layer, total)} for layer in shown], indent=2))
        return DONE
    table = plain_table(["name", "kind", "returns", "cells"], ["shape", "parameters", "compute"])
    for layer in shown:
        table.add_row(*_row(layer, total))
    rest = f"{len(shown)} of {len(all_layers)} modules that return a map, tokens or a vector"
    print_table(table, rest + (f"; {total / 1e6:,.0f} million multiply-adds a picture" if total else ""))
    return DONE


def _is_place(layer: Layer) -> bool:
    """Whether it has several places, and weights; activations and the like repeat what is before them."""
    return prod(layer.grid or ()) > 1 and layer.parameters > 0


def _matches(name: str, pattern: str | None) -> bool:
    return pattern is None or pattern in name or fnmatchcase(name, pattern)


def _share(layer: Layer, total: int) -> float | None:
    return layer.operations / total if total else None


def _row(layer: Layer, total: int) -> tuple[Any, ...]:
    from rich.text import Text

    share = _share(layer, total)
    prefix = f" + {layer.prefix}" * (layer.prefix > 0)
    cells = "" if layer.grid is None else " x ".join(map(str, layer.grid)) + prefix
    return (
        Text(layer.name or "(the whole network)"),
        Text(layer.kind + f", {layer.calls} times" * (layer.calls > 1)),
        layer.layout,
        cells,
        " x ".join(map(str, layer.shape)),
        f"{layer.parameters:,}",
        "" if share is None else f"{share:.1%}",
    )

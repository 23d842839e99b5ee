"""`relax serve`: the app, a page in the browser."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relax.cli.console import DONE, Stopped, UsageError, complain
from relax.cli.options import EXECUTION, RUN_PANEL, Debug
from relax.cli.usage import takes, usage_errors

if TYPE_CHECKING:
    from encoders import Encoder

EXTRA = 'pip install "relax-explainer[app]"'
PORT = 8765

EXAMPLES = """[bold]Examples[/bold]

relax serve --open
    the app with the bundled encoder, for this machine alone, in the browser

relax serve --encoder default --encoder sscd --encoder timm:vit_small_patch14_dinov2.lvd142m
    three encoders to choose from; visitors can name no others

relax serve --host 0.0.0.0 --port 8080
    for everybody who can reach this machine: put a proxy with TLS and passwords before it
"""


@takes(EXECUTION)
def serve(
    options: dict[str, Any],
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            metavar="SPEC",
            help="An encoder that visitors can choose; repeat the option for several. `relax encoders` lists them.",
            show_default="default",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen: by default for this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 is any free one.")] = PORT,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    at_once: Annotated[
        int,
        typer.Option(
            "--at-once",
            metavar="N",
            min=1,
            help="Explanations that run at the same time; others wait in line.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = 1,
    most_masks: Annotated[
        int,
        typer.Option("--most-masks", metavar="N", min=2, help="Of one explanation.", rich_help_panel=RUN_PANEL),
    ] = 20_000,
    debug: Debug = False,
) -> int:
    """Explain pictures in the browser: drop one in, watch the map grow, paint parts out, save what explain would.

    Needs the extra [app]. Nothing is fetched from the network, and nothing of a picture stays on the disk after its
    page was closed. Ctrl-C ends it.
    """
    try:
        from relax.app.limits import Limits
        from relax.app.listening import address_of, bound, is_loopback
        from relax.app.listening import serve as serve_on
        from relax.app.service import Service
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("starlette", "uvicorn", "anyio"):
            raise
        raise UsageError(f"relax serve needs {error.name}; install it with: {EXTRA}") from None
    with usage_errors(debug=debug):
        listener = bound(host, port)
    with listener, usage_errors(debug=debug):
        served = _loaded(list(dict.fromkeys(encoder or ["default"])), options)
        execution = {name: value for name, value in options.items() if name in EXECUTION}
        address = address_of(listener, host)
        if not is_loopback(host):
            complain(
                f"warning: everybody who can reach {host} can use this app, and what they send is not encrypted: "
                "put a proxy with TLS and passwords before it"
            )
        limits = Limits(masks=most_masks, at_once=at_once)
        with Service(served, execution, limits, debug=debug) as service:
            typer.echo(f"relax serve: {address} (Ctrl-C ends it)")
            if open_browser:
                webbrowser.open(address)
            try:
                serve_on(service, host, listener)
            except KeyboardInterrupt:
                raise Stopped("nothing of a visitor is left on the disk") from None
    return DONE


def _loaded(specs: list[str], options: dict[str, Any]) -> list[tuple[str, Encoder]]:
    """The encoders, each loaded now, so that a wrong one is an error at once."""
    from relax.scene import load_encoder

    device, pooling, view = (options.get(name) or "auto" for name in ("device", "pooling", "view"))
    precision = options.get("precision")
    return [(spec, load_encoder(spec, device, pooling, precision=precision, view=view)) for spec in specs]

"""The command line: `relax explain cat.png`, `relax encoders`.

Results go to files and stdout; progress and errors to stderr, each error as one line that names the input, what is
wrong and the way out. Exit code 0: done; 1: some inputs failed, the others are done; 2: wrong usage, nothing was
started; 130: stopped with Ctrl-C; 143: stopped with SIGTERM.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, cast

import typer

from relax.cli.audit import EXAMPLES as AUDIT_EXAMPLES
from relax.cli.audit import audit
from relax.cli.command_line import recorded
from relax.cli.compare import EXAMPLES as COMPARE_EXAMPLES
from relax.cli.compare import compare, methods
from relax.cli.concepts import concepts_app
from relax.cli.console import (
    DONE,
    SOME_FAILED,
    STOPPED,
    WRONG_USAGE,
    Stopped,
    UsageError,
    complain,
    escape_what_cannot_be_printed,
    warnings_in_one_line,
)
from relax.cli.diff import EXAMPLES as DIFF_EXAMPLES
from relax.cli.diff import diff
from relax.cli.enough import EXAMPLES as ENOUGH_EXAMPLES
from relax.cli.enough import enough
from relax.cli.evaluate import EXAMPLES as EVALUATE_EXAMPLES
from relax.cli.evaluate import evaluate, metrics
from relax.cli.explain import EXAMPLES as EXPLAIN_EXAMPLES
from relax.cli.explain import explain
from relax.cli.export import EXPORT_EXAMPLES, VOLUME_EXAMPLES, export, volume
from relax.cli.head import head_app
from relax.cli.index import INDEX_EXAMPLES, SEARCH_EXAMPLES, index, search
from relax.cli.influence import influence_app
from relax.cli.inside import EXAMPLES as INSIDE_EXAMPLES
from relax.cli.inside import inside
from relax.cli.interrupts import exit_code, remembered
from relax.cli.layers import EXAMPLES as LAYERS_EXAMPLES
from relax.cli.layers import layers
from relax.cli.pair import EXAMPLES as PAIR_EXAMPLES
from relax.cli.pair import pair
from relax.cli.promise import promise_app
from relax.cli.repair import EXAMPLES as REPAIR_EXAMPLES
from relax.cli.repair import repair
from relax.cli.report import EXAMPLES as REPORT_EXAMPLES
from relax.cli.report import report
from relax.cli.serve import EXAMPLES as SERVE_EXAMPLES
from relax.cli.serve import serve
from relax.cli.slide import slide_app
from relax.cli.units import units_app
from relax.cli.words import words_app
from relax.files import WriteError
from relax.io.errors import ImageError
from relax.provenance import asked_by

# Newer versions of typer bundle click, so click's errors are reached through typer's.
_TyperUsageError = cast(type[Exception], typer.BadParameter.__mro__[1])

app = typer.Typer(
    name="relax",
    help="What in this picture made this embedding, and how sure are we?",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(head_app, name="head")
app.command(epilog=EXPLAIN_EXAMPLES)(explain)
app.command(epilog=COMPARE_EXAMPLES)(compare)
app.command()(methods)
app.command(epilog=LAYERS_EXAMPLES)(layers)
app.command(epilog=INDEX_EXAMPLES)(index)
app.command(epilog=SEARCH_EXAMPLES)(search)
app.add_typer(influence_app, name="influence")
app.command(epilog=PAIR_EXAMPLES)(pair)
app.command(epilog=ENOUGH_EXAMPLES)(enough)
app.add_typer(promise_app, name="promise")
app.command(epilog=INSIDE_EXAMPLES)(inside)
app.command(epilog=AUDIT_EXAMPLES)(audit)
app.command(epilog=DIFF_EXAMPLES)(diff)
app.command(epilog=EVALUATE_EXAMPLES)(evaluate)
app.command()(metrics)
app.command(epilog=REPAIR_EXAMPLES)(repair)
app.command(epilog=REPORT_EXAMPLES)(report)
app.command(epilog=SERVE_EXAMPLES)(serve)
app.command(epilog=VOLUME_EXAMPLES)(volume)
app.command(epilog=EXPORT_EXAMPLES)(export)
app.add_typer(slide_app, name="slide")
app.add_typer(concepts_app, name="concepts")
app.add_typer(units_app, name="units")
app.add_typer(words_app, name="words")

ENCODERS_EXAMPLES = """[bold]Examples[/bold]

relax encoders
    the kinds of encoder, with an example each

relax encoders dino
    all pretrained networks with dino in their name
"""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: Those after `relax` on the command line.

    Returns:
        The exit code, as described at the top of this module.
    """
    escape_what_cannot_be_printed()
    try:
        with remembered(), warnings_in_one_line(), asked_by(partial(recorded, arguments)):
            result = command()(list(arguments), prog_name="relax", standalone_mode=False)
        sys.stdout.flush()
        if result == STOPPED:  # newer versions of typer turn Ctrl-C into this, silently
            complain("stopped")
            return exit_code()
        return result if isinstance(result, int) else DONE
    except Stopped as stop:
        complain(f"stopped; {stop}")
        return exit_code()
    except UsageError as error:
        complain(str(error))
    except (ImageError, WriteError) as error:
        complain(str(error))
        return SOME_FAILED
    except _TyperUsageError as error:
        context = getattr(error, "ctx", None)
        message = str(cast(Any, error).format_message())
        complain(f"{message.rstrip('.')}; see {context.command_path if context else 'relax'} --help")
    except (typer.Abort, KeyboardInterrupt):
        complain("stopped")
        return exit_code()
    except BrokenPipeError:  # `relax encoders vit | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return WRONG_USAGE


def command() -> Any:
    """All commands; a flag stands in the help without a type, for it takes no value (typer writes <bool>)."""
    root = typer.main.get_command(app)
    _bare_flags(root, typer.Context(cast(Any, root), **root.context_settings))
    return root


def _bare_flags(node: Any, context: Any) -> None:
    for option in node.get_params(context):  # --help among them
        if getattr(option, "is_flag", False):
            option.metavar = ""
    for child in getattr(node, "commands", {}).values():
        _bare_flags(child, typer.Context(child, parent=context))


@app.callback(epilog="Start with: relax explain IMAGE. Each command has a --help with examples.")
def _relax(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if show_version:
        typer.echo(f"relax {version('relax-explainer')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(WRONG_USAGE)


@app.command(epilog=ENCODERS_EXAMPLES)
def encoders(
    pattern: Annotated[str | None, typer.Argument(help="Part of a name, or a pattern such as resnet*.")] = None,
) -> int:
    """List the encoders that can be loaded: their kinds, or the pretrained networks whose name matches."""
    from encoders.catalogue import available, items

    rows = available(pattern)
    if not rows:
        raise UsageError(f"no pretrained network has {pattern!r} in its name; try a shorter part")
    width = max(len(row.spec) for row in rows)
    for row in rows:
        typer.echo(f"{row.spec:<{width}}  {row.what}; {row.notes}")
    if pattern is None:
        typer.echo("\nbehind a question mark, as timm:resnet50?size=320&mean=0.5&std=0.25:")
        for item in items():
            typer.echo(f"{item.spec:<{width}}  {item.what} ({item.notes})")
    return DONE

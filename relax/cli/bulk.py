"""`relax explain` without figures: the maps of many pictures in shards, with a bar, a table and how to go on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relax.cli.command_line import typed
from relax.cli.console import DONE, SOME_FAILED, Stopped, complain, plain_table, print_table, progress_bar
from relax.cli.usage import usage_errors
from relax.io.sources import PASSED_OVER

if TYPE_CHECKING:
    from rich.table import Table

    from relax.bulk.explaining import Result


def explain_in_shards(
    images: Sequence[str],
    encoder: str,
    options: dict[str, Any],
    out: Path,
    *,
    workers: int | None,
    ray: str | None,
    quiet: bool,
    debug: bool,
    **how: Any,
) -> int:
    """Explain all that is named into the run of a folder.

    Args:
        images: Pictures, folders and the like.
        encoder: The spec.
        options: Keywords of the public functions.
        out: The folder of the run.
        workers: As for `relax.explain_all`.
        ray: As for `relax.explain_all`.
        quiet: No progress and no table.
        debug: Show the traceback of an error.
        how: Keywords of `relax.bulk.explaining.run`.

    Raises:
        Stopped: On Ctrl-C, with the command that goes on.
    """
    from relax.bulk.explaining import run
    from relax.cli.prepare import encoder_of, prepared
    from relax.crew import Crew

    start = time.monotonic()
    with usage_errors(debug=debug, of_images=True):
        crew = Crew(workers, ray, partial(encoder_of, encoder, options))
        network, settings = prepared(encoder, options, out)
        try:
            with progress_bar("pictures", visible=not quiet) as bar:
                task = bar.add_task("searching for pictures", total=None)

                def progress(done: int, total: int) -> None:
                    bar.update(task, description="explaining", completed=done, total=total)

                result = run(images, network, settings, out, crew, progress=progress, **how)
        except KeyboardInterrupt:
            raise Stopped(f"{_so_far(out)}; go on with: {typed()}") from None
    standing = result.standing
    if result.damaged:
        complain(f"note: {result.damaged} files of an earlier run in {out} were damaged, and were made anew")
    if str(result.changes):
        complain(f"note: {result.changes}")
    if (out / PASSED_OVER).is_file():
        complain(f"note: {out / PASSED_OVER} lists what is passed over or failed, and why")
    if not quiet:
        print_table(_summary(result, time.monotonic() - start), f"written: maps in {out}")
    return SOME_FAILED if standing.failed else DONE


def _so_far(out: Path) -> str:
    from relax.bulk.folder import is_run
    from relax.bulk.shards import kept_in_parts
    from relax.bulk.store import load_maps

    if not is_run(out):
        return "nothing was explained"
    stored = load_maps(out)
    return f"{len(stored) + kept_in_parts(out):,} of {stored.plan.pictures:,} pictures are done, in {out}"


def _summary(result: Result, seconds: float) -> Table:
    standing = result.standing
    new = max(0, standing.explained + len(standing.failed) - result.before)
    counts = {
        "pictures": standing.pictures,
        "explained": standing.explained,
        "failed": len(standing.failed),
        "done now": new,
    }
    table = plain_table(right=(*counts, "seconds", "pictures/s"))
    speed = f"{new / seconds:,.2f}" if new else "–"
    table.add_row(*(f"{count:,}" for count in counts.values()), f"{seconds:.1f}", speed)
    return table

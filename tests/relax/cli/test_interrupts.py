"""Ctrl-C and SIGTERM stop a command alike; one that Python drops is heeded at the next report of progress, once."""

import os
import signal
import weakref

import pytest

from relax.cli import interrupts
from relax.cli.app import run
from relax.cli.console import progress_bar


class Figure:
    """Whatever is freed."""


def press_while_a_figure_is_freed():
    """Ctrl-C inside the callback of a weak reference, where exceptions are dropped."""
    figure = Figure()
    reference = weakref.ref(figure, lambda _: os.kill(os.getpid(), signal.SIGINT) or [*range(1000)])
    del figure
    assert reference() is None


def test_a_dropped_interrupt_is_raised_where_progress_is_reported(capsys):
    with interrupts.remembered():
        bar = progress_bar()
        task = bar.add_task("", total=2)
        bar.advance(task)
        press_while_a_figure_is_freed()

        with pytest.raises(KeyboardInterrupt):
            bar.advance(task)
        bar.update(task, completed=2)  # raised once

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_exit_code_says_which_signal_stopped_the_command(sent, code, capsys, monkeypatch):
    def stopped(*_, **__):
        signal.raise_signal(sent)

    monkeypatch.setattr("encoders.catalogue.available", stopped)

    assert run(["encoders"]) == code

    assert capsys.readouterr().err == "relax: stopped\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interrupts.remembered():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_handler_of_before_is_back_afterwards():
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), interrupts.remembered():
        signal.raise_signal(signal.SIGINT)

    assert signal.getsignal(signal.SIGINT) is before
    with interrupts.remembered():
        interrupts.check()  # what was pressed before does not count

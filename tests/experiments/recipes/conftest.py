"""Trainings that are stopped in the middle of an epoch."""

import pytest


@pytest.fixture
def stopped_after(monkeypatch):
    """Run a recipe until it has taken so many steps, and interrupt it there as Ctrl-C does."""

    def run_and_stop(recipe, steps, run):
        losses, descend = [], recipe.descend

        def interrupted(*arguments):
            if len(losses) == steps:
                raise KeyboardInterrupt
            losses.append(descend(*arguments))
            return losses[-1]

        with monkeypatch.context() as stopping:
            stopping.setattr(recipe, "descend", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run()

    return run_and_stop

"""What workers have scored before a kill is in the journal, and is not computed again by whoever goes on."""

import pytest
import torch

import relax
from relax.crew import Crew
from relax.questions.workers import in_order
from tests.relax.archive.test_archive import picture

HOW = {"methods": ["relax", "random"], "metrics": ["entropy"], "masks": 8, "cells": 3, "device": "cpu"}


def colours(pixels):
    return pixels.mean((2, 3)) + torch.tensor([0.1, 0.2, 0.3])


def test_an_evaluation_whose_driver_is_killed_goes_on_in_one_process(tmp_path, monkeypatch):
    for number in range(2):
        picture(tmp_path / f"{number}.png", number)
    monkeypatch.chdir(tmp_path)
    images = ["0.png", "1.png"]
    undisturbed = relax.evaluate(images, None, colours, out=tmp_path / "one", **HOW)

    def killed(self, encoder, make, items):
        work = make(encoder)
        yield work(items[3])  # the last is ready first
        yield work(items[0])
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Crew, "each", killed)
        patch.setattr("relax.crew.check_workers", lambda *_: None)
        with pytest.raises(SystemExit):
            relax.evaluate(images, None, colours, out=tmp_path / "two", workers=2, **HOW)
    started = []

    continued = relax.evaluate(
        images, None, colours, out=tmp_path / "two", progress=lambda *now: started.append(now), **HOW
    )

    assert [(done, words) for done, _, words in started] == [(2, "0.png, random"), (3, "1.png, relax")]
    assert repr(continued.outcomes) == repr(undisturbed.outcomes)
    assert in_order(reversed(continued.outcomes), ["0.png", "1.png"], HOW["methods"]) == list(continued.outcomes)

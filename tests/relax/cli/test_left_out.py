"""Every command that takes a folder lists the pictures that it could not use, with the reason, beside its result."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relax.cli.app import run

ENCODER = ("--encoder", "random:timm:test_resnet", "--device", "cpu")
COMMANDS = {
    "explain": ("--masks", "8", "--cells", "3"),
    "compare": ("--masks", "8", "--cells", "3", "--methods", "relax,centre"),
    "evaluate": ("--masks", "8", "--cells", "3", "--methods", "relax", "--metrics", "sparseness"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_picture_that_cannot_be_used_is_listed_with_its_reason(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{number}.png")
    Path("photos/empty.png").write_bytes(b"")

    assert run([command, "photos", "--out", "out", *ENCODER, *COMMANDS[command]]) == 1

    rows = list(csv.reader(Path("out/passed_over.csv").read_text().splitlines()))
    assert rows == [["file", "why", "detail"], ["photos/empty.png", "cannot be used", "the file is empty"]]

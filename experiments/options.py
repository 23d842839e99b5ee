"""The command lines of the experiments: the module's docstring as its help, and the options that several have."""

from __future__ import annotations

import argparse
from pathlib import Path


class Options(argparse.ArgumentParser):
    """A parser whose help is a module's docstring, with a method for every option that experiments share."""

    def __init__(self, docstring: str | None) -> None:
        super().__init__(description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add_data(self, content: str, required: bool = True) -> None:
        """Where the data sets lie."""
        self.add_argument("--data", type=Path, required=required, help=f"folder with {content}")

    def add_images(self, count: int) -> None:
        """A folder of photographs, and how many of them."""
        self.add_argument("--images", type=Path, required=True, help="folder of pictures (*.jpg)")
        self.add_count(count, "pictures, evenly spaced over the sorted names")

    def add_encoders_in(self, folder: Path) -> None:
        """Where the encoders trained on Kvasir-SEG lie."""
        self.add_argument(
            "--encoders-in", type=Path, default=folder, help="where experiments.recipes.train_kvasir left its encoders"
        )

    def add_count(self, count: int, what: str) -> None:
        """How many pictures."""
        self.add_argument("--count", type=int, default=count, help=what)

    def add_masks(self, masks: int, what: str | None = None) -> None:
        """How many masks."""
        self.add_argument("--masks", type=int, default=masks, help=what)

    def add_rounds(self, rounds: int) -> None:
        """How often a time is taken."""
        self.add_argument("--rounds", type=int, default=rounds, help="how often every time is taken")

    def add_device(self) -> None:
        """Where the encoder runs."""
        self.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda")

    def add_seed(self) -> None:
        """The only source of randomness."""
        self.add_argument("--seed", type=int, default=0)

    def add_name(self, name: str) -> None:
        """Under which name the results are written."""
        self.add_argument("--name", default=name, help="of the files in results/")

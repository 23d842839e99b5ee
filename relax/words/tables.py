"""What can be chosen for a text, as data; nothing here loads torch, so that the command line need not wait."""

from __future__ import annotations

from dataclasses import dataclass

ENCODER = "minilm"
MASKS = 1024  # random subsets of the words, or encoder passes of LIME and Kernel SHAP
KEEP = 0.5  # chance that a word is shown
MOST_CHARACTERS = 100_000  # of a text
MOST_PARTS = 1024  # of a text: a map of more would need more subsets than anybody waits for
MOST_TEXTS = 2000  # that are compared with each other

PARTS = {
    "words": "words, each with the signs that touch it; all tokens of a word are hidden together",
    "tokens": "the network's own tokens",
    "sentences": "sentences, which end at . ! ? … or a line break",
}
"""What is hidden as a whole (by=, --by)."""

FILLS = {
    "mask": "the network's mask token in place of each hidden token; the length stays",
    "drop": "nothing: hidden words are left out, and the others move together",
    "attention": "the token itself, to which nothing attends; the places of the others stay",
}
"""What stands where a word is hidden (fill=, --fill); "auto" is mask where the network has such a token, else drop."""


@dataclass(frozen=True)
class Method:
    """One way to say what each word does.

    Attributes:
        name: Its name in Python and on the command line.
        what: What its number means.
        source: The paper.
        passes: Encoder passes for n words and N masks, as a formula.
        function: Where its code is, as "module:function" in this room: from a `baselines.Game` to `baselines.Values`.
    """

    name: str
    what: str
    source: str
    passes: str
    function: str


METHODS = {
    row.name: row
    for row in (
        Method(
            "relax",
            "mean similarity over random subsets of the words that show it, with its uncertainty and error",
            "Wickstrøm et al., IJCV 2023",
            "N, or 2^n if fewer",
            "estimating:relax",
        ),
        Method(
            "kernel_shap",
            "Shapley value: what it adds to the similarity, averaged over all orders of the words",
            "Lundberg & Lee, NeurIPS 2017",
            "N, or 2^n if fewer",
            "baselines:kernel_shap",
        ),
        Method(
            "lime",
            "coefficient of a linear model of the similarity around the whole text",
            "Ribeiro, Singh & Guestrin, KDD 2016",
            "N",
            "baselines:lime",
        ),
        Method(
            "leave_one_out",
            "fall of the similarity when it alone is hidden",
            "Zeiler & Fergus, ECCV 2014, with words for patches",
            "n + 1",
            "baselines:leave_one_out",
        ),
    )
}
"""Methods by name (method=, --method)."""

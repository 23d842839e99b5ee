"""What can be chosen when looking inside an encoder, as tables that load no torch."""

from __future__ import annotations

PLANS = {
    "auto": "the stages of the network, or its blocks where it has one stage",
    "more": "the parts of the stages, too",
}
"""Which layers are looked at, besides names."""
EFFECTS = {
    "gradient": "to leading order, from 16 backward passes for all layers",
    "ablation": "exactly, one forward pass a channel",
    "none": "not at all",
}
"""How it is found out how much the embedding hangs on a channel."""
UNIT = {
    "gradient": "fall of the cosine of the embedding to itself, to leading order",
    "ablation": "fall of the cosine of the embedding to itself",
}
"""What that number is, by how it was found."""
FACTORS = {
    "auto": "nmf where no activation is negative, else pca",
    "nmf": "parts that add up, never negative",
    "pca": "directions along which the cells differ most",
    "none": "no parts",
}
"""How a layer is taken apart."""
ORDERS = {
    "energy": "mean square of its values over the cells",
    "contrast": "variance of its values over the cells: how much it differs from place to place",
    "effect": "how much the embedding hangs on it",
    "number": "its number in the layer",
}
"""What channels can be sorted by."""
DIRECTIONS = 16  # of the embedding, along which gradients are taken
MOST_PARTS = 8  # as many as there are colours
MOST_CHANNELS = 12  # of a layer in a figure

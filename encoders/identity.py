"""What determines an encoder's embeddings, as a record: enough to tell two encoders apart and to make one again.

`relax.load_encoder(record["name"], pooling=record["pooling"], seed=record["seed"])` makes it again where the name is a
spec, which holds the network's arguments, with `view=record["view"]` where that is there; a module or function of the
caller's needs besides it the preprocessing.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from torch import nn

from encoders.arguments import WEIGHTS, as_value
from encoders.encoder import Encoder
from encoders.errors import EncoderError
from encoders.inner import Inner, whole
from encoders.kinds import FILE_ITEMS, POOLING_ITEM, PREPROCESS_ITEMS
from encoders.layers import settings_of
from encoders.parsing import parse_spec

COMPARED = ("checksum", "pooling", "preprocess", "architecture")
INNER = ("layer", "token")  # which are not there where the whole network is asked
SEEN = {  # items that the preprocessing, the checksum or the layers show, whether said or recognised
    *(*PREPROCESS_ITEMS, POOLING_ITEM, *FILE_ITEMS, *WEIGHTS),
    *("img_size", "in_chans", "num_heads", "patch_size", "act_layer", "global_pool", "quick_gelu", "output", "batch"),
}


def identity(encoder: Encoder) -> dict[str, Any]:
    """Name, checksum, pooling, preprocessing and architecture: all that determines the embeddings, as JSON types.

    With layer and token, where these are what the encoder is asked for.
    """
    record = {
        "name": encoder.name,
        "checksum": encoder.checksum,
        "pooling": encoder.pooling,
        "preprocess": _preprocess(encoder),
        "architecture": _architecture(encoder),
        **({} if encoder.view_kind == "auto" else {"view": encoder.view_kind}),
        **(encoder.network.record() if isinstance(encoder.network, Inner) else {}),
    }
    as_json: dict[str, Any] = json.loads(json.dumps(record))
    return as_json


def recipe(encoder: Encoder) -> dict[str, Any]:
    """The identity, and how the encoder was made: channels, the seed of random weights, what a checkpoint gave."""
    report = encoder.report
    checkpoint = None if report is None else {"layout": report.layout, "part": report.part, "report": str(report)}
    return {**identity(encoder), "channels": encoder.channels, "seed": encoder.seed, "checkpoint": checkpoint}


def differences(record: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What two identities differ in so that their embeddings cannot be mixed; empty if in nothing.

    Names are compared only for functions, which have no checksum. What an older record does not hold is not compared.
    """
    compared = COMPARED if other.get("checksum") else ("name", *COMPARED)
    different = [key for key in compared if key in record and key in other and record[key] != other[key]]
    return different + [key for key in INNER if record.get(key) != other.get(key)]


def _preprocess(encoder: Encoder) -> dict[str, Any]:
    """Its fields; padding only where there is some, so that earlier records say the same without it."""
    return {name: value for name, value in asdict(encoder.preprocess).items() if name != "padded" or value}


def _architecture(encoder: Encoder) -> dict[str, Any]:
    """What its weights do not show: heads, activation, stem, and further arguments of the spec as they were said."""
    network = whole(encoder.network)
    shown = settings_of(network) if isinstance(network, nn.Module) else {}
    try:
        items = parse_spec(encoder.name).items
    except EncoderError:  # the name of a module or function
        items = {}
    return {**shown, **{item: as_value(text) for item, text in items.items() if item not in SEEN}}

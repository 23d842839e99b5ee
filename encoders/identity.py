"""What determines an encoder's embeddings, as a record: enough to tell two encoders apart and to make one again.

`relax.load_encoder(record["name"], pooling=record["pooling"], seed=record["seed"])` makes it again where the name is a
spec, which holds the network's arguments; a module or function of the caller's needs besides it the preprocessing.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from encoders.encoder import Encoder

COMPARED = ("checksum", "pooling", "preprocess")


def identity(encoder: Encoder) -> dict[str, Any]:
    """Name, checksum, pooling and preprocessing: everything that determines the embeddings, as JSON types."""
    record = {
        "name": encoder.name,
        "checksum": encoder.checksum,
        "pooling": encoder.pooling,
        "preprocess": asdict(encoder.preprocess),
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
    return [key for key in compared if key in record and key in other and record[key] != other[key]]

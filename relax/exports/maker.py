"""What every written object says of what made it: this program, the method, its settings; and codes of its own.

Codes of this project have the private scheme 99RELAX; where the standard has a code, that is taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from relax.io.extra import medical_extra
from relax.maps import map_unit
from relax.provenance import version_of

with medical_extra():
    from pydicom.sr.coding import Code
    from pydicom.uid import UID, generate_uid

SCHEME = "99RELAX"
NAME = "RELAX Explainer"
TOP_REGION = Code("top-region", SCHEME, "Top region of the map")
CODES = {
    "importance": Code("importance", SCHEME, "Importance"),
    "uncertainty": Code("uncertainty", SCHEME, "Uncertainty"),
    "standard_error": Code("standard-error", SCHEME, "Standard error of the importance"),
}
_SERIES = 9000  # numbers of the series that are written begin here, after those of scanners


@dataclass(frozen=True)
class Choices:
    """What is written of a sheaf.

    Attributes:
        map: "importance", "uncertainty" or "standard_error".
        keep: What goes with it of the source, see `relax.exports.kinds.KEEP`.
    """

    map: str = "importance"
    keep: str = "references"


@dataclass
class Series:
    """One written series: its UID and number, and the number of the next object in it."""

    description: str
    number: int
    uid: UID
    count: int = 0

    @classmethod
    def of(cls, what: str, kind: int) -> Series:
        """A new one of a kind of object, by its place in the table of kinds."""
        return cls(what, _SERIES + kind, generate_uid())

    def next(self) -> dict[str, Any]:
        """Keywords of highdicom for the next object."""
        self.count += 1
        return {
            "series_instance_uid": self.uid,
            "series_number": self.number,
            "sop_instance_uid": generate_uid(),
            "instance_number": self.count,
            "series_description": self.description,
            "manufacturer": NAME,
        }


def device() -> dict[str, Any]:
    """Keywords of highdicom for the program."""
    return {
        "manufacturer_model_name": NAME,
        "software_versions": version_of("relax-explainer"),
        "device_serial_number": "none",
    }


def settings(records: Iterable[dict[str, Any]]) -> dict[str, str]:
    """How maps were made, by name, without the names of files; what differs between them is left out."""
    first, *others = map(_settings, records)
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def recipe(records: Iterable[dict[str, Any]]) -> str:
    """The same as text."""
    return ", ".join(f"{name} {value}" for name, value in settings(records).items())[:400]


def unit(record: dict[str, Any], map: str) -> str:
    """What the values of a map are, in words, for an element of 64 characters."""
    words = {"uncertainty": "variance over the masks", "standard_error": "standard error of the mean"}
    return (map_unit(record) if map == "importance" else words[map])[:64]


def _settings(record: dict[str, Any]) -> dict[str, str]:
    early = record.get("stopped_early")
    parts = {
        "method": record.get("method", "relax"),
        "similarity": record.get("similarity"),
        "encoder": (record.get("encoder") or {}).get("name"),
        "masks": (record.get("masks") or {}).get("count"),
        "stopped early of": early.get("of") if early else None,
        "seed": record.get("seed"),
    }
    return {name: str(value) for name, value in parts.items() if value is not None}

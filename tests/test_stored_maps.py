"""The numbers of a map stay what they were: stored maps are met to 1e-5 of their largest value, on one thread.

Each map is made anew from a picture and a network that are formulas. If a change of numbers is meant, it gets an entry
under *Numbers that change* in the CHANGELOG, and the file is renewed: `python -m tests.stored_maps`.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.stored_maps import FILE, keywords, maps_of


@pytest.mark.parametrize("name", keywords())
def test_a_map_is_the_stored_one(name: str) -> None:
    with np.load(FILE) as stored:
        expected = {
            kind: stored[f"{name}/{kind}"] for kind in ("importance", "uncertainty") if f"{name}/{kind}" in stored
        }

    maps = maps_of(name)

    assert maps.keys() == expected.keys()
    for kind, values in maps.items():
        largest = float(np.nanmax(np.abs(expected[kind])))
        np.testing.assert_allclose(values, expected[kind], rtol=0, atol=1e-5 * largest, err_msg=kind)


def test_every_stored_map_is_made_and_has_something_to_see() -> None:
    with np.load(FILE) as stored:
        assert {name.split("/")[0] for name in stored} == set(keywords())
        assert all(np.nanstd(stored[name]) > 0 for name in stored)

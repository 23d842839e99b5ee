"""An explanation survives saving, filters itself by certainty, and says how it was made."""

import json
import os

import numpy as np
import pytest
import torch

import relax
from relax.files import written_aside


def explanation(**changes):
    maps = {
        "importance": np.array([[0.1, 0.2], [0.3, np.nan]], dtype=np.float32),
        "uncertainty": np.array([[0.01, 0.03], [0.02, np.nan]], dtype=np.float32),
        "standard_error": np.array([[1e-3, 2e-3], [3e-3, np.nan]], dtype=np.float32),
        "image": np.zeros((2, 2, 3), dtype=np.uint8),
        "provenance": {"image": "tiny.png", "similarity": "cosine", "masks": {"count": 7}, "seed": 0},
    }
    return relax.Explanation(**{**maps, **changes})


def kept(values):
    return (~np.isnan(values)).tolist()


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ({}, [[True, False], [True, False]]),  # median 0.02
        ({"threshold": 0.015}, [[True, False], [False, False]]),
        ({"threshold": 1.0}, [[True, True], [True, False]]),
        ({"quantile": 0.0}, [[True, False], [False, False]]),
        ({"quantile": 1.0}, [[True, True], [True, False]]),
        ({"gamma": 0.9}, [[True, False], [False, False]]),  # 0.9 x 0.02
        ({"gamma": 1.1}, [[True, False], [True, False]]),
    ],
)
def test_u_relax_keeps_what_is_certain_and_never_what_is_unknown(limit, expected):
    filtered = explanation().u_relax(**limit)

    assert kept(filtered) == expected
    seen = ~np.isnan(filtered)
    assert np.array_equal(filtered[seen], explanation().importance[seen])


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"quantile": 1.5}, "quantile is a share of the pixels, between 0 and 1; got 1.5"),
        ({"gamma": -1}, "gamma must be 0 or more; got -1"),
        ({"threshold": float("nan")}, "threshold must be 0 or more; got nan"),
        ({"gamma": 1, "quantile": 0.5}, "u_relax takes one of threshold, quantile and gamma; got quantile and gamma"),
    ],
)
def test_impossible_limits_are_named(limit, message):
    with pytest.raises(ValueError, match=message):
        explanation().u_relax(**limit)


def test_saving_and_loading_gives_back_everything(tmp_path):
    explanation = relax.explain(torch.rand(3, 20, 24), "random:default", masks=20)

    loaded = relax.Explanation.load(explanation.save(tmp_path / "deep" / "made.npz"))

    for name in ("importance", "uncertainty", "standard_error", "image", "scores"):
        assert np.array_equal(getattr(loaded, name), getattr(explanation, name))
        assert getattr(loaded, name).dtype == getattr(explanation, name).dtype
    assert loaded.provenance == explanation.provenance
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["made.npz"]


def test_the_saved_file_opens_without_pickle_and_holds_json(tmp_path):
    explanation().save(tmp_path / "e.npz")

    with np.load(tmp_path / "e.npz", allow_pickle=False) as saved:
        assert sorted(saved) == ["how", "image", "importance", "standard_error", "uncertainty"]
        assert json.loads(str(saved["how"]))["provenance"]["image"] == "tiny.png"


def test_a_file_that_is_no_explanation_is_named(tmp_path):
    (tmp_path / "no.npz").write_bytes(b"not a zip")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))

    for name in ("no.npz", "other.npz"):
        with pytest.raises(ValueError, match=f"{name} is not a saved explanation"):
            relax.Explanation.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        relax.Explanation.load(tmp_path / "missing.npz")


def test_a_pickle_is_never_opened(tmp_path):
    np.savez(tmp_path / "evil.npz", how=np.array([{"a": 1}], dtype=object))

    with pytest.raises(ValueError, match="is not a saved explanation"):
        relax.Explanation.load(tmp_path / "evil.npz")


def saved(path, how=None, **arrays):
    """A file like that of an explanation, with other arrays or another record."""
    whole = explanation()
    maps = {name: getattr(whole, name) for name in ("importance", "uncertainty", "standard_error", "image")}
    record = json.dumps({"format": 1, "provenance": whole.provenance}) if how is None else how
    np.savez_compressed(path, how=np.array(record), **{**maps, **arrays})
    return path


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("importance", np.zeros(3, np.float32), r"importance must be \(H, W\); got \(3,\)"),
        ("importance", np.zeros((0, 0), np.float32), r"importance must be \(H, W\); got \(0, 0\)"),
        ("importance", np.zeros((2, 2)), r"importance must be float32 \(2, 2\); got float64 \(2, 2\)"),
        ("uncertainty", np.zeros((2, 3), np.float32), r"uncertainty must be float32 \(2, 2\); got float32 \(2, 3\)"),
        ("standard_error", np.zeros((2, 2), "S4"), r"standard_error must be float32 \(2, 2\); got \|S4 \(2, 2\)"),
        (
            "image",
            np.zeros((2, 2), np.uint8),
            r"importance must have the shape of the image; got \(2, 2\) and \(2, 2\)",
        ),
        ("image", np.zeros((2, 2, 3)), r"image must be uint8 \(2, 2, 3\); got float64"),
        ("importance", np.full((2, 2), -np.inf, np.float32), "importance must be finite, or NaN where it is unknown"),
        ("uncertainty", np.full((2, 2), np.inf, np.float32), "uncertainty must be finite and 0 or more, or NaN"),
        ("standard_error", np.full((2, 2), -1, np.float32), "standard_error must be finite and 0 or more, or NaN"),
    ],
)
def test_maps_of_another_shape_or_type_are_refused(tmp_path, name, values, message):
    with pytest.raises(ValueError, match=rf"odd\.npz is not a saved explanation: {message}"):
        relax.Explanation.load(saved(tmp_path / "odd.npz", **{name: values}))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("[" * 100_000, "it is nested too deeply"),
        ("[1]", "record must be a record; got a list"),
        ('{"format": "1", "provenance": {}}', "record.format must be a whole number; got text"),
        ('{"format": 1}', "its record lacks provenance"),
        ('{"format": 1, "provenance": []}', "record.provenance must be a record; got a list"),
        (
            '{"format": 1, "provenance": {"encoder": "x"}}',
            r"provenance is not one \(provenance.encoder must be a record",
        ),
        ('{"format": 1, "provenance": {"masks": {"count": "7"}}}', "provenance.masks.count must be a whole number"),
        ('{"format": 1, "provenance": {"tolerance": true}}', "provenance.tolerance must be a number or a whole number"),
        (
            '{"format": 1, "provenance": {"scale": {"cosine": {"masked": {"mean": []}}}}}',
            "provenance.scale.cosine.masked.mean must be",
        ),
    ],
)
def test_records_of_other_types_are_refused(tmp_path, how, message):
    with pytest.raises(ValueError, match=rf"odd\.npz is not a saved explanation: .*{message}"):
        relax.Explanation.load(saved(tmp_path / "odd.npz", how))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (np.frombuffer(b"\xff\xff\xff\x7f", "<U1").reshape(()), "codec can't decode"),
        (np.array(["a", "b"]), r"its record must be text; got <U1 \(2,\)"),
        (np.float32(3), r"its record must be text; got float32 \(\)"),
    ],
)
def test_a_record_that_is_no_text_is_refused(tmp_path, how, message):
    """numpy itself fails on a character beyond Unicode with a SystemError."""
    with pytest.raises(ValueError, match=rf"odd\.npz is not a saved explanation: .*{message}"):
        relax.Explanation.load(saved(tmp_path / "odd.npz", how))


def test_a_record_of_a_machine_with_another_byte_order_is_read(tmp_path):
    file = saved(
        tmp_path / "swapped.npz", np.array(json.dumps({"format": 1, "provenance": {"image": "é"}})).astype(">U60")
    )

    assert relax.Explanation.load(file).provenance == {"image": "é"}


def test_maps_of_a_machine_with_another_byte_order_are_read(tmp_path):
    values = explanation().importance

    loaded = relax.Explanation.load(saved(tmp_path / "swapped.npz", importance=values.astype(">f4")))

    assert loaded.importance.dtype == np.float32
    np.testing.assert_array_equal(loaded.importance, values)


def test_whatever_bytes_are_changed_the_error_is_one_line(tmp_path):
    """The zip's checksum finds every change of the content; where a change is without effect, the maps are the same."""
    good, rng = explanation().to_bytes(), np.random.default_rng(0)
    refused = []
    for _ in range(300):
        damaged = bytearray(good)
        for place in rng.integers(len(good), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        (tmp_path / "damaged.npz").write_bytes(damaged[: rng.integers(len(good))] if rng.random() < 0.2 else damaged)
        try:
            loaded = relax.Explanation.load(tmp_path / "damaged.npz")
        except ValueError as error:
            refused.append(str(error))
        else:
            np.testing.assert_array_equal(loaded.importance, explanation().importance)
    assert len(refused) > 150
    assert not [reason for reason in refused if "\n" in reason]


def test_a_small_file_that_unfolds_is_refused_by_its_headers_and_the_limit_can_be_raised(tmp_path, monkeypatch):
    zeros = np.zeros((100, 100), np.float32)
    pixels = np.zeros((100, 100, 3), np.uint8)
    path = saved(tmp_path / "large.npz", importance=zeros, uncertainty=zeros, standard_error=zeros, image=pixels)
    monkeypatch.setenv("RELAX_MAX_FILE_BYTES", "1e5")

    with pytest.raises(
        ValueError,
        match=r"large\.npz would take 0 MB .* if you trust it, raise the limit, as in RELAX_MAX_FILE_BYTES=1e9",
    ):
        relax.Explanation.load(path)

    monkeypatch.setenv("RELAX_MAX_FILE_BYTES", "160e3")
    assert relax.Explanation.load(path).importance.shape == (100, 100)
    monkeypatch.setenv("RELAX_MAX_FILE_BYTES", "much")
    with pytest.raises(ValueError, match="RELAX_MAX_FILE_BYTES must be a number of bytes, such as 4e9; got 'much'"):
        relax.Explanation.load(path)


def test_it_prints_what_matters():
    text = repr(explanation())

    for part in ("tiny.png", "2 x 2 px", "0.1 to 0.3", "cosine", "7 masks", "seed 0"):
        assert part in text


def test_json_has_the_ranges_and_no_nan():
    described = json.loads(explanation().to_json())

    assert described["maps"]["importance"] == pytest.approx({"min": 0.1, "median": 0.2, "max": 0.3})
    nowhere = explanation(standard_error=np.full((2, 2), np.nan, dtype=np.float32))
    assert json.loads(nowhere.to_json())["maps"]["standard_error"] == {"min": None, "median": None, "max": None}
    assert "NaN" not in nowhere.to_json()


def test_a_notebook_shows_the_figure():
    assert explanation()._repr_png_().startswith(b"\x89PNG")


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "map.bin"
    target.write_bytes(b"old")

    with pytest.raises(KeyboardInterrupt), written_aside(target) as aside:  # noqa: PT012
        aside.write_bytes(b"half")
        raise KeyboardInterrupt

    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["map.bin"]


def test_a_new_file_has_ordinary_permissions(tmp_path):
    mask = os.umask(0o022)
    try:
        with written_aside(tmp_path / "new.bin") as aside:
            aside.write_bytes(b"x")
    finally:
        os.umask(mask)

    assert (tmp_path / "new.bin").stat().st_mode & 0o777 == 0o644

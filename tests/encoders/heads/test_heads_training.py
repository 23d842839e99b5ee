"""Heads that are trained find what was planted, stop in time, and depend on nothing but data and seed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from encoders import Encoder, EncoderError
from encoders.heads.kinds import KnnHead, LinearHead, PrototypeHead
from encoders.heads.labels import split_by_class
from encoders.heads.training import knn_head, prototype_head, train_head, train_linear

CLASSES = ("a", "b", "c")


def clusters(seed: int, each: int, width: int = 8, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Normal clouds around three random centres; embeddings and labels."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(3, width, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(3).repeat(each)
    return centres[labels] + spread * torch.randn(3 * each, width, generator=generator), labels


def test_a_linear_head_finds_the_posterior_of_two_normal_classes() -> None:
    """Classes N(-1, 1) and N(+1, 1) have log odds 2 x exactly; here x is scaled by 1,000 and moved."""
    labels = torch.arange(2).repeat(20_000)
    x = torch.randn(40_000, generator=torch.Generator().manual_seed(0)) + (2 * labels - 1)
    embeddings = torch.stack([1000 * x + 5000, torch.full_like(x, 3.0)], 1)  # and one that never varies

    head, _ = train_linear(embeddings, labels, ("minus", "plus"))

    probes = torch.tensor([[4000.0, 3.0], [5000.0, 3.0], [6000.0, 3.0]])
    logits = head.logits(probes)
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], torch.tensor([-2.0, 0.0, 2.0]), atol=0.08, rtol=0)


def test_standardisation_is_folded_into_the_weights() -> None:
    """A law: the head of rescaled and moved embeddings gives the same probabilities on them."""
    z, y = clusters(0, 60)
    scale = torch.logspace(-2, 2, 8)

    plain, _ = train_linear(z, y, CLASSES)
    moved, _ = train_linear(z * scale + 7 * scale, y, CLASSES)

    torch.testing.assert_close(moved.scores(z * scale + 7 * scale), plain.scores(z), atol=1e-3, rtol=1e-3)


def test_training_stops_early_with_the_weights_of_the_lowest_validation_loss() -> None:
    """Labels are noise, so the validation loss soon rises: one epoch more than the best must not change the head."""
    z, y = torch.randn(90, 60, generator=torch.Generator().manual_seed(0)), torch.arange(3).repeat(30)
    told: list[tuple[int, int]] = []

    head, record = train_linear(
        z, y, CLASSES, epochs=100, patience=4, progress=lambda done, total: told.append((done, total))
    )
    shortened, _ = train_linear(z, y, CLASSES, epochs=max(record.best_epoch, 1), patience=4)

    assert record.epochs == record.best_epoch + 4
    assert told == [(epoch, 100) for epoch in range(1, record.epochs + 1)]
    assert torch.equal(head.scores(z), shortened.scores(z))
    kept = split_by_class(y, CLASSES, 0).validation
    losses = [
        float(F.cross_entropy(train_linear(z, y, CLASSES, epochs=epoch)[0].logits(z[kept]), y[kept]))
        for epoch in range(1, record.epochs + 1)
    ]
    assert float(F.cross_entropy(head.logits(z[kept]), y[kept])) == pytest.approx(min(losses), rel=1e-5)


def test_the_record_counts_what_the_definition_counts() -> None:
    z, y = clusters(1, 40, spread=1.5)
    keep = torch.cat([torch.arange(120)[y == 0], torch.arange(120)[y == 1][:20], torch.arange(120)[y == 2][:10]])
    z, y = z[keep], y[keep]

    for kind in ("linear", "knn", "prototype"):
        head, record = train_head(kind, z, y, CLASSES, seed=3, k=5)

        split = split_by_class(y, CLASSES, 3)
        assert record.kind == head.kind == kind
        assert record.images == {"a": 40, "b": 20, "c": 10}
        assert (record.train_images, record.validation_images) == (56, 14)
        hits = head.scores(z[split.validation]).argmax(1) == y[split.validation]
        assert record.validation_accuracy == pytest.approx(hits.double().mean().item())
        assert record.baseline == 8 / 14  # a has 40 of 70, 8 of them kept
        assert record.validation_accuracy > record.baseline
        assert head.training == {**vars(record)}


def test_a_fifth_of_every_class_is_kept_and_nothing_is_in_both() -> None:
    y = torch.tensor([0] * 5 + [1] * 50 + [2] * 8)

    split = split_by_class(y, CLASSES, 0)

    assert y[split.validation].bincount().tolist() == [1, 10, 2]
    assert sorted([*split.train.tolist(), *split.validation.tolist()]) == list(range(63))
    assert split_by_class(y, CLASSES, 0).validation.tolist() == split.validation.tolist()
    assert split_by_class(y, CLASSES, 1).validation.tolist() != split.validation.tolist()


@pytest.mark.parametrize("kind", ["linear", "knn", "prototype"])
def test_only_the_seed_decides(kind: str) -> None:
    z, y = clusters(2, 30)
    state = torch.random.get_rng_state()

    first, record = train_head(kind, z, y, CLASSES, seed=1, k=3)
    with torch.inference_mode():
        torch.manual_seed(5)
        repeated, _ = train_head(kind, z.clone(), y.tolist(), CLASSES, seed=1, k=3)
        torch.random.set_rng_state(state)
    other, _ = train_head(kind, z, y, CLASSES, seed=2, k=3)

    assert torch.equal(first.scores(z), repeated.scores(z))
    assert not torch.equal(first.scores(z), other.scores(z))
    assert record.validation_accuracy > 0.8
    assert torch.equal(torch.random.get_rng_state(), state)


def test_prototypes_are_the_directions_of_the_mean_unit_vectors() -> None:
    """Class a: (2, 0) and (0, 5), unit vectors (1, 0) and (0, 1), their mean along (1, 1)."""
    z = torch.tensor([[2.0, 0.0], [0.0, 5.0], [0.0, -3.0], [0.0, -1.0]])

    head = prototype_head(z, [0, 0, 1, 1], ("a", "b"))

    assert isinstance(head, PrototypeHead)
    torch.testing.assert_close(head.prototypes, torch.tensor([[math.sqrt(0.5)] * 2, [0.0, -1.0]]))


def test_a_bank_holds_the_unit_vectors() -> None:
    head = knn_head(torch.tensor([[3.0, 4.0], [0.0, -2.0]]), [1, 0], ("a", "b"), k=1, temperature=0.2)

    assert isinstance(head, KnnHead)
    torch.testing.assert_close(head.bank, torch.tensor([[0.6, 0.8], [0.0, -1.0]]))
    assert head.labels.tolist() == [1, 0]
    assert (head.k, head.temperature) == (1, 0.2)


def test_a_head_remembers_its_encoder() -> None:
    encoder = Encoder(torch.nn.Linear(2, 2), name="tiny", device="cpu")
    z, y = clusters(0, 10)

    for kind in ("linear", "knn", "prototype"):
        head, _ = train_head(kind, z, y, CLASSES, k=2, encoder=encoder)
        assert head.encoder["checksum"] == encoder.checksum
        assert head.encoder_name == "tiny"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("a", "a", "c")}, "classes must be different names; got a, a, c"),
        ({"classes": ("a", "b")}, "labels must be from 0 to 1; got 0 to 2"),
        ({"classes": ("a", "b", "c", "d")}, r"every class needs at least 1 images; 'd' has 0: add images or leave"),
        ({"labels": [0, 1]}, r"labels must be 30 whole numbers, one an embedding; got \(2,\)"),
        ({"labels": [0] * 13 + [1] * 13 + [2] * 4}, "every class needs at least 5 images; 'c' has 4"),
        ({"embeddings": torch.zeros(30)}, r"embeddings must be a float tensor \(N, D\); got \(30,\)"),
        ({"embeddings": torch.full((30, 2), torch.nan)}, "embeddings must be finite"),
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"patience": 0}, "patience must be at least 1; got 0"),
        ({"penalty": -1}, "penalty must be 0 or more; got -1"),
    ],
)
def test_data_that_cannot_teach_is_refused(change: dict[str, object], message: str) -> None:
    z, y = clusters(0, 10)
    with pytest.raises(EncoderError, match=message):
        train_linear(**{"embeddings": z, "labels": y, "classes": CLASSES, **change})  # type: ignore[arg-type]


def test_one_class_and_unknown_kinds_are_refused() -> None:
    z, _ = clusters(0, 10)
    with pytest.raises(EncoderError, match="classes must be at least 2 to tell apart; got a"):
        train_linear(z, [0] * 30, ("a",))
    with pytest.raises(EncoderError, match="kind must be one of linear, knn, prototype; got 'tree'"):
        train_head("tree", z, [0] * 30, ("a",))


def test_the_head_that_training_gives_is_linear() -> None:
    z, y = clusters(0, 10)

    assert type(train_linear(z, y, CLASSES)[0]) is LinearHead

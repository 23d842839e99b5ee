"""Heads give the class probabilities of their definitions, stay as they are, and come back from disk as they were."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from encoders import Encoder, EncoderError, Head, Preprocess, load_head
from encoders.heads.kinds import KnnHead, LinearHead, NetworkHead, PrototypeHead

CLASSES = ("cat", "dog", "3")


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True)


def heads() -> list[Head]:
    return [
        LinearHead(CLASSES, numbers(0, 3, 4), numbers(1, 3)),
        NetworkHead(CLASSES, numbers(2, 3, 4), numbers(3, 3)),
        PrototypeHead(CLASSES, unit(numbers(4, 3, 4)), 0.2),
        KnnHead(CLASSES, unit(numbers(5, 30, 4)), torch.arange(30) % 3, k=7, temperature=0.3),
    ]


@pytest.fixture(params=range(4), ids=lambda index: heads()[index].kind)
def head(request: pytest.FixtureRequest) -> Head:
    return heads()[request.param]


def test_a_linear_head_is_the_softmax_of_w_z_plus_b() -> None:
    """z = (1, 2): logits 1 + ln 3, 2 + 0, 0 + 0. With b = (ln 3 - 1, -2, 0): odds 3 : 1 : 1."""
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    head = LinearHead(CLASSES, weight, torch.tensor([math.log(3) - 1, -2.0, 0.0]))

    torch.testing.assert_close(head.scores(torch.tensor([[1.0, 2.0]])), torch.tensor([[0.6, 0.2, 0.2]]))


def test_a_prototype_head_is_the_softmax_of_cosine_over_temperature() -> None:
    """z = (3, 4) has cosines 0.6, 0.8 and -0.6; its length plays no part."""
    head = PrototypeHead(CLASSES, torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), 0.5)
    weights = [math.exp(cosine / 0.5) for cosine in (0.6, 0.8, -0.6)]

    scores = head.scores(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))

    torch.testing.assert_close(scores, torch.tensor([[weight / sum(weights) for weight in weights]] * 2))
    torch.testing.assert_close(head.logits(torch.tensor([[3.0, 4.0]])), torch.tensor([[1.2, 1.6, -1.2]]))


def test_a_knn_head_is_the_weighted_vote_of_the_nearest() -> None:
    """z along (1, 0); cosines 1, 0.8, 0.6, 0, of classes 0, 1, 1, 2. Of k = 3 the last has no vote."""
    bank = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, -0.8], [0.0, 1.0]])
    head = KnnHead(CLASSES, bank, torch.tensor([0, 1, 1, 2]), k=3, temperature=0.5)
    first, second, third = (math.exp(cosine / 0.5) for cosine in (1.0, 0.8, 0.6))
    total = first + second + third

    scores = head.scores(torch.tensor([[7.0, 0.0]]))

    torch.testing.assert_close(scores, torch.tensor([[first / total, (second + third) / total, 0.0]]))


def test_a_head_goes_where_the_embeddings_are(head: Head) -> None:
    """The device without data stands for a GPU: with tensors of two devices torch would refuse the product."""
    scores = head.scores(torch.empty(2, 4, device="meta"))

    assert (scores.device.type, tuple(scores.shape)) == ("meta", (2, 3))


def test_a_knn_head_leaves_each_of_its_own_out() -> None:
    """By the definition: the score of each embedding by the head of all others."""
    bank, labels = unit(numbers(0, 12, 3)), torch.arange(12) % 3
    scores = KnnHead(CLASSES, bank, labels, k=4).leave_one_out()

    for index in range(12):
        others = torch.arange(12) != index
        expected = KnnHead(CLASSES, bank[others], labels[others], k=4).scores(bank[index][None])[0]
        torch.testing.assert_close(scores[index], expected)


def test_scores_are_probabilities_and_the_softmax_of_the_logits(head: Head) -> None:
    embeddings = torch.cat([numbers(6, 50, 4) * 1000, numbers(7, 50, 4), torch.zeros(1, 4)])

    scores = head.scores(embeddings)

    assert scores.shape == (101, 3)
    assert scores.dtype == torch.float32
    assert scores.min() >= 0
    assert scores.max() <= 1
    torch.testing.assert_close(scores.sum(1), torch.ones(101))
    assert head.logits(embeddings).isfinite().all()
    torch.testing.assert_close(head.logits(embeddings).softmax(1), scores)


def test_scores_do_not_depend_on_the_batch(head: Head) -> None:
    embeddings = numbers(8, 20, 4)

    in_single_rows = torch.cat([head.scores(row[None]) for row in embeddings])

    torch.testing.assert_close(in_single_rows, head.scores(embeddings))


def test_gradients_reach_the_embeddings_and_nothing_else(head: Head) -> None:
    """The analytic gradient is that of finite differences, even for a head made under inference mode."""
    with torch.inference_mode():
        head = head.to("cpu")
    embeddings = numbers(9, 2, 4).requires_grad_()
    embeddings.data[1] *= 2

    head.scores(embeddings)[:, 0].sum().backward()

    assert embeddings.grad is not None
    for column in range(4):
        step = torch.zeros(4)
        step[column] = 1e-2
        with torch.no_grad():
            slope = (head.scores(embeddings + step) - head.scores(embeddings - step))[:, 0] / 2e-2
        torch.testing.assert_close(embeddings.grad[:, column], slope, atol=2e-3, rtol=2e-2)
    assert not any(value.requires_grad for value in vars(head).values() if isinstance(value, Tensor))


def test_a_head_keeps_copies_of_its_tensors() -> None:
    weight = torch.ones(3, 4)
    head = LinearHead(CLASSES, weight, torch.zeros(3))

    weight.zero_()

    assert head.weight.tolist() == [[1.0] * 4] * 3


def test_a_class_is_found_by_its_name_first_and_then_by_its_number(head: Head) -> None:
    assert head.class_index("dog") == 1
    assert head.class_index("3") == 2  # a name
    assert head.class_index("1") == 1  # no name, so a number
    assert head.class_index(0) == 0


@pytest.mark.parametrize(
    ("name_or_index", "message"),
    [
        ("cow", r"class must be one of the head's 3; got 'cow': they are cat, dog, 3"),
        ("5", r"class must be a name, or a number from 0 to 2; got '5'"),
        (3, r"class must be a name, or a number from 0 to 2; got 3"),
        (-1, r"number from 0 to 2; got -1"),
    ],
)
def test_a_class_that_is_not_there_is_refused(name_or_index: str | int, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        heads()[0].class_index(name_or_index)


def test_a_name_of_two_classes_is_refused_and_the_numbers_are_named() -> None:
    """Some lists of ImageNet names have two cranes, the bird and the machine."""
    head = LinearHead(("crane", "crane"), torch.zeros(2, 4), torch.zeros(2))

    with pytest.raises(EncoderError, match=r"class 'crane' is the name of \[0, 1\]: give one of the numbers"):
        head.class_index("crane")


def encoder(seed: int, pooling: str = "auto", preprocess: Preprocess | None = None) -> Encoder:
    network = torch.nn.Linear(3, 4)
    torch.nn.init.constant_(network.weight, seed)
    torch.nn.init.zeros_(network.bias)
    return Encoder(network, name=f"encoder {seed}", preprocess=preprocess, pooling=pooling, device="cpu")


def test_another_encoder_is_refused(head: Head) -> None:
    head = head.made_for(encoder(1))

    head.check(encoder(1))
    with pytest.raises(EncoderError, match=r"made for encoder 'encoder 1' with checksum \w{64}; got 'encoder 2' with"):
        head.check(encoder(2))
    with pytest.raises(EncoderError, match=r"with pooling auto; got 'encoder 1' with mean: load it as it was then"):
        head.check(encoder(1, "mean"))
    with pytest.raises(EncoderError, match=r"with name encoder 1; got '<lambda>' with <lambda>"):
        head.check(Encoder(lambda pixels: pixels.mean((2, 3))))
    with pytest.raises(
        EncoderError, match=r"with preprocess {'mean': None, 'std': None}; got .* {'mean': \[0.5\], 'std'"
    ):
        head.check(encoder(1, preprocess=Preprocess(mean=(0.5,), std=(0.2,))))
    head.made_for(None).check(encoder(2))  # where nothing is known, nothing is refused


def test_embeddings_of_another_width_are_refused(head: Head) -> None:
    with pytest.raises(EncoderError, match=r"embeddings must be a float tensor \(N, 4\) for this head .*got \(2, 5\)"):
        head.scores(torch.zeros(2, 5))


@pytest.mark.parametrize("name", ["probe", "probe.json", "probe.safetensors", "v1.2"])
def test_a_head_comes_back_from_disk_as_it_was(head: Head, tmp_path: Path, name: str) -> None:
    head = head.made_for(encoder(1))

    head.save(tmp_path / "new folder" / name)
    loaded = load_head(tmp_path / "new folder" / name)

    stem = "v1.2" if name == "v1.2" else "probe"
    assert sorted(p.name for p in (tmp_path / "new folder").iterdir()) == [f"{stem}.json", f"{stem}.safetensors"]
    assert type(loaded) is type(head)
    assert (loaded.classes, loaded.dim, loaded.kind) == (head.classes, head.dim, head.kind)
    assert loaded.encoder == head.encoder
    assert loaded.encoder_name == "encoder 1"
    embeddings = numbers(10, 9, 4)
    assert torch.equal(loaded.scores(embeddings), head.scores(embeddings))


def test_a_card_of_an_earlier_release_is_compared_in_what_it_holds(head: Head, tmp_path: Path) -> None:
    """It had name, checksum and pooling, all null where the encoder was unknown."""
    head.made_for(encoder(1)).save(tmp_path / "probe")
    card = json.loads((tmp_path / "probe.json").read_text())
    earlier = {name: card["encoder"][name] for name in ("name", "checksum", "pooling")}

    for known, other in ((earlier, encoder(1, preprocess=Preprocess(mean=(0.5,), std=(0.2,)))), (None, encoder(2))):
        card["encoder"] = known or dict.fromkeys(earlier)
        (tmp_path / "probe.json").write_text(json.dumps(card))
        load_head(tmp_path / "probe").check(other)
    card["encoder"] = earlier
    (tmp_path / "probe.json").write_text(json.dumps(card))
    with pytest.raises(EncoderError, match="with checksum"):
        load_head(tmp_path / "probe").check(encoder(2))


def test_files_that_are_no_head_are_refused(tmp_path: Path) -> None:
    first, second = heads()[:2]
    with pytest.raises(EncoderError, match=r"head must be two files, .* is not there"):
        load_head(tmp_path / "none")

    first.save(tmp_path / "a")
    second.save(tmp_path / "b")
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes())
    with pytest.raises(EncoderError, match=r"a.json belongs to other weights than those in a.safetensors"):
        load_head(tmp_path / "a")

    (tmp_path / "b.safetensors").write_bytes(b"half a fi")
    with pytest.raises(EncoderError, match=r"b.safetensors cannot be read \(.*\): train or copy it again") as caught:
        load_head(tmp_path / "b")
    assert "\n" not in str(caught.value)

    for change, message in [
        ({"format": "x"}, "its format is not 'relax-head'"),
        ({"version": 2}, "must have version 1; got 2"),
        ({"version": "a" * 5000}, r"must have version 1; got 'a{20,200}\.\.\.: use the release"),
        ({"kind": "tree"}, "does not fit its kind"),
        ({"classes": ["a", "b"]}, "does not fit its kind"),
    ]:
        first.save(tmp_path / "c")
        card = json.loads((tmp_path / "c.json").read_text())
        (tmp_path / "c.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(EncoderError, match=message):
            load_head(tmp_path / "c")


def test_a_write_that_fails_leaves_the_old_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = heads()[:2]
    first.save(tmp_path / "a")

    def full(self: Path, target: Path) -> Path:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="the disk is full"):
        second.save(tmp_path / "a")
    monkeypatch.undo()

    assert load_head(tmp_path / "a").kind == "linear"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.safetensors"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearHead(("a",), torch.zeros(1, 4), torch.zeros(1)), "classes must be at least 2 names; got 1"),
        (lambda: LinearHead(CLASSES, torch.zeros(2, 4), torch.zeros(3)), r"weight must be \(3, 4\) for 3 classes"),
        (lambda: LinearHead(CLASSES, torch.full((3, 4), torch.nan), torch.zeros(3)), "weight must be finite"),
        (lambda: PrototypeHead(CLASSES, torch.ones(3, 4)), "prototypes must be unit vectors; got lengths from 2 to 2"),
        (lambda: PrototypeHead(CLASSES, torch.eye(3), 0), "temperature must be above 0; got 0"),
        (lambda: KnnHead(CLASSES, torch.eye(3), torch.arange(3), k=4), "k must be from 1 to 3, .*; got 4: choose a"),
        (lambda: KnnHead(CLASSES, torch.eye(3), torch.arange(3), k=True), "k must be .* whole number; got True"),
        (lambda: KnnHead(CLASSES, torch.eye(3), torch.arange(3), k=2.5), "k must be .* whole number; got 2.5"),
        (lambda: KnnHead(CLASSES, torch.eye(3), torch.arange(3), temperature=True), "temperature must be .* got True"),
        (lambda: KnnHead(CLASSES, torch.eye(3), torch.arange(3) + 1, k=1), "labels must be class numbers from 0 to 2"),
    ],
)
def test_impossible_heads_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(EncoderError, match=message):
        make()

"""Rows, data sets and loaders give the maps of their pictures, one picture at a time; labels are ignored."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder
from torchvision.transforms import v2

import relax
from relax.io.datasets import is_dataset, is_row, rows
from relax.io.images import name_of, read_image


def pictures(count=5, side=16):
    values = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return [Image.fromarray(value) for value in values]


def as_tensor(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


PICTURES = pictures()
TENSORS = torch.stack([as_tensor(picture) for picture in PICTURES])


def encoder(pixels):
    return torch.cat([pixels[:, :, :8].mean((2, 3)), pixels[:, :, 8:, 8:].mean((2, 3)), pixels.amax((2, 3))], 1)


class Rows(Dataset):
    """Rows made by a function of the index; remembers which were read, and has no end of its own."""

    def __init__(self, row, count=5):
        self.row, self.count, self.reads = row, count, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.reads.append(index)
        return self.row(index % 5)


class Stream(IterableDataset):
    def __iter__(self):
        yield from ((picture, number) for number, picture in enumerate(PICTURES))


class LikeHuggingFace:
    """Not torch's: a length and rows by number."""

    def __len__(self):
        return len(PICTURES)

    def __getitem__(self, index):
        return {"label": index, "img": PICTURES[index]}


def listed(rows):
    """A collate function that leaves rows as they are."""
    return rows


def side_by_side(rows):
    """A collate function that puts pictures and labels into two lists."""
    images, labels = zip(*rows, strict=True)
    return images, torch.tensor(labels)


LABELLED = Rows(lambda index: (PICTURES[index], index))
STACKABLE = Rows(lambda index: (TENSORS[index], index))
DATASETS = {
    "pictures alone": Rows(lambda index: PICTURES[index]),
    "picture, label": LABELLED,
    "picture, name of a class": Rows(lambda index: (PICTURES[index], "cat")),
    "picture, mask": Rows(lambda index: (PICTURES[index], PICTURES[index].convert("L"))),
    "picture, target of detection": Rows(lambda index: (TENSORS[index], {"boxes": torch.zeros(1, 4)})),
    "dicts": Rows(lambda index: {"label": index, "image": PICTURES[index]}),
    "dicts with another key": Rows(lambda index: {"label": index, "photo": PICTURES[index]}),
    "tensors": TensorDataset(TENSORS, torch.arange(5)),
    "tensors alone": TensorDataset(TENSORS),
    "subset": Subset(LABELLED, range(5)),
    "without torch": LikeHuggingFace(),
    "stream": Stream(),
    "loader": DataLoader(STACKABLE, batch_size=2),
    "loader without labels": DataLoader(Rows(lambda index: TENSORS[index]), batch_size=2),
    "loader of tensors": DataLoader(TensorDataset(TENSORS), batch_size=3),
    "loader of grey tensors": DataLoader(TensorDataset(TENSORS[:, 0], torch.arange(5)), batch_size=2),
    "loader of dicts": DataLoader(Rows(lambda index: {"image": TENSORS[index], "label": index}), batch_size=2),
    "loader of rows": DataLoader(LABELLED, batch_size=2, collate_fn=listed),
    "loader of lists": DataLoader(LABELLED, batch_size=2, collate_fn=side_by_side),
    "loader of lists of pictures": DataLoader(Rows(lambda index: PICTURES[index]), batch_size=2, collate_fn=listed),
    "loader without batches": DataLoader(STACKABLE, batch_size=None),
    "loader of a stream": DataLoader(Stream(), batch_size=2, collate_fn=listed),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_gives_the_explanations_of_its_pictures(name):
    explanations = relax.explain(DATASETS[name], encoder, masks=20)

    assert len(explanations) == 5
    for picture, explanation in zip(TENSORS[:, 0] if "grey" in name else PICTURES, explanations, strict=True):
        np.testing.assert_array_equal(explanation.importance, relax.explain(picture, encoder, masks=20).importance)


ROWS = {
    "picture, number": (PICTURES[0], 3),
    "picture, number of numpy": (PICTURES[0], np.int64(3)),
    "picture, tensor": (TENSORS[0], torch.tensor(3)),
    "picture, several labels": (PICTURES[0], 3, None, torch.zeros(4), {"boxes": []}),
    "picture, name": (PICTURES[0], "cat"),
    "dict": {"image": PICTURES[0], "label": 3},
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_its_picture_wherever_a_picture_is_taken(name):
    row, same = ROWS[name], relax.explain(PICTURES[0], encoder, masks=20)

    np.testing.assert_array_equal(relax.explain(row, encoder, masks=20).importance, same.importance)
    assert torch.equal(read_image(row), read_image(PICTURES[0]))
    assert relax.probe(row, encoder, masks=4).scene.name == name_of(row)
    assert [len(relax.explain([row, row], encoder, masks=4)), len(relax.explain([row], encoder, masks=4))] == [2, 1]
    reference = relax.explain(PICTURES[1], encoder, masks=4, reference=row).importance
    np.testing.assert_array_equal(
        reference, relax.explain(PICTURES[1], encoder, masks=4, reference=PICTURES[0]).importance
    )


@pytest.mark.parametrize("pair", [("a.png", "b.png"), (PICTURES[0], PICTURES[1]), (TENSORS[0], TENSORS[1])])
def test_a_tuple_of_pictures_is_still_a_list_of_pictures(pair):
    assert not is_row(pair)


def test_a_file_behind_a_picture_is_a_second_picture(tmp_path):
    PICTURES[1].save(tmp_path / "cat.png")

    assert not is_row((PICTURES[0], str(tmp_path / "cat.png")))
    assert is_row((PICTURES[0], str(tmp_path / "dog.png")))


def test_rows_of_a_folder_of_classes(tmp_path):
    (tmp_path / "cats").mkdir()
    PICTURES[0].save(tmp_path / "cats" / "a.png")

    explanations = relax.explain(ImageFolder(str(tmp_path)), encoder, masks=20)

    same = relax.explain(tmp_path / "cats" / "a.png", encoder, masks=20)
    np.testing.assert_array_equal(explanations[0].importance, same.importance)


def test_a_picture_is_read_when_it_is_its_turn():
    dataset = Rows(lambda index: (PICTURES[index], 0), count=1_000_000)

    first = next(rows(dataset))

    assert dataset.reads == [0]
    assert first.name == "Rows[0]"


def test_explanations_are_named_after_the_data_set_and_the_number():
    explanations = relax.explain(Subset(LABELLED, [4, 2]), encoder, masks=4)

    assert [explanation.provenance["image"] for explanation in explanations] == ["Subset[0]", "Subset[1]"]


def test_a_data_set_that_normalises_is_refused_with_its_number_and_the_way_out():
    normalised = FakeData(
        2,
        (3, 16, 16),
        transform=v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.2] * 3)]),
    )

    with pytest.raises(
        relax.ImageError,
        match=r"FakeData\[0\]: floats must lie in \[0, 1\]; these run from -2.5 to 2.48\d*: .*normalisation, which is "
        r"the encoder's \(load_encoder\(mean=, std=\)\)",
    ) as caught:
        relax.explain(normalised, encoder, masks=4)

    assert "\n" not in str(caught.value)


def test_a_row_without_a_picture_names_its_keys():
    with pytest.raises(
        relax.ImageError, match=r"a row must hold its picture as image, img, .*; got the keys label and path"
    ):
        relax.explain({"label": 3, "path": "cat.png"}, encoder)
    with pytest.raises(relax.ImageError, match=r"got the keys \?\[31m and x+…x+$"):
        relax.explain({"\x1b[31m": 3, "x" * 1000: 4}, encoder)
    with pytest.raises(relax.ImageError, match="got the keys left and right"):
        relax.explain({"left": PICTURES[0], "right": PICTURES[1]}, encoder)


@pytest.mark.parametrize("source", [np.zeros((4, 4)), TENSORS, PICTURES[0], [PICTURES[0]], "cat.png", {"image": 1}, 3])
def test_arrays_and_pictures_are_no_data_sets(source):
    assert not is_dataset(source)

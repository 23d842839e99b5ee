"""What an audit does for very many pictures gives what the plain way gives, and what was done is kept."""

import numpy as np
import pytest
from PIL import Image
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import LocalOutlierFactor

from experiments.data.planted import label
from relax.auditing import kept as keeping
from relax.auditing import neighbours as searching
from relax.auditing import predictability as columns
from relax.auditing import quality, stages
from relax.auditing.clusters import find_clusters
from relax.auditing.duplicates import Duplicates, near_duplicates
from relax.auditing.group_marks import find_group_marks, groups_of
from relax.auditing.kept import Kept, kept_nearest
from relax.auditing.metadata import Metadata
from relax.auditing.neighbours import nearest, unit
from relax.auditing.outliers import outliers
from relax.auditing.predictability import predictability
from relax.progress import unheard

NO_DUPLICATES = Duplicates(1.0, (), np.array([]), np.array([]))


@pytest.fixture
def points():
    return np.random.default_rng(3).normal(size=(60, 6)).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_neighbours_of_some_are_those_of_all_however_they_are_cut(points, metric, monkeypatch):
    whole = nearest(points, 4, metric)
    monkeypatch.setattr(searching, "SEARCH", 7)
    monkeypatch.setattr(searching, "BLOCK", 3)
    some = np.array([58, 0, 31, 5, 6, 7, 59, 20])

    cut = nearest(points, 4, metric)
    of_some = nearest(points, 4, metric, of=some)

    for neighbours, images in ((cut, np.arange(60)), (of_some, some)):
        np.testing.assert_array_equal(neighbours.indices, whole.indices[images])
        np.testing.assert_allclose(neighbours.similarities, whole.similarities[images], atol=1e-12)


@pytest.mark.parametrize("threshold", [0.5, 0.9, None])
def test_near_duplicates_are_those_of_all_pairs_even_where_more_than_k_are_close(points, threshold):
    points[40:] = points[0]  # 21 copies, and only 3 neighbours of each are known
    result = near_duplicates(points, nearest(points, 3), threshold)

    close = unit(points) @ unit(points).T >= result.threshold
    count, labels = connected_components(close, directed=False)
    expected = {tuple(np.flatnonzero(labels == number)) for number in range(count) if (labels == number).sum() > 1}
    assert set(result.groups) == expected


def test_two_crowds_are_one_group_if_only_pairs_beyond_the_known_neighbours_join_them():
    angles = np.radians([0, 0, 0, 0, 0, 10, 10, 10, 10, 10, 90])  # the 3 nearest of each are copies of it
    points = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)

    result = near_duplicates(points, nearest(points, 3), np.cos(np.radians(11)))

    assert result.groups == (tuple(range(10)),)


def test_the_local_factor_is_that_of_scikit_learn_from_the_embeddings(points):
    result = outliers(points, nearest(points, 5), np.zeros(60, dtype=np.int64))

    expected = -LocalOutlierFactor(n_neighbors=5, algorithm="brute").fit(unit(points)).negative_outlier_factor_
    np.testing.assert_allclose(result.local_factor, expected, rtol=1e-9)


def test_a_picture_beside_many_copies_is_no_outlier_without_end(points):
    points[40:] = points[0]
    points[1] = points[0] + 0.01

    result = outliers(points, nearest(points, 5), np.zeros(60, dtype=np.int64))

    assert result.local_factor.max() < 1e4  # 1e7 and a warning where copies have distance 0


def test_a_centre_without_an_image_is_that_of_the_others(points):
    clusters = find_clusters(points, count=3)

    for image in (0, 17):
        others = (clusters.labels == clusters.labels[image]) & (np.arange(60) != image)
        expected = unit(unit(points[others]).sum(0, keepdims=True))[0]
        centre = clusters.centres_without(points, image)[clusters.labels[image]]
        np.testing.assert_allclose(centre, expected, atol=1e-12)


def test_cosine_and_l2_are_compared_for_a_sample_of_many(points, monkeypatch):
    neighbours = nearest(points, 4)
    whole = stages._agreement(points, neighbours, 0)
    monkeypatch.setattr(stages, "AGREEING", 25)

    some = stages._agreement(points, neighbours, 0)

    known = np.isfinite(some)
    assert known.sum() == 25
    np.testing.assert_array_equal(some[known], whole[known])


def test_a_column_is_predicted_for_a_sample_of_many_from_all_others(monkeypatch):
    points = np.random.default_rng(0).normal(0, 0.1, (300, 4)).astype(np.float32)
    points[:, 0] += np.repeat([-1, 1], 150)
    groups, numbers = np.repeat(["left", "right"], 150).tolist(), (points[:, 0] * 5).astype(float).tolist()
    monkeypatch.setattr(columns, "ASKED", 40)

    by_group, by_number = (predictability(points, "c", values, permutations=99) for values in (groups, numbers))

    assert (by_group.images, by_group.asked, by_group.score, by_group.p) == (300, 40, 1.0, 0.01)
    assert by_number.asked == 40
    assert by_number.score > 0.9


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


def test_measures_are_kept_until_a_file_changes(folder, monkeypatch):
    paths, file = ["0.png", "1.png", "2.png"], folder / "measures.parquet"
    asked = []
    plain = quality.measured
    monkeypatch.setattr(quality, "measured", lambda path: asked.append(path.name) or plain(path))
    digests = dict.fromkeys(paths, "a")

    def measures(digests):
        asked.clear()
        with Kept(file, digests) as kept:
            return quality.check_pictures(folder, paths, unheard, kept).measures

    first = measures(digests)
    assert asked == paths
    again = measures(digests)
    assert asked == []
    assert {name: values.tolist() for name, values in again.items()} == {
        name: values.tolist() for name, values in first.items()
    }
    measures(digests | {"1.png": "b"})
    assert asked == ["1.png"]
    file.write_bytes(b"PAR1 cut off")
    measures(digests)
    assert asked == paths


def test_measures_of_a_run_that_is_stopped_are_kept(folder, monkeypatch):
    digests = dict.fromkeys(["0.png", "1.png"], "a")

    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Kept(folder / "measures.parquet", digests) as kept:
        quality.check_pictures(folder, [*digests], stop, kept)

    assert [*Kept(folder / "measures.parquet", digests).rows] == ["0.png"]


def test_neighbours_are_kept_until_an_embedding_changes(points, tmp_path, monkeypatch):
    file = tmp_path / "neighbours.npz"
    first = kept_nearest(file, points, 3, unheard)
    monkeypatch.setattr(keeping, "nearest", lambda *_, **__: pytest.fail("sought again"))

    again = kept_nearest(file, points, 3, unheard)

    np.testing.assert_array_equal(again.indices, first.indices)
    monkeypatch.undo()
    points[3] = points[50]
    assert kept_nearest(file, points, 3, unheard).indices[3, 0] == 50


def test_groups_are_folders_and_words_each_set_of_images_once():
    names = [f"{'cats' if number < 30 else 'dogs/old'}/{number}.png" for number in range(60)] + ["top.png"]
    table = {"animal": ["cat"] * 30 + ["dog"] * 30 + [None], "age": [1] * 61, "sex": (["f"] * 20 + ["m"] * 20) * 2}
    table["sex"] = table["sex"][:61]

    groups = groups_of(names, Metadata(table, 0, 0))

    assert [(group.column, group.value, len(group.images)) for group in groups] == [
        ("sex", "f", 40),
        ("folder", "cats", 30),
        ("folder", "dogs/old", 30),
        ("sex", "m", 21),
    ]


def test_groups_in_a_tar_are_its_folders():
    names = [f"pictures.tar#member={'cats' if number < 30 else 'dogs'}/{number}.png" for number in range(60)]

    assert [group.value for group in groups_of(names, None)] == ["cats", "dogs"]


def test_a_label_of_one_folder_is_found_in_that_folder_alone(tmp_path):
    rng, names = np.random.default_rng(0), []
    for number in range(60):
        marked = number < 30
        pixels = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((96, 72), Image.BICUBIC)
        picture = np.asarray(pixels) + rng.integers(0, 30, (72, 96, 3))
        picture = picture.clip(0, 255).astype(np.uint8)
        name = f"{'marked' if marked else 'clean'}-{number:02}.png"
        Image.fromarray(label(picture, 0.8, 0.05) if marked and number % 2 else picture).save(tmp_path / name)
        names.append(f"{'marked' if marked else 'clean'}/{name}")
    paths = [name.partition("/")[2] for name in names]

    results = find_group_marks(tmp_path, paths, groups_of(names, None), NO_DUPLICATES, unheard)

    assert [result.group.value for result in results] == ["marked", "clean"]
    assert results[0].p <= 0.01
    assert results[0].marks.in_place
    assert {image % 2 for image in results[0].marks.carriers} == {1}
    assert results[1].p > 0.05
    assert results[1].marks.carriers == ()

"""An index finds the neighbours by the definition of its metric after any change: flat exactly, the others nearly."""

import subprocess
import sys

import faiss
import numpy as np
import pytest
import torch

import similarity
from similarity import MEASURES, Index
from similarity.kinds import KINDS, METRICS, MIN_TRAINING_VECTORS

D = 16


def clusters(count, seed=0):
    """Vectors of different lengths around 20 centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 3, (20, D))
    return (centres[rng.integers(0, 20, count)] + rng.normal(0, 1, (count, D))).astype(np.float32)


def by_definition(vectors, query, metric):
    """(N,) similarities by the project's measure, in float64."""
    return MEASURES[metric](torch.from_numpy(vectors), torch.from_numpy(query)).numpy()


@pytest.mark.parametrize("metric", METRICS)
def test_flat_gives_the_similarities_and_the_order_of_the_measure(metric):
    vectors, queries = clusters(300), clusters(7, seed=1)

    similarities, ids = Index.build(vectors, metric=metric).search(queries, 300)

    assert (similarities.dtype, ids.dtype, ids.shape) == (np.float32, np.int64, (7, 300))
    for query, scores, order in zip(queries, similarities, ids, strict=True):
        expected = by_definition(vectors, query, metric)
        assert sorted(order) == list(range(300))
        np.testing.assert_allclose(scores, expected[order], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(scores, np.sort(expected)[::-1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_the_approximate_kinds_find_nearly_what_flat_finds(kind, metric):
    vectors, queries = clusters(3000), clusters(50, seed=1)
    expected = np.stack([np.argsort(-by_definition(vectors, query, metric))[:10] for query in queries])

    _, ids = Index.build(vectors, kind=kind, metric=metric).search(queries, 10, exact=lambda ids: vectors[ids])

    hits = [len(set(row) & set(true)) for row, true in zip(ids.tolist(), expected.tolist(), strict=True)]
    assert np.mean(hits) / 10 > (0.99 if kind == "hnsw" else 0.93)


@pytest.mark.parametrize("metric", METRICS)
def test_ivfpq_compares_its_candidates_exactly_where_it_is_given_the_vectors(metric):
    vectors, queries = clusters(1000), clusters(5, seed=1)
    ids = np.arange(1000) * 3 + 7
    index = Index.build(vectors, ids, kind="ivfpq", metric=metric)

    similarities, neighbours = index.search(queries, 10, exact=lambda ids: vectors[(ids - 7) // 3])
    rough, _ = index.search(queries, 10)

    expected = [by_definition(vectors, q, metric)[(n - 7) // 3] for q, n in zip(queries, neighbours, strict=True)]
    np.testing.assert_allclose(similarities, expected, rtol=1e-6, atol=1e-6)
    assert (np.diff(similarities) <= 0).all()
    assert np.abs(rough - similarities).max() > 1e-3  # its own vectors are compressed


def test_the_more_lists_are_looked_into_the_more_is_found_and_in_all_of_them_everything():
    """2,000 vectors without clusters in 51 lists; of all vectors as candidates the ten nearest are exact."""
    vectors = np.random.default_rng(0).normal(size=(2000, D)).astype(np.float32)
    index = Index.build(vectors, kind="ivfpq", metric="l2")
    truth = [set(np.argsort(-by_definition(vectors, query, "l2"))[:10].tolist()) for query in vectors[:20]]

    def share(lists):
        _, ids = index.search(vectors[:20], 200, vectors.__getitem__, lists)
        return np.mean([len(set(row[:10].tolist()) & true) for row, true in zip(ids, truth, strict=True)]) / 10

    assert index._inner.nlist == 51
    assert share(1) < 0.7 < share(8) < share(51) == 1
    assert share(None) == share(32) > share(8)


@pytest.mark.parametrize(("kind", "lists"), [("flat", 2), ("hnsw", 2), ("ivfpq", 0)])
def test_lists_that_an_index_does_not_have_are_refused(kind, lists):
    index = Index.build(clusters(MIN_TRAINING_VECTORS), kind=kind)

    with pytest.raises(ValueError, match=f"lists must be at least 1, and are those of an ivfpq .* {lists} for {kind}"):
        index.search(clusters(1), 1, lists=lists)


@pytest.mark.parametrize("kind", KINDS)
def test_a_zero_vector_has_cosine_0_to_everything_itself_included(kind):
    vectors = clusters(MIN_TRAINING_VECTORS)
    vectors[5] = 0

    index = Index.build(vectors, kind=kind)
    similarities, _ = index.search(vectors[5:6], 10)

    assert similarities.tolist() == [[0.0] * 10]


def test_near_copies_far_from_the_origin_have_their_true_distance(monkeypatch):
    """For many queries faiss takes |a|^2 + |b|^2 - 2ab, which leaves rounding errors as large as the lengths."""
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 20)
    vectors = 300 + clusters(200)
    queries = vectors + np.float32(2**-6)  # no rounding: floats near 300 are 2^-15 apart

    similarities, ids = Index.build(vectors, metric="l2").search(queries, 1)

    assert ids.ravel().tolist() == list(range(200))
    np.testing.assert_allclose(similarities, -(2**-6) * np.sqrt(D), rtol=1e-3)
    assert (Index.build(vectors, metric="l2").search(vectors, 1)[0] == 0).all()


def test_cosine_compares_directions_of_huge_and_tiny_vectors():
    vectors = np.array([[1e18, 0], [1e-30, 1e-30], [0, -1e-38]], np.float32)

    similarities, ids = Index.build(vectors).search(np.array([[2e-25, 0]], np.float32), 3)

    assert ids.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(similarities, [[1, np.sqrt(0.5), 0]], rtol=1e-6)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_missing_neighbours_have_id_minus_1_and_similarity_minus_infinity(kind):
    index = Index.build(clusters(2), kind=kind, metric="l2")

    similarities, ids = index.search(clusters(3, seed=1), 4)

    assert (ids[:, 2:] == -1).all()
    assert (similarities[:, 2:] == -np.inf).all()
    assert np.isfinite(similarities[:, :2]).all()
    assert sorted(ids[0, :2]) == [0, 1]

    index.remove([0, 1])
    assert (index.search(clusters(3, seed=1), 4)[1] == -1).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_after_adding_removing_and_updating_every_vector_is_found_under_its_id_and_no_other_is(kind, metric, tmp_path):
    vectors = clusters(2000)
    index = Index.build(vectors[:1000], np.arange(1000) + 50, kind=kind, metric=metric)

    assert index.add(vectors[1000:1200]).tolist() == list(range(1050, 1250))
    assert index.remove(np.array([*range(50, 150), 999_999])) == 100
    index.update(vectors[1500:1510], np.arange(200, 210))
    present = {number + 50: vectors[number] for number in range(100, 1200)}
    present.update({200 + number: vectors[1500 + number] for number in range(10)})
    index.save(tmp_path / "a.faiss")

    for held in (index, Index.load(tmp_path / "a.faiss")):
        assert (held.kind, held.metric, held.dimension, len(held)) == (kind, metric, D, 1100)
        np.testing.assert_array_equal(held.ids, sorted(present))
        _, ids = held.search(np.stack(list(present.values())), 1, exact=lambda ids: np.stack([present[i] for i in ids]))
        share = (ids[:, 0] == np.array(list(present))).mean()
        assert share == 1 if kind == "flat" else share > 0.99
        _, ids = held.search(vectors[:100], 50)
        assert not set(ids.ravel()) & {-1, *range(50, 150)}
    assert [path.name for path in tmp_path.iterdir()] == ["a.faiss"]


def test_hnsw_is_rebuilt_once_most_vectors_are_removed(tmp_path):
    vectors = clusters(1000)
    index = Index.build(vectors, kind="hnsw", metric="l2")
    index.save(tmp_path / "all")

    index.remove(np.arange(0, 400))
    assert Index.load(_saved(index, tmp_path / "large"))._faiss.ntotal == 1000
    index.remove(np.arange(400, 600))

    assert Index.load(_saved(index, tmp_path / "few"))._faiss.ntotal == len(index) == 400
    assert index.search(vectors[600:], 1)[1].ravel().tolist() == list(range(600, 1000))


def _saved(index, path):
    index.save(path)
    return path


def test_an_update_that_is_refused_changes_nothing():
    index = Index.build(clusters(10))

    with pytest.raises(ValueError, match="ids must be 2 different whole numbers"):
        index.update(clusters(2), np.array([3, 3]))

    assert index.ids.tolist() == list(range(10))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e25])
def test_vectors_that_are_not_finite_are_refused_with_their_row(bad):
    vectors = clusters(20)
    vectors[13, 2] = bad

    with pytest.raises(ValueError, match=r"^vectors must be finite and shorter than 9e\+18; row 13 is not$"):
        Index.build(vectors)
    with pytest.raises(ValueError, match=r"^queries must be finite .* row 13 is not$"):
        Index.build(clusters(20)).search(vectors, 1)
    assert len(Index.build(clusters(20))) == 20


def test_the_same_seed_makes_the_same_ivfpq_index(tmp_path):
    a, b, c = (Index.build(clusters(1000), kind="ivfpq", seed=seed) for seed in (3, 3, 4))

    files = [_saved(index, tmp_path / name).read_bytes() for index, name in ((a, "a"), (b, "b"), (c, "c"))]

    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Index.build(clusters(9), kind="tree"), "kind must be one of flat, hnsw, ivfpq; got 'tree'"),
        (lambda: Index.build(clusters(9), metric="dot"), "metric must be one of cosine, l2; got 'dot'"),
        (
            lambda: Index.build(clusters(623), kind="ivfpq"),
            "kind 'ivfpq' needs at least 624 vectors to train on; got 623: use 'flat'",
        ),
        (lambda: Index.build(clusters(9)[0]), r"vectors must be \(N, D\), one per row; got \(16,\)"),
        (lambda: Index.build(clusters(9).astype(np.float64)), "vectors must be float32; got float64"),
        (lambda: Index.build(clusters(9)).search(np.ones((1, 5), np.float32), 1), r"queries must be \(N, 16\)"),
        (lambda: Index.build(clusters(9)).search(clusters(1), 0), "k must be at least 1; got 0"),
        (lambda: Index.build(clusters(9), [-1, *range(8)]), "ids must be 9 different whole numbers, 0 or more"),
        (
            lambda: Index.build(clusters(9)).add(clusters(1), [8]),
            "ids must be unused; got 8, which is taken: use update",
        ),
    ],
)
def test_impossible_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_file_that_is_no_index_or_only_half_of_one_is_refused(tmp_path):
    path = tmp_path / "x.faiss"
    Index.build(clusters(100)).save(path)
    path.write_bytes(path.read_bytes()[:-50])

    with pytest.raises(ValueError, match=r"x\.faiss must be an index that faiss wrote: "):
        Index.load(path)
    path.write_text("no")
    with pytest.raises(ValueError, match=r"x\.faiss must be an index that faiss wrote: "):
        Index.load(path)
    faiss.write_index(faiss.IndexLSH(D, 8), str(path))
    with pytest.raises(ValueError, match=r"x\.faiss must hold a flat, hnsw or ivfpq index; got IndexLSH$"):
        Index.load(path)
    with pytest.raises(FileNotFoundError):
        Index.load(tmp_path / "nothing")


def test_saving_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "keep").touch()

    with pytest.raises(OSError, match="x"):
        Index.build(clusters(9)).save(tmp_path / "x")

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["keep", "x"]


@pytest.mark.skipif(faiss.get_num_gpus() == 0, reason="faiss sees no GPU")
@pytest.mark.parametrize("kind", ["flat", "ivfpq"])
def test_a_gpu_finds_the_same(kind):
    vectors = clusters(20_000)
    index = Index.build(vectors, kind=kind)
    on_gpu = index.search(vectors[:100], 10, exact=lambda ids: vectors[ids])
    index._gpu = index._faiss

    on_cpu = index.search(vectors[:100], 10, exact=lambda ids: vectors[ids])

    np.testing.assert_allclose(on_gpu[0], on_cpu[0], atol=1e-5)
    assert (on_gpu[1] == on_cpu[1]).mean() > 0.99


def test_faiss_is_loaded_only_where_an_index_is_used():
    code = "import sys, similarity; assert 'faiss' not in sys.modules; similarity.Index; assert 'faiss' in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_of_the_package_is_refused():
    assert similarity.Index is Index
    with pytest.raises(AttributeError, match="similarity attribute index_of"):
        _ = similarity.index_of


@pytest.mark.parametrize("kind", KINDS)
def test_the_id_0_is_an_id_like_any_other(kind, tmp_path):
    vectors = clusters(MIN_TRAINING_VECTORS)
    index = Index.build(vectors, kind=kind)
    index.save(tmp_path / "index")

    again = Index.load(tmp_path / "index")

    assert again.ids.tolist() == list(range(MIN_TRAINING_VECTORS))
    assert again.search(vectors[:1], 1, exact=lambda wanted: vectors[wanted])[1].tolist() == [[0]]
    assert index.remove(np.array([0])) == 1
    assert index.remove(np.array([0])) == 0
    assert 0 not in index.search(vectors[:1], 10)[1]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_vector_is_no_closer_than_the_same_to_itself(kind):
    vectors = clusters(500)

    similarities, _ = Index.build(vectors, kind=kind).search(vectors * 3, 1)
    opposite, _ = Index.build(vectors[:1], kind=kind).search(-vectors[:1], 1)

    assert similarities.max() == 1
    assert opposite.item() == -1


@pytest.mark.parametrize("metric", METRICS)
def test_the_length_of_a_query_does_not_choose_its_candidates_under_cosine(metric):
    """Compressed vectors of length 1, compared with queries of any length."""
    vectors, queries = clusters(2000), clusters(20, seed=1)
    index = Index.build(vectors, kind="ivfpq", metric=metric)

    short, long = index.search(queries * 1e-3, 10), index.search(queries * 1e3, 10)

    same = (short[1] == long[1]).mean()
    assert same == 1 if metric == "cosine" else same < 1
    if metric == "cosine":
        assert np.abs(short[0]).max() <= 1
        np.testing.assert_allclose(short[0], long[0], atol=1e-6)
    else:
        assert (long[0] <= 0).all()
        truth = [by_definition(vectors, query, metric).max() for query in queries * 1e3]
        np.testing.assert_allclose(long[0][:, 0], truth, rtol=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_places_beyond_the_vectors_that_there_are_say_so(kind):
    vectors = clusters(MIN_TRAINING_VECTORS)

    similarities, ids = Index.build(vectors, kind=kind).search(vectors[:2], MIN_TRAINING_VECTORS + 3)

    assert (ids[:, -3:] == -1).all()
    assert np.isneginf(similarities[ids == -1]).all()
    assert np.isfinite(similarities[ids >= 0]).all()


def test_the_seed_of_k_means_decides_what_ivfpq_compresses_to():
    vectors, queries = clusters(2000), clusters(5, seed=1)

    first, again, other = (
        Index.build(vectors, kind="ivfpq", seed=seed).search(queries, 5)[0].tolist() for seed in (0, 0, 1)
    )

    assert first == again == Index.build(vectors, kind="ivfpq").search(queries, 5)[0].tolist()
    assert first != other


def test_an_index_that_is_not_trained_is_refused(tmp_path):
    index = Index.build(clusters(2000), kind="ivfpq")
    index._faiss.is_trained = False
    index.save(tmp_path / "index")

    with pytest.raises(ValueError, match=r"index is damaged: it was never trained"):
        Index.load(tmp_path / "index")


def test_what_a_changed_file_begins_with_is_told_without_the_inside_of_faiss(tmp_path):
    Index.build(np.eye(4, dtype=np.float32)).save(tmp_path / "index")
    content = (tmp_path / "index").read_bytes()
    (tmp_path / "index").write_bytes(b"IxM\x07" + content[4:])

    with pytest.raises(ValueError, match=r"index must be an index that faiss wrote: Index type 0x") as caught:
        Index.load(tmp_path / "index")
    assert str(caught.value).isprintable()


def test_a_file_that_was_cut_off_is_refused_in_the_words_of_its_reason(tmp_path):
    """Of 'Error in FUNCTION at FILE:LINE: Error: CONDITION failed: REASON' the reason alone."""
    Index.build(clusters(50)).save(tmp_path / "index")
    whole = (tmp_path / "index").read_bytes()
    (tmp_path / "index").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ValueError, match=r"index must be an index that faiss wrote: read error") as caught:
        Index.load(tmp_path / "index")

    assert "failed:" not in str(caught.value)


@pytest.mark.parametrize("metric", METRICS)
def test_every_vector_of_a_table_that_is_taken_in_parts_is_there_once(metric):
    """Parts of 65,536."""
    vectors = clusters(70_000)
    rows = [0, 1, 65_535, 65_536, 69_999]

    index = Index.build(vectors, np.arange(70_000) + 5, metric=metric)

    assert len(index) == index._faiss.ntotal == 70_000
    assert index.search(vectors[rows], 1)[1].ravel().tolist() == [row + 5 for row in rows]
    vectors[66_000, 1] = np.nan
    with pytest.raises(ValueError, match=r"vectors must be finite and shorter than .*; row 66000 is not"):
        Index.build(vectors)


@pytest.mark.parametrize("metric", METRICS)
def test_a_graph_that_is_built_anew_keeps_its_kind_and_metric(metric):
    vectors = clusters(300)
    index = Index.build(vectors, kind="hnsw", metric=metric)

    index.remove(np.arange(200))

    assert (index.kind, index.metric, len(index)) == ("hnsw", metric, 100)
    assert index._faiss.ntotal == 100  # no stepping stones are left
    expected = by_definition(vectors[200:], vectors[250], metric)
    similarities, ids = index.search(vectors[250:251], 5)
    np.testing.assert_allclose(similarities[0], np.sort(expected)[::-1][:5], rtol=1e-5, atol=1e-5)
    assert ids[0].tolist() == (200 + np.argsort(-expected)[:5]).tolist()


def test_vectors_of_another_width_are_refused_before_anything_is_changed():
    index = Index.build(clusters(9))

    for change in (
        lambda: index.add(np.ones((2, 5), np.float32)),
        lambda: index.update(np.ones((1, 5), np.float32), [0]),
    ):
        with pytest.raises(ValueError, match=r"vectors must be \(N, 16\), one per row; got \([12], 5\)"):
            change()
    assert index.ids.tolist() == list(range(9))
    assert len(Index.build(np.ones((3, 1), np.float32))) == 3


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_list_longer_than_its_file_is_refused_before_memory_is_taken(tmp_path, kind):
    """Each list begins with its length in 8 bytes; here one claims 2^32 more, 16 GB or above."""
    index = Index.build(clusters(50), kind=kind)
    index.save(tmp_path / "index")
    whole = (tmp_path / "index").read_bytes()
    length = {"flat": index.dimension * 50, "hnsw": 50}[kind].to_bytes(8, "little")
    place = whole.rindex(length, 0, len(whole) - 50 * 8) if kind == "flat" else whole.index(length, 90)
    (tmp_path / "index").write_bytes(whole[: place + 4] + b"\1\0\0\0" + whole[place + 8 :])

    with pytest.raises(
        ValueError, match="index must be an index that faiss wrote: a list in it is longer than the file"
    ):
        Index.load(tmp_path / "index")

    (tmp_path / "index").write_bytes(whole)
    assert len(Index.load(tmp_path / "index")) == 50


def test_the_reason_of_an_earlier_error_is_not_told(tmp_path):
    """When a file merely ends, faiss quotes what the system said last, here of Python's opening the file."""
    Index.build(clusters(50)).save(tmp_path / "index")
    (tmp_path / "index").write_bytes((tmp_path / "index").read_bytes()[:2])

    with pytest.raises(ValueError, match=r"index must be an index that faiss wrote: read error in .*: 0 != 1$"):
        Index.load(tmp_path / "index")


def test_parts_of_different_sizes_are_refused(tmp_path):
    """The dimension stands behind the four letters of the kind; searching such an index could read foreign memory."""
    Index.build(clusters(50)).save(tmp_path / "index")
    changed = bytearray((tmp_path / "index").read_bytes())
    changed[4] += 1
    (tmp_path / "index").write_bytes(changed)

    with pytest.raises(ValueError, match="index is damaged: its parts are of different sizes"):
        Index.load(tmp_path / "index")

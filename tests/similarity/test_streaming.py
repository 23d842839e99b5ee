"""What is written shard by shard is what is built in memory, byte for byte; searched in its file, it finds the same."""

import faiss
import numpy as np
import pytest

import similarity.kinds
import similarity.opening
from similarity import Index, streaming
from similarity.kinds import KINDS, METRICS, empty_index, fill, list_count, probed_lists, training_size
from similarity.lists import Spills, taken_out
from similarity.streaming import rewrite_index, write_index

D = 8


def clusters(count, seed=0):
    """Vectors of different lengths around 20 centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 3, (20, D))
    return (centres[rng.integers(0, 20, count)] + rng.normal(0, 1, (count, D))).astype(np.float32)


VECTORS, QUERIES = clusters(3000), clusters(20, seed=1)


def exact(ids):
    return VECTORS[ids]


@pytest.fixture
def small_segments(monkeypatch):
    """Pieces of 200 vectors, and segments of at least 500."""
    monkeypatch.setattr(streaming, "PIECE", 200)
    monkeypatch.setattr(similarity.kinds, "PIECE", 200)
    monkeypatch.setattr(streaming, "SEGMENT", 500)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file of each kind."""
    folder = tmp_path_factory.mktemp("written")
    for kind in KINDS:
        write_index(folder / kind, [VECTORS], kind=kind)
    return folder


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_shards_in_a_stream_become_the_bytes_of_the_index_in_memory(
    tmp_path, small_segments, monkeypatch, kind, metric
):
    spilled = []
    monkeypatch.setattr(
        Spills, "put", lambda self, index, put=Spills.put: (spilled.append(index.ntotal), put(self, index))
    )
    ids = np.random.default_rng(0).permutation(9000)[:3000]
    np.save(tmp_path / "first.npy", VECTORS[:1234])
    shards = [np.load(tmp_path / "first.npy", mmap_mode="r"), VECTORS[1234:]]
    if kind == "hnsw":  # vectors that are added at once go into the graph in another order than one after the other
        shards = [VECTORS]

    write_index(tmp_path / "streamed", shards, ids, kind=kind, metric=metric, seed=3)

    Index.build(VECTORS, ids, kind=kind, metric=metric, seed=3).save(tmp_path / "built")
    assert (tmp_path / "streamed").read_bytes() == (tmp_path / "built").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "first.npy", "streamed"]
    assert spilled == ([600, 600, 634, 600, 566, 0] if kind == "ivfpq" else [])


def test_lists_of_which_most_are_empty_are_written_as_faiss_writes_them(tmp_path):
    index = Index.build(VECTORS, kind="ivfpq")
    index.save(tmp_path / "all")
    few = np.sort(index.search(VECTORS[:1], 5)[1][0])
    index.remove(np.setdiff1d(index.ids, few))
    index.save(tmp_path / "few")

    rewrite_index(tmp_path / "all", tmp_path / "rewritten", removed=np.setdiff1d(np.arange(3000), few))

    assert index._inner.nlist > 70
    assert (tmp_path / "rewritten").stat().st_size == (tmp_path / "few").stat().st_size
    assert Index.load(tmp_path / "rewritten").ids.tolist() == few.tolist()


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_vectors_do_not_move_in_memory_while_more_come(kind):
    """Where they moved, they would be there twice meanwhile."""
    index = empty_index([VECTORS[:1000], VECTORS[1000:]], kind, "l2", 0)
    inner = faiss.downcast_index(index.index)
    codes = faiss.downcast_index(inner.storage).codes if kind == "hnsw" else inner.codes
    place = int(codes.data())

    for start in range(0, 3000, 500):
        fill(index, VECTORS[start : start + 500], np.arange(start, start + 500))

    assert (codes.size(), int(codes.data())) == (VECTORS.nbytes, place)


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_of_the_file_finds_what_a_search_in_memory_finds(written, kind):
    in_memory, mapped = Index.load(written / kind), Index.load(written / kind, mapped=True)

    for lookup in (None, exact):
        for expected, result in zip(
            in_memory.search(QUERIES, 10, lookup), mapped.search(QUERIES, 10, lookup), strict=True
        ):
            np.testing.assert_array_equal(expected, result)
    np.testing.assert_array_equal(in_memory.ids, mapped.ids)
    assert (len(mapped), mapped.kind, mapped.dimension) == (3000, kind, D)


def test_the_lists_of_a_mapped_index_stay_in_its_file(written):
    index = Index.load(written / "ivfpq", mapped=True)
    lists = faiss.downcast_InvertedLists(index._faiss.invlists)

    assert isinstance(lists, faiss.OnDiskInvertedLists)
    assert lists.read_only


@pytest.mark.parametrize("change", [lambda index: index.add(VECTORS[:1]), lambda index: index.remove([0])])
def test_a_mapped_index_cannot_be_changed(written, change):
    index = Index.load(written / "flat", mapped=True)

    with pytest.raises(
        ValueError, match="an index that is memory-mapped cannot be changed: load it, or use rewrite_index"
    ):
        change(index)
    assert len(index) == 3000


@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_removals_and_additions_leave_exactly_what_they_should(tmp_path, written, small_segments, kind):
    """Twelve rounds from file to file, in which ids of removed vectors are given to others as well."""
    rng, present = np.random.default_rng(0), dict(enumerate(VECTORS))
    path = written / kind
    table = np.zeros((6600, D), np.float32)
    for number in range(12):
        gone = rng.choice(list(present), 300, replace=False)
        new = clusters(310, seed=10 + number)
        ids = np.concatenate([gone[:10], 3000 + 300 * number + np.arange(300)])
        rewrite_index(
            path, tmp_path / kind, removed=[*gone, 10**9], added=[(new[:100], ids[:100]), (new[100:], ids[100:])]
        )
        path = tmp_path / kind
        for number in gone.tolist():
            del present[number]
        present.update(zip(ids.tolist(), new, strict=True))

    index = Index.load(path, mapped=True)
    assert index.ids.tolist() == sorted(present)
    stored = table[index.ids] = np.stack([present[number] for number in index.ids.tolist()])
    _, nearest = index.search(stored[::5], 1, lambda ids: table[ids])
    lengths = np.linalg.norm(stored, axis=1)
    truth = index.ids[np.argsort(-(QUERIES @ stored.T) / lengths, axis=1)[:, :10]]
    _, ids = index.search(QUERIES, 10, lambda ids: table[ids])

    assert (nearest[:, 0] == index.ids[::5]).mean() > (0.999 if kind == "flat" else 0.97)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(ids, truth, strict=True)]) >= (10 if kind == "flat" else 9.3)
    assert [file.name for file in tmp_path.iterdir()] == [kind]


def test_an_ivfpq_file_may_be_replaced_by_what_is_made_of_it(tmp_path):
    write_index(tmp_path / "index", [VECTORS[:1000]], kind="ivfpq")

    rewrite_index(tmp_path / "index", tmp_path / "index", removed=np.arange(10), added=[(VECTORS[:3], [1, 2, 1000])])

    assert Index.load(tmp_path / "index").ids.tolist() == [1, 2, *range(10, 1001)]


@pytest.mark.parametrize("kind", ["flat", "ivfpq"])
@pytest.mark.parametrize("added", [[(VECTORS[:1], [5])], [(VECTORS[:1], [3000]), (VECTORS[:1], [3000])]])
def test_an_id_that_is_taken_is_refused_and_the_file_stays(written, tmp_path, kind, added):
    before = (written / kind).read_bytes()

    with pytest.raises(ValueError, match=r"ids must be unused.*; got (5|3000), which is taken"):
        rewrite_index(written / kind, written / kind, added=added)

    assert (written / kind).read_bytes() == before
    assert sorted(path.name for path in written.iterdir()) == sorted(KINDS)


@pytest.mark.parametrize("row", [1500, 2999])
def test_a_vector_that_is_not_finite_is_named_by_its_row_and_no_file_appears(tmp_path, small_segments, row):
    vectors = VECTORS.copy()
    vectors[row, 3] = np.nan

    for kind in ("flat", "ivfpq"):
        with pytest.raises(ValueError, match=f"vectors must be finite .* row {row} is not"):
            write_index(tmp_path / "index", [vectors], kind=kind)
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_to_a_private_copy_of_a_file_is_what_is_indexed(tmp_path, small_segments):
    """Mapped as "c", copy on write: to give such memory back to the system would undo what was written."""
    np.save(tmp_path / "vectors.npy", np.zeros_like(VECTORS))
    private = np.load(tmp_path / "vectors.npy", mmap_mode="c")
    private[:] = VECTORS

    write_index(tmp_path / "index", [private], kind="flat")

    np.testing.assert_array_equal(private, VECTORS)
    assert Index.load(tmp_path / "index").search(VECTORS[::500], 1)[1].ravel().tolist() == list(range(0, 3000, 500))


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ([], "shards must be one array of vectors or more; got none"),
        ([VECTORS, VECTORS[:, :5]], r"vectors must be \(N, 8\), one per row; got \(3000, 5\)"),
        ([VECTORS[:100]], "kind 'ivfpq' needs at least 624 vectors"),
    ],
)
def test_impossible_shards_are_refused(tmp_path, shards, message):
    with pytest.raises(ValueError, match=message):
        write_index(tmp_path / "index", shards)


def test_a_list_that_claims_more_than_its_file_holds_is_refused(written, tmp_path):
    """Sizes of lists stand behind the line of the lists; mapped, faiss would read beyond the file."""
    whole = (written / "ivfpq").read_bytes()
    place = whole.index(b"full", whole.index(b"ilar")) + 12
    for size in (3000, 2**40, 2**61):
        (tmp_path / "index").write_bytes(whole[:place] + size.to_bytes(8, "little") + whole[place + 8 :])
        for mapped in (False, True):
            with pytest.raises(ValueError, match=r"index (is damaged: |must be an index that faiss wrote: )"):
                Index.load(tmp_path / "index", mapped=mapped)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapped_file_that_was_cut_off_is_refused(written, tmp_path, kind):
    whole = (written / kind).read_bytes()
    for length in (len(whole) - 1, len(whole) - 3000, len(whole) // 2, 100, 3):
        (tmp_path / "index").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"index (is damaged: |must be an index that faiss wrote: )"):
            Index.load(tmp_path / "index", mapped=True)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
@pytest.mark.parametrize("more", [-7, -4, -1, 1, 8])
def test_a_mapped_file_of_another_length_than_its_lists_is_refused(written, tmp_path, kind, more):
    whole = (written / kind).read_bytes()
    (tmp_path / "index").write_bytes(whole[:more] if more < 0 else whole + bytes(more))

    with pytest.raises(ValueError, match="index must be an index that faiss wrote: it does not end where its lists do"):
        Index.load(tmp_path / "index", mapped=True)


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_number_that_is_put_before_the_ids_of_a_mapped_file_is_not_taken_for_their_count(written, tmp_path, kind):
    """The file still ends with its ids and their count; faiss would begin to read them 8 bytes too early."""
    whole, count = (written / kind).read_bytes(), (3000).to_bytes(8, "little")
    (tmp_path / "index").write_bytes(whole[: -8 * 3001] + count + whole[-8 * 3001 :])

    with pytest.raises(ValueError, match="index must be an index that faiss wrote: it does not end where its lists do"):
        Index.load(tmp_path / "index", mapped=True)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_graph_with_a_link_to_a_vector_that_is_not_there_is_refused(written, tmp_path, mapped):
    index = faiss.read_index(str(written / "hnsw"))
    links = faiss.downcast_index(index.index).hnsw.neighbors
    faiss.rev_swig_ptr(links.data(), links.size())[5] = 3000
    faiss.write_index(index, str(tmp_path / "index"))

    with pytest.raises(ValueError, match=r"index must be an index that faiss wrote: HNSW neighbors\[5\] = 3000 out of"):
        Index.load(tmp_path / "index", mapped=mapped)


def test_a_file_whose_lists_lie_in_another_file_is_refused(written, tmp_path):
    """faiss would open whatever file is named there."""
    index = faiss.read_index(str(written / "ivfpq"))
    elsewhere = faiss.OnDiskInvertedLists(index.nlist, index.code_size, str(tmp_path / "lists"))
    held = taken_out(index)
    elsewhere.merge_from_1(held)
    index.replace_invlists(elsewhere)
    index.ntotal = 3000
    faiss.write_index(index, str(tmp_path / "index"))

    for mapped in (False, True):
        with pytest.raises(ValueError, match=r"index is damaged: its lists lie elsewhere"):
            Index.load(tmp_path / "index", mapped=mapped)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("mapped", [False, True])
def test_an_index_is_opened_whose_table_of_distances_would_be_larger_than_its_file(
    tmp_path, monkeypatch, metric, mapped
):
    """faiss counts that table, which it makes while it reads, as part of the file: 52 kB here, of a file of 37 kB."""
    vectors = np.random.default_rng(0).normal(size=(2000, 32)).astype(np.float32)
    index = Index.build(vectors, kind="ivfpq", metric=metric)
    index.save(tmp_path / "index")
    monkeypatch.setattr(similarity.opening, "SPARE", 0)

    again = Index.load(tmp_path / "index", mapped=mapped)

    assert index._inner.nlist * index._inner.pq.M * index._inner.pq.ksub * 4 > (tmp_path / "index").stat().st_size
    lookup = vectors.__getitem__
    assert again.search(vectors[:9], 5, lookup)[1].tolist() == index.search(vectors[:9], 5, lookup)[1].tolist()


def test_an_index_says_when_its_lists_no_longer_fit():
    index = Index.build(clusters(700), kind="ivfpq")
    assert index.outgrown == ""

    index.add(clusters(6000, seed=2))
    assert index.outgrown == "it has 17 lists, and 171 would fit its 6,700 vectors"

    lopsided = Index.build(clusters(3000), kind="ivfpq")
    lopsided.add(np.full((2000, D), 50, np.float32) + clusters(2000) / 100)
    assert lopsided.outgrown.startswith("a search meets lists ")
    assert Index.build(clusters(50)).outgrown == ""


def test_there_are_four_roots_of_lists_up_to_4096_and_then_two():
    assert [list_count(count) for count in (10_000, 1_000_000, 1_048_576, 2_000_000, 10**7, 10**8)] == [
        256,
        4000,
        4096,
        4096,
        6325,
        20_000,
    ]
    assert training_size(10**7) == 6325 * 64


def test_a_search_looks_into_32_lists_and_into_one_in_50_of_many():
    assert [probed_lists(lists) for lists in (1, 32, 256, 4096, 6325, 20_000)] == [1, 32, 32, 32, 126, 400]
    assert Index.build(clusters(3000), kind="ivfpq")._faiss.nprobe == 32

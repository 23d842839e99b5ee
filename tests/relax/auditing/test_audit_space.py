"""What is planted in a space is found there, and every number is that of its definition."""

import numpy as np
import pytest
from scipy.stats import skew
from sklearn.decomposition import PCA

from relax.auditing import layout as layouts
from relax.auditing.clusters import find_clusters
from relax.auditing.duplicates import near_duplicates
from relax.auditing.findings import clusters_in_words
from relax.auditing.hubs import hubness
from relax.auditing.layout import lay_out
from relax.auditing.neighbours import agreement, nearest
from relax.auditing.outliers import outliers, robust_z


def blobs(*sizes, spread=0.05, dimensions=8, seed=0):
    """A tight group of embeddings around each axis, of different lengths."""
    rng = np.random.default_rng(seed)
    axes = np.eye(dimensions)
    groups = [axes[number] + rng.normal(0, spread, (size, dimensions)) for number, size in enumerate(sizes)]
    lengths = rng.uniform(0.5, 3, (sum(sizes), 1))
    return (np.concatenate(groups) * lengths).astype(np.float32)


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_neighbours_are_those_of_a_double_loop(metric):
    points = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    exact = points.astype(np.float64)

    neighbours = nearest(points, 7, metric)

    for image in range(40):
        closeness = {
            other: cosine(exact[image], exact[other])
            if metric == "cosine"
            else -float(np.linalg.norm(exact[image] - exact[other]))
            for other in range(40)
            if other != image
        }
        expected = sorted(closeness, key=lambda other: -closeness[other])[:7]
        assert neighbours.indices[image].tolist() == expected
        np.testing.assert_allclose(neighbours.similarities[image], [closeness[other] for other in expected], atol=1e-6)


def test_copies_are_neighbours_of_each_other_but_an_image_is_not_its_own():
    points = blobs(6, 6)
    points[3] = points[8] = points[0]

    neighbours = nearest(points, 2)

    assert neighbours.indices[0].tolist() == [3, 8]
    assert neighbours.indices[8].tolist() == [0, 3]
    np.testing.assert_allclose(neighbours.similarities[[0, 3, 8]], 1)


def test_neighbours_are_right_where_all_cosines_are_nearly_one():
    """A collapsed space: the order is in the sixth digit of the cosine, where float32 products are noise."""
    angles = np.array([0.0, 1e-3, 3e-3, 5.5e-3, 10e-3, 15e-3])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    assert nearest(points, 3).indices[2].tolist() == [1, 3, 0]


def test_two_metrics_agree_on_the_neighbours_that_they_share():
    by_angle = nearest(np.array([[1, 0], [1, 0.1], [5, 0.2], [0, 1]], dtype=np.float32), 2)
    by_distance = nearest(np.array([[1, 0], [1, 0.1], [5, 0.2], [0, 1]], dtype=np.float32), 2, "l2")

    assert by_angle.indices.tolist() == [[2, 1], [2, 0], [0, 1], [1, 2]]
    assert by_distance.indices.tolist() == [[1, 3], [0, 3], [1, 0], [1, 0]]
    np.testing.assert_array_equal(agreement(by_angle, by_distance), [0.5, 0.5, 1, 0.5])


@pytest.mark.parametrize(
    ("points", "k", "metric", "message"),
    [
        (np.ones((1, 3)), 1, "cosine", "N at least 2"),
        (np.full((4, 3), np.nan), 1, "cosine", "12 entries are not"),
        (np.ones((4, 3)), 4, "cosine", "k must be from 1 to 3"),
        (np.ones((4, 3)), 1, "dot", "metric must be cosine or l2"),
    ],
)
def test_impossible_neighbours_are_refused(points, k, metric, message):
    with pytest.raises(ValueError, match=message):
        nearest(points.astype(np.float32), k, metric)


def test_copies_form_groups_and_others_do_not():
    points = blobs(10, 10)
    points[4], points[17], points[12] = points[2] * 3, points[2], points[15]  # the length does not count

    duplicates = near_duplicates(points, nearest(points, 3))

    assert duplicates.groups == ((2, 4, 17), (12, 15))
    assert duplicates.extra == 3
    assert duplicates.closest[12] == 15


def test_a_chain_of_close_pairs_is_one_group():
    angles = np.radians([0, 1, 2, 3, 90])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    duplicates = near_duplicates(points, nearest(points, 2), threshold=float(np.cos(np.radians(1.5))))

    assert duplicates.groups == ((0, 1, 2, 3),)


def test_the_default_threshold_is_a_hundredth_of_the_typical_distance_copies_left_out():
    angles = np.radians([0, 0, 0, 10, 20, 30])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    duplicates = near_duplicates(points, nearest(points, 2))

    assert duplicates.threshold == pytest.approx(1 - (1 - np.cos(np.radians(10))) / 100, abs=1e-6)
    assert duplicates.groups == ((0, 1, 2),)


def test_a_point_far_away_is_the_outlier():
    points = np.concatenate([blobs(40), -np.eye(8, dtype=np.float32)[:1]])

    result = outliers(points, nearest(points, 5), np.zeros(41, dtype=np.int64))

    assert result.flagged == (40,)
    assert result.ranked[0] == 40
    assert sorted(result.ranked) == list(range(41))
    assert result.local_factor.argmax() == 40
    expected = np.mean(sorted(1 - cosine(points[7], points[other]) for other in range(41) if other != 7)[:5])
    assert result.distance[7] == pytest.approx(expected, rel=1e-4)


def test_an_image_beside_a_compact_cluster_is_flagged_though_a_loose_cluster_has_larger_distances():
    """One limit for the folder hides it, and flags the whole loose cluster."""
    compact, loose = blobs(40, spread=0.002), blobs(0, 36, spread=0.15)
    odd = np.eye(8, dtype=np.float32)[:1] + np.float32(0.03) * np.eye(8, dtype=np.float32)[2:3]
    points = np.concatenate([compact, loose, odd])
    labels = np.array([0] * 40 + [1] * 36 + [0])

    result = outliers(points, nearest(points, 5), labels)

    assert result.robust_z[76] < 3.5 < np.median(result.robust_z[40:76])
    assert result.cluster_z[76] > 3.5
    assert result.flagged == (76,)
    assert result.ranked[0] == 76
    inside = np.log(result.distance[labels == 0])
    np.testing.assert_allclose(result.cluster_z[labels == 0], robust_z(inside))
    np.testing.assert_allclose(result.score, np.maximum(result.cluster_z, robust_z(np.log(result.local_factor))))


def test_without_an_outlier_nothing_is_flagged_but_all_are_ranked():
    points = blobs(30, 12, spread=0.2)
    labels = np.array([0] * 30 + [1] * 12)  # too few images for a scale of their own: measured with all

    result = outliers(points, nearest(points, 5), labels)

    assert result.flagged == ()
    assert result.score[list(result.ranked)].tolist() == sorted(result.score, reverse=True)
    np.testing.assert_array_equal(result.cluster_z[30:], result.robust_z[30:])


def test_the_robust_z_score_by_hand():
    """The median of 0, 1, 2, 3, 100 is 2, the median distance to it 1."""
    np.testing.assert_allclose(robust_z(np.array([0.0, 1, 2, 3, 100])), np.array([-2, -1, 0, 1, 98]) / 1.4826)
    np.testing.assert_array_equal(robust_z(np.array([1.0, 1, 1, 5])), 0)


def test_the_centre_of_a_star_is_the_hub():
    """Leaves at right angles to each other share a direction, the centre's: it is nearest to each of them."""
    leaves = np.eye(12, dtype=np.float32) + 0.5
    points = np.concatenate([leaves, np.ones((1, 12), dtype=np.float32)])

    hubs = hubness(nearest(points, 1))

    assert hubs.hubs == (12,)
    assert hubs.occurrence.tolist() == [1, *[0] * 11, 12]
    assert hubs.never == 11
    assert hubs.skewness == pytest.approx(skew([1, *[0] * 11, 12]))


def test_where_all_are_neighbours_equally_often_there_is_no_hub():
    angles = np.arange(12) / 12 * 2 * np.pi
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    hubs = hubness(nearest(ring, 2))

    assert (hubs.hubs, hubs.skewness, hubs.never) == ((), 0.0, 0)


def test_blobs_are_clusters_the_largest_first():
    clusters = find_clusters(blobs(10, 25, 15), seed=3)

    assert clusters.sizes == [25, 15, 10]
    assert clusters.labels.tolist() == [2] * 10 + [0] * 25 + [1] * 15
    np.testing.assert_allclose(clusters.centres, np.eye(8)[[1, 2, 0]], atol=0.1)
    assert max(clusters.silhouettes, key=lambda number: clusters.silhouettes[number]) == 3


def test_members_go_from_the_centre_of_a_cluster_to_its_rim():
    angles = np.radians([4, -7, 1, 20, 183, 180, 170])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    clusters = find_clusters(points, count=2)

    centre = np.arctan2(*clusters.centres[0][::-1])  # 4.5 degrees, nearly
    assert clusters.members(0) == sorted(range(4), key=lambda image: abs(angles[image] - centre)) == [0, 2, 1, 3]
    assert clusters.members(1) == [5, 4, 6]
    np.testing.assert_allclose(clusters.closeness[:4], np.cos(angles[:4] - centre), atol=1e-6)


def test_a_centre_without_an_image_is_that_of_the_others_and_a_cluster_of_one_keeps_its_own():
    angles = np.radians([0, 10, 26, 180])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    clusters = find_clusters(points, count=2)

    centres = clusters.centres_without(points, 2)

    np.testing.assert_allclose(centres, [[np.cos(np.radians(5)), np.sin(np.radians(5))], [-1, 0]], atol=1e-6)
    np.testing.assert_allclose(clusters.centres_without(points, 3)[1], [-1, 0], atol=1e-6)


def test_two_tight_blobs_are_two_clusters():
    assert find_clusters(blobs(20, 12)).sizes == [20, 12]


def test_the_silhouette_is_that_of_its_definition():
    points = blobs(6, 5, spread=0.3, seed=2)

    clusters = find_clusters(points, count=2)

    scores = []
    for image in range(11):
        to = {
            label: np.mean(
                [1 - cosine(points[image], points[x]) for x in range(11) if x != image and clusters.labels[x] == label]
            )
            for label in (0, 1)
        }
        inside, outside = to[clusters.labels[image]], to[1 - clusters.labels[image]]
        scores.append((outside - inside) / max(inside, outside))
    assert clusters.silhouette == pytest.approx(np.mean(scores), abs=1e-5)


def test_the_same_seed_gives_the_same_clusters_and_copies_can_be_clustered():
    points = blobs(9, 9, spread=0.5)
    np.testing.assert_array_equal(find_clusters(points, seed=5).labels, find_clusters(points, seed=5).labels)

    assert find_clusters(np.repeat(np.eye(3, dtype=np.float32), 4, axis=0), maximum=5).sizes == [4, 4, 4]


@pytest.mark.parametrize("count", [None, 3])
def test_copies_of_one_image_are_one_cluster(count):
    clusters = find_clusters(np.ones((12, 4), dtype=np.float32), count=count)

    assert clusters.sizes == [12]
    assert clusters.silhouettes == {1: -1.0}
    assert "all 12 images have the same embedding" in clusters_in_words(clusters)


@pytest.mark.parametrize(
    ("size", "count", "message"), [(3, None, "at least 4 images"), (8, 5, "from 2 to 4"), (8, 1, "from 2 to 4")]
)
def test_impossible_clusters_are_refused(size, count, message):
    with pytest.raises(ValueError, match=message):
        find_clusters(blobs(size), count=count)


def test_pca_is_that_of_scikit_learn_up_to_signs():
    points = blobs(15, 10, spread=0.3)
    directions = points / np.linalg.norm(points, axis=1, keepdims=True)
    peer = PCA(2).fit(directions)

    layout = lay_out(points, "pca")

    np.testing.assert_allclose(np.abs(layout.points), np.abs(peer.transform(directions)), atol=1e-5)
    assert layout.explained == pytest.approx(peer.explained_variance_ratio_.sum(), abs=1e-5)


def test_tsne_keeps_blobs_apart_and_depends_on_the_seed_alone():
    points = blobs(12, 12)

    places = lay_out(points, "tsne", seed=1).points

    within = max(np.linalg.norm(group - group.mean(0), axis=1).max() for group in (places[:12], places[12:]))
    assert np.linalg.norm(places[:12].mean(0) - places[12:].mean(0)) > within
    np.testing.assert_array_equal(places, lay_out(points, "tsne", seed=1).points)


def test_of_a_large_set_the_others_stand_amid_their_nearest(monkeypatch):
    monkeypatch.setattr(layouts, "SAMPLE", 40)
    points = blobs(60, 60)

    layout = lay_out(points, "tsne", seed=1)

    arranged = np.sort(np.random.default_rng(1).permutation(120)[:40])
    assert layout.arranged == 40
    assert np.isfinite(layout.points).all()
    directions = points / np.linalg.norm(points, axis=1, keepdims=True)
    for image in sorted(set(range(120)) - set(arranged)):
        squares = ((directions[arranged] - directions[image]) ** 2).sum(1)
        closest = np.argsort(squares)[:5]
        expected = np.average(layout.points[arranged[closest]], axis=0, weights=1 / squares[closest])
        np.testing.assert_allclose(layout.points[image], expected, rtol=1e-3, atol=1e-3)


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="one of pca, tsne, umap; got 'mds'"):
        lay_out(blobs(6), "mds")
    with pytest.raises(ValueError, match="at least 5 images"):
        lay_out(blobs(4), "tsne")

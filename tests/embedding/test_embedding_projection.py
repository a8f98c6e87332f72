from __future__ import annotations

import numpy as np
import pytest
from embedding_samples import clusters

from adadfq_core.embedding import Projection, ProjectionSettings, fit_projection
from adadfq_core.errors import InputError


@pytest.fixture(scope="module")
def projection() -> Projection:
    return fit_projection(clusters(200), ProjectionSettings())


def test_groups_stay_apart_and_new_rows_land_in_their_own(projection: Projection) -> None:
    real = projection.positions
    centres = np.stack([real[group::4].mean(axis=0) for group in range(4)])
    placed = projection.transform(clusters(80, seed=1))
    distances = np.linalg.norm(placed[:, None] - centres, axis=2)
    assert (distances.argmin(axis=1) == np.arange(80) % 4).all()


def test_fit_is_deterministic_and_depends_on_the_seed(projection: Projection) -> None:
    again = fit_projection(clusters(200), ProjectionSettings())
    other = fit_projection(clusters(200), ProjectionSettings(seed=1))
    assert np.array_equal(projection.positions, again.positions)
    assert not np.array_equal(projection.positions, other.positions)


def test_a_position_does_not_depend_on_the_batch_or_earlier_calls(projection: Projection) -> None:
    features = clusters(40, seed=2)
    real_before = projection.positions.copy()
    together = projection.transform(features)
    assert np.array_equal(together, projection.transform(features))
    assert np.array_equal(together[7:8], projection.transform(features[7:8]))
    assert np.array_equal(together[::-1], projection.transform(features[::-1]))
    assert np.array_equal(real_before, projection.positions)


def test_copies_of_real_rows_land_near_their_originals(projection: Projection) -> None:
    distances = np.linalg.norm(projection.transform(clusters(200)) - projection.positions, axis=1)
    assert np.median(distances) < 0.1 * np.linalg.norm(np.ptp(projection.positions, axis=0))


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 15])
def test_few_rows_are_shown_by_pca_with_a_notice(rows: int, n_components: int) -> None:
    projection = fit_projection(clusters(rows), ProjectionSettings(n_components=n_components))
    assert projection.method == "pca"
    assert projection.positions.shape == (rows, n_components)
    assert np.isfinite(projection.positions).all()
    assert f"Only {rows} distinct point" in projection.notice
    assert np.isfinite(projection.transform(clusters(3, seed=1))).all()


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_umap_works_from_its_stated_minimum_on(n_components: int) -> None:
    projection = fit_projection(clusters(16), ProjectionSettings(n_components=n_components))
    assert projection.method == "umap"
    assert np.isfinite(projection.positions).all()
    assert "distinct" not in projection.notice


@pytest.mark.parametrize("n_components", [1, 2, 3])
@pytest.mark.parametrize("unique", [1, 7, 20])
def test_repeated_real_rows_get_equal_positions(unique: int, n_components: int) -> None:
    real = clusters(unique)[np.arange(500) % unique]
    projection = fit_projection(real, ProjectionSettings(n_components=n_components))
    assert np.isfinite(projection.positions).all()
    assert len(np.unique(projection.positions, axis=0)) == unique
    assert f"Only {unique} distinct point" in projection.notice


@pytest.mark.parametrize("unique", [1, 7])
def test_repeated_synthetic_rows_are_a_sign_of_collapse(
    projection: Projection, unique: int
) -> None:
    features = clusters(unique, seed=1)[np.arange(500) % unique]
    placed = projection.transform(features)
    assert np.isfinite(placed).all()
    assert len(np.unique(placed, axis=0)) == unique
    notice = projection.transform_notice(features)
    assert f"Only {unique} distinct point" in notice and "collapsed" in notice


def test_nearly_equal_synthetic_rows_are_a_sign_of_collapse(projection: Projection) -> None:
    random = np.random.default_rng(0)
    features = clusters(1) + random.normal(scale=1e-3, size=(100, 16))
    assert "collapsed" in projection.transform_notice(features)
    assert projection.transform_notice(clusters(100, seed=1)) == ""


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_disconnected_groups_have_a_finite_layout(seed: int) -> None:
    groups = np.repeat(np.eye(5, dtype=np.float32) * 1e4, 20, axis=0)
    real = groups + np.random.default_rng(0).normal(size=(100, 5))
    projection = fit_projection(real, ProjectionSettings(seed=seed))
    assert projection.method == "umap"
    assert np.isfinite(projection.positions).all()


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
@pytest.mark.parametrize("scale", [1e-42, 1e-20, 1.0, 1e30])
def test_any_scale_and_metric_is_finite(scale: float, metric: str) -> None:
    settings = ProjectionSettings.model_validate({"metric": metric})
    real = np.vstack([clusters(39) * scale, np.zeros((1, 16))])
    projection = fit_projection(real, settings)
    assert np.isfinite(projection.positions).all()
    far = np.vstack([clusters(5, seed=1) * scale, np.zeros((1, 16)), np.full((1, 16), 3e38)])
    assert np.isfinite(projection.transform(far)).all()


def test_features_that_vary_in_one_column_only_are_finite() -> None:
    real = np.zeros((50, 8), dtype=np.float32)
    real[:, 3] = np.arange(50)
    projection = fit_projection(real, ProjectionSettings(n_components=3))
    assert np.isfinite(projection.positions).all()


def test_rows_that_are_not_finite_are_left_out_and_named(projection: Projection) -> None:
    real = clusters(200)
    real[3, 0], real[10, 5] = np.nan, np.inf
    fitted = fit_projection(real, ProjectionSettings())
    lost = ~np.isfinite(fitted.positions).all(axis=1)
    assert np.flatnonzero(lost).tolist() == [3, 10]
    assert "2 of 200 real feature rows are not finite" in fitted.notice

    features = clusters(20, seed=1)
    expected = projection.transform(features)
    features[4] = np.nan
    placed = projection.transform(features)
    assert np.isnan(placed[4]).all()
    assert np.array_equal(np.delete(placed, 4, axis=0), np.delete(expected, 4, axis=0))
    assert "1 of 20 generated feature rows" in projection.transform_notice(features)


def test_empty_and_entirely_lost_batches_are_placed_nowhere(projection: Projection) -> None:
    assert projection.transform(np.zeros((0, 16))).shape == (0, 2)
    assert projection.transform_notice(np.zeros((0, 16))) == ""
    lost = np.full((3, 16), np.nan)
    assert np.isnan(projection.transform(lost)).all()
    assert projection.transform_notice(lost).startswith("3 of 3")


def test_unusable_tables_are_refused(projection: Projection) -> None:
    with pytest.raises(InputError, match="fitted on 16"):
        projection.transform(np.zeros((3, 8)))
    with pytest.raises(InputError, match="table"):
        fit_projection(np.zeros(5), ProjectionSettings())
    with pytest.raises(InputError, match="None of the 4"):
        fit_projection(np.full((4, 3), np.nan), ProjectionSettings())


def test_pca_can_be_chosen_and_keeps_distances() -> None:
    real = clusters(30, columns=3)
    projection = fit_projection(real, ProjectionSettings(method="pca", n_components=3))
    assert projection.method == "pca" and projection.notice == ""
    expected = np.linalg.norm(real[0] - real, axis=1)
    found = np.linalg.norm(projection.positions[0] - projection.positions, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_neighbourhoods_are_kept_as_well_as_by_umap_learn() -> None:
    from sklearn.manifold import trustworthiness
    from umap import UMAP

    real = clusters(1000, columns=64, groups=10)
    ours = fit_projection(real, ProjectionSettings()).positions
    theirs = UMAP(random_state=0, n_jobs=1).fit_transform(real)
    assert trustworthiness(real, ours) > trustworthiness(real, theirs) - 0.02

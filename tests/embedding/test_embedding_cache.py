from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from embedding_samples import clusters

from adadfq_core.embedding import ProjectionSettings
from adadfq_core.embedding.cache import fit_cached

_SETTINGS = ProjectionSettings()


def _only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_stored_layout_gives_the_same_projection(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    fitted, from_cache = fit_cached(clusters(60), _SETTINGS, folder)
    assert not from_cache
    restored, from_cache = fit_cached(clusters(60), _SETTINGS, folder)
    assert from_cache
    assert np.array_equal(fitted.positions, restored.positions)
    features = clusters(10, seed=1)
    assert np.array_equal(fitted.transform(features), restored.transform(features))


def test_other_features_or_settings_are_fitted_anew(tmp_path: Path) -> None:
    real = clusters(60)
    fit_cached(real, _SETTINGS, tmp_path)
    changed = real.copy()
    changed[0, 0] += 1e-3
    assert not fit_cached(changed, _SETTINGS, tmp_path)[1]
    assert not fit_cached(real, ProjectionSettings(seed=1), tmp_path)[1]
    assert not fit_cached(real, ProjectionSettings(n_components=3), tmp_path)[1]


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "another's"])
def test_a_damaged_file_is_fitted_anew_and_replaced(tmp_path: Path, damage: str) -> None:
    fitted, _ = fit_cached(clusters(60), _SETTINGS, tmp_path)
    path = _only_file(tmp_path)
    content = path.read_bytes()
    if damage == "another's":
        fit_cached(clusters(60, seed=5), _SETTINGS, tmp_path / "other")
        path.write_bytes(_only_file(tmp_path / "other").read_bytes())
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        path.write_bytes({"flipped": flipped, "truncated": content[:-9], "empty": b""}[damage])
    again, from_cache = fit_cached(clusters(60), _SETTINGS, tmp_path)
    assert not from_cache
    assert np.array_equal(fitted.positions, again.positions)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_used_only_costs_the_cache(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    projection, from_cache = fit_cached(clusters(60), _SETTINGS, blocked)
    assert not from_cache
    assert projection.method == "umap"


def test_pca_is_not_stored(tmp_path: Path) -> None:
    fit_cached(clusters(5), _SETTINGS, tmp_path)
    assert list(tmp_path.iterdir()) == []

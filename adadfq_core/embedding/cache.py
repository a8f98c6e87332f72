"""Arrays on disk by what they were made from: a layout is not fitted again by a resumed run.

A file holds one array and nothing that could run code: the SHA-256 of key and array, then the
array in numpy's own format. Of a fit all else is computed anew from the features.
A file that is damaged, or belongs to another key, counts as absent and is replaced.
"""

from __future__ import annotations

import hashlib
import io
import logging
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adadfq_core.embedding.projection import Projection, fit_projection
from adadfq_core.embedding.settings import ProjectionSettings
from adadfq_core.embedding.umap_map import Told, fit_layout, silent
from adadfq_core.files import replace_atomically

_FORMAT = "layout 1"  # to be changed whenever the layout of the same features changes
_DIGEST_BYTES = hashlib.sha256().digest_size

_log = logging.getLogger(__name__)


def fit_cached(
    real: ArrayLike, settings: ProjectionSettings, folder: Path, told: Told = silent
) -> tuple[Projection, bool]:
    """`fit_projection`, with UMAP's layout taken from `folder` where it has one.

    Args:
        real: see `fit_projection`, as `settings`.
        folder: is made if it is missing.
        told: see `fit_layout`.

    Returns:
        The projection, and whether its layout came from the folder (PCA is never stored).

    Raises:
        InputError: as `fit_projection`. A folder that cannot be written is only logged.
    """
    from_cache = False

    def make_layout(
        rows: NDArray[np.float64], layout_settings: ProjectionSettings
    ) -> NDArray[np.float32]:
        nonlocal from_cache
        key = _key(rows, layout_settings)
        path = folder / f"{key}.layout"
        stored = read_array(path, key)
        if stored is not None and stored.shape == (len(rows), layout_settings.n_components):
            from_cache = True
            return stored
        layout = fit_layout(rows, layout_settings, told)
        write_array(path, key, layout)
        return layout

    projection = fit_projection(real, settings, make_layout)
    return projection, from_cache


def _key(rows: NDArray[np.float64], settings: ProjectionSettings) -> str:
    digest = hashlib.sha256()
    for part in (
        _FORMAT,
        version("umap-learn"),
        version("numba"),
        settings.model_dump_json(),
        str(rows.shape),
    ):
        digest.update(part.encode() + b"\0")
    digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()


def _checksum(key: str, payload: bytes) -> bytes:
    return hashlib.sha256(key.encode() + payload).digest()


def read_array(path: Path, key: str) -> NDArray[np.float32] | None:
    """The array that `write_array` stored under `key`; `None` if it is not to be had."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("Cannot read the embedding cache %s: %s", path, error)
        return None
    checksum, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if checksum != _checksum(key, payload):
        _log.warning("The embedding cache %s is damaged; it is made again.", path)
        return None
    array: NDArray[np.float32] = np.load(io.BytesIO(payload), allow_pickle=False)
    return array


def write_array(path: Path, key: str, array: NDArray[np.float32]) -> None:
    """Store `array` as what `key` stands for; a folder that cannot be written is only logged."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    payload = buffer.getvalue()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path) as temporary:
            temporary.write_bytes(_checksum(key, payload) + payload)
    except OSError as error:
        _log.warning("Cannot write the embedding cache %s: %s", path, error)

"""Sheets of images as a run stores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

CLASSES = ("bag", "boot", "coat")


def sheet(seed: int, n: int = 4, classes: int = len(CLASSES), **given: Any) -> dict[str, Any]:
    """Arrays of a sheet of `n` random images `(1, 4, 4)`; every pixel of place k is seed + k."""
    random = np.random.default_rng(seed)
    values = (seed + np.arange(n)) % 256
    return {
        "pixels": np.broadcast_to(values[:, None, None, None], (n, 1, 4, 4)).astype(np.uint8),
        "labels": np.sort(random.integers(0, classes, n)),
        "h_prime": random.random(n, np.float32),
        "p_logits": random.normal(0, 3, (n, classes)).astype(np.float32),
        "q_logits": random.normal(0, 3, (n, classes)).astype(np.float32),
        **given,
    }


def new_run(root: Path, settings: RunSettings | None = None) -> RunWriter:
    """A writer of a new run whose classes are recorded; to be closed by the caller."""
    writer = RunWriter(root, RunStore(root).create_run(settings or RunSettings(), max_active=9))
    writer.append(RecordKind.NETWORK, 0, {"classes": list(CLASSES)})
    writer.flush()
    return writer


def store_sheet(writer: RunWriter, iteration: int, arrays: dict[str, Any] | None = None) -> None:
    """Store `arrays` as the sheet of `iteration`; by default those of `sheet(iteration)`."""
    writer.append(RecordKind.IMAGES, iteration, {}, arrays or sheet(iteration))
    writer.flush()


def change(writer: RunWriter, iteration: int, **changes: Any) -> None:
    """Log a change of settings after `iteration`."""
    writer.append(RecordKind.PARAMETERS, iteration, {"changes": changes})
    writer.flush()

"""What a run's store holds of the course that it took, to compare with another run's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from adadfq_core import runs
from adadfq_core.runs import RecordKind
from adadfq_core.runs.loading import checkpoint_state
from adadfq_core.runs.store import RunStore

_TIMED = ("ms", "seconds", "sha256")
_COURSE = (RecordKind.STEP, RecordKind.VALUE, RecordKind.EVALUATION)


def metrics(root: Path, run_id: str) -> list[tuple[int, str, dict[str, Any]]]:
    """All numbers of a run but times, in order of iterations: as many as were stored."""
    found = [
        (r.iteration, str(r.kind), {k: v for k, v in r.data.items() if k not in _TIMED})
        for r in runs.read(root, run_id, kinds=_COURSE).records
    ]
    return sorted(found, key=lambda each: each[:2])


def sheets(root: Path, run_id: str) -> dict[int, dict[str, bytes]]:
    """The image sheets by iteration; a sheet that was stored twice must be the same."""
    found: dict[int, dict[str, bytes]] = {}
    for record in runs.read(root, run_id, kinds=[RecordKind.IMAGES]).records:
        arrays = {name: array.tobytes() for name, array in runs.arrays(root, record).items()}
        assert found.setdefault(record.iteration, arrays) == arrays
    return found


def final_state(root: Path, run_id: str) -> dict[str, Any]:
    """What the last checkpoint holds."""
    checkpoint = runs.latest(root, run_id, RecordKind.CHECKPOINT)
    assert checkpoint is not None
    return checkpoint_state(RunStore(root), checkpoint)


def same(a: Any, b: Any) -> bool:
    """Whether two states are the same bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)

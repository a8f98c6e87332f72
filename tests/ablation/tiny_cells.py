"""Real runs of the bundled network that take seconds, and their numbers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from adadfq_core.presets import preset_settings
from adadfq_core.runs import RecordKind, RunStatus, control
from adadfq_core.settings import RunSettings

TINY: dict[str, Any] = {
    **{"epochs": 3, "iterations_per_epoch": 5, "warmup_epochs": 1, "batch": 2, "threads": 1},
    **{"generator_width": 4, "evaluation_images": 20, "embed_every": 0, "checkpoint_every": 5},
    **{"evaluate_every": 5, "value_every": 1000},
}
_WAIT_SECONDS = 120
_TIMES = ("ms", "seconds")


def tiny_cell(**changes: Any) -> RunSettings:
    """Settings of a run of 15 iterations, 5 of them warm-up, measured on 20 images."""
    return preset_settings("quick", {**TINY, **changes})


def played(root: Path, settings: RunSettings) -> str:
    """Play a run on this machine to its end; returns its id."""
    run_id = control.start(root, settings)
    deadline = time.monotonic() + _WAIT_SECONDS
    while control.info(root, run_id).active:
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)
    assert control.info(root, run_id).status is RunStatus.FINISHED
    return run_id


def steps(root: Path, run_id: str) -> list[tuple[int, dict[str, Any]]]:
    """Everything that a run has recorded of its iterations but the time that they took."""
    return [
        (record.iteration, {k: v for k, v in record.data.items() if k not in _TIMES})
        for record in control.read(root, run_id, kinds=[RecordKind.STEP]).records
    ]


def evaluations(root: Path, run_id: str) -> list[tuple[int, str, float]]:
    """Iteration, network and top-1 of every evaluation of a run."""
    return [
        (record.iteration, record.data["network"], record.data["top1"])
        for record in control.read(root, run_id, kinds=[RecordKind.EVALUATION]).records
    ]

"""A store with a run and a sweep, and everything that can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from adadfq_core import runs
from adadfq_core.ablation.h_prime import h_prime_by_epoch
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.runs import RecordKind, history
from adadfq_core.runs.store import RunStore


class Stored(NamedTuple):
    """A store, its run, and what undamaged it answers; `states` are those of its checkpoints."""

    root: Path
    run_id: str
    sweep_id: str
    answers: dict[str, Any]
    states: dict[int, dict[str, Any]]


def questions(root: Path, run_id: str, sweep_id: str) -> dict[str, Callable[[], Any]]:
    """Everything that is read of a store, but for checkpoints."""
    store = RunStore(root)

    def arrays() -> Any:
        return {
            record.seq: {name: array.tobytes() for name, array in runs.arrays(root, record).items()}
            for record in runs.read(root, run_id).records
            if record.file and record.kind is not RecordKind.CHECKPOINT
        }

    return {
        "runs": lambda: runs.list_runs(root),
        "records": lambda: runs.read(root, run_id).records,
        "steps": lambda: runs.read(root, run_id, kinds=[RecordKind.STEP]).records,
        "latest": lambda: runs.latest(root, run_id, RecordKind.EVALUATION),
        "nearest": lambda: store.nearest(run_id, RecordKind.STEP, 17),
        "settings": lambda: runs.current_settings(root, run_id),
        "summary": lambda: runs.summaries(root),
        "moments": lambda: history.moments(root, run_id),
        "h_prime": lambda: h_prime_by_epoch(root, run_id).to_csv(),
        "command": lambda: runs.command(root, 1),
        "arrays": arrays,
        "sweeps": lambda: SweepStore(root).list_sweeps(),
        "cells": lambda: SweepStore(root).cells(sweep_id),
        "sweep of runs": lambda: runs.sweeps_of_runs(root),
        "cell counts": lambda: runs.cell_counts(root),
    }

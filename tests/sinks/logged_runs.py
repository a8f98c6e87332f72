"""Runs with logs that are worked out by hand, for outlets to take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from adadfq_core.runs.process import identity
from adadfq_core.runs.records import RecordKind, RunInfo
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings, make_settings

SCALARS = {
    "loss_g": 2.5,
    "loss_margin": 0.25,
    "loss_ds": 1.5,
    "loss_as": 2.0,
    "loss_bns": 0.75,
    "loss_q": -3.0,
    "h_prime_mean": 0.5,
    "grad_norm_g": 4.0,
    "grad_norm_q": 0.125,
}
PIXELS = np.arange(5 * 16, dtype=np.uint8).reshape(5, 1, 4, 4)


def new_run(root: Path, **changes: Any) -> RunWriter:
    """A writer of a new run that is going, held by this process; to be closed by the caller."""
    settings: RunSettings = make_settings({"snapshot_every": 2, **changes})
    writer = RunWriter(root, RunStore(root).create_run(settings, "interactive", max_active=99))
    own = identity(os.getpid())
    assert own is not None
    writer.attach(*own)
    return writer


def info(writer: RunWriter) -> RunInfo:
    """The run's state, with what waits to be written."""
    writer.flush()
    return RunStore(writer.checkpoints.parents[1]).info(writer.run_id)


def log_step(writer: RunWriter, iteration: int, **given: Any) -> None:
    """Log an iteration whose time at work is as many seconds, with four samples."""
    beside = {"ms": 100.0, "seconds": float(iteration), "lr_g": 1e-3, "lr_q": 1e-4}
    h_prime = [0.0, 0.26, 0.51, 1.0]
    writer.append(RecordKind.STEP, iteration, {**SCALARS, **beside, "h_prime": h_prime, **given})


def log_accuracy(writer: RunWriter, iteration: int, network: str, top1: float) -> None:
    data = {"network": network, "top1": top1, "seconds": iteration + 0.5}
    writer.append(RecordKind.EVALUATION, iteration, data)


def log_sheet(writer: RunWriter, iteration: int) -> None:
    """Log five grey images `(1, 4, 4)`."""
    random = np.random.default_rng(0)
    arrays = {
        "pixels": PIXELS,
        "labels": np.arange(5),
        "h_prime": random.random(5, np.float32),
        "p_logits": random.random((5, 5), np.float32),
        "q_logits": random.random((5, 5), np.float32),
    }
    writer.append(RecordKind.IMAGES, iteration, {}, arrays)

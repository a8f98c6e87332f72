"""Runs that are over as soon as they start, in place of those of real processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stored_runs import held_run

from adadfq_core.errors import InputError
from adadfq_core.runs.process import identity
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

P = 90.0


def top1(settings: RunSettings) -> float:
    """Q's top-1 that a quick run tells: tens of the bits, and one for each seed."""
    return 10.0 * settings.weight_bits + settings.seed


class QuickRuns:
    """`runs.start` and `runs.resume` as tests want them, and what was asked of them.

    Attributes:
        ends: how the next runs end, first to last; those beyond finish.
    """

    def __init__(self) -> None:
        self.started: list[RunSettings] = []
        self.resumed: list[str] = []
        self.ends: list[RunStatus] = []

    def start(self, root: Path, settings: RunSettings, preset: str, **_: Any) -> str:
        """A run that has ended."""
        self.started.append(settings)
        with held_run(root, settings) as writer:
            self._play(writer, settings)
        return writer.run_id

    def resume(self, root: Path, run_id: str, **_: Any) -> None:
        """Let a stopped run finish, if it came as far as a checkpoint."""
        store = RunStore(root)
        if store.latest(run_id, RecordKind.CHECKPOINT) is None:
            raise InputError(f"Run {run_id} has no checkpoint.")
        self.resumed.append(run_id)
        store.reclaim(run_id, 1, 99)
        with RunWriter(root, run_id) as writer:
            own = identity(os.getpid())
            assert own is not None
            writer.attach(own.pid, own.started)
            self._play(writer, store.info(run_id).settings)

    def _play(self, writer: RunWriter, settings: RunSettings) -> None:
        end = self.ends.pop(0) if self.ends else RunStatus.FINISHED
        writer.set_status(RunStatus.RUNNING)
        writer.append(RecordKind.STEP, 1, {"ms": 1.0, "seconds": 1.0})
        if end is RunStatus.FINISHED:
            reached = top1(settings)
            for network, number in (("p", P), ("q_calibrated", reached - 5), ("q", reached)):
                data = {"network": network, "top1": number, "seconds": 1.0}
                writer.append(RecordKind.EVALUATION, 1, data)
        if end is RunStatus.STOPPED:
            path = writer.checkpoints / "00000001.pt"
            path.write_bytes(b"networks")
            writer.append(RecordKind.CHECKPOINT, 1, {"sha256": "0"}, file=path)
        writer.set_status(end, "loss_q became nan." if end is RunStatus.FAILED else "")

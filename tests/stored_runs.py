"""Runs of any state in a store, with a log and files, without a process that plays them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from adadfq_core.runs.process import identity
from adadfq_core.runs.records import CommandKind, RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings


def held_run(root: Path, settings: RunSettings | None = None) -> RunWriter:
    """The writer of a new run of this very process, in state running."""
    store = RunStore(root)
    run_id = store.create_run(settings or RunSettings(), "quick", max_active=99)
    writer = RunWriter(root, run_id)
    own = identity(os.getpid())
    assert own is not None
    writer.attach(own.pid, own.started)
    writer.set_status(RunStatus.RUNNING)
    return writer


def stored_run(
    root: Path, settings: RunSettings | None = None, status: RunStatus = RunStatus.STOPPED
) -> str:
    """A run of six iterations that has ended, with all kinds of content; its id."""
    with held_run(root, settings) as writer:
        seq = RunStore(root).send(writer.run_id, CommandKind.PARAMETERS, {"changes": {"beta": 0.5}})
        (command,) = writer.take_commands()
        assert command.seq == seq
        writer.append(RecordKind.PARAMETERS, 2, {"changes": {"beta": 0.5}})
        writer.mark_applied(command, 2)
        for network, top1 in (("p", 90.0), ("q_calibrated", 40.0)):
            data = {"network": network, "top1": top1, "seconds": 0.5}
            writer.append(RecordKind.EVALUATION, 0, data)
        for iteration in range(1, 7):
            data = {"ms": 10.0 * iteration, "seconds": iteration / 3, "l_g": float("nan")}
            writer.append(RecordKind.STEP, iteration, data)
            if iteration % 3 == 0:
                top1 = 60.0 + iteration
                data = {"network": "q", "top1": top1, "seconds": iteration / 3 + 0.1}
                writer.append(RecordKind.EVALUATION, iteration, data)
                pixels = np.full((2, 1, 4, 4), iteration, np.uint8)
                writer.append(RecordKind.IMAGES, iteration, {}, {"pixels": pixels})
        path = writer.checkpoints / "00000006.pt"
        path.write_bytes(b"networks" * 4000)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        writer.append(RecordKind.CHECKPOINT, 6, {"sha256": digest}, file=path)
        writer.set_status(status, "because" if status is RunStatus.FAILED else "")
    return writer.run_id


def files_of(folder: Path) -> dict[str, bytes]:
    """Content of every file below `folder`, by its name there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }

"""A worker that counts instead of training; the run's preset picks how it misbehaves."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.runs import control
from adadfq_core.runs.process import identity
from adadfq_core.runs.records import Command, CommandKind, RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings, change_live

# What it starts of the runs that wait are stubs as well.
control.WORKER_MODULE = "stub_worker"


def _checkpoint(writer: RunWriter, iteration: int) -> None:
    path = writer.checkpoints / f"{iteration}.txt"
    path.write_text(str(iteration))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    writer.append(RecordKind.CHECKPOINT, iteration, {"sha256": digest}, file=path)


def _apply(
    writer: RunWriter, command: Command, iteration: int, settings: RunSettings
) -> RunSettings:
    error = None
    if command.kind is CommandKind.PARAMETERS:
        changes = command.payload["changes"]
        try:
            settings = change_live(settings, changes)
            writer.append(RecordKind.PARAMETERS, iteration, {"changes": changes})
        except InputError as problem:
            error = str(problem)
    writer.mark_applied(command, iteration, error)
    return settings


def main(root: Path, run_id: str) -> None:
    store = RunStore(root)
    info = store.info(run_id)
    if info.preset == "crash":
        print("about to fail")
        raise SystemExit("ZeroDivisionError: stub")
    settings = info.settings
    checkpoint = store.latest(run_id, RecordKind.CHECKPOINT)
    iteration = checkpoint.iteration if checkpoint else 0
    with RunWriter(root, run_id, flush_interval=0.02) as writer:
        process = identity(os.getpid())
        assert process is not None
        writer.attach(*process)
        told = {
            "threads": os.environ["OMP_NUM_THREADS"],
            "trim": os.environ["MALLOC_TRIM_THRESHOLD_"],
            "cwd": os.getcwd(),
        }
        writer.append(RecordKind.NOTICE, iteration, told)
        writer.set_status(RunStatus.RUNNING)
        paused, left = False, 0
        deadline = time.monotonic() + 60  # a stub that a failing test forgot must not stay
        while iteration < settings.iterations and time.monotonic() < deadline:
            for command in writer.take_commands():
                settings = _apply(writer, command, iteration, settings)
                if command.kind is CommandKind.STOP:
                    _checkpoint(writer, iteration)
                    writer.set_status(RunStatus.STOPPED)
                    return
                if command.kind is CommandKind.STEP:
                    left = command.payload["iterations"]
                elif command.kind in (CommandKind.PAUSE, CommandKind.RESUME):
                    paused = command.kind is CommandKind.PAUSE
                    writer.set_status(RunStatus.PAUSED if paused else RunStatus.RUNNING)
            if not paused or left:
                left = max(0, left - 1)
                iteration += 1
                writer.append(RecordKind.STEP, iteration, {"lambda_l": settings.lambda_l})
                if iteration % 10 == 0:
                    _checkpoint(writer, iteration)
            time.sleep(0.005)
        writer.set_status(RunStatus.FINISHED)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2])
    finally:
        control.refresh(Path(sys.argv[1]))

"""Preparing what is taken away in a process of its own, which the page starts and watches."""

from __future__ import annotations

import time
from pathlib import Path

from adadfq_core.export.preparation import (
    Preparation,
    folder_of,
    read_preparation,
    write_preparation,
)
from adadfq_core.inspection.networks import checkpoint_at, inspectable_settings
from adadfq_core.runs.process import spawn_detached
from adadfq_core.runs.store import RunStore

WORKER_MODULE = "adadfq_core.export.worker"


def start_preparing(root: Path, run_id: str, iteration: int) -> int:
    """Start to prepare Q of the checkpoint for `iteration`; returns the checkpoint's iteration.

    One that is being prepared already is left alone.

    Raises:
        InputError: there is no such run or checkpoint, or the network is code of its user's own.
        RunFailed: the folder cannot be written, or no process be started.
    """
    inspectable_settings(root, run_id)
    iteration = checkpoint_at(root, run_id, iteration).iteration
    folder = folder_of(RunStore(root).folder(run_id), iteration)
    going = read_preparation(folder)
    if going is not None and going.state == "going":
        return iteration
    claimed = Preparation(iteration=iteration, updated=time.time())
    write_preparation(folder, claimed)
    arguments = [str(root.absolute()), run_id, str(iteration)]
    # Its process names itself in the state; until then the state's age tells whether it came.
    spawn_detached(WORKER_MODULE, arguments, folder, f"Preparing run {run_id}")
    return iteration


def preparation(root: Path, run_id: str, iteration: int) -> Preparation | None:
    """What there is of Q of the checkpoint of `iteration`.

    Raises:
        InputError: there is no such run.
    """
    store = RunStore(root)
    store.info(run_id)
    return read_preparation(folder_of(store.folder(run_id), iteration))

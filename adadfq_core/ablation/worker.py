"""The process of one sweep: `python -m adadfq_core.ablation.worker ROOT SWEEP_ID`."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from adadfq_core.ablation.driver import drive
from adadfq_core.ablation.executors.base import Executor
from adadfq_core.ablation.executors.local import LocalExecutor
from adadfq_core.ablation.states import SweepInfo, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.process import identity


def executor_of(root: Path, info: SweepInfo) -> Executor:
    """The place where the runs of a sweep are played.

    Raises:
        InputError: Ray is not installed, or its address is none.
        RunFailed: the Ray cluster does not answer.
    """
    if not info.ray_address:
        return LocalExecutor(root, info.workers, info.owner)
    # Ray is an extra, and slow to import.
    from adadfq_core.ablation.executors.ray_cluster import RayExecutor

    return RayExecutor(root, info.ray_address, info.threads, info.owner)


def main() -> int:
    """Drive the sweep that the command line names; its end and the reason stand in the store."""
    root, sweep_id = Path(sys.argv[1]), sys.argv[2]
    own = identity(os.getpid())
    assert own is not None
    store = SweepStore(root)
    store.attach(sweep_id, own.pid, own.started)
    info = store.info(sweep_id)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        store.ask_stop(sweep_id)

    signal.signal(signal.SIGTERM, stop)
    try:
        status, reason = drive(store, sweep_id, executor_of(root, info))
    except (InputError, RunFailed) as error:
        status, reason = SweepStatus.FAILED, str(error)
    except Exception as error:
        traceback.print_exc()
        status, reason = SweepStatus.FAILED, f"{type(error).__name__}: {error}"
    store.end(store.info(sweep_id), status, reason)
    return 1 if status is SweepStatus.FAILED else 0


if __name__ == "__main__":
    sys.exit(main())

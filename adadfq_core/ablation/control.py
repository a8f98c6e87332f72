"""Starting, stopping and watching sweeps: what the page and the shell use.

Functions that show sweeps first mark those whose process is gone as lost.
"""

from __future__ import annotations

from pathlib import Path

from adadfq_core.ablation.designs import feasible
from adadfq_core.ablation.executors.ray_connection import AUTO, door_of
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import CellInfo, SweepInfo, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.cores import cores
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.control import gone
from adadfq_core.runs.deletion import delete_runs
from adadfq_core.runs.labels import can_be_shown
from adadfq_core.runs.process import end_reason, reap, spawn_detached, started_at
from adadfq_core.settings import bounds

WORKER_MODULE = "adadfq_core.ablation.worker"
MOST_WORKERS = 256
MOST_NAME = 120


def default_workers() -> tuple[int, int]:
    """Runs at once and threads of each: as many as there are cores, with one thread each.

    Threads of one run wait for each other at every layer; separate runs do not.
    """
    return cores(), 1


def _opened(root: Path) -> SweepStore:
    """The sweeps in `root`, with lost ones marked."""
    store = SweepStore(root)
    reap()
    for info in store.list_sweeps(running_only=True):
        if gone(info, info.sweep_id):
            store.end(info, SweepStatus.LOST, end_reason(info.pid, store.folder(info.sweep_id)))
    return store


def list_sweeps(root: Path) -> list[SweepInfo]:
    """All sweeps, newest first."""
    return _opened(root).list_sweeps()


def info(root: Path, sweep_id: str) -> SweepInfo:
    """State of one sweep.

    Raises:
        InputError: there is no such sweep.
    """
    return _opened(root).info(sweep_id)


def cells(root: Path, sweep_id: str) -> list[CellInfo]:
    """The cells of a sweep in the order of its plan.

    Raises:
        InputError: there is no such sweep.
    """
    store = _opened(root)
    store.info(sweep_id)
    return store.cells(sweep_id)


def start(
    root: Path,
    plan: Plan,
    *,
    name: str = "",
    workers: int | None = None,
    threads: int | None = None,
    ray_address: str = "",
    own_code: bool = False,
    owner: str = "",
) -> str:
    """Start a sweep in a process of its own and return its id.

    Args:
        workers, threads: see `default_workers`. On a Ray cluster its free cores set the number
            of runs at once.
        own_code: whether a network of the user's own may be imported: for the shell alone.
        owner: who starts it, where users sign in.

    Raises:
        InputError: no cell of the plan can run, too many workers or threads, a name that is too
            long or cannot be shown, a Ray address that is none, or code without `own_code`.
        RunFailed: the process could not be started; the sweep is shown as failed.
    """
    workers, threads = checked_machines(workers, threads)
    _check_address(ray_address)
    if len(name) > MOST_NAME:
        raise InputError(
            f"The sweep's name has {len(name)} characters; at most {MOST_NAME} are allowed."
        )
    if not can_be_shown(name):
        raise InputError(
            f"The sweep's name {name!a} has characters that cannot be shown; leave them out."
        )
    going, refused = feasible(plan)
    if not going:
        raise InputError(f"No cell of the sweep can run; the first is refused: {refused[0][1]}")
    _check_code(plan, own_code)
    store = _opened(root)
    sweep_id = store.create(
        plan,
        refused,
        name=name,
        workers=workers,
        threads=threads,
        ray_address=ray_address,
        owner=owner,
    )
    _launch(store, sweep_id)
    return sweep_id


def resume(
    root: Path,
    sweep_id: str,
    *,
    workers: int | None = None,
    threads: int | None = None,
    ray_address: str | None = None,
    own_code: bool = False,
) -> None:
    """Go on with what is missing of a sweep that was stopped, lost or failed, or whose cells did.

    Runs that were going, or have a checkpoint, go on; finished cells stay. Workers, threads and
    address stay as they were unless named. With other threads, cells that have begun start anew.

    Raises:
        InputError: there is no such sweep, it is running, nothing is missing, or code without
            `own_code`.
        RunFailed: the process could not be started.
    """
    store = _opened(root)
    info = store.info(sweep_id)
    _check_code(info.plan, own_code)
    workers, threads = checked_machines(workers or info.workers, threads or info.threads)
    missing = [cell for cell in store.cells(sweep_id) if cell.missing]
    if info.status is not SweepStatus.RUNNING and not missing:
        raise InputError(f"Nothing is missing of sweep {sweep_id}; start a new one.")
    address = info.ray_address if ray_address is None else ray_address
    _check_address(address)
    store.reclaim(sweep_id, workers, threads, address)
    _launch(store, sweep_id)


def stop(root: Path, sweep_id: str) -> None:
    """Ask a sweep to stop; its runs stop after their iteration, with a checkpoint each.

    Raises:
        InputError: there is no such sweep, or it is not running.
    """
    _opened(root).ask_stop(sweep_id)


def run_ids(root: Path, sweep_id: str) -> list[str]:
    """The runs of a sweep's cells, in the order of its plan.

    Raises:
        InputError: there is no such sweep.
    """
    return [cell.run_id for cell in cells(root, sweep_id) if cell.run_id is not None]


def delete(root: Path, sweep_id: str, *, with_runs: bool) -> int:
    """Delete a sweep, alone or with the runs of its cells; returns the bytes that it has freed.

    Raises:
        InputError: there is no such sweep, it is running, or one of the runs is active.
    """
    store = _opened(root)
    # Before its runs: a sweep that is running refuses.
    store.check_ended(sweep_id)
    freed = delete_runs(root, run_ids(root, sweep_id)) if with_runs else 0
    store.delete(sweep_id)
    return freed


def _check_code(plan: Plan, allowed: bool) -> None:
    """Refuse a plan whose cells import code of the user's, unless that is allowed."""
    if not allowed and any(plan.settings(cell).names_own_code for cell in feasible(plan)[0]):
        raise InputError(
            "A network of your own would run code, which only 'python -m adadfq_core ablate' with "
            "--network module:function or --resume may; choose a network of the zoo."
        )


def checked_machines(workers: int | None, threads: int | None) -> tuple[int, int]:
    """Runs at once and threads of each as asked for, else `default_workers`.

    Raises:
        InputError: too few or too many of either.
    """
    default = default_workers()
    workers = default[0] if workers is None else workers
    threads = default[1] if threads is None else threads
    if not 1 <= workers <= MOST_WORKERS:
        raise InputError(
            f"workers = {workers} is not allowed; it must be a whole number from 1 to "
            f"{MOST_WORKERS}."
        )
    low, high = bounds("threads")
    if not low <= threads <= high:  # type: ignore[operator]  # the setting has both bounds
        raise InputError(
            f"threads = {threads} is not allowed; it must be a whole number from {low} to {high}."
        )
    return workers, threads


def _check_address(ray_address: str) -> None:
    """Refuse what is no address before a process is started for it."""
    if ray_address not in ("", AUTO):
        door_of(ray_address)


def _launch(store: SweepStore, sweep_id: str) -> None:
    try:
        pid = spawn_detached(
            WORKER_MODULE,
            [str(store.root), sweep_id],
            store.folder(sweep_id),
            f"The process of sweep {sweep_id}",
        )
    except RunFailed as error:
        store.end(store.info(sweep_id), SweepStatus.FAILED, str(error))
        raise
    store.note_process(sweep_id, pid, started_at(pid))

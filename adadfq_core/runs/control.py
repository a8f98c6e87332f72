"""Starting, steering and watching runs: what the page and the shell use.

Functions that show, start or steer runs first mark those whose process is gone as lost, and start
those that wait (see `runs.queue`) where there is room. Commands take effect at the run's next
iteration; their number tells later, through `command`, whether and when they did.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import queue
from adadfq_core.runs.process import (
    WORKER_MODULE,
    alive,
    end_reason,
    reap,
    spawn_worker,
    started_at,
)
from adadfq_core.runs.queue_watch import watch
from adadfq_core.runs.records import (
    ACTIVE,
    Command,
    CommandKind,
    Record,
    RecordKind,
    RunInfo,
    RunStatus,
    Update,
    settings_in_force,
)
from adadfq_core.runs.resumption import go_back, last_whole_checkpoint
from adadfq_core.runs.store import NoRoomError, RunStore
from adadfq_core.server_options import max_active as server_max_active
from adadfq_core.settings import (
    NO_DATA,
    REAL_IMAGES_MISSING,
    RunSettings,
    change_live,
    make_settings,
)

STARTING_GRACE_S = 60.0
"""How long a claimed run may have no process: its starter is about to start one, or has died."""

_RESUMABLE = (RunStatus.STOPPED, RunStatus.LOST, RunStatus.FAILED)
_STOPPING = "stopping"


class HasProcess(Protocol):
    """What has, or is about to get, a process of its own: a run or a sweep."""

    @property
    def pid(self) -> int | None: ...
    @property
    def process_started(self) -> float | None: ...
    @property
    def updated(self) -> float: ...


def gone(info: HasProcess, name: str = "") -> bool:
    """Whether the process of what should have one has ended, or never came.

    Args:
        name: of the run or sweep, which its command line holds.
    """
    if info.pid is None or info.process_started is None:
        # Both ways: a clock that was set back would make the wait as long as that.
        return abs(time.time() - info.updated) > STARTING_GRACE_S
    return not alive(info.pid, info.process_started, name)


def _opened(root: Path) -> RunStore:
    """The store in `root`, with lost runs marked and free places given to those that wait."""
    store = RunStore(root)
    reap()
    unended = store.list_unended()
    waits = any(info.queued for info in unended)
    for info in unended:
        if not info.active or not gone(info, info.run_id):
            continue
        if queue.wait_again(store, info):
            waits = True
        else:
            store.end_run(info, RunStatus.LOST, end_reason(info.pid, store.folder(info.run_id)))
    if waits:
        _start_waiting(store)
    return store


def _anything_waits(root: Path) -> bool:
    return any(info.queued for info in _opened(root).list_unended())


def _start_waiting(store: RunStore) -> None:
    """Give free places to the runs that wait.

    One that cannot be started is shown as failed, and ends this: what kept it from starting may
    be over when the next call tries the next. Those that still wait are watched from here on.
    """
    watch(store.root, _anything_waits)
    while (info := queue.claim_next(store, server_max_active())) is not None:
        try:
            _launch(store, info.run_id, info.settings.threads, WORKER_MODULE)
        except RunFailed:
            return


def refresh(root: Path) -> None:
    """Bring the runs' states up to date.

    Active runs whose process is gone are marked as lost, with the reason, ended workers are
    reaped, and runs that wait are started where there is room.
    """
    _opened(root)


def list_runs(root: Path) -> list[RunInfo]:
    """All runs, newest first."""
    return _opened(root).list_runs()


def info(root: Path, run_id: str) -> RunInfo:
    """State of one run.

    Raises:
        InputError: there is no such run.
    """
    return _opened(root).info(run_id)


def read(
    root: Path,
    run_id: str,
    cursor: int = 0,
    *,
    kinds: Iterable[RecordKind] | None = None,
    limit: int | None = None,
    stride: int = 1,
) -> Update:
    """What is new in a run since `cursor` (see `RunStore.read`).

    Raises:
        InputError: there is no such run.
    """
    return _opened(root).read(run_id, cursor, kinds, limit, stride)


def latest(
    root: Path, run_id: str, kind: RecordKind, at_or_before: int | None = None
) -> Record | None:
    """The newest record of `kind`, of iteration `at_or_before` at most; `None` if none.

    Raises:
        InputError: there is no such run.
    """
    return RunStore(root).latest(run_id, kind, at_or_before)


def arrays(root: Path, record: Record) -> dict[str, np.ndarray]:
    """The arrays of `record`, by name.

    Raises:
        InputError: the record has no file.
        RunFailed: the file is missing or damaged.
    """
    return RunStore(root).arrays(record)


def command(root: Path, seq: int) -> Command:
    """Command number `seq`: whether and at which iteration it took effect.

    Raises:
        InputError: there is no such command.
    """
    return RunStore(root).command(seq)


def _in_force(store: RunStore, run_id: str) -> RunSettings:
    update = store.read(run_id, kinds=[RecordKind.PARAMETERS])
    return settings_in_force(update.info.settings, update.records)


def current_settings(root: Path, run_id: str) -> RunSettings:
    """The settings in force now: those of the start with every recorded change.

    While a resumed run plays iterations again, changes that it has yet to reach count as well.

    Raises:
        InputError: there is no such run.
    """
    return _in_force(RunStore(root), run_id)


def start(
    root: Path,
    settings: RunSettings,
    preset: str = "",
    max_active: int | None = None,
    *,
    own_code: bool = False,
    waits: bool = False,
    owner: str = "",
    worker: str = WORKER_MODULE,
) -> str:
    """Start a run in a process of its own (module `worker`) and return its id.

    Args:
        max_active: runs that may go at once; `None` for the server's limit.
        own_code: allows settings that import a module of the user's: for the shell, never for
            what came from a web page.
        waits: whether the run is queued where there is no room, instead of refused.
        owner: who starts it, where users sign in.

    Raises:
        InputError: `max_active` runs are active and the run does not wait, the folder is not
            writable, the settings name code without `own_code`, or the method learns from real
            images and there are none.
        RunFailed: the process could not be started; the run is shown as failed.
    """
    if settings.names_own_code and not own_code:
        raise InputError(
            f"The network {settings.network} would run code, which only 'python -m adadfq_core "
            "train --network module:function' may; choose a network of the zoo."
        )
    _check_real_images(settings)
    store = _opened(root)
    most = server_max_active() if max_active is None else max_active
    try:
        run_id = store.create_run(settings, preset, most, owner=owner, queues=waits)
    except NoRoomError:
        if not waits:
            raise
        run_id = store.enqueue_run(settings, preset, owner=owner)
        _start_waiting(store)
        return run_id
    _launch(store, run_id, settings.threads, worker)
    return run_id


def _check_real_images(settings: RunSettings) -> None:
    if settings.has_generator:
        return
    # Only here: with the networks comes PyTorch, which no other command of the shell needs.
    from adadfq_core.zoo.registry import find

    own = settings.names_own_code
    data = settings.data or (None if own else find(settings.network).data)
    if data is None or data == NO_DATA:
        raise InputError(REAL_IMAGES_MISSING)


def _launch(store: RunStore, run_id: str, threads: int, worker: str) -> None:
    try:
        pid = spawn_worker(store.root, run_id, threads, worker)
    except RunFailed as error:
        store.end_run(store.info(run_id), RunStatus.FAILED, str(error))
        raise
    store.note_process(run_id, pid, started_at(pid))


def _expected_state(store: RunStore, run_id: str) -> str:
    """The run's state once the commands that wait have taken effect."""
    # The commands first: one that takes effect between the two reads then counts twice, which
    # changes nothing, instead of not at all.
    waiting = store.pending(run_id)
    state: str = store.info(run_id).status
    for sent in waiting:
        if sent.kind is CommandKind.STOP:
            state = _STOPPING
        elif sent.kind is CommandKind.PAUSE:
            state = RunStatus.PAUSED
        elif sent.kind is CommandKind.RESUME:
            state = RunStatus.RUNNING
    return state


def pause(root: Path, run_id: str) -> int:
    """Ask a run to pause; returns the command's number.

    Raises:
        InputError: there is no such run, or it is neither starting nor running.
    """
    store = _opened(root)
    state = _expected_state(store, run_id)
    if state not in (RunStatus.STARTING, RunStatus.RUNNING):
        raise InputError(f"Run {run_id} is {state}; only a run that is going can be paused.")
    return store.send(run_id, CommandKind.PAUSE)


def resume(
    root: Path,
    run_id: str,
    max_active: int | None = None,
    *,
    own_code: bool = False,
    waits: bool = False,
    changes: dict[str, Any] | None = None,
    worker: str = WORKER_MODULE,
) -> int | None:
    """Let a paused run go on, or start a new process for a stopped, lost or failed one.

    Returns the command's number, or `None` where a new process was started or the run waits for
    one; it goes on from the run's last checkpoint that is whole. `max_active`, `own_code` and
    `waits` are as for `start`: the run may have come as a file from anyone.

    Args:
        changes: of live settings, from that checkpoint on; what was played after it is taken out
            of the log, as it is played anew.

    Raises:
        InputError: there is no such run, it is going or finished, it has no checkpoint, its
            settings name code without `own_code`, a change is not allowed, or `max_active` other
            runs are active and it does not wait.
        RunFailed: the process could not be started.
    """
    store = _opened(root)
    state = _expected_state(store, run_id)
    if state == RunStatus.PAUSED:
        if changes:
            raise InputError(
                f"Run {run_id} is paused, so it cannot go back to its last checkpoint for other "
                "settings; change them while it runs, or stop it first."
            )
        return store.send(run_id, CommandKind.RESUME)
    if state not in _RESUMABLE:
        raise InputError(
            f"Run {run_id} is {state}; only a run that is paused, stopped, lost or failed can be "
            "resumed."
        )
    settings = store.info(run_id).settings
    if settings.names_own_code and not own_code:
        raise InputError(
            f"Run {run_id} would run the code {settings.network}, which only 'python -m "
            f"adadfq_core runs resume {run_id} --own-code' may; do so only if you trust where the "
            "run came from."
        )
    checkpoint = last_whole_checkpoint(store, run_id).checkpoint
    most = server_max_active() if max_active is None else max_active
    if changes:
        if not waits:
            store.check_room(most)  # a run that is refused keeps its log
        go_back(store, run_id, checkpoint, changes)
    try:
        store.reclaim(run_id, checkpoint.iteration, most, queues=waits)
    except NoRoomError:
        if not waits:
            raise
        store.enqueue_again(run_id, checkpoint.iteration)
        _start_waiting(store)
        return None
    _launch(store, run_id, settings.threads, worker)
    return None


def step(root: Path, run_id: str, iterations: int = 1) -> int:
    """Ask a paused run to do `iterations` and pause again; returns the command's number.

    Raises:
        InputError: there is no such run, it is not paused, or `iterations` is below 1.
    """
    if iterations < 1:
        raise InputError(
            f"iterations = {iterations} is not allowed; it must be a whole number of at least 1."
        )
    return _send_step(root, run_id, {"iterations": iterations})


def step_half(root: Path, run_id: str) -> int:
    """Ask a paused run to let the next player, G or else Q, move; returns the command's number.

    Without a generator (method real) the next player is always Q.

    Raises:
        InputError: there is no such run, or it is not paused.
    """
    return _send_step(root, run_id, {"halves": 1})


def _send_step(root: Path, run_id: str, payload: dict[str, Any]) -> int:
    store = _opened(root)
    state = _expected_state(store, run_id)
    if state != RunStatus.PAUSED:
        raise InputError(f"Run {run_id} is {state}; only a paused run can be stepped.")
    return store.send(run_id, CommandKind.STEP, payload)


def set_parameters(root: Path, run_id: str, changes: dict[str, Any]) -> int:
    """Ask a run to train with `changes` from its next iteration; returns the command's number.

    One that waits for a place obeys at its first iteration.

    Raises:
        InputError: there is no such run, it has ended, or a change is not allowed against
            the settings that will be in force, commands that wait included.
    """
    if not changes:
        raise InputError("No setting is named; name at least one, for example lambda_l = 0.2.")
    store = _opened(root)
    waiting = store.pending(run_id)
    state = _expected_state(store, run_id)
    if state not in (*ACTIVE, RunStatus.QUEUED):
        raise InputError(
            f"Run {run_id} is {state}; settings change only while it runs, waits or is paused."
        )
    base = _in_force(store, run_id)
    for sent in waiting:
        if sent.kind is CommandKind.PARAMETERS:
            base = make_settings(sent.payload["changes"], base)
    changed = change_live(base, changes)
    valid = {name: getattr(changed, name) for name in changes}
    return store.send(run_id, CommandKind.PARAMETERS, {"changes": valid})


def stop(root: Path, run_id: str) -> int | None:
    """Ask a run to stop after its iteration, or take it out of the queue.

    Returns the command's number, or `None` where the run waited and is stopped now.

    Raises:
        InputError: there is no such run, or it has ended.
    """
    store = _opened(root)
    if queue.cancel(store, run_id):
        return None
    state = _expected_state(store, run_id)
    if state not in ACTIVE:
        raise InputError(f"Run {run_id} is {state}; there is nothing to stop.")
    return store.send(run_id, CommandKind.STOP)

"""Runs of a sweep as processes of this machine."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from adadfq_core.ablation.executors.base import (
    Ended,
    Evaluation,
    Event,
    Job,
    Progress,
    evaluations_of,
)
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import control
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore

CLOSING_SECONDS = 60.0
"""A run stops after its iteration, or after the evaluation that it has begun."""
CLOSING_POLL_SECONDS = 0.1
_UNLIMITED = 1_000_000
"""Places are counted by `room`, which knows which runs are the sweep's own."""


class LocalExecutor:
    """Plays at most `workers` runs at once; those of others in the store take places as well.

    A paused run of somebody takes none, as it uses no core.
    """

    def __init__(self, root: Path, workers: int, owner: str = "") -> None:
        self._root = root
        self._owner = owner
        self._workers = workers
        self._store = RunStore(root)
        self._running: dict[int, str] = {}
        self._unstarted: list[Ended] = []
        self._known: dict[int, tuple[int, list[Evaluation]]] = {}

    def room(self) -> int:
        own = set(self._running.values())
        others = [
            info
            for info in self._store.list_runs(active_only=True)
            if info.run_id not in own and info.status is not RunStatus.PAUSED
        ]
        return self._workers - len(own) - len(others)

    def submit(self, job: Job) -> None:
        try:
            # Whether code of the user's may be run was decided where the sweep was started.
            run_id = self._gone_on(job) or control.start(
                self._root,
                job.settings,
                job.preset,
                _UNLIMITED,
                own_code=True,
                owner=self._owner,
            )
        except (InputError, RunFailed) as error:
            self._unstarted.append(Ended(job.cell, None, RunStatus.FAILED, str(error)))
            return
        self._running[job.cell] = run_id
        self._known[job.cell] = (0, [])

    def _gone_on(self, job: Job) -> str | None:
        """The earlier run of `job` if it goes, or has gone, on; `None` where a new one is needed.

        One of other settings, threads included, would not be the cell's.
        """
        if job.run_id is None:
            return None
        try:
            info = control.info(self._root, job.run_id)
        except InputError:
            return None  # deleted meanwhile
        if info.settings != job.settings:
            return None
        if info.status is RunStatus.PAUSED:
            control.resume(self._root, job.run_id)
        if info.active or info.status is RunStatus.FINISHED:
            return job.run_id
        try:
            control.resume(self._root, job.run_id, _UNLIMITED, own_code=True)
        except InputError:
            return None  # it has no checkpoint to go on from
        return job.run_id

    def poll(self) -> list[Event]:
        events: list[Event] = [*self._unstarted]
        self._unstarted.clear()
        for cell, run_id in list(self._running.items()):
            cursor, evaluations = self._known[cell]
            try:
                update = control.read(self._root, run_id, cursor, kinds=[RecordKind.EVALUATION])
            except InputError as error:
                events.append(self._ended(cell, None, RunStatus.LOST, str(error)))
                continue
            evaluations += evaluations_of(update.records)
            self._known[cell] = (update.cursor, evaluations)
            info = update.info
            events.append(Progress(cell, run_id, info.iteration, tuple(evaluations)))
            if not info.active:
                events.append(self._ended(cell, run_id, info.status, info.reason))
        return events

    def _ended(self, cell: int, run_id: str | None, status: RunStatus, reason: str) -> Ended:
        del self._running[cell], self._known[cell]
        return Ended(cell, run_id, status, reason)

    def stop(self, cell: int) -> None:
        run_id = self._running.get(cell)  # none if it has just ended
        if run_id is not None:
            self._stop(run_id)

    def close(self) -> None:
        for run_id in self._running.values():
            self._stop(run_id)
        # A sweep that is resumed at once must not take a run that is stopping for one that goes.
        deadline = time.monotonic() + CLOSING_SECONDS
        for run_id in self._running.values():
            while control.info(self._root, run_id).active and time.monotonic() < deadline:
                time.sleep(CLOSING_POLL_SECONDS)
        self._running.clear()

    def _stop(self, run_id: str) -> None:
        with contextlib.suppress(InputError):  # it has just ended
            control.stop(self._root, run_id)

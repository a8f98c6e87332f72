"""Plays the cells of a sweep until none is left: order, attempts, early stopping."""

from __future__ import annotations

import time
from collections import deque

from adadfq_core.ablation.executors.base import (
    Ended,
    Evaluation,
    Executor,
    Job,
    Progress,
    evaluations_of,
)
from adadfq_core.ablation.halving import hopeless, rungs
from adadfq_core.ablation.plan import Cell
from adadfq_core.ablation.states import SETTLED, CellInfo, CellStatus, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import control
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.settings import RunSettings

MOST_ATTEMPTS = 3
"""Starts of a cell whose process or machine keeps going away."""
POLL_SECONDS = 0.25

_WAITS = "Waits for a place: other runs have all of them."


class Driver:
    """Drives sweep `sweep_id` over `executor`; `play` returns the sweep's final state.

    Everything that must outlive this process stands in the store before the next step is taken,
    so a new driver goes on where this one was killed.
    """

    def __init__(self, store: SweepStore, sweep_id: str, executor: Executor) -> None:
        self._store = store
        self._sweep_id = sweep_id
        self._executor = executor
        info = store.info(sweep_id)
        self._plan = info.plan
        self._threads = info.threads
        self._cells = {cell.index: cell for cell in info.plan.cells}
        known = store.cells(sweep_id)
        self._attempts = {cell.index: cell.attempts for cell in known}
        self._run_ids = {cell.index: cell.run_id for cell in known}
        self._waiting = deque(cell.index for cell in known if cell.status not in SETTLED)
        self._running: dict[int, RunSettings] = {}
        self._halved: set[int] = set()
        self._at_rung: dict[tuple[int, int], dict[int, float]] = {}
        self._said = ""
        if self._plan.halving is not None:
            self._recall_rungs(known)

    def play(self) -> tuple[SweepStatus, str]:
        """Play all cells that are left, or until a stop is asked for.

        Raises:
            RunFailed: the executor's place is gone; the cells that ran wait again.
        """
        while self._waiting or self._running:
            if self._store.stop_asked(self._sweep_id):
                return SweepStatus.STOPPED, ""
            self._fill_places()
            for event in self._executor.poll():
                if isinstance(event, Progress):
                    self._progressed(event)
                else:
                    self._ended(event)
            time.sleep(POLL_SECONDS)
        return SweepStatus.FINISHED, self._in_words()

    def _fill_places(self) -> None:
        while self._waiting and self._executor.room() > 0:
            index = self._waiting.popleft()
            settings = self._settings(self._cells[index])
            self._store.cell_started(self._sweep_id, index)
            self._attempts[index] += 1
            self._running[index] = settings
            preset = self._plan.preset_of(self._cells[index])
            self._executor.submit(Job(index, settings, preset, self._earlier(index, settings)))
        self._say("" if self._running else _WAITS)

    def _earlier(self, index: int, settings: RunSettings) -> str | None:
        """An earlier run of a cell to go on from, unless it was deleted or steered by hand."""
        run_id = self._run_ids[index]
        if run_id is None:
            return None
        try:
            return None if self._changed_by_hand(run_id, settings) else run_id
        except InputError:
            return None

    def _settings(self, cell: Cell) -> RunSettings:
        return self._plan.settings(cell).model_copy(update={"threads": self._threads})

    def _say(self, reason: str) -> None:
        if reason != self._said:
            self._store.say(self._sweep_id, reason)
            self._said = reason

    def _progressed(self, event: Progress) -> None:
        if event.run_id is not None and event.run_id != self._run_ids[event.cell]:
            self._run_ids[event.cell] = event.run_id
            self._store.cell_has_run(self._sweep_id, event.cell, event.run_id)
        if self._plan.halving is None or event.cell not in self._running:
            return
        for rung in self._reach(event.cell, self._running[event.cell], event.evaluations):
            top1 = self._at_rung[rung]
            others = [value for cell, value in top1.items() if cell != event.cell]
            if event.cell not in self._halved and hopeless(
                top1[event.cell], others, self._plan.halving.factor
            ):
                self._halved.add(event.cell)
                self._executor.stop(event.cell)

    def _reach(
        self, cell: int, settings: RunSettings, evaluations: tuple[Evaluation, ...]
    ) -> list[tuple[int, int]]:
        """The rungs, by the run's iterations and the rung's, that a cell has newly reached."""
        assert self._plan.halving is not None
        measured = dict(evaluations)
        reached = []
        for iteration in rungs(settings, self._plan.halving):
            # Runs of another length have rungs of their own: their top-1 says nothing here.
            rung = (settings.iterations, iteration)
            top1 = self._at_rung.setdefault(rung, {})
            if iteration in measured and cell not in top1:
                top1[cell] = measured[iteration]
                reached.append(rung)
        return reached

    def _recall_rungs(self, known: list[CellInfo]) -> None:
        """Take what earlier processes have measured at the rungs from the store."""
        for cell in known:
            if cell.run_id is None:
                continue
            log = self._store.runs.read(cell.run_id, kinds=[RecordKind.EVALUATION]).records
            settings = self._settings(self._cells[cell.index])
            self._reach(cell.index, settings, evaluations_of(log))

    def _ended(self, event: Ended) -> None:
        settings = self._running.pop(event.cell)
        run_id = event.run_id
        if run_id is not None:
            self._run_ids[event.cell] = run_id
        if event.status is RunStatus.LOST and self._attempts[event.cell] < MOST_ATTEMPTS:
            # First in line: its surface is nearly complete.
            self._waiting.appendleft(event.cell)
            self._note(event.cell, CellStatus.WAITING, event.reason, run_id)
        elif event.status is RunStatus.FINISHED:
            changed = run_id is not None and self._changed_by_hand(run_id, settings)
            self._note(
                event.cell,
                CellStatus.FAILED if changed else CellStatus.FINISHED,
                "Its settings were changed while it ran, so it is not the cell's any more; "
                "resume the sweep to run it again."
                if changed
                else "",
                run_id,
            )
        elif event.cell in self._halved and event.status is RunStatus.STOPPED:
            self._note(event.cell, CellStatus.HALVED, "", run_id)
        else:
            reason = event.reason or f"Its run was {event.status} by hand."
            self._note(event.cell, CellStatus.FAILED, reason, run_id)

    def _note(self, cell: int, status: CellStatus, reason: str, run_id: str | None) -> None:
        self._store.cell_ended(self._sweep_id, cell, status, reason, run_id)

    def _changed_by_hand(self, run_id: str, settings: RunSettings) -> bool:
        return control.current_settings(self._store.root, run_id) != settings

    def _in_words(self) -> str:
        failed = [
            cell for cell in self._store.cells(self._sweep_id) if cell.status is CellStatus.FAILED
        ]
        if not failed:
            return ""
        return f"{len(failed)} of {len(self._cells)} cells failed; resume the sweep to try again."


def drive(store: SweepStore, sweep_id: str, executor: Executor) -> tuple[SweepStatus, str]:
    """Play a sweep to its end, to a stop, or until its place is gone; its final state in words."""
    try:
        return Driver(store, sweep_id, executor).play()
    except RunFailed as error:
        return SweepStatus.FAILED, str(error)
    finally:
        executor.close()

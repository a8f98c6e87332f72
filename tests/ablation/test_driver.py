"""The order of a sweep's cells, their attempts and their early stopping, on a scripted place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adadfq_core.ablation import driver
from adadfq_core.ablation.driver import MOST_ATTEMPTS, drive
from adadfq_core.ablation.executors.base import Ended, Evaluation, Event, Job, Progress
from adadfq_core.ablation.plan import Halving, Plan
from adadfq_core.ablation.states import CellStatus, SweepStatus
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.errors import RunFailed
from adadfq_core.runs.deletion import delete_runs
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter

PLAN = Plan(
    axes=("lambda_l",),
    points=tuple({"lambda_l": value} for value in (0.0, 0.1, 0.2, 0.3)),
    changes={"epochs": 4, "iterations_per_epoch": 10, "warmup_epochs": 1, "evaluate_every": 10},
)


@dataclass
class ScriptedPlace:
    """Ends every job at the second poll after its start, as `ends` says by cell and attempt.

    Each run is really in the store, so that whatever the driver reads of it is there.
    """

    store: SweepStore
    places: int = 2
    ends: dict[tuple[int, int], tuple[RunStatus, str]] = field(default_factory=dict)
    top1: dict[int, float] = field(default_factory=dict)
    gone_at_start: int = 1_000_000
    jobs: list[Job] = field(default_factory=list)
    running: dict[int, tuple[str, int]] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    most_at_once: int = 0
    closed: bool = False

    def room(self) -> int:
        return self.places - len(self.running)

    def submit(self, job: Job) -> None:
        if len(self.jobs) >= self.gone_at_start:
            raise RunFailed("The cluster does not answer any more; start it again.")
        self.jobs.append(job)
        run_id = self.store.runs.create_run(job.settings, job.preset, 1_000)
        self.running[job.cell] = (run_id, 0)
        self.most_at_once = max(self.most_at_once, len(self.running))

    def poll(self) -> list[Event]:
        events: list[Event] = []
        for cell, (run_id, polls) in list(self.running.items()):
            if polls == 0:
                half = Evaluation(20, self.top1.get(cell, 90.0))
                events.append(Progress(cell, run_id, 20, (half,)))
                self.running[cell] = (run_id, 1)
                continue
            attempt = sum(job.cell == cell for job in self.jobs)
            status, reason = self.ends.get((cell, attempt), (RunStatus.FINISHED, ""))
            if cell in self.stopped:
                status, reason = RunStatus.STOPPED, ""
            with RunWriter(self.store.root, run_id) as writer:
                writer.append(RecordKind.EVALUATION, 20, _top1(self.top1.get(cell, 90.0)))
                writer.set_status(status, reason)
            del self.running[cell]
            events.append(Ended(cell, run_id, status, reason))
        return events

    def stop(self, cell: int) -> None:
        self.stopped.add(cell)

    def close(self) -> None:
        self.closed = True


def _top1(value: float) -> dict[str, object]:
    return {"network": "q", "top1": value, "seconds": 1.0}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "POLL_SECONDS", 0.0)


def _sweep(root: Path, plan: Plan = PLAN) -> tuple[SweepStore, str]:
    store = SweepStore(root)
    sweep_id = store.create(plan, [], name="", workers=2, threads=3, ray_address="")
    return store, sweep_id


def _status(store: SweepStore, sweep_id: str) -> list[CellStatus]:
    return [cell.status for cell in store.cells(sweep_id)]


def test_every_cell_runs_once_in_order_and_not_more_at_once_than_there_is_room(
    tmp_path: Path,
) -> None:
    store, sweep_id = _sweep(tmp_path)
    place = ScriptedPlace(store)
    assert drive(store, sweep_id, place) == (SweepStatus.FINISHED, "")
    assert [job.cell for job in place.jobs] == [0, 1, 2, 3]
    assert [job.settings.lambda_l for job in place.jobs] == [0.0, 0.1, 0.2, 0.3]
    assert {job.settings.threads for job in place.jobs} == {3}
    assert place.most_at_once == 2
    assert place.closed
    cells = store.cells(sweep_id)
    assert {cell.status for cell in cells} == {CellStatus.FINISHED}
    assert len({cell.run_id for cell in cells}) == 4
    for cell in cells:
        assert store.runs.info(cell.run_id).settings.lambda_l == cell.point["lambda_l"]
        assert cell.attempts == 1
        assert cell.started <= cell.ended


def test_a_failing_cell_is_marked_with_its_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    store, sweep_id = _sweep(tmp_path)
    reason = "loss_g became nan at iteration 12; start again with smaller learning rates."
    place = ScriptedPlace(store, ends={(1, 1): (RunStatus.FAILED, reason)})
    status, words = drive(store, sweep_id, place)
    assert status is SweepStatus.FINISHED
    assert words == "1 of 4 cells failed; resume the sweep to try again."
    assert _status(store, sweep_id) == ["finished", "failed", "finished", "finished"]
    assert store.cells(sweep_id)[1].reason == reason
    assert len(place.jobs) == 4


def test_a_lost_run_is_tried_again_and_goes_on_from_what_is_there(tmp_path: Path) -> None:
    store, sweep_id = _sweep(tmp_path)
    lost = (RunStatus.LOST, "Its process was killed by SIGKILL.")
    place = ScriptedPlace(store, places=1, ends={(1, 1): lost, (1, 2): lost})
    assert drive(store, sweep_id, place)[0] is SweepStatus.FINISHED
    assert [job.cell for job in place.jobs] == [0, 1, 1, 1, 2, 3]
    first, second = place.jobs[1], place.jobs[2]
    assert first.run_id is None
    assert second.run_id is not None
    assert _status(store, sweep_id) == ["finished"] * 4
    assert [cell.attempts for cell in store.cells(sweep_id)] == [1, 3, 1, 1]


def test_a_cell_that_is_lost_again_and_again_fails_and_can_be_resumed(tmp_path: Path) -> None:
    store, sweep_id = _sweep(tmp_path)
    lost = (RunStatus.LOST, "Its process was killed by SIGKILL.")
    ends = {(2, attempt): lost for attempt in range(1, 10)}
    place = ScriptedPlace(store, ends=ends)
    status, words = drive(store, sweep_id, place)
    store.end(store.info(sweep_id), status, words)
    assert sum(job.cell == 2 for job in place.jobs) == MOST_ATTEMPTS
    assert _status(store, sweep_id)[2] is CellStatus.FAILED
    assert store.cells(sweep_id)[2].reason == lost[1]
    store.reclaim(sweep_id, 2, 3, "")
    again = ScriptedPlace(store)
    assert drive(store, sweep_id, again) == (SweepStatus.FINISHED, "")
    assert [job.cell for job in again.jobs] == [2]
    assert _status(store, sweep_id) == ["finished"] * 4


def test_a_new_driver_plays_only_what_is_missing(tmp_path: Path) -> None:
    store, sweep_id = _sweep(tmp_path)
    place = ScriptedPlace(store, places=1, gone_at_start=2)
    status, words = drive(store, sweep_id, place)
    assert (status, words) == (
        SweepStatus.FAILED,
        "The cluster does not answer any more; start it again.",
    )
    store.end(store.info(sweep_id), status, words)
    assert _status(store, sweep_id) == ["finished", "finished", "waiting", "waiting"]
    first = [cell.run_id for cell in store.cells(sweep_id)][:2]
    store.reclaim(sweep_id, 2, 3, "")
    again = ScriptedPlace(store)
    assert drive(store, sweep_id, again) == (SweepStatus.FINISHED, "")
    assert [job.cell for job in again.jobs] == [2, 3]
    assert [cell.run_id for cell in store.cells(sweep_id)][:2] == first


def test_a_sweep_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    store, sweep_id = _sweep(tmp_path)
    store.ask_stop(sweep_id)
    place = ScriptedPlace(store)
    assert drive(store, sweep_id, place) == (SweepStatus.STOPPED, "")
    assert place.jobs == []
    assert place.closed


def test_a_run_that_was_steered_by_hand_is_not_the_cells_result(tmp_path: Path) -> None:
    class Steered(ScriptedPlace):
        def submit(self, job: Job) -> None:
            super().submit(job)
            if job.cell == 1:
                with RunWriter(self.store.root, self.running[1][0]) as writer:
                    writer.append(RecordKind.PARAMETERS, 5, {"changes": {"beta": 3.0}})

    store, sweep_id = _sweep(tmp_path)
    drive(store, sweep_id, Steered(store))
    cells = store.cells(sweep_id)
    assert [cell.status for cell in cells] == ["finished", "failed", "finished", "finished"]
    assert "settings were changed while it ran" in cells[1].reason
    # Resumed, the sweep plays the cell anew instead of taking that run again.
    store.end(store.info(sweep_id), SweepStatus.FINISHED, "")
    store.reclaim(sweep_id, 2, 3, "")
    again = ScriptedPlace(store)
    assert drive(store, sweep_id, again) == (SweepStatus.FINISHED, "")
    assert [(job.cell, job.run_id) for job in again.jobs] == [(1, None)]
    assert store.cells(sweep_id)[1].run_id != cells[1].run_id


def test_a_cell_whose_run_was_deleted_starts_anew(tmp_path: Path) -> None:
    store, sweep_id = _sweep(tmp_path)
    lost = (RunStatus.LOST, "Its process was killed by SIGKILL.")

    class Deleting(ScriptedPlace):
        def poll(self) -> list[Event]:
            events = super().poll()
            for event in events:
                if isinstance(event, Ended) and event.status is RunStatus.LOST:
                    delete_runs(self.store.root, [event.run_id])
            return events

    place = Deleting(store, places=1, ends={(1, 1): lost})
    assert drive(store, sweep_id, place) == (SweepStatus.FINISHED, "")
    assert [(job.cell, job.run_id) for job in place.jobs][1:3] == [(1, None), (1, None)]


def test_hopeless_cells_are_halved_and_the_best_is_not(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"halving": Halving(factor=2)})
    store, sweep_id = _sweep(tmp_path, plan)
    place = ScriptedPlace(store, places=1, top1={0: 80.0, 1: 92.0, 2: 70.0, 3: 93.0})
    assert drive(store, sweep_id, place) == (SweepStatus.FINISHED, "")
    # The first is alone at the rung, the others meet those before them.
    assert _status(store, sweep_id) == ["finished", "finished", "halved", "finished"]


def test_rungs_remember_what_an_earlier_driver_measured(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"halving": Halving(factor=2)})
    store, sweep_id = _sweep(tmp_path, plan)
    top1 = {0: 92.0, 1: 93.0, 2: 50.0, 3: 93.5}
    drive(store, sweep_id, ScriptedPlace(store, places=1, gone_at_start=2, top1=top1))
    place = ScriptedPlace(store, places=1, top1=top1)
    drive(store, sweep_id, place)
    assert _status(store, sweep_id) == ["finished", "finished", "halved", "finished"]


def test_without_halving_nothing_is_stopped(tmp_path: Path) -> None:
    store, sweep_id = _sweep(tmp_path)
    place = ScriptedPlace(store, top1={0: 93.0, 1: 10.0, 2: 10.0, 3: 10.0})
    drive(store, sweep_id, place)
    assert place.stopped == set()


def test_the_sweep_says_that_it_waits_for_a_place(tmp_path: Path) -> None:
    class Crowded(ScriptedPlace):
        """Has no room until it was asked three times."""

        asked = 0
        seen = ""

        def room(self) -> int:
            self.asked += 1
            self.seen = self.store.info(sweep_id).reason or self.seen
            return super().room() if self.asked > 3 else 0

    store, sweep_id = _sweep(tmp_path)
    place = Crowded(store)
    drive(store, sweep_id, place)
    assert place.seen == "Waits for a place: other runs have all of them."
    assert store.info(sweep_id).reason == ""


def test_runs_of_one_store_are_counted_once(tmp_path: Path) -> None:
    store, sweep_id = _sweep(tmp_path)
    drive(store, sweep_id, ScriptedPlace(store))
    assert len(RunStore(tmp_path).list_runs()) == 4

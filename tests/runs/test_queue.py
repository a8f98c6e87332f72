"""Runs that wait for a place: in order, never too many at once, whoever dies."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from starter import SHORT

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import control, queue, queue_watch
from adadfq_core.runs.archive import export_run
from adadfq_core.runs.database import session
from adadfq_core.runs.deletion import delete_runs
from adadfq_core.runs.records import ACTIVE, RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.server_options import MAX_ACTIVE
from adadfq_core.settings import RunSettings

Until = Callable[[Callable[[], bool]], None]
LONG = RunSettings(epochs=1000)


def start(root: Path, settings: RunSettings = LONG, **options: object) -> str:
    return control.start(root, settings, waits=True, worker="stub_worker", **options)  # type: ignore[arg-type]


def places(root: Path) -> dict[str, int]:
    return {info.run_id: info.place for info in RunStore(root).list_runs() if info.place}


def history(root: Path) -> list[tuple[str, str]]:
    """Every state that any run took, in the order in which they took them."""
    with session(RunStore(root).database) as connection:
        return connection.execute(
            "SELECT run_id, data ->> '$.status' FROM records WHERE kind = ? ORDER BY seq",
            (RecordKind.STATUS,),
        ).fetchall()


def check_history(root: Path, most: int) -> None:
    """At no moment did more than `most` go, each was begun once, and in the order of the queue."""
    going: set[str] = set()
    begun: list[str] = []
    waited: list[str] = []
    for run_id, status in history(root):
        if status == RunStatus.QUEUED:
            waited.append(run_id)
        elif status == RunStatus.STARTING:
            begun.append(run_id)
        (going.add if status in ACTIVE else going.discard)(run_id)
        assert len(going) <= most
    assert len(begun) == len(set(begun)) == len(RunStore(root).list_runs())
    assert [run_id for run_id in begun if run_id in waited] == waited


def test_runs_wait_in_order_and_start_without_anyone_looking(
    root: Path, stub: str, until: Until
) -> None:
    first = start(root)
    others = [start(root, SHORT) for _ in range(3)]
    store = RunStore(root)
    assert [store.info(run_id).status for run_id in others] == [RunStatus.QUEUED] * 3
    assert places(root) == {run_id: place for place, run_id in enumerate(others, 1)}
    assert store.info(first).place is None

    until(lambda: store.info(first).status is RunStatus.RUNNING)
    control.stop(root, first)
    # The store alone is read from here on, which starts nothing.
    until(lambda: all(store.info(run_id).status is RunStatus.FINISHED for run_id in others))
    check_history(root, 1)


def test_without_waiting_a_start_is_refused(root: Path, stub: str) -> None:
    first = start(root)
    with pytest.raises(InputError, match=f"A run is already going: {first}"):
        control.start(root, LONG, worker=stub)
    start(root)
    assert len(control.list_runs(root)) == 2


@pytest.mark.parametrize("most", [1, 3])
def test_many_starters_at_once_never_exceed_the_limit(
    root: Path, stub: str, until: Until, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setenv(MAX_ACTIVE, str(most))
    RunStore(root)
    command = [sys.executable, str(Path(__file__).with_name("starter.py")), str(root), "2"]
    package = str(Path(control.__file__).parents[2])
    path = os.pathsep.join([package, str(Path(__file__).parent)])
    starters = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) for _ in range(3)]
    assert [starter.wait(60) for starter in starters] == [0] * 3
    store = RunStore(root)
    until(lambda: all(info.ended for info in store.list_runs()))
    assert [info.status for info in store.list_runs()] == [RunStatus.FINISHED] * 6
    check_history(root, most)


def _claim_and_die(root: Path) -> None:
    claimed = queue.claim_next(RunStore(root), 1)
    os._exit(0 if claimed else 1)


def test_a_run_whose_starter_died_waits_again_in_its_old_place(
    root: Path, stub: str, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(root)
    first, second = (store.enqueue_run(SHORT) for _ in range(2))
    starter = multiprocessing.get_context("spawn").Process(target=_claim_and_die, args=(root,))
    starter.start()
    starter.join(30)
    assert starter.exitcode == 0
    # A claim is trusted for a while, and holds its place meanwhile.
    assert control.info(root, first).status is RunStatus.STARTING
    assert places(root) == {second: 1}

    with monkeypatch.context() as patch:
        patch.setattr(control, "STARTING_GRACE_S", 0.0)
        patch.setattr(control, "_start_waiting", lambda _store: None)
        control.refresh(root)
        assert places(root) == {first: 1, second: 2}
    control.refresh(root)
    until(lambda: all(info.ended for info in store.list_runs()))
    statuses = [status for run_id, status in history(root) if run_id == first]
    assert statuses == ["queued", "starting", "queued", "starting", "running", "finished"]


def test_a_run_that_was_never_queued_does_not_wait_again(store: RunStore) -> None:
    seen = store.info(store.create_run(LONG))
    assert not queue.wait_again(store, seen)
    assert store.info(seen.run_id) == seen


def test_a_killed_run_makes_room_as_soon_as_anyone_looks(
    root: Path, stub: str, until: Until
) -> None:
    first, second = start(root), start(root)
    until(lambda: RunStore(root).info(first).status is RunStatus.RUNNING)
    pid = RunStore(root).info(first).pid
    assert pid is not None
    psutil.Process(pid).kill()
    until(lambda: control.info(root, second).status is RunStatus.RUNNING)
    assert control.info(root, first).status is RunStatus.LOST


def test_a_killed_run_makes_room_while_nobody_looks(
    root: Path, stub: str, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_watch, "LOOK_EVERY_S", 0.1)
    store = RunStore(root)
    runs = [start(root) for _ in range(3)]
    for run_id in runs:
        # The store alone is read, which starts nothing.
        until(lambda run_id=run_id: store.info(run_id).status is RunStatus.RUNNING)  # type: ignore[misc]
        pid = store.info(run_id).pid
        assert pid is not None
        psutil.Process(pid).kill()
    assert [store.info(run_id).status for run_id in runs[:2]] == [RunStatus.LOST] * 2
    until(lambda: root not in queue_watch._watched)


def test_a_run_that_is_queued_as_a_watch_ends_is_watched(tmp_path: Path, until: Until) -> None:
    looks: list[str] = []

    def look(root: Path) -> bool:
        looks.append("first")
        # Somebody queues a run after the look has found none.
        queue_watch.watch(root, lambda _root: bool(looks.append("second")))
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_watch, "LOOK_EVERY_S", 0.01)
        queue_watch.watch(tmp_path, look)
        until(lambda: looks == ["first", "second"])
        until(lambda: tmp_path not in queue_watch._watched)


@pytest.mark.parametrize("error", [InputError("no"), RunFailed("no"), OSError(), sqlite3.Error()])
def test_a_watch_that_fails_ends_and_can_be_taken_up(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(queue_watch, "LOOK_EVERY_S", 0.01)
    looks: list[Path] = []

    def look(root: Path) -> bool:
        looks.append(root)
        raise error

    for count in (1, 2):
        queue_watch.watch(tmp_path, look)
        until(lambda count=count: len(looks) == count)  # type: ignore[misc]
        until(lambda: tmp_path not in queue_watch._watched)


def test_a_folder_that_is_gone_is_not_made_again(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_watch, "LOOK_EVERY_S", 0.01)
    root = tmp_path / "gone"
    queue_watch.watch(root, lambda root: bool(RunStore(root)))
    until(lambda: root not in queue_watch._watched)
    assert not root.exists()


def test_one_that_cannot_be_started_does_not_hold_the_others(
    root: Path, stub: str, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(root)
    first, second = (store.enqueue_run(SHORT) for _ in range(2))
    spawn = control.spawn_worker

    def fail_for_the_first(where: Path, run_id: str, threads: int, module: str) -> int:
        if run_id == first:
            raise RunFailed("The process could not be started.")
        return spawn(where, run_id, threads, module)

    monkeypatch.setattr(control, "spawn_worker", fail_for_the_first)
    control.refresh(root)
    assert control.info(root, first).reason == "The process could not be started."
    until(lambda: control.info(root, second).status is RunStatus.FINISHED)


def test_a_waiting_run_is_cancelled(root: Path, store: RunStore, stub: str, until: Until) -> None:
    first, second, third = start(root), start(root), start(root)
    assert control.stop(root, second) is None
    info = control.info(root, second)
    assert (info.status, info.reason) == (RunStatus.STOPPED, queue.CANCELLED)
    assert places(root) == {third: 1}
    with pytest.raises(InputError, match=f"Run {second} is stopped; there is nothing to stop"):
        control.stop(root, second)
    with pytest.raises(InputError, match="has no checkpoint to resume from; start a new run"):
        control.resume(root, second, worker=stub)
    until(lambda: store.info(first).status is RunStatus.RUNNING)
    control.stop(root, first)
    until(lambda: store.info(third).status is RunStatus.RUNNING)
    assert "starting" not in [status for run_id, status in history(root) if run_id == second]


def test_a_waiting_run_takes_settings_but_no_other_command(
    root: Path, store: RunStore, stub: str, until: Until
) -> None:
    first, second = start(root), start(root)
    change = control.set_parameters(root, second, {"lambda_l": 0.25})
    for call in (control.pause, control.step, control.resume):
        with pytest.raises(InputError, match=f"Run {second} is queued; only a"):
            call(root, second)
    until(lambda: store.info(first).status is RunStatus.RUNNING)
    control.stop(root, first)
    until(lambda: store.command(change).applied_iteration is not None)
    assert store.command(change).applied_iteration == 0


def test_a_waiting_run_is_deleted_and_not_exported(root: Path, stub: str, tmp_path: Path) -> None:
    _, second, third = start(root), start(root), start(root)
    with pytest.raises(InputError, match=f"Run {second} is queued and cannot be exported"):
        export_run(root, second, tmp_path / "run.zip")
    delete_runs(root, [second])
    assert places(root) == {third: 1}
    assert not RunStore(root).folder(second).exists()


def test_a_stopped_run_goes_on_in_its_turn(
    root: Path, store: RunStore, stub: str, until: Until
) -> None:
    stopped = start(root)
    until(lambda: store.latest(stopped, RecordKind.CHECKPOINT) is not None)
    control.stop(root, stopped)
    until(lambda: store.info(stopped).status is RunStatus.STOPPED)
    reached = store.info(stopped).iteration

    first = start(root)
    with pytest.raises(InputError, match=f"A run is already going: {first}"):
        control.resume(root, stopped, worker=stub)
    assert control.resume(root, stopped, waits=True, worker=stub) is None
    assert places(root) == {stopped: 1}
    assert store.info(stopped).iteration == reached
    until(lambda: store.info(first).status is RunStatus.RUNNING)
    control.stop(root, first)
    until(lambda: store.info(stopped).status is RunStatus.RUNNING)
    until(lambda: store.info(stopped).iteration > reached)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "1000", "²"])
def test_a_limit_that_is_none_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(MAX_ACTIVE, text)
    with pytest.raises(InputError, match=rf"ADADFQ_MAX_ACTIVE = '{text}' is not allowed; .* 1 to"):
        start(root)
    assert RunStore(root).list_runs() == []


def test_processes_that_start_each_other_keep_their_priority() -> None:
    code = (
        "import os\nfrom adadfq_core.runs import worker\n"
        "worker._lower_priority()\nworker._lower_priority()\nprint(os.nice(0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == max(5, os.nice(0))

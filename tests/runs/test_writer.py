from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import control, database
from adadfq_core.runs.process import identity
from adadfq_core.runs.records import CommandKind, RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings


@pytest.fixture
def run_id(store: RunStore) -> str:
    return store.create_run(RunSettings())


def steps(store: RunStore, run_id: str) -> list[int]:
    return [r.iteration for r in store.read(run_id, kinds=[RecordKind.STEP]).records]


def test_an_unknown_run_is_named(root: Path) -> None:
    with pytest.raises(InputError, match="There is no run 'nope'"):
        RunWriter(root, "nope")


def test_rows_wait_for_the_interval_and_then_come_together(store: RunStore, run_id: str) -> None:
    with RunWriter(store.root, run_id, flush_interval=0.2) as writer:
        for iteration in (1, 2, 3):
            writer.append(RecordKind.STEP, iteration, {})
        assert steps(store, run_id) == []
        assert store.info(run_id).iteration == 0
        time.sleep(0.25)
        writer.append(RecordKind.STEP, 4, {})
        assert steps(store, run_id) == [1, 2, 3, 4]
        assert store.info(run_id).iteration == 4
        writer.append(RecordKind.STEP, 5, {})
        time.sleep(0.25)
        writer.take_commands()
        assert steps(store, run_id) == [1, 2, 3, 4, 5], "a paused loop leaves nothing waiting"
        writer.append(RecordKind.STEP, 6, {})
    assert steps(store, run_id) == [1, 2, 3, 4, 5, 6], "closing flushes"


def test_a_status_is_a_record_and_shows_at_once(store: RunStore, run_id: str) -> None:
    with RunWriter(store.root, run_id) as writer:
        writer.append(RecordKind.STEP, 7, {})
        writer.set_status(RunStatus.FAILED, "The loss is not finite.")
        info = store.info(run_id)
        assert (info.status, info.reason, info.iteration) == (
            RunStatus.FAILED,
            "The loss is not finite.",
            7,
        )
        record = store.latest(run_id, RecordKind.STATUS)
        assert record is not None
        assert record.data == {"status": "failed", "reason": "The loss is not finite."}
        assert record.iteration == 7


def test_commands_are_taken_once_in_order_and_marked(store: RunStore, run_id: str) -> None:
    other = store.create_run(RunSettings(), max_active=2)
    sent = [
        store.send(run_id, CommandKind.PARAMETERS, {"changes": {"lambda_l": 0.2}}),
        store.send(run_id, CommandKind.PAUSE),
    ]
    store.send(other, CommandKind.STOP)
    with RunWriter(store.root, run_id) as writer:
        taken = writer.take_commands()
        assert taken == [store.command(seq) for seq in sent]
        assert writer.take_commands() == []

        writer.append(RecordKind.PARAMETERS, 5, taken[0].payload)
        writer.mark_applied(taken[0], 5)
        writer.mark_applied(taken[1], 5, "The run is paused already.")

    assert store.command(sent[0]).applied_iteration == 5
    assert store.command(sent[0]).error is None
    assert store.command(sent[1]).error == "The run is paused already."
    assert store.pending(run_id) == []
    assert control.current_settings(store.root, run_id).lambda_l == 0.2


def test_a_command_waits_for_the_next_process(store: RunStore, run_id: str) -> None:
    seq = store.send(run_id, CommandKind.PAUSE)
    with RunWriter(store.root, run_id) as writer:
        writer.take_commands()
    with RunWriter(store.root, run_id) as writer:
        assert [command.seq for command in writer.take_commands()] == [seq]


def test_a_final_status_refuses_what_is_pending(store: RunStore, run_id: str) -> None:
    seq = store.send(run_id, CommandKind.PAUSE)
    with RunWriter(store.root, run_id) as writer:
        writer.set_status(RunStatus.FINISHED)
    assert store.command(seq).error == "The run was finished before the command took effect."


def test_arrays_are_named_only_after_they_are_complete(store: RunStore, run_id: str) -> None:
    """Readers poll while large arrays are written; each named file must load at once."""
    done = threading.Event()
    loaded: list[int] = []

    def follow() -> None:
        cursor = 0
        while True:
            ended = done.is_set()
            update = store.read(run_id, cursor, [RecordKind.IMAGES])
            for record in update.records:
                loaded.append(int(store.arrays(record)["x"].sum()))
            cursor = update.cursor
            if ended:
                return

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        with RunWriter(store.root, run_id, flush_interval=0) as writer:
            for iteration in range(10):
                array = np.ones(300_000, np.uint8)
                writer.append(RecordKind.IMAGES, iteration, {}, {"x": array})
    finally:
        done.set()
        thread.join()
    assert loaded == [300_000] * 10
    assert not list((store.folder(run_id) / "arrays").glob(".*")), "no temporary file is left"


def test_arrays_that_cannot_be_written_are_not_named(store: RunStore, run_id: str) -> None:
    folder = store.folder(run_id) / "arrays"
    folder.rmdir()
    with RunWriter(store.root, run_id) as writer:
        with pytest.raises(RunFailed, match=r"could not be written .*then resume the run"):
            writer.append(RecordKind.IMAGES, 1, {}, {"x": np.zeros(3)})
        writer.append(RecordKind.STEP, 1, {})
    assert store.latest(run_id, RecordKind.IMAGES) is None
    assert steps(store, run_id) == [1]


def test_a_full_disk_is_said_and_loses_nothing(store: RunStore, run_id: str) -> None:
    with RunWriter(store.root, run_id) as writer:
        connection = writer._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        for iteration in range(100):
            writer.append(RecordKind.STEP, iteration, {"filler": "x" * 500})
        with pytest.raises(RunFailed, match=r"The disk that holds '.*runs.db' is full; free"):
            writer.flush()
        assert steps(store, run_id) == []
        connection.execute("PRAGMA max_page_count = 1000000")
        writer.flush()
    assert steps(store, run_id) == list(range(100))


def test_a_lock_is_waited_for(store: RunStore, run_id: str) -> None:
    locker = sqlite3.connect(store.database, isolation_level=None, check_same_thread=False)
    locker.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, locker.rollback)
    release.start()
    started = time.monotonic()
    with RunWriter(store.root, run_id) as writer:
        writer.append(RecordKind.STEP, 1, {})
        writer.flush()
    release.join()
    locker.close()
    assert time.monotonic() - started > 0.4
    assert steps(store, run_id) == [1]


def test_a_lock_that_stays_is_said(
    store: RunStore, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
    locker = sqlite3.connect(store.database, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    try:
        assert store.info(run_id).run_id == run_id, "readers do not wait for a writer"
        with pytest.raises(RunFailed, match=r"kept '.*runs.db' locked for too long"):
            store.send(run_id, CommandKind.PAUSE)
    finally:
        locker.close()


def test_a_run_outlasts_a_lock_that_pages_give_up_on(
    store: RunStore, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    locker = sqlite3.connect(store.database, isolation_level=None, check_same_thread=False)
    with RunWriter(store.root, run_id) as writer:
        locker.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.6, locker.rollback)
        release.start()
        with pytest.raises(RunFailed, match="locked for too long"):
            store.send(run_id, CommandKind.PAUSE)
        writer.append(RecordKind.STEP, 1, {})
        writer.flush()
        writer.set_status(RunStatus.RUNNING)
    release.join()
    locker.close()
    assert steps(store, run_id) == [1]


def test_only_the_process_that_holds_the_run_may_write(store: RunStore, run_id: str) -> None:
    me = identity(os.getpid())
    assert me is not None
    old = RunWriter(store.root, run_id)
    old.attach(*me)
    old.set_status(RunStatus.RUNNING)
    with pytest.raises(RunFailed, match="is not waiting for a process"):
        RunWriter(store.root, run_id).attach(*me)

    store.end_run(store.info(run_id), RunStatus.LOST, "taken for dead")
    old.append(RecordKind.STEP, 9, {})
    with pytest.raises(RunFailed, match="has ended or was taken over"):
        old.flush()

    store.reclaim(run_id, iteration=3)
    new = RunWriter(store.root, run_id)
    new.attach(me.pid + 1, me.started)
    new.set_status(RunStatus.RUNNING)
    with pytest.raises(RunFailed, match="has ended or was taken over"):
        old.close()
    new.append(RecordKind.STEP, 4, {})
    new.close()
    assert steps(store, run_id) == [4]


def test_a_resumed_run_keeps_the_arrays_of_its_first_pass(store: RunStore, run_id: str) -> None:
    for value in (1, 2):
        with RunWriter(store.root, run_id) as writer:
            writer.append(RecordKind.IMAGES, 5, {}, {"x": np.array([value])})
    records = store.read(run_id, kinds=[RecordKind.IMAGES]).records
    assert [store.arrays(record)["x"][0] for record in records] == [1, 2]


def test_a_checkpoint_file_is_named_relative_to_the_store(store: RunStore, run_id: str) -> None:
    with RunWriter(store.root, run_id) as writer:
        path = writer.checkpoints / "best.pt"
        path.write_bytes(b"x")
        writer.append(RecordKind.CHECKPOINT, 2, {}, file=path)
    record = store.latest(run_id, RecordKind.CHECKPOINT)
    assert record is not None
    assert record.file == f"{run_id}/checkpoints/best.pt"
    assert store.path(record) == path


def _write(root: Path, run_id: str, seconds: float, rows_per_second: int) -> None:
    process = identity(os.getpid())
    assert process is not None
    with RunWriter(root, run_id) as writer:
        writer.attach(*process)
        writer.set_status(RunStatus.RUNNING)
        started = time.monotonic()
        for iteration in range(round(seconds * rows_per_second)):
            writer.take_commands()
            writer.append(RecordKind.STEP, iteration, {"loss": iteration / 3, "top1": 12.5})
            time.sleep(max(0.0, started + (iteration + 1) / rows_per_second - time.monotonic()))
        writer.set_status(RunStatus.FINISHED)


def _follow(root: Path, run_id: str, queue: multiprocessing.Queue[tuple[int, int]]) -> None:
    """Report how often this reader polled and how many steps it saw."""
    cursor = polls = seen = 0
    while True:
        update = control.read(root, run_id, cursor)
        cursor = update.cursor
        polls += 1
        seen += sum(record.kind is RecordKind.STEP for record in update.records)
        if update.info.status is RunStatus.FINISHED:
            break
        time.sleep(0.05)
    queue.put((polls, seen))


@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_four_readers_never_meet_a_locked_database(
    store: RunStore, run_id: str, seconds: int
) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    readers = [context.Process(target=_follow, args=(store.root, run_id, queue)) for _ in range(4)]
    writer = context.Process(target=_write, args=(store.root, run_id, seconds, 200))
    for process in (*readers, writer):
        process.start()
    results = [queue.get(timeout=seconds + 60) for _ in readers]
    for process in (*readers, writer):
        process.join(30)
        assert process.exitcode == 0
    assert [seen for _, seen in results] == [seconds * 200] * 4
    assert min(polls for polls, _ in results) > seconds * 2

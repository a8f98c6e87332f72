from __future__ import annotations

import json
import math
import multiprocessing
import os
import re
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.database import connect
from adadfq_core.runs.records import CommandKind, RecordKind, RunStatus, decode, encode
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings

SETTINGS = RunSettings(weight_bits=3, activation_bits=5)


def log_steps(store: RunStore, run_id: str, iterations: range) -> None:
    with RunWriter(store.root, run_id) as writer:
        for iteration in iterations:
            writer.append(RecordKind.STEP, iteration, {"loss": iteration / 2})


def test_a_new_run_is_starting_and_keeps_its_settings(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS, "paper")

    info = store.info(run_id)

    assert re.fullmatch(r"\d{8}-\d{6}-3w5a-[a-z0-9]{2}", run_id)
    assert (info.settings, info.preset, info.status) == (SETTINGS, "paper", RunStatus.STARTING)
    assert (info.iteration, info.pid, info.reason, info.active) == (0, None, "", True)
    assert (store.folder(run_id) / "arrays").is_dir()
    assert (store.folder(run_id) / "checkpoints").is_dir()


def test_runs_are_listed_newest_first(store: RunStore) -> None:
    created = [store.create_run(SETTINGS, max_active=3) for _ in range(3)]
    assert [info.run_id for info in store.list_runs()] == created[::-1]


@pytest.mark.parametrize("name", ["", "nope", "../nope", "'; DROP TABLE runs; --"])
def test_an_unknown_run_is_named(store: RunStore, name: str) -> None:
    for call in (store.info, store.read):
        with pytest.raises(InputError, match=re.escape(f"There is no run '{name}'")):
            call(name)
    with pytest.raises(InputError, match="There is no run"):
        store.send(name, CommandKind.PAUSE)
    with pytest.raises(InputError, match="There is no run"):
        store.latest(name, RecordKind.STEP)


def test_a_cursor_gives_every_record_once_and_in_order(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS)
    other = store.create_run(SETTINGS, max_active=2)
    log_steps(store, run_id, range(1, 6))
    log_steps(store, other, range(1, 4))

    first = store.read(run_id)
    log_steps(store, run_id, range(6, 9))
    second = store.read(run_id, first.cursor)
    nothing = store.read(run_id, second.cursor)

    assert [record.kind for record in first.records] == ["status"] + ["step"] * 5
    assert [record.iteration for record in second.records] == [6, 7, 8]
    assert second.records[0].data == {"loss": 3.0}
    assert second.info.iteration == 8
    assert (nothing.records, nothing.cursor) == ([], second.cursor)


def test_a_limited_read_loses_nothing(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS)
    log_steps(store, run_id, range(10))

    seen, cursor = [], 0
    while records := (update := store.read(run_id, cursor, [RecordKind.STEP], limit=3)).records:
        assert len(records) <= 3
        seen += [record.iteration for record in records]
        cursor = update.cursor

    assert seen == list(range(10))


def test_a_stride_thins_steps_only(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS)
    log_steps(store, run_id, range(1, 11))
    with RunWriter(store.root, run_id) as writer:
        writer.append(RecordKind.EVALUATION, 11, {"top1": 50.0})

    records = store.read(run_id, stride=4).records

    assert [(r.kind, r.iteration) for r in records] == [
        ("status", 0),
        ("step", 4),
        ("step", 8),
        ("evaluation", 11),
    ]


def test_latest_goes_back_to_an_iteration(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS)
    assert store.latest(run_id, RecordKind.STEP) is None
    log_steps(store, run_id, range(0, 50, 10))

    newest = store.latest(run_id, RecordKind.STEP)
    earlier = store.latest(run_id, RecordKind.STEP, at_or_before=25)

    assert newest is not None and newest.iteration == 40
    assert earlier is not None and earlier.iteration == 20
    assert store.latest(run_id, RecordKind.STEP, at_or_before=-1) is None


def test_non_finite_numbers_survive_in_valid_json(store: RunStore, root: Path) -> None:
    run_id = store.create_run(SETTINGS)
    data = {
        "nan": math.nan,
        "nested": [1.5, {"up": math.inf, "down": -math.inf}],
        "numpy": np.float32("nan"),
        "array": np.array([1.0, np.inf]),
        "text": "nan is fine",
        "none": None,
    }
    with RunWriter(root, run_id) as writer:
        writer.append(RecordKind.STEP, 1, data)

    record = store.latest(run_id, RecordKind.STEP)
    with sqlite3.connect(root / "runs.db") as connection:
        valid = connection.execute("SELECT min(json_valid(data)) FROM records").fetchone()[0]
    connection.close()

    assert valid == 1
    assert record is not None
    assert math.isnan(record.data["nan"]) and math.isnan(record.data["numpy"])
    assert record.data["nested"] == [1.5, {"up": math.inf, "down": -math.inf}]
    assert record.data["array"] == [1.0, math.inf]
    assert (record.data["text"], record.data["none"]) == ("nan is fine", None)


def test_finite_numbers_are_stored_exactly() -> None:
    values = {"a": 0.1 + 0.2, "b": 5e-324, "c": 2**53, "d": np.int64(7), "e": -0.0, "f": True}
    assert decode(encode(values)) == values
    json.loads(encode({"x": math.nan}), parse_constant=lambda name: pytest.fail(name))
    with pytest.raises(TypeError, match="cannot hold a set"):
        encode({"x": {1}})


def _claim(root: Path, barrier: threading.Barrier) -> str | None:
    barrier.wait(60)
    try:
        return RunStore(root).create_run(SETTINGS)
    except InputError as error:
        assert "A run is already going: " in str(error)
        return None


def _claim_in_process(root: Path, barrier: threading.Barrier, won: Callable[..., None]) -> None:
    won(_claim(root, barrier))


def test_one_of_eight_threads_claims_even_a_new_folder(root: Path) -> None:
    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: _claim(root, barrier), range(8)))
    winners = [result for result in results if result]
    assert len(winners) == 1
    assert [info.run_id for info in RunStore(root).list_runs()] == winners


@pytest.mark.slow
def test_one_of_eight_processes_claims_even_a_new_folder(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(8), context.Queue()
    processes = [
        context.Process(target=_claim_in_process, args=(root, barrier, queue.put)) for _ in range(8)
    ]
    for process in processes:
        process.start()
    results = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len([result for result in results if result]) == 1
    assert len(RunStore(root).list_runs()) == 1


def test_a_refused_claim_names_the_active_runs(store: RunStore) -> None:
    first = store.create_run(SETTINGS)
    with pytest.raises(InputError, match=f"A run is already going: {first}; stop it first"):
        store.create_run(SETTINGS)
    second = store.create_run(SETTINGS, max_active=2)
    with pytest.raises(InputError, match=f"2 runs are already going: {first}, {second}; stop one"):
        store.create_run(SETTINGS, max_active=2)
    assert store.end_run(store.info(first), RunStatus.LOST, "gone")
    store.create_run(SETTINGS, max_active=2)
    assert len(list(store.root.glob("*-3w5a-*"))) == 3, "a refused claim leaves no folder"


def test_arrays_come_back_with_type_and_shape(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS)
    arrays = {
        "images": np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 0, 1),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "loss": np.array([1, np.nan, np.inf], np.float32),
    }
    with RunWriter(store.root, run_id) as writer:
        writer.append(RecordKind.SAMPLES, 4, {"n": 2}, arrays)

    record = store.latest(run_id, RecordKind.SAMPLES)
    assert record is not None
    read = store.arrays(record)

    assert record.file is not None and record.file.startswith(f"{run_id}/arrays/00000004-samples-")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_missing_and_damaged_arrays_are_said_in_one_sentence(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS)
    with RunWriter(store.root, run_id) as writer:
        writer.append(RecordKind.IMAGES, 1, {}, {"x": np.zeros(100)})
        writer.append(RecordKind.STEP, 1, {})
    images, step = (store.latest(run_id, kind) for kind in (RecordKind.IMAGES, RecordKind.STEP))
    assert images is not None and step is not None
    path = store.path(images)

    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunFailed, match=f"{path.name}' is damaged"):
        store.arrays(images)
    path.write_bytes(b"")
    with pytest.raises(RunFailed, match="is damaged"):
        store.arrays(images)
    path.unlink()
    with pytest.raises(RunFailed, match=f"{path.name}' is missing"):
        store.arrays(images)
    with pytest.raises(InputError, match="has no file"):
        store.arrays(step)


def test_a_root_that_cannot_be_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(InputError, match=f"The run folder '{file}' is a file"):
        RunStore(file)
    with pytest.raises(InputError, match=re.escape(f"The run folder '{file / 'below'}' cannot be")):
        RunStore(file / "below")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_read_only_root_is_named() -> None:
    # Not in tmp_path, which only its owner may enter; root itself may write anywhere.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        RunStore(root)
        os.chmod(folder, 0o755)
        os.chmod(root, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(InputError, match=re.escape(str(root))):
                RunStore(root).create_run(SETTINGS)
            with pytest.raises(InputError, match=re.escape(str(root / "new"))):
                RunStore(root / "new")
        finally:
            if user == 0:
                os.seteuid(user)
            os.chmod(root, 0o755)


def test_a_damaged_database_is_named(store: RunStore, root: Path) -> None:
    run_id = store.create_run(SETTINGS)
    path = root / "runs.db"

    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(InputError, match=re.escape(f"'{path}' is damaged")):
        RunStore(root).info(run_id)

    path.write_bytes(b"this is no database, whatever its name says" * 100)
    for call in (lambda: RunStore(root), lambda: store.info(run_id), store.list_runs):
        with pytest.raises(InputError, match=r"is damaged or not a run database .*move it away"):
            call()


def test_a_database_that_is_a_folder_is_named(root: Path) -> None:
    (root / "runs.db").mkdir(parents=True)
    with pytest.raises(InputError, match=r"runs.db' cannot be opened"):
        RunStore(root)


def test_a_newer_or_foreign_database_is_left_alone(root: Path) -> None:
    RunStore(root)
    path = root / "runs.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match=r"newer version of this program \(format 99"):
        RunStore(root)

    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="database of another program"):
        RunStore(root)
    assert path.read_bytes() == before


def test_settings_that_cannot_be_read_name_the_run(store: RunStore, root: Path) -> None:
    run_id = store.create_run(SETTINGS)
    with connect(root / "runs.db") as connection:
        connection.execute("""UPDATE runs SET settings = '{"batch": 1}'""")
    connection.close()
    with pytest.raises(InputError, match=f"settings of run {run_id} cannot be read: batch = 1"):
        store.info(run_id)


def test_commands_are_for_active_runs(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS)
    seq = store.send(run_id, CommandKind.STEP, {"iterations": 3})

    command = store.command(seq)
    assert (command.kind, command.payload) == (CommandKind.STEP, {"iterations": 3})
    assert (command.applied_iteration, command.error) == (None, None)
    assert store.pending(run_id) == [command]

    store.end_run(store.info(run_id), RunStatus.LOST, "gone")
    assert store.command(seq).error == "The run was lost before the command took effect."
    assert store.pending(run_id) == []
    with pytest.raises(InputError, match=f"Run {run_id} is lost; it takes no commands"):
        store.send(run_id, CommandKind.PAUSE)
    with pytest.raises(InputError, match="There is no command 999"):
        store.command(999)


def test_a_run_is_ended_only_as_it_was_seen(store: RunStore) -> None:
    run_id = store.create_run(SETTINGS)
    seen = store.info(run_id)
    store.note_process(run_id, 4242, 1.0)
    assert not store.end_run(seen, RunStatus.LOST, "gone"), "a process appeared meanwhile"
    store.note_process(run_id, 4343, 2.0)
    assert store.info(run_id).pid == 4242, "the first process counts"

    assert store.end_run(store.info(run_id), RunStatus.LOST, "gone")
    assert not store.end_run(store.info(run_id), RunStatus.FAILED, "twice")
    record = store.latest(run_id, RecordKind.STATUS)
    assert record is not None and record.data == {"status": "lost", "reason": "gone"}
    assert store.info(run_id).reason == "gone"


def test_a_store_may_be_made_by_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = RunStore(Path("späte läufe #1?"))
    run_id = store.create_run(SETTINGS)
    monkeypatch.chdir(Path(sys.executable).anchor)
    assert store.info(run_id).run_id == run_id

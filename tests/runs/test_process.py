from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from adadfq_core.errors import RunFailed
from adadfq_core.runs import control, process
from adadfq_core.runs.database import connect
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import DATABASE, RunStore
from adadfq_core.settings import RunSettings

Until = Callable[[Callable[[], bool]], None]


def test_a_process_is_known_by_number_and_start() -> None:
    me = process.identity(os.getpid())
    assert me is not None
    assert process.alive(*me)
    assert not process.alive(me.pid, me.started - 100)


def test_an_ended_process_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = process.identity(child.pid)
    assert known is not None and process.alive(*known)
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert not process.alive(*known), "a zombie does not run"
    child.communicate()
    assert not process.alive(*known)
    assert process.identity(child.pid) is None


def test_a_worker_runs_from_any_folder_with_its_threads(
    root: Path, stub: str, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    run_id = control.start(root, RunSettings(threads=1), worker=stub)
    until(lambda: control.info(root, run_id).status is not RunStatus.STARTING)
    notice = control.latest(root, run_id, RecordKind.NOTICE)
    assert notice is not None
    assert notice.data["threads"] == "1"
    info = control.info(root, run_id)
    assert info.pid is not None
    if sys.platform != "win32":
        assert os.getsid(info.pid) == info.pid, "Ctrl-C at the server does not reach it"


@pytest.mark.parametrize(("set_by_user", "seen"), [(None, str(2**32)), ("7", "7")])
def test_a_worker_keeps_its_memory_unless_the_user_says_otherwise(
    root: Path,
    stub: str,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    set_by_user: str | None,
    seen: str,
) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    if set_by_user is not None:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", set_by_user)
    run_id = control.start(root, RunSettings(threads=1), worker=stub)
    until(lambda: control.info(root, run_id).status is not RunStatus.STARTING)
    notice = control.latest(root, run_id, RecordKind.NOTICE)
    assert notice is not None
    assert notice.data["trim"] == seen


def test_a_worker_outlives_its_starter_and_is_found_again(
    root: Path, stub: str, until: Until
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from adadfq_core.runs import control\n"
        "from adadfq_core.settings import RunSettings\n"
        "print(control.start(Path(sys.argv[1]), RunSettings(), worker=sys.argv[2]))"
    )
    here = str(Path(process.__file__).parents[2])
    path = os.pathsep.join([here, os.environ["PYTHONPATH"]])
    output = subprocess.run(
        [sys.executable, "-c", script, str(root), stub],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    run_id = output.stdout.strip()
    until(lambda: control.info(root, run_id).iteration > 3)
    assert control.info(root, run_id).status is RunStatus.RUNNING
    control.stop(root, run_id)
    until(lambda: control.info(root, run_id).status is RunStatus.STOPPED)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and zombies")
def test_five_workers_stopped_and_one_killed_leave_no_defunct_child(
    root: Path, stub: str, until: Until
) -> None:
    runs = [control.start(root, RunSettings(), max_active=5, worker=stub) for _ in range(5)]
    until(lambda: all(i.status is RunStatus.RUNNING for i in control.list_runs(root)))
    pids = {run_id: control.info(root, run_id).pid for run_id in runs}
    victim, *others = runs
    victim_pid = pids[victim]
    assert victim_pid is not None

    os.kill(victim_pid, signal.SIGKILL)
    until(lambda: psutil.Process(victim_pid).status() == psutil.STATUS_ZOMBIE)
    control.refresh(root)

    lost = RunStore(root).info(victim)
    assert lost.status is RunStatus.LOST
    assert "killed by SIGKILL" in lost.reason
    record = control.latest(root, victim, RecordKind.STATUS)
    assert record is not None and record.data == {"status": "lost", "reason": lost.reason}

    for run_id in others:
        control.stop(root, run_id)
    until(lambda: all(not i.active for i in control.list_runs(root)))
    statuses = {i.run_id: i.status for i in control.list_runs(root)}
    assert statuses == {victim: RunStatus.LOST, **dict.fromkeys(others, RunStatus.STOPPED)}

    def ended() -> bool:
        control.refresh(root)
        return not any(pid in psutil.pids() for pid in pids.values())

    until(ended)
    defunct = [c for c in psutil.Process().children() if c.status() == psutil.STATUS_ZOMBIE]
    assert defunct == []


def test_a_reused_process_number_is_not_the_worker(root: Path, store: RunStore) -> None:
    run_id = store.create_run(RunSettings())
    me = process.identity(os.getpid())
    assert me is not None
    store.note_process(run_id, me.pid, me.started - 3600)
    info = control.info(root, run_id)
    assert info.status is RunStatus.LOST
    assert info.reason == "Its process is gone."


def test_a_worker_that_fails_at_once_is_lost_with_its_last_words(
    root: Path, stub: str, until: Until
) -> None:
    run_id = control.start(root, RunSettings(), "crash", worker=stub)
    until(lambda: control.info(root, run_id).status is RunStatus.LOST)
    reason = control.info(root, run_id).reason
    assert reason == (
        "Its process ended with exit code 1; its last output was: ZeroDivisionError: stub"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the state is read from Linux's /proc")
def test_the_signal_is_told_though_a_thread_outlives_the_first_one(
    root: Path, stub: str, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A zombie whose threads still end has no exit code yet: here that state lasts.
    (tmp_path / "slow_to_die.py").write_text(
        "import ctypes, os, signal, threading\n"
        "end = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        "threading.Timer(1.0, end).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run_id = control.start(root, RunSettings(), worker="slow_to_die")
    pid = RunStore(root).info(run_id).pid
    assert pid is not None
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    info = control.info(root, run_id)
    assert info.status is RunStatus.LOST
    assert "killed by SIGKILL" in info.reason


def test_a_worker_module_that_is_missing_is_told(root: Path, stub: str, until: Until) -> None:
    run_id = control.start(root, RunSettings(), worker="no_such_module")
    until(lambda: control.info(root, run_id).status is RunStatus.LOST)
    assert "No module named no_such_module" in control.info(root, run_id).reason


def test_a_worker_that_cannot_start_is_a_failed_run(
    root: Path, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(root / "no-python"))
    with pytest.raises(RunFailed, match="could not be started"):
        control.start(root, RunSettings(), worker=stub)
    (info,) = control.list_runs(root)
    assert info.status is RunStatus.FAILED
    assert "could not be started" in info.reason


def test_log_tail_gives_the_last_lines_that_say_something(tmp_path: Path) -> None:
    assert process.log_tail(tmp_path) == ""
    log = tmp_path / "worker.log"
    log.write_bytes(b"x" * 100_000 + b"\nfirst\n\nlast \xff\n\n   \n")
    assert process.log_tail(tmp_path) == "last \ufffd"
    assert process.log_tail(tmp_path, 2) == "first\nlast \ufffd"
    log.write_text("y" * 5000)
    assert process.log_tail(tmp_path) == "y" * 300


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_clock_that_is_set_does_not_make_a_live_worker_lost(
    root: Path, stub: str, until: Until, seconds: float
) -> None:
    """The system reckons start times from the clock, so all move with it."""
    run_id = control.start(root, RunSettings(), worker=stub)
    until(lambda: control.info(root, run_id).status is RunStatus.RUNNING)
    with connect(root / DATABASE) as connection:
        connection.execute("UPDATE runs SET process_started = process_started + ?", (seconds,))
    connection.close()
    info = control.info(root, run_id)
    assert info.status is RunStatus.RUNNING and info.pid is not None
    psutil.Process(info.pid).kill()
    until(lambda: control.info(root, run_id).status is RunStatus.LOST)


def test_a_clock_that_was_set_back_does_not_keep_a_run_starting(
    root: Path, store: RunStore
) -> None:
    run_id = store.create_run(RunSettings())
    assert control.info(root, run_id).status is RunStatus.STARTING
    with connect(root / DATABASE) as connection:
        connection.execute("UPDATE runs SET updated = updated + 3600")
    connection.close()
    assert control.info(root, run_id).status is RunStatus.LOST

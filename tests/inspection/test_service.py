from __future__ import annotations

import contextlib
import dataclasses
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from adadfq_core.inspection import service as service_module
from adadfq_core.inspection.requests import Request, WalkRequest
from adadfq_core.inspection.service import LOG, InspectionService
from adadfq_core.inspection.states import (
    Answered,
    NotAsked,
    Refused,
    State,
    Waiting,
    Working,
)

_WAIT_SECONDS = 60.0
HERE = Path(__file__).parent


def walk(run_id: str = "quick", seed: int = 0, steps: int = 2) -> WalkRequest:
    return WalkRequest(Path("runs"), run_id, 1, seed, 0, 0, 0, steps)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InspectionService]:
    """A service whose process is `steered_worker`."""
    monkeypatch.setattr(service_module, "_WORKER", "steered_worker")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    with contextlib.closing(InspectionService(tmp_path / "cache")) as made:
        yield made


def until(service: InspectionService, request: Request, reached: Callable[[State], bool]) -> State:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not reached(state := service.state(request)):
        assert time.monotonic() < deadline, state
        time.sleep(0.01)
    return state


def done(service: InspectionService, request: Request) -> State:
    return until(service, request, lambda state: not isinstance(state, Waiting | Working))


def answer_of(service: InspectionService, request: WalkRequest, slot: str = "a") -> int:
    """The number of the process that answers `request`."""
    service.submit(request, slot)
    state = done(service, request)
    assert isinstance(state, Answered), state
    assert len(state.reply.pixels) == request.steps
    return int(state.reply.checkpoint)


def at_work(service: InspectionService, request: WalkRequest) -> Working:
    state = until(service, request, lambda state: isinstance(state, Working) and state.share)
    assert isinstance(state, Working)
    return state


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_until_gone(pid: int, seconds: float) -> None:
    began = time.monotonic()
    while not gone(pid):
        assert time.monotonic() - began < seconds
        time.sleep(0.02)


def test_one_process_answers_from_the_first_request_on(service: InspectionService) -> None:
    before = len(psutil.Process().children())
    assert service.state(walk()) == NotAsked()
    assert len(psutil.Process().children()) == before, "nothing is started for nothing"
    pid = answer_of(service, walk())
    assert answer_of(service, walk(seed=1, steps=3), "b") == pid
    process = psutil.Process(pid)
    assert process.nice() == min(19, psutil.Process().nice() + 15)
    assert process.environ()["OMP_NUM_THREADS"] in ("1", "2")


def test_an_answer_is_made_once(service: InspectionService) -> None:
    answer_of(service, walk())
    first = service.state(walk())
    service.submit(walk(), "b")
    assert isinstance(first, Answered)
    second = service.state(walk())
    assert isinstance(second, Answered) and second.reply is first.reply


def test_progress_is_told(service: InspectionService) -> None:
    service.submit(walk("slow"), "a")
    state = at_work(service, walk("slow"))
    assert state.stage == "being slow" and state.share is not None and 0 < state.share < 1


def test_a_newer_request_of_the_slot_ends_the_one_at_work(service: InspectionService) -> None:
    service.submit(walk("slow"), "a")
    at_work(service, walk("slow"))
    began = time.monotonic()
    answer_of(service, walk(), "a")
    assert time.monotonic() - began < 10, "of the 20 seconds that the slow one takes"
    assert service.state(walk("slow")) == NotAsked()


def test_what_another_slot_waits_for_goes_on(service: InspectionService) -> None:
    for slot in "ab":
        service.submit(walk("slow"), slot)
    share = at_work(service, walk("slow")).share
    service.submit(walk(), "a")
    time.sleep(0.5)
    state = service.state(walk("slow"))
    assert isinstance(state, Working) and state.share is not None and share is not None
    assert state.share > share
    assert service.state(walk()) == Waiting()


def test_a_dragged_slider_leaves_its_last_request_alone(service: InspectionService) -> None:
    service.submit(walk("slow"), "other")
    at_work(service, walk("slow"))
    for seed in range(20):
        service.submit(walk(seed=seed), "slider")
    states = [service.state(walk(seed=seed)) for seed in range(20)]
    assert states == [NotAsked()] * 19 + [Waiting()]


def test_the_newest_comes_first_and_few_wait(service: InspectionService) -> None:
    service.submit(walk("slow"), "busy")
    at_work(service, walk("slow"))
    for seed in range(12):
        service.submit(walk(seed=seed), f"session {seed}")
    states = [service.state(walk(seed=seed)) for seed in range(12)]
    assert states == [NotAsked()] * 4 + [Waiting()] * 8
    service.submit(walk("dying"), "busy")  # the newest: before those that wait
    assert isinstance(done(service, walk("dying")), Refused)
    assert service.state(walk(seed=4)) == NotAsked()
    assert isinstance(done(service, walk(seed=5)), Answered), "by a new process"


@pytest.mark.parametrize(
    ("run_id", "sentence"),
    [
        ("input", "steps = 1 is not allowed; choose 2."),
        ("failed", "The checkpoint is damaged; choose another."),
        ("broken", "The walk failed: ZeroDivisionError: nothing is left"),
        ("end of file", "The walk failed: EOFError: half of an archive"),
    ],
)
def test_a_failure_is_one_sentence(
    service: InspectionService, tmp_path: Path, run_id: str, sentence: str
) -> None:
    service.submit(walk(run_id), "a")
    assert done(service, walk(run_id)) == Refused(sentence)
    answer_of(service, walk())
    log = (tmp_path / "cache" / LOG).read_text()
    assert ("Traceback" in log) == (run_id in ("broken", "end of file"))


def test_a_refused_request_is_tried_again_after_a_while(
    service: InspectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.submit(walk("input"), "a")
    done(service, walk("input"))
    service.submit(walk("input"), "a")
    assert isinstance(service.state(walk("input")), Refused)
    monkeypatch.setattr(service_module, "REFUSAL_SECONDS", 0.0)
    service.submit(walk("input"), "a")
    assert isinstance(service.state(walk("input")), Waiting | Working)
    assert isinstance(done(service, walk("input")), Refused)


def test_a_process_that_dies_is_told_and_replaced(service: InspectionService) -> None:
    pid = answer_of(service, walk())
    service.submit(walk("dying"), "a")
    state = done(service, walk("dying"))
    assert isinstance(state, Refused)
    assert state.sentence.startswith("The walk failed, as its process ended (exit code 3); ask")
    other = answer_of(service, walk(seed=1))
    assert other != pid and gone(pid)
    psutil.Process(other).kill()  # while it has nothing to do
    wait_until_gone(other, 10)
    assert answer_of(service, walk(seed=2)) != other


def test_a_process_that_died_unnoticed_is_replaced_without_a_word(
    service: InspectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with threads, a process has no exit code before its last thread is gone."""
    pid = answer_of(service, walk())
    assert service._process is not None
    psutil.Process(pid).kill()
    wait_until_gone(pid, 10)
    monkeypatch.setattr(service._process, "poll", lambda: None)
    assert answer_of(service, walk(seed=1)) != pid


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (dataclasses.replace(walk(), root=lambda: None), "(PicklingError|AttributeError)"),
        (walk("unreadable"), "ZeroDivisionError"),
    ],
    ids=["request", "answer"],
)
def test_what_cannot_be_passed_on_is_told_and_holds_up_nobody(
    service: InspectionService, request_: WalkRequest, error: str
) -> None:
    """Else the one thread that talks to the process would end, and every reader wait for ever."""
    service.submit(request_, "a")
    service.submit(walk(seed=1), "b")
    state = done(service, request_)
    assert isinstance(state, Refused)
    assert re.search(rf"could not be passed on \({error}\); ask again", state.sentence)
    assert isinstance(done(service, walk(seed=1)), Answered)
    answer_of(service, walk(seed=2))


def test_a_process_that_cannot_start_is_told(
    service: InspectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    service.submit(walk(), "a")
    state = done(service, walk())
    assert isinstance(state, Refused)
    assert "could not be started (No such file or directory); check" in state.sentence


def test_a_cache_folder_that_cannot_be_made_is_told(
    service: InspectionService, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    service.submit(walk(), "a")
    state = done(service, walk())
    assert isinstance(state, Refused)
    assert state.sentence.endswith(f"started (File exists); check {tmp_path / 'cache'}.")


def test_an_idle_process_is_ended_and_started_again(
    service: InspectionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "IDLE_SECONDS", 0.3)
    pid = answer_of(service, walk())
    wait_until_gone(pid, 10)
    assert isinstance(service.state(walk()), Answered), "answers outlive it"
    assert answer_of(service, walk(seed=1)) != pid


def test_old_answers_give_way(service: InspectionService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "ANSWER_BYTES", 30_000)
    for seed in range(3):
        answer_of(service, walk(seed=seed, steps=12_000))
    assert service.state(walk(seed=0, steps=12_000)) == NotAsked()
    assert isinstance(service.state(walk(seed=1, steps=12_000)), Answered)
    answer_of(service, walk(steps=100_000))
    assert isinstance(service.state(walk(steps=100_000)), Answered), "the last, however large"


def test_calls_return_at_once_even_if_the_process_hangs(service: InspectionService) -> None:
    pid = answer_of(service, walk())
    psutil.Process(pid).suspend()
    began = time.perf_counter()
    for seed in range(1, 50):
        service.submit(walk(seed=seed), "a")
        service.state(walk(seed=seed))
    assert time.perf_counter() - began < 0.5
    began = time.perf_counter()
    service.close()
    assert time.perf_counter() - began < 4 and gone(pid)


@pytest.mark.parametrize("run_id", ["slow", "deaf"])
def test_close_ends_the_process_at_work(service: InspectionService, run_id: str) -> None:
    pid = answer_of(service, walk())
    service.submit(walk(run_id), "a")
    time.sleep(0.3)
    service.close()
    service.close()
    assert gone(pid)
    service.submit(walk(seed=1), "a")
    assert service.state(walk(seed=1)) == NotAsked()


def test_a_service_that_was_never_used_closes(tmp_path: Path) -> None:
    InspectionService(tmp_path / "cache").close()
    assert not (tmp_path / "cache").exists()


_PARENT = """
import sys, time
from pathlib import Path
from adadfq_core.inspection import service as service_module
from adadfq_core.inspection.requests import WalkRequest
from adadfq_core.inspection.states import Answered

service_module._WORKER = "steered_worker"
service = service_module.InspectionService(Path(sys.argv[1]))
request = WalkRequest(Path("runs"), "quick", 1, 0, 0, 0, 0, 2)
service.submit(request, "a")
while not isinstance(state := service.state(request), Answered):
    time.sleep(0.01)
service.submit(WalkRequest(Path("runs"), "deaf", 1, 0, 0, 0, 0, 2), "a")
print(state.reply.checkpoint, flush=True)
time.sleep(60)
"""


def test_the_process_ends_soon_after_a_killed_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{HERE}:{HERE.parents[1]}")
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        wait_until_gone(pid, 3)

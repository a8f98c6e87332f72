from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from adadfq_core.runs import control, process
from adadfq_core.runs.store import RunStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def store(root: Path) -> RunStore:
    return RunStore(root)


@pytest.fixture
def stub(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Module name of the stub worker; its processes are ended after the test."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(control, "WORKER_MODULE", "stub_worker")
    yield "stub_worker"
    for info in RunStore(root).list_runs():
        if info.pid in (None, os.getpid()) or info.process_started is None:
            continue
        if process.alive(info.pid, info.process_started):
            worker = psutil.Process(info.pid)
            worker.kill()
            psutil.wait_procs([worker], timeout=10)
    process.reap()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds; fail after 30 s."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "the condition never held"
            time.sleep(0.02)

    return wait

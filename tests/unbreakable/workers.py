"""Short runs whose workers start at once, and waiting for what becomes of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adadfq_core import runs
from adadfq_core.presets import preset_settings
from adadfq_core.runs import RunStatus
from adadfq_core.settings import RunSettings

SECONDS = 240


class Nursery:
    """Starts workers in no time; `fault` (see `faults`) is what the next one comes to."""

    def __init__(self) -> None:
        package = str(Path(runs.__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": package, "OMP_NUM_THREADS": "1"},
        )
        self.fault = "-"
        self._pids: list[int] = []
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def spawn(self, root: Path, run_id: str, threads: int, module: str = "") -> int:
        """In place of `process.spawn_worker`."""
        assert self._process.stdin is not None
        print(root, run_id, self.fault.replace(" ", "-"), file=self._process.stdin, flush=True)
        self.fault = "-"
        pid = int(self._answer())
        self._pids.append(pid)
        return pid

    def close(self) -> None:
        for pid in self._pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()


def small(**changes: Any) -> RunSettings:
    """A run of 30 iterations that measures nothing and makes no map."""
    values = {
        **{"epochs": 5, "iterations_per_epoch": 6, "warmup_epochs": 1, "batch": 4, "threads": 1},
        **{"generator_width": 4, "latent_dim": 8, "embed_every": 0, "checkpoint_every": 4},
        **{"snapshot_every": 5, "value_every": 5, "data": "none", **changes},
    }
    return preset_settings("interactive", values)


def wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def ended(root: Path, run_id: str) -> RunStatus:
    """Wait for the end of a run; how it ended."""
    wait(lambda: not runs.info(root, run_id).active)
    return runs.info(root, run_id).status

"""A process that starts stub runs, all of which may have to wait."""

from __future__ import annotations

import sys
from pathlib import Path

from adadfq_core.runs import control
from adadfq_core.settings import RunSettings

control.WORKER_MODULE = "stub_worker"

# Ten iterations: a stub plays them in a twentieth of a second.
SHORT = RunSettings(epochs=2, warmup_epochs=1, iterations_per_epoch=5)


if __name__ == "__main__":
    for _ in range(int(sys.argv[2])):
        control.start(Path(sys.argv[1]), SHORT, waits=True, worker="stub_worker")

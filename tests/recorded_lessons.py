"""Recorded runs with chosen results, as the script writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from adadfq_core.inspection.contact_sheet import contact_sheet
from adadfq_core.lessons.recorded import RecordedRun, sheet_file, write_run

CLOSE = {
    "disagreement": [91.0, 92.0, 91.5],
    "paper": [91.2, 92.1, 91.4],
    "agreement": [90.9, 91.6, 91.7],
}
APART = {
    "disagreement": [80.0, 80.1, 80.0],
    "paper": [91.0, 91.1, 91.0],
    "agreement": [85.0, 85.1, 85.0],
}


def run_of(margin: str, seed: int, final: float) -> RecordedRun:
    """A run of 30 iterations."""
    h_prime = ((10, 0.5), (20, 0.4), (30, 0.3))
    return RecordedRun(margin, seed, 30, 10, 94.0, ((10, 70.0), (30, final)), h_prime, {})


def write_recordings(folder: Path, finals: Mapping[str, Sequence[float]]) -> None:
    """A run a result, and a sheet a margin."""
    for margin, results in finals.items():
        for seed, final in enumerate(results):
            write_run(folder, run_of(margin, seed, final))
        sheet = contact_sheet(np.zeros((4, 1, 8, 8), np.uint8))
        sheet_file(folder, margin).write_bytes(sheet)

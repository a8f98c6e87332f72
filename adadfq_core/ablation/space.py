"""How much disk the runs of a sweep take, told before it starts.

What a run stores is known but for two sizes, which depend on its networks and images: those of a
checkpoint and of a sheet of images. They come with its pace (see `estimate.Pace`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from adadfq_core.ablation.estimate import Pace, evaluations
from adadfq_core.errors import RunFailed
from adadfq_core.runs.retention import checkpoints_to_drop
from adadfq_core.settings import RunSettings

# Measured on a store of 5,000 records of each kind, indexes and checksums included: a step takes
# 670 bytes with 16 samples, 1,109 with 64 and 4,188 with 256 (whole pages), a value of the game
# 225, a row that names a file 295.
_STEP_BYTES = 520
_SAMPLE_BYTES = 15
_ROW_BYTES = 300
# Positions, classes and adaptability of 256 samples.
_MAP_BYTES = 6_000
# What most file systems give out at once.
_BLOCK = 4096


def run_bytes(settings: RunSettings, pace: Pace) -> int:
    """Bytes that one run has stored when it has ended."""
    iterations = settings.iterations
    due = {*range(settings.checkpoint_every, iterations + 1, settings.checkpoint_every), iterations}
    dropped = checkpoints_to_drop(sorted(due), warmup=settings.warmup_iterations)
    checkpoints = len(due) - len(dropped)
    sheets = 1 + iterations // (1 if settings.slow_motion else settings.snapshot_every)
    maps = iterations // settings.embed_every if settings.embed_every else 0
    values = iterations // settings.value_every
    rows = checkpoints + sheets + maps + values + evaluations(settings)
    return (
        checkpoints * _on_disk(pace.checkpoint_bytes)
        + sheets * _on_disk(pace.sheet_bytes)
        + maps * _on_disk(_MAP_BYTES)
        + iterations * (_STEP_BYTES + _SAMPLE_BYTES * settings.batch)
        + rows * _ROW_BYTES
    )


def sweep_bytes(runs: Iterable[tuple[RunSettings, Pace]], workers: int) -> int:
    """Bytes that the runs of a sweep take at most, `workers` of which go at once.

    Each that goes writes a checkpoint beside those that it drops when that is safe.
    """
    known = list(runs)
    largest = max((_on_disk(pace.checkpoint_bytes) for _, pace in known), default=0)
    return sum(run_bytes(*run) for run in known) + workers * largest


def _on_disk(size: float) -> int:
    return -(-int(size) // _BLOCK) * _BLOCK


def room_for(needed: int, root: Path) -> str:
    """In a sentence how much of the disk of the run folder `root` is needed.

    Raises:
        RunFailed: it has less than that free.
    """
    # The folder may have to be made yet.
    place = next(folder for folder in (root, *root.absolute().parents) if os.path.exists(folder))
    free = shutil.disk_usage(place).free
    if needed > free:
        raise RunFailed(
            f"The runs store about {in_bytes(needed)} and the disk of '{root}' has "
            f"{in_bytes(free)} free; free some space, vary less or choose another run folder."
        )
    return f"They store about {in_bytes(needed)}; the disk has {in_bytes(free)} free."


def in_bytes(size: int) -> str:
    """`size` in bytes as a person says a rough one: 12 MB, 3.4 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"

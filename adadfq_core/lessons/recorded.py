"""The recorded runs that the lessons show: one small file a run, and an image sheet a margin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adadfq_core.errors import RunFailed
from adadfq_core.files import replace_atomically
from adadfq_core.runs.records import Record, RecordKind

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "lessons"
PRESET = "quick"
MARGINS = {"disagreement": (0.0, 0.1), "paper": (0.1, 0.8), "agreement": (0.9, 1.0)}
"""The margins [lambda_l, lambda_u] that are compared, by the end of the H' axis they lie at."""

SURFACE = "margin-3w3a.csv"
_ITERATIONS_A_POINT = 10
_AGAIN = "run 'python benchmarks/record_lessons.py' to record the runs anew"


@dataclass(frozen=True)
class RecordedRun:
    """Numbers of one run.

    Attributes:
        margin: its name in `MARGINS`.
        iterations, warmup: of the run, and of its beginning in which G alone learns.
        top1_p: top-1 of P in percent.
        top1_q: iteration and top-1 of Q in percent; the first is the calibrated Q.
        h_prime: the last of `_ITERATIONS_A_POINT` iterations and the mean H' over their samples.
        about: what it was made with: settings, versions, command.
    """

    margin: str
    seed: int
    iterations: int
    warmup: int
    top1_p: float
    top1_q: tuple[tuple[int, float], ...]
    h_prime: tuple[tuple[int, float], ...]
    about: dict[str, Any]

    @property
    def final(self) -> float:
        """Top-1 of Q at the end, in percent."""
        return self.top1_q[-1][1]


def run_file(folder: Path, margin: str, seed: int) -> Path:
    """Where the numbers of a run stand."""
    return folder / f"{margin}-seed{seed}.json"


def sheet_file(folder: Path, margin: str) -> Path:
    """Where the last images of a margin's first recorded run stand."""
    return folder / f"{margin}.png"


def recorded_run(
    records: Iterable[Record],
    margin: str,
    seed: int,
    iterations: int,
    warmup: int,
    about: dict[str, Any],
) -> RecordedRun:
    """The numbers of a run that has come to its end, from its log.

    Raises:
        RunFailed: the run measured no accuracy of P, or none of Q after the warm-up.
    """
    top1_p: float | None = None
    top1_q: list[tuple[int, float]] = []
    means: list[tuple[int, float]] = []
    for record in records:
        if record.kind is RecordKind.STEP:
            means.append((record.iteration, float(record.data["h_prime_mean"])))
        elif record.kind is RecordKind.EVALUATION and record.data["network"] == "p":
            top1_p = float(record.data["top1"])
        elif record.kind is RecordKind.EVALUATION:
            top1_q.append((record.iteration, round(float(record.data["top1"]), 4)))
    if top1_p is None or len(top1_q) < 2:
        raise RunFailed("The run measured no accuracy to record; play it with real images.")
    return RecordedRun(
        margin=margin,
        seed=seed,
        iterations=iterations,
        warmup=warmup,
        top1_p=round(top1_p, 4),
        top1_q=tuple(top1_q),
        h_prime=tuple(_thinned(means)),
        about=about,
    )


def _thinned(means: Sequence[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    for start in range(0, len(means), _ITERATIONS_A_POINT):
        part = means[start : start + _ITERATIONS_A_POINT]
        yield part[-1][0], round(sum(mean for _, mean in part) / len(part), 4)


def write_run(folder: Path, run: RecordedRun) -> None:
    """Write the numbers of `run` to its file in `folder`."""
    with replace_atomically(run_file(folder, run.margin, run.seed)) as path:
        path.write_text(json.dumps(asdict(run)) + "\n", encoding="utf-8")


def read_run(path: Path) -> RecordedRun:
    """What `write_run` wrote.

    Raises:
        RunFailed: the file is missing or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for name in ("top1_q", "h_prime"):
            found[name] = tuple((int(iteration), float(value)) for iteration, value in found[name])
        return RecordedRun(**found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunFailed(
            f"The recording '{path.name}' cannot be read ({error}); {_AGAIN}."
        ) from error


def read_runs(folder: Path = FOLDER) -> dict[str, list[RecordedRun]]:
    """The recorded runs of each margin, those of the same seeds in the same order.

    Raises:
        RunFailed: a file is damaged, or fewer than two seeds were recorded with every margin.
    """
    found = {
        margin: {run.seed: run for run in map(read_run, folder.glob(f"{margin}-seed*.json"))}
        for margin in MARGINS
    }
    seeds = sorted(set.intersection(*(set(runs) for runs in found.values())))
    if len(seeds) < 2:
        raise RunFailed(
            f"There are recordings of {len(seeds)} seed(s) with every margin, and the lessons need "
            f"2 or more; {_AGAIN}."
        )
    return {margin: [runs[seed] for seed in seeds] for margin, runs in found.items()}


def read_surface(folder: Path = FOLDER) -> pd.DataFrame:
    """The measured sweep over both boundaries of the margin (`ablation.results.results_frame`).

    Raises:
        RunFailed: the file is missing or damaged.
    """
    import pandas as pd

    try:
        frame = pd.read_csv(folder / SURFACE)
    except (OSError, ValueError) as error:
        raise RunFailed(
            f"The table '{SURFACE}' cannot be read ({error}); put back the file of this version."
        ) from error
    # The table has finished cells only, so no reason was written.
    return frame.assign(reason="")

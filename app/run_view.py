"""What a page has read of a run so far, kept up to date by a cursor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

from adadfq_core import runs
from adadfq_core.game.step import SCALARS
from adadfq_core.runs import Record, RecordKind, RunInfo, history
from adadfq_core.runs.history import Moments
from adadfq_core.runs.summary import Summary, summarize
from adadfq_core.settings import RunSettings
from app.charts.h_prime_bands import HPrimeBins
from app.growing_columns import GrowingColumns

# Numbers of every iteration, beside its own.
SERIES = ("ms", "seconds", "lr_g", "lr_q", *SCALARS)
RECENT_SAMPLES = 512
# Iterations that must be there before the time left is estimated.
FIRST_ESTIMATE = 20


@dataclass(frozen=True)
class Frame:
    """What the panels of one moment show: of each kind the newest that was stored by then.

    Attributes:
        past: the iteration looked at, `None` for the newest.
        settings: those in force.
        images: the sheet of iteration `images_iteration` (see `runs.recorder`).
        real, synthetic: positions and labels on the map.
        h_prime: H' of the latest samples `(n,)`, the newest last.
    """

    past: int | None
    settings: RunSettings
    images: dict[str, np.ndarray] | None
    images_iteration: int
    real: dict[str, np.ndarray] | None
    synthetic: dict[str, np.ndarray] | None
    h_prime: np.ndarray


@dataclass
class RunView:
    """A growing picture of one run; `refresh` reads only what is new.

    `steps` holds the numbers of every iteration, and under "samples" how many of `h_prime` there
    are up to and with it. `bins` and `map_figure` are what was drawn last: charts that grow go on
    from there.
    """

    root: Path
    run_id: str
    info: RunInfo
    cursor: int = 0
    steps: GrowingColumns = field(
        default_factory=lambda: GrowingColumns(("iteration", *SERIES, "samples"))
    )
    _samples: GrowingColumns = field(default_factory=lambda: GrowingColumns(("h_prime",)))
    setting_changes: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    evaluations: list[Record] = field(default_factory=list)
    values: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    changes: list[tuple[int, str]] = field(default_factory=list)
    moments: Moments = field(default_factory=Moments)
    past_frame: Frame | None = None
    notices: list[str] = field(default_factory=list)
    network: dict[str, Any] = field(default_factory=dict)
    half: Record | None = None
    half_arrays: dict[str, np.ndarray] = field(default_factory=dict)
    images: dict[str, np.ndarray] | None = None
    images_iteration: int = 0
    real: dict[str, np.ndarray] | None = None
    synthetic: dict[str, np.ndarray] | None = None
    bins: HPrimeBins | None = None
    map_figure: tuple[Frame, go.Figure] | None = None

    @classmethod
    def attach(cls, root: Path, run_id: str) -> RunView:
        """A view of run `run_id` with all that is stored of it."""
        view = cls(root, run_id, runs.info(root, run_id))
        view.refresh()
        return view

    def refresh(self) -> None:
        """Read what is new; pictures are read only for the latest of each kind."""
        update = runs.read(self.root, self.run_id, self.cursor)
        if self._went_back(update.records):
            vars(self).update(vars(RunView(self.root, self.run_id, update.info)))
            update = runs.read(self.root, self.run_id)
        self.moments = history.extended(self.moments, update)
        self.cursor, self.info = update.cursor, update.info
        latest: dict[str, Record] = {}
        steps: list[Record] = []
        for record in update.records:
            if record.kind == RecordKind.STEP:
                steps.append(record)
            elif record.kind == RecordKind.EVALUATION:
                self.evaluations.append(record)
            elif record.kind == RecordKind.PARAMETERS:
                text = ", ".join(
                    f"{name} = {value}" for name, value in record.data["changes"].items()
                )
                self.changes.append((record.iteration, text))
                self.setting_changes.append((record.iteration, record.data["changes"]))
            elif record.kind == RecordKind.VALUE:
                self.values.append((record.iteration, record.data))
            elif record.kind == RecordKind.NETWORK:
                self.network = record.data
            elif record.kind == RecordKind.NOTICE:
                self.notices.append(record.data["text"])
            elif record.kind == RecordKind.HALF:
                latest["half_arrays"] = record
            elif record.kind == RecordKind.IMAGES:
                latest["images"] = record
            elif record.kind == RecordKind.EMBEDDING:
                latest[record.data["source"]] = record
        self._add_steps(steps)
        for name, record in latest.items():
            setattr(self, name, runs.arrays(self.root, record))
            if name == "images":
                self.images_iteration = record.iteration
            elif name == "half_arrays":
                self.half = record
        if self.half is not None and self.info.iteration > self.half.iteration:
            # The run has gone on: what one move did long ago is of no use beside what is now.
            self.half = None

    def _went_back(self, records: Iterable[Record]) -> bool:
        """Whether iterations that were read already are played anew, with other settings."""
        known = self.steps["iteration"]
        steps = (record.iteration for record in records if record.kind == RecordKind.STEP)
        first = next(steps, math.inf)
        return len(known) > 0 and first <= known[-1]

    def _add_steps(self, records: Iterable[Record]) -> None:
        rows: list[list[float]] = []
        samples: list[list[float]] = []
        known = len(self.h_prime)
        for record in records:
            # Runs of an earlier version, or of another's making, lack some.
            samples += ([h_prime] for h_prime in record.data.get("h_prime", ()))
            numbers = (record.data.get(name, math.nan) for name in SERIES)
            rows.append([record.iteration, *numbers, known + len(samples)])
        self.steps.extend(rows)
        self._samples.extend(samples)

    @property
    def h_prime(self) -> np.ndarray:
        """H' of all samples read so far `(k,)`, in the order of iterations."""
        return self._samples["h_prime"]

    def step_at(self, iteration: int | None) -> dict[str, float]:
        """The numbers of the newest step, or of the newest within the first `iteration`."""
        place = len(self.steps["iteration"])
        if iteration is not None:
            place = max(int(np.searchsorted(self.steps["iteration"], iteration, "right")), 1)
        return {name: values[place - 1] for name, values in self.steps.items()}

    def recent_h_prime(self, iterations: int | None = None) -> np.ndarray:
        """H' of the latest samples, or of the latest within the first `iterations`; newest last."""
        end = len(self.h_prime)
        if iterations is not None:
            steps = np.searchsorted(self.steps["iteration"], iterations, side="right")
            end = int(self.steps["samples"][steps - 1]) if steps else 0
        return self.h_prime[max(0, end - RECENT_SAMPLES) : end]

    def frame(self, settings: RunSettings) -> Frame:
        """The newest moment, with `settings` as they are in force or about to be."""
        return Frame(
            None,
            settings,
            self.images,
            self.images_iteration,
            self.real,
            self.synthetic,
            self.recent_h_prime(),
        )

    def frame_at(self, iteration: int) -> Frame:
        """The moment after `iteration`."""
        if self.past_frame is not None and self.past_frame.past == iteration:
            return self.past_frame
        then = history.at(self.root, self.run_id, iteration)
        self.past_frame = Frame(
            iteration,
            then.settings,
            then.images,
            then.sheet.iteration if then.sheet else 0,
            then.real,
            then.synthetic,
            self.recent_h_prime(iteration),
        )
        return self.past_frame

    @property
    def has_points(self) -> bool:
        """Whether any iteration has been read."""
        return len(self.steps["iteration"]) > 0

    def summary(self) -> Summary:
        """Accuracies so far."""
        return summarize(self.evaluations)

    def top1_q(self) -> tuple[list[int], list[float]]:
        """Iterations and top-1 of Q, the calibrated one first."""
        points = [r for r in self.evaluations if r.data["network"] != "p"]
        return [r.iteration for r in points], [r.data["top1"] for r in points]

    def test_loss(self) -> tuple[list[int], list[float]]:
        """Iterations and Q's loss on the real images; runs of earlier versions have none."""
        points = [r for r in self.evaluations if r.data.get("loss_q") is not None]
        return [r.iteration for r in points], [float(r.data["loss_q"]) for r in points]

    def seconds_left(self) -> float | None:
        """Estimate from the pace of the latest iterations.

        They span the time between two evaluations, so that one of these is always among them.
        `None` for the first few, whose time is mostly that of starting up.
        """
        window = max(self.info.settings.evaluate_every, FIRST_ESTIMATE) + 1
        seconds = self.steps["seconds"][-window:]
        if len(seconds) < FIRST_ESTIMATE:
            return None
        pace = float(seconds[-1] - seconds[0]) / (len(seconds) - 1)
        return pace * (self.info.settings.iterations - self.info.iteration)


def newest(infos: Iterable[RunInfo]) -> str | None:
    """The run that a fresh page shows: the active one, else the newest."""
    ordered = sorted(infos, key=lambda info: (info.active, info.created))
    return ordered[-1].run_id if ordered else None

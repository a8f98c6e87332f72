"""What a run has reached, read from its log."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from adadfq_core.runs.records import Record, RecordKind


@dataclass(frozen=True)
class Summary:
    """Figures of a run so far; `None` where nothing was measured yet.

    Accuracies are top-1 in percent on all test images: of P, of Q before its first move, the
    best and the last of Q. `seconds` is time at work, evaluations included and pauses not.
    """

    top1_p: float | None = None
    top1_q_calibrated: float | None = None
    top1_q_best: float | None = None
    top1_q_last: float | None = None
    ms_per_iteration: float | None = None
    seconds: float | None = None

    @property
    def recovered(self) -> float | None:
        """Share of the gap between calibrated Q and P that Q has regained, 1 for all of it."""
        p, calibrated, last = self.top1_p, self.top1_q_calibrated, self.top1_q_last
        if p is None or calibrated is None or last is None or p <= calibrated:
            return None
        return (last - calibrated) / (p - calibrated)


def summarize(records: Iterable[Record]) -> Summary:
    """Summary of the `step` and `evaluation` records among `records`."""
    measured: dict[str, list[float]] = {"p": [], "q_calibrated": [], "q": []}
    milliseconds: list[float] = []
    seconds: float | None = None
    for record in records:
        if record.kind == RecordKind.EVALUATION:
            measured[record.data["network"]].append(record.data["top1"])
            seconds = record.data["seconds"]
        elif record.kind == RecordKind.STEP:
            milliseconds.append(record.data["ms"])
            seconds = record.data["seconds"]
    q = measured["q"]
    return Summary(
        top1_p=measured["p"][-1] if measured["p"] else None,
        top1_q_calibrated=measured["q_calibrated"][-1] if measured["q_calibrated"] else None,
        top1_q_best=max(q) if q else None,
        top1_q_last=q[-1] if q else None,
        ms_per_iteration=statistics.median(milliseconds) if milliseconds else None,
        seconds=seconds,
    )

"""What a sweep has found: one row a cell."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from adadfq_core.ablation import control
from adadfq_core.runs.overview import summaries
from adadfq_core.runs.summary import Summary

if TYPE_CHECKING:
    import pandas as pd

MEASURED = (
    "top1_p",
    "top1_q_calibrated",
    "top1_q_best",
    "top1_q_last",
    "recovered",
    "ms_per_iteration",
)
"""Columns of `results_frame` that come from a cell's run; as in `runs.summary.Summary`."""


def results_frame(root: Path, sweep_id: str) -> pd.DataFrame:
    """The cells of a sweep in the order of its plan.

    Columns: `cell`, `status` (see `CellStatus`), `reason`, `run_id`, `seed`, each axis by its
    name, `MEASURED` (accuracies are top-1 in percent) and `seconds`, the wall time of the cell's
    last start with all that came before its first iteration. What was not measured is NaN.

    Raises:
        InputError: there is no such sweep.
    """
    # pandas takes a while to import, and the shell's other commands do without.
    import pandas as pd

    plan = control.info(root, sweep_id).plan
    cells = control.cells(root, sweep_id)
    known = summaries(root, [cell.run_id for cell in cells if cell.run_id is not None])
    rows = []
    for cell in cells:
        found = known.get(cell.run_id or "", Summary())
        seconds = math.nan
        if cell.started is not None and cell.ended is not None:
            seconds = cell.ended - cell.started
        rows.append(
            [
                *(cell.index, str(cell.status), cell.reason, cell.run_id, cell.seed),
                *(cell.point[axis] for axis in plan.axes),
                *(getattr(found, name) for name in MEASURED),
                seconds,
            ]
        )
    columns = ["cell", "status", "reason", "run_id", "seed", *plan.axes, *MEASURED, "seconds"]
    frame = pd.DataFrame(rows, columns=columns)
    numbers = [*MEASURED, "seconds"]
    frame[numbers] = frame[numbers].astype("float64")
    return frame

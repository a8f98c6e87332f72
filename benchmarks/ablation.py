"""What does a sweep cost beside its runs?

Run `python benchmarks/ablation.py` on a machine that does nothing else. It sweeps lambda_l x
lambda_u, 5 x 5, with the quick preset, a run a core, one thread each (`--small`: 2 x 2 with short
runs), and tells

- efficiency: the sum of the runs' times over (total time x workers); 1 would mean that every
  worker played a run all the time. Once with the runs' whole times, from their start to their end,
  and once with their time at work alone, so that each process' imports count as lost;
- one cell: a sweep of one short cell, from the request to the result, against the same run without
  a sweep, three of each in turn; the median difference is what the sweep adds.

`--of SWEEP_ID` tells the efficiency of a stored sweep instead of playing one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console

from adadfq_core import runs
from adadfq_core.ablation import control
from adadfq_core.ablation.axes import parse_axis
from adadfq_core.ablation.designs import grid
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import CellStatus, SweepStatus
from adadfq_core.home import runs_folder
from adadfq_core.runs.overview import summaries

SHORT = {"epochs": 4, "iterations_per_epoch": 10, "warmup_epochs": 1, "evaluation_images": 500}
POLL_SECONDS = 0.05
REPEATS = 3


def plan_of(lambda_l: str, lambda_u: str, changes: dict[str, int]) -> Plan:
    """Both boundaries of the margin varied, as the shell writes it."""
    axes = [parse_axis(f"lambda_l={lambda_l}"), parse_axis(f"lambda_u={lambda_u}")]
    names = tuple(axis.name for axis in axes)
    return Plan(preset="quick", changes=changes, axes=names, points=grid(axes))


def play(root: Path, plan: Plan) -> str:
    """Sweep `plan` in `root` to its end."""
    sweep_id = control.start(root, plan)
    while control.info(root, sweep_id).status is SweepStatus.RUNNING:
        time.sleep(POLL_SECONDS)
    return sweep_id


def efficiency(root: Path, sweep_id: str) -> dict[str, float]:
    """Seconds in all, and the shares of the workers' time that runs took."""
    info = control.info(root, sweep_id)
    cells = [
        cell
        for cell in control.cells(root, sweep_id)
        if cell.status is CellStatus.FINISHED and cell.run_id and cell.started and cell.ended
    ]
    total = max(cell.ended for cell in cells) - info.created
    at_work = summaries(root, [cell.run_id for cell in cells])
    whole = sum(cell.ended - cell.started for cell in cells)
    working = sum(found.seconds or 0 for found in at_work.values())
    return {
        "runs": len(cells),
        "workers": info.workers,
        "total_s": total,
        "whole": whole / (total * info.workers),
        "at_work": working / (total * info.workers),
    }


def one_cell(root: Path) -> tuple[float, float]:
    """Seconds of a sweep of one short cell, and of its run without a sweep."""
    plan = plan_of("0.1", "0.8", SHORT)
    began = time.monotonic()
    play(root, plan)
    swept = time.monotonic() - began
    settings = plan.settings(plan.cells[0]).model_copy(update={"threads": 1})
    began = time.monotonic()
    run_id = runs.start(root, settings)
    while runs.info(root, run_id).active:
        time.sleep(POLL_SECONDS)
    return swept, time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="2 x 2 short runs")
    parser.add_argument("--of", metavar="SWEEP_ID", help="a stored sweep, in ADADFQ_HOME")
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if arguments.of:
            found = efficiency(runs_folder(), arguments.of)
        else:
            plan = plan_of("0:0.4:5", "0.5:0.9:5", {})
            if arguments.small:
                plan = plan_of("0,0.4", "0.5,0.9", SHORT)
            found = efficiency(root, play(root, plan))
        for name, value in found.items():
            console.print(f"{name}\t{value:.3g}")
        pairs = [one_cell(root) for _ in range(REPEATS)]
        added = statistics.median(swept - alone for swept, alone in pairs)
        console.print(f"one_cell_s\t{statistics.median(swept for swept, _ in pairs):.2f}")
        console.print(f"added_s\t{added:.2f}")


if __name__ == "__main__":
    main()

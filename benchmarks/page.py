"""What does the live page cost the training, and how soon does it answer?

Run `python benchmarks/page.py`, on a machine that does nothing else: about ten minutes, with
`--quick` about five. A run of the interactive preset trains all the while, past its warm-up. The
page is closed, open, closed, open ... and closed again; each phase has a window of `--seconds` in
which nobody touches anything, and what an open phase shows is compared with the mean of the two
closed ones beside it, so a machine that slows down steadily changes nothing. The presses follow
after the window of each open phase.

Training:
- ms per iteration: median over a phase of what the run records, evaluations left out.
- iterations per second: by the run's own clock, with evaluations, checkpoints and records.

CPU seconds per second, 1 being one core at full load: of the run (with the process of its map), of
the server, of the browser, and of what measures. Where the browser draws on the same cores as the
run, as with `--disable-gpu` here, the second and the third tell the server's share from the
drawing's. A reader whose browser is elsewhere pays for the server alone.

Press to repaint, in ms: from the browser's own time of the event to the first animation frame in
which the page shows what was asked for (1/60 s at the finest):
- lambda_u, an arrow key on its slider: the margin's band is drawn with its new edge;
- a panel's pill: the chart of the histogram of H' has its place in the page (drawn is only what is
  within the window, and this one is below its edge);
- Pause: the button offers to resume. That waits for the run's iteration and for the next refresh.

Server to browser: bytes of WebSocket messages and of HTTP bodies in windows of one second, while
nobody touches anything. Updates come once a second at most, so many a window may hold none.

Memory: resident set of the server, in MB of a million bytes, in the windows of the open phases;
each of these is a new session. With `--memory-minutes` one more phase follows that lasts so long,
and the least-squares slope of its samples is told, those of the first three minutes left out.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from machine import machine

if TYPE_CHECKING:
    from page_support import Phase, Stage
    from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

OPEN_PHASES = 3
PRESSES_A_PHASE = 8
QUICK_OPEN_PHASES, QUICK_SECONDS = 2, 15
# The memory of a fresh session first grows with what it loads.
FIRST_MINUTES = 3
# For the presses and the start, beside the windows.
OTHER_SECONDS = 900
# An epoch of the preset has 50 iterations, and none is known to take less than 20 ms. Many more
# epochs than will be played would squeeze the charts into a corner.
SHORTEST_EPOCH_SECONDS = 1

GROUPS = {
    "training": "the run",
    "server": "the server",
    "browser": "the browser",
    "measuring": "what measures",
}


def open_to_closed(values: Sequence[float]) -> float:
    """Median ratio of an open phase's value to the mean of those of the closed ones beside it.

    `values` are of alternating phases, the first and the last of which are closed.
    """
    beside = [(values[i - 1] + values[i + 1]) / 2 for i in range(1, len(values), 2)]
    return float(np.median(np.divide(values[1::2], beside)))


def closed_and_open(values: Sequence[float]) -> dict[str, float]:
    """Medians over the closed and over the open phases, and `open_to_closed`."""
    return {
        "closed": float(np.median(values[::2])),
        "open": float(np.median(values[1::2])),
        "open_to_closed": open_to_closed(values),
    }


def summarize(
    phases: Sequence[Phase], presses: dict[str, list[float]], long_phase: Phase | None
) -> dict[str, Any]:
    """The numbers of the module's docstring.

    Args:
        phases: alternating, the first and the last closed.
        presses: milliseconds from press to repaint, by what was pressed.
        long_phase: the one that memory was watched in, if any.
    """
    from page_support import slope_per_minute

    opened = phases[1::2]
    traffic = np.concatenate([phase.bytes_per_second for phase in opened])
    server_mb = [phase.server_mb for phase in opened]
    result: dict[str, Any] = {
        "ms_per_iteration": closed_and_open([float(np.median(phase.ms)) for phase in phases]),
        "iterations_per_second": closed_and_open([p.iterations_per_second for p in phases]),
        "cpu_seconds_per_second": {
            group: {
                "closed": float(np.median([phase.cpu[group] for phase in phases[::2]])),
                "open": float(np.median([phase.cpu[group] for phase in opened])),
            }
            for group in GROUPS
        },
        "press_to_repaint_ms": {
            name: {
                "samples": len(taken),
                "median": float(np.median(taken)),
                "p95": float(np.percentile(taken, 95)),
            }
            for name, taken in presses.items()
        },
        "bytes_per_second": {"median": float(np.median(traffic)), "mean": float(traffic.mean())},
        "server_mb": {
            "first_open_phase": float(np.median(server_mb[0])),
            "last_open_phase": float(np.median(server_mb[-1])),
            "most": max(map(max, server_mb)),
        },
    }
    if long_phase is not None:
        result["server_mb_per_minute"] = slope_per_minute(
            long_phase.server_mb, long_phase.seconds, FIRST_MINUTES
        )
    return result


def tables(result: dict[str, Any]) -> list[Table]:
    """`summarize`'s numbers to be printed."""
    from rich.table import Table

    training = Table("", "page closed", "page open", "open / closed", title="Training")
    for name, label in (
        ("ms_per_iteration", "ms per iteration"),
        ("iterations_per_second", "iterations per second"),
    ):
        row = result[name]
        numbers = (row[key] for key in ("closed", "open", "open_to_closed"))
        training.add_row(label, *(f"{number:.2f}" for number in numbers))
    for group, label in GROUPS.items():
        row = result["cpu_seconds_per_second"][group]
        training.add_row(f"CPU of {label}, s per s", f"{row['closed']:.2f}", f"{row['open']:.2f}")

    presses = Table("", "median", "95th percentile", "samples", title="Press to repaint, ms")
    for name, row in result["press_to_repaint_ms"].items():
        presses.add_row(name, f"{row['median']:.0f}", f"{row['p95']:.0f}", str(row["samples"]))

    server = Table("", "", title="Server", show_header=False)
    bytes_, memory = result["bytes_per_second"], result["server_mb"]
    server.add_row("bytes per second, median", f"{bytes_['median']:,.0f}")
    server.add_row("bytes per second, mean", f"{bytes_['mean']:,.0f}")
    server.add_row("memory in the first open phase, MB", f"{memory['first_open_phase']:.0f}")
    server.add_row("memory in the last open phase, MB", f"{memory['last_open_phase']:.0f}")
    server.add_row("most memory, MB", f"{memory['most']:.0f}")
    if "server_mb_per_minute" in result:
        server.add_row("growth, MB per minute", f"{result['server_mb_per_minute']:+.2f}")
    return [training, presses, server]


def tell(text: str) -> None:
    """What is being done, for whoever waits."""
    typer.echo(text, err=True)


def measured(
    stage: Stage, open_phases: int, seconds: int, memory_minutes: int
) -> tuple[list[Phase], dict[str, list[float]], Phase | None]:
    """All phases in turn, with the presses of the open ones: what `summarize` takes."""
    from page_support import opened_page, press_pause, press_pill, press_slider, watch

    random = np.random.default_rng(0)
    press = {"lambda_u": press_slider, "a panel's pill": press_pill, "Pause": press_pause}
    taken: dict[str, list[float]] = {name: [] for name in press}
    tell("page closed")
    phases = [watch(stage, seconds)]
    for number in range(1, open_phases + 1):
        tell(f"page open, {number} of {open_phases}")
        with opened_page(stage) as (page, traffic):
            phases.append(watch(stage, seconds, page, traffic))
            for name, act in press.items():
                tell(f"  pressing {name}")
                taken[name] += act(page, PRESSES_A_PHASE, random)
        tell("page closed")
        phases.append(watch(stage, seconds))
    if not memory_minutes:
        return phases, taken, None
    tell(f"page open for {memory_minutes} minutes")
    with opened_page(stage) as (page, traffic):
        return phases, taken, watch(stage, 60 * memory_minutes, page, traffic)


def main(
    seconds: Annotated[int, typer.Option(min=5, help="Length of a phase's window.")] = 40,
    quick: Annotated[
        bool,
        typer.Option("--quick", help=f"{QUICK_OPEN_PHASES} open phases of {QUICK_SECONDS} s."),
    ] = False,
    memory_minutes: Annotated[
        int, typer.Option(max=120, help="Watch the server's memory so long; 0 leaves it out.")
    ] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for all numbers, of each phase as well.")
    ] = None,
) -> None:
    """Measure what the live page costs the training and how soon it answers."""
    from page_support import staged
    from rich.console import Console

    from adadfq_core.errors import InputError, RunFailed

    if memory_minutes and memory_minutes <= FIRST_MINUTES:
        raise typer.BadParameter(
            f"--memory-minutes {memory_minutes} must be 0 or above {FIRST_MINUTES}, the minutes "
            "that are left out."
        )
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise typer.BadParameter(
            f"--json {json_file} is in a folder that does not exist; make it or name another."
        )
    open_phases = OPEN_PHASES
    if quick:
        open_phases, seconds = QUICK_OPEN_PHASES, QUICK_SECONDS
    all_seconds = (2 * open_phases + 1) * seconds + 60 * memory_minutes + OTHER_SECONDS
    tell("starting the run, the server and the browser")
    try:
        with (
            tempfile.TemporaryDirectory() as home,
            staged(Path(home), all_seconds // SHORTEST_EPOCH_SECONDS) as stage,
        ):
            phases, presses, long_phase = measured(stage, open_phases, seconds, memory_minutes)
            about = {**machine(), "browser": stage.browser.version}
    except (InputError, RunFailed) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    result = summarize(phases, presses, long_phase)
    for table in tables(result):
        Console().print(table)
    if json_file is not None:
        every = {
            "machine": about,
            "seconds": seconds,
            "result": result,
            "phases": [asdict(phase) for phase in phases],
            "presses_ms": presses,
            "long_phase": long_phase and asdict(long_phase),
        }
        json_file.write_text(json.dumps(every, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)

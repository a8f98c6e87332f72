"""Do memory and file handles stay flat while a run goes for an hour with its page open?

Run `python benchmarks/soak.py`: a run of the interactive preset trains for `--minutes`, past its
warm-up, while one browser session shows it. Every `--every` seconds the run's process (with that of
its map) and the server (with what it started) are asked for their resident memory, in MB of a
million bytes, and for their open file handles.

What a process loads first is left out: counted are the samples after a third of the time. Growth is
the least-squares slope over the rest, as a share of its mean; more than 5 % in any column is not
flat and ends the program with exit code 1. The numbers of every iteration stay in the page's
session, so a run cannot be flat to the byte.

`--pause` waits between iterations (the setting `slow_motion`), for a machine that does something
else as well.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

FLAT = 0.05


@dataclass(frozen=True)
class Held:
    """What one group of processes held: a number for each sample."""

    name: str
    megabytes: list[float]
    handles: list[float]

    def columns(self) -> dict[str, list[float]]:
        """Each series by its name."""
        return {f"{self.name}, MB": self.megabytes, f"{self.name}, handles": self.handles}


def growth(samples: list[float]) -> tuple[float, float]:
    """Mean of `samples` after a third of the time, and by what share of it they grew since."""
    late = np.array(samples[len(samples) // 3 :])
    slope = float(np.polyfit(np.arange(len(late)), late, 1)[0])
    return float(late.mean()), slope * (len(late) - 1) / float(late.mean())


def main(
    minutes: Annotated[float, typer.Option(min=1, help="How long the page stays open.")] = 60,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two samples.")] = 15,
    pause: Annotated[int, typer.Option(min=0, help="Milliseconds between iterations.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="All samples, on stdout.")] = False,
) -> None:
    """Watch a run for long and tell what grew."""
    from page_support import held_by, opened_page, staged

    from adadfq_core import runs
    from adadfq_core.errors import InputError, RunFailed

    groups = [Held(name, [], []) for name in ("run", "server")]
    try:
        with tempfile.TemporaryDirectory() as home:
            changes = {"slow_motion": pause} if pause else {}
            with staged(Path(home), epochs=10_000, **changes) as stage:
                began = runs.info(stage.root, stage.run_id).iteration
                with opened_page(stage) as (page, _):
                    for _ in range(int(60 * minutes / every)):
                        page.wait_for_timeout(1e3 * every)
                        for group, process in zip(
                            groups, (stage.training, stage.server), strict=True
                        ):
                            megabytes, handles = held_by(process)
                            group.megabytes.append(megabytes)
                            group.handles.append(handles)
                info = runs.info(stage.root, stage.run_id)
                if not info.active:
                    raise RunFailed(f"The run is {info.status}: {info.reason}")
                iterations = info.iteration - began
    except (InputError, RunFailed) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, InputError) else 1) from None
    if as_json:
        typer.echo(json.dumps({"iterations": iterations, "held": [asdict(g) for g in groups]}))
    seen = {name: growth(values) for group in groups for name, values in group.columns().items()}
    typer.echo(f"{minutes:g} minutes, {iterations} iterations, {os.cpu_count()} cores", err=as_json)
    for name, (mean, share) in seen.items():
        typer.echo(f"{name}\tmean {mean:.0f}\tgrew by {100 * share:+.1f} %", err=as_json)
    if any(share > FLAT for _, share in seen.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

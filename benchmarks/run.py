"""Every number of `benchmarks/README.md`, in one command.

Run `python benchmarks/run.py` on a machine that does nothing else: about six hours, with `--quick`
less than twenty minutes. The scripts of this folder run one after another, each in a process of its
own, and what they print is printed; one that fails is told at the end, after the others. `--only
NAME` picks one. Runs on CIFAR-10 want its test images as `cifar10-test.parquet` in the folder
above; without them they are left out.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from machine import machine_line
from rich.console import Console

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Script:
    """A script of this folder, with its arguments for the whole and for the quick round.

    `quick` is `None` for one that has no short form.
    """

    name: str
    whole: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = ()


SCRIPTS = (
    Script("step", quick=("--quick",)),
    Script("race", ("compare",), ("compare", "--seconds", "10")),
    Script("costs", quick=("--quick",)),
    Script("page", quick=("--quick",)),
    Script("inspection"),
    Script("runs_page", quick=("--runs", "500", "--samples", "4")),
    Script("load", quick=("--quick",)),
    Script("ablation", quick=("--small",)),
    Script("plotly_chart_identity"),
    Script("soak", quick=None),
    Script("recipe", ("--recorded",), None),
)


def play(script: Script, quick: bool, console: Console) -> bool:
    """Run `script`, whose output goes where ours does; returns whether it succeeded."""
    arguments = script.quick if quick else script.whole
    assert arguments is not None
    console.rule(" ".join(["benchmarks/" + script.name + ".py", *arguments]), align="left")
    began = time.monotonic()
    command = [sys.executable, str(FOLDER / f"{script.name}.py"), *arguments]
    ended = subprocess.run(command, cwd=FOLDER.parent, check=False)
    console.print(f"{time.monotonic() - began:.0f} s", style="dim")
    return ended.returncode == 0


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Short forms alone.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="This script; may be repeated.")] = None,
) -> None:
    """Measure everything."""
    unknown = set(only or ()) - {script.name for script in SCRIPTS}
    if unknown:
        names = ", ".join(script.name for script in SCRIPTS)
        raise typer.BadParameter(f"--only {', '.join(sorted(unknown))} is none of {names}.")
    chosen = [script for script in SCRIPTS if not only or script.name in only]
    console = Console(highlight=False)
    console.print(machine_line())
    failed = [
        script.name
        for script in chosen
        if (script.quick is not None or not quick) and not play(script, quick, console)
    ]
    if failed:
        console.print(f"Failed: {', '.join(failed)}.")
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

"""`python -m adadfq_core sweeps`: what is stored of ablations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adadfq_core.errors import InputError
from adadfq_core.home import runs_folder
from adadfq_core.shell.runs import RunDir
from adadfq_core.shell.telling import check_can_ask, megabytes, print_table

sweeps_commands = typer.Typer(help="Stored sweeps of 'ablate'.", no_args_is_help=True)
SweepId = Annotated[
    str, typer.Argument(metavar="SWEEP", help="Name of the sweep, as 'list' shows it.")
]


@sweeps_commands.command("list")
def list_sweeps(run_dir: RunDir = None) -> None:
    """List sweeps, newest first; a table, or tabs between columns in a pipe."""
    from adadfq_core import runs
    from adadfq_core.ablation import control
    from adadfq_core.ablation.states import SETTLED

    root = run_dir or runs_folder()
    counts = runs.cell_counts(root)
    rows = []
    for info in control.list_sweeps(root):
        states = counts.get(info.sweep_id, {})
        done = sum(states.get(status, 0) for status in SETTLED)
        cells = f"{done} of {sum(states.values())}"
        axes = " ".join(info.plan.axes)
        rows.append((info.sweep_id, str(info.status), cells, axes, info.name, info.reason))
    print_table(("sweep", "status", "cells done", "axes", "name", "remark"), rows)


@sweeps_commands.command("stop")
def stop(sweep_id: SweepId, run_dir: RunDir = None) -> None:
    """Stop a sweep and its runs, each with a checkpoint; 'ablate --resume' goes on."""
    from adadfq_core.ablation import control

    control.stop(run_dir or runs_folder(), sweep_id)


@sweeps_commands.command("table")
def table(
    sweep_id: SweepId,
    rows: Annotated[str | None, typer.Option(help="Axis down the table.")] = None,
    columns: Annotated[str | None, typer.Option(help="Axis across the table.")] = None,
    value: Annotated[str, typer.Option(help="Result in the cells.")] = "top1_q_last",
    form: Annotated[
        str, typer.Option("--format", help="csv, or with --rows and --columns markdown or latex.")
    ] = "csv",
    run_dir: RunDir = None,
) -> None:
    """Print the results: a line each run, or with --rows and --columns mean and deviation."""
    from adadfq_core.ablation import tables
    from adadfq_core.ablation.results import results_frame

    frame = results_frame(run_dir or runs_folder(), sweep_id)
    if (rows is None) != (columns is None):
        raise InputError("A table of means needs both axes; name --rows and --columns.")
    if rows is None or columns is None:
        if form != "csv":
            raise InputError(f"--format {form} needs --rows and --columns; or use csv.")
        typer.echo(tables.results_csv(frame), nl=False)
        return
    pivot = tables.pivot(frame, rows, columns, value)
    if form == "csv":
        typer.echo(tables.to_csv(pivot), nl=False)
    elif form == "markdown":
        typer.echo(tables.to_markdown(pivot))
    elif form == "latex":
        typer.echo(tables.to_latex(pivot))
    else:
        raise InputError(f"--format {form} is not allowed; use csv, markdown or latex.")


@sweeps_commands.command("delete")
def delete(
    sweep_id: SweepId,
    with_runs: Annotated[
        bool, typer.Option("--with-runs", help="Delete the runs of its cells as well.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    run_dir: RunDir = None,
) -> None:
    """Delete a sweep for good; its runs stay unless told otherwise."""
    from adadfq_core import runs
    from adadfq_core.ablation import control

    root: Path = run_dir or runs_folder()
    run_ids = control.run_ids(root, sweep_id)
    what = f"sweep {sweep_id}"
    if with_runs:
        size = megabytes(sum(runs.disk_use(root, run_ids).values()))
        what += f" and its {len(run_ids)} runs ({size})"
    if not yes:
        check_can_ask("the sweep")
        typer.confirm(f"Delete {what} for good?", abort=True)
    typer.echo(f"{megabytes(control.delete(root, sweep_id, with_runs=with_runs))} freed")

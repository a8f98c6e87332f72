"""`python -m adadfq_core runs`: what is stored."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from adadfq_core.errors import InputError
from adadfq_core.home import runs_folder
from adadfq_core.settings_file import to_yaml
from adadfq_core.shell.network_options import Assignments, assigned
from adadfq_core.shell.telling import check_can_ask, megabytes, print_table, printable

runs_commands = typer.Typer(help="Stored runs.", no_args_is_help=True)
RunDir = Annotated[Path | None, typer.Option(help="Folder that keeps runs.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Name of the run, as 'list' shows it.")]
RunIds = Annotated[list[str], typer.Argument(metavar="RUN...", help="Names of runs.")]

_LISTED = ("run_id", "status", "iteration", "network", "bits", "top1_q_last", "sweep", "tags")


@runs_commands.command("list")
def list_runs(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array on stdout.")] = False,
    run_dir: RunDir = None,
) -> None:
    """List runs, newest first; a table, or tabs between columns in a pipe."""
    from adadfq_core import runs

    root = run_dir or runs_folder()
    known = runs.list_runs(root)
    reached = runs.summaries(root)
    sweeps = runs.sweeps_of_runs(root)
    names = {run_id: sweep.name or sweep.sweep_id for run_id, sweep in sweeps.items()}
    rows = [
        runs.facts(info, reached[info.run_id], names.get(info.run_id, ""))
        for info in known
        if info.run_id in reached  # else it was deleted between the two look-ups
    ]
    if as_json:
        typer.echo(json.dumps([{name: _plain(row[name]) for name in row} for row in rows]))
        return
    header = ("run", "status", "iteration", "network", "bits", "Q, top-1", "sweep", "tags")
    print_table((*header, "why it ended"), [(*_listed(row), row["reason"]) for row in rows])


@runs_commands.command("show")
def show(run_id: RunId, run_dir: RunDir = None) -> None:
    """Tell all that a list could tell of a run, and how much disk it takes."""
    from adadfq_core import runs

    root = run_dir or runs_folder()
    info = runs.info(root, run_id)
    sweep = runs.sweeps_of_runs(root).get(run_id)
    row = runs.facts(info, runs.summaries(root, [run_id])[run_id], sweep.name if sweep else "")
    row["created"] = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(info.created))
    row["disk"] = megabytes(runs.disk_use(root, [run_id])[run_id])
    for name, value in row.items():
        typer.echo(f"{name}\t{printable(_written(value))}")


@runs_commands.command("stop")
def stop(run_id: RunId, run_dir: RunDir = None) -> None:
    """Stop a run at its next iteration, with a checkpoint; one that waits leaves the queue."""
    from adadfq_core import runs

    runs.stop(run_dir or runs_folder(), run_id)


@runs_commands.command("resume")
def resume(
    run_id: RunId,
    own_code: Annotated[
        bool,
        typer.Option("--own-code", help="Let a run whose network is module:function import that."),
    ] = False,
    assignments: Assignments = None,
    run_dir: RunDir = None,
) -> None:
    """Let a run go on from its last checkpoint, in a process of its own.

    With --set other values hold from that checkpoint on, such as smaller learning rates where a
    loss became infinite; what was played after it is then taken out of the run's log.
    """
    from adadfq_core import runs

    root = run_dir or runs_folder()
    runs.resume(root, run_id, own_code=own_code, changes=assigned(assignments))


@runs_commands.command("settings")
def print_settings(run_id: RunId, run_dir: RunDir = None) -> None:
    """Print the settings in force in a run as YAML, for 'train --config' and the page."""
    from adadfq_core import runs

    root = run_dir or runs_folder()
    in_force = runs.current_settings(root, run_id)
    typer.echo(to_yaml(in_force, runs.info(root, run_id).preset), nl=False)


@runs_commands.command("compare")
def compare(run_ids: RunIds, run_dir: RunDir = None) -> None:
    """Print the settings in force that are not the same in all of the runs."""
    from adadfq_core import runs

    if len(run_ids) < 2:
        raise InputError("One run cannot be compared with itself; name at least two.")
    root = run_dir or runs_folder()
    rows = runs.differences([runs.current_settings(root, run_id) for run_id in run_ids])
    print_table(("setting", *run_ids), [(row.name, *map(_written, row.values)) for row in rows])


@runs_commands.command("tag")
def tag(
    run_id: RunId,
    tags: Annotated[list[str] | None, typer.Argument(help="Tags; none takes all away.")] = None,
    run_dir: RunDir = None,
) -> None:
    """Give a run these tags, in place of those that it has."""
    from adadfq_core import runs

    runs.set_labels(run_dir or runs_folder(), run_id, tags=tags or [])


@runs_commands.command("note")
def note(
    run_id: RunId,
    text: Annotated[str, typer.Argument(help="The note; empty takes it away.")],
    run_dir: RunDir = None,
) -> None:
    """Give a run this note, in place of the one that it has."""
    from adadfq_core import runs

    runs.set_labels(run_dir or runs_folder(), run_id, note=text)


@runs_commands.command("delete")
def delete(
    run_ids: RunIds,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    run_dir: RunDir = None,
) -> None:
    """Delete runs with all that was stored of them, for good."""
    from adadfq_core import runs

    root = run_dir or runs_folder()
    use = runs.disk_use(root, run_ids)
    if not yes:
        check_can_ask("the runs")
        for run_id, size in use.items():
            typer.echo(f"{run_id}\t{megabytes(size)}")
        typer.confirm(f"Delete {len(use)} of the runs for good?", abort=True)
    typer.echo(f"{megabytes(runs.delete_runs(root, run_ids))} freed")


@runs_commands.command("clean")
def clean(run_dir: RunDir = None) -> None:
    """Remove what crashes have left behind, and give the room of deleted runs' records back."""
    from adadfq_core import runs

    typer.echo(f"{megabytes(runs.clean(run_dir or runs_folder()))} freed")


@runs_commands.command("export")
def export(
    run_id: RunId,
    out: Annotated[Path, typer.Option(help="The file; one that is there is replaced.")],
    run_dir: RunDir = None,
) -> None:
    """Write a run that has ended to one file, for 'import' here or elsewhere."""
    from adadfq_core import runs

    runs.export_run(run_dir or runs_folder(), run_id, out)


@runs_commands.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file that 'export' wrote.")],
    run_dir: RunDir = None,
) -> None:
    """Take a run from a file, and print its name here."""
    from adadfq_core import runs

    typer.echo(runs.import_run(run_dir or runs_folder(), file))


def _plain(value: Any) -> Any:
    """`value` as JSON knows it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _written(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value))
    return " ".join(str(value).split()) if isinstance(value, str) else str(value)


def _listed(row: dict[str, Any]) -> list[str]:
    from adadfq_core.runs import ordinal

    top1, place = row["top1_q_last"], row["place"]
    shown = {
        **row,
        "status": row["status"] if place is None else f"{row['status']}, {ordinal(place)}",
        "iteration": f"{row['iteration']} of {row['iterations']}",
        "top1_q_last": "" if top1 is None else f"{top1:.2f} %",
    }
    return [_written(shown[name]) for name in _LISTED]

"""`python -m adadfq_core runs`: what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adadfq_core.home import runs_folder
from adadfq_core.settings_file import to_yaml

runs_commands = typer.Typer(help="Stored runs.", no_args_is_help=True)
RunDir = Annotated[Path | None, typer.Option(help="Folder that keeps runs.")]


@runs_commands.command("list")
def list_runs(run_dir: RunDir = None) -> None:
    """List runs, newest first."""
    from adadfq_core import runs

    for info in runs.list_runs(run_dir or runs_folder()):
        typer.echo(
            f"{info.run_id}\t{info.status}\t{info.iteration} of {info.settings.iterations}"
            f"\t{info.reason}"
        )


@runs_commands.command("stop")
def stop(run_id: str, run_dir: RunDir = None) -> None:
    """Stop a run at its next iteration; it writes a checkpoint first."""
    from adadfq_core import runs

    runs.stop(run_dir or runs_folder(), run_id)


@runs_commands.command("settings")
def print_settings(run_id: str, run_dir: RunDir = None) -> None:
    """Print the settings in force in a run as YAML, for 'train --config' and the page."""
    from adadfq_core import runs

    root = run_dir or runs_folder()
    in_force = runs.current_settings(root, run_id)
    typer.echo(to_yaml(in_force, runs.info(root, run_id).preset), nl=False)

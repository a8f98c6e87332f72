"""`python -m adadfq_core runs tensorboard` and `runs mlflow`: stored runs in other tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adadfq_core.home import runs_folder
from adadfq_core.shell.runs import RunDir, RunIds

if TYPE_CHECKING:
    from adadfq_core.sinks import Sink

Follow = Annotated[
    bool, typer.Option("--follow", help="Go on until the runs have ended; Ctrl-C leaves.")
]


def write_tensorboard(
    run_ids: RunIds,
    out: Annotated[
        Path, typer.Option(help="Folder for 'tensorboard --logdir', with one folder a run.")
    ],
    follow: Follow = False,
    run_dir: RunDir = None,
) -> None:
    """Write runs as TensorBoard's event files; again, and only what is new is added."""
    from adadfq_core import runs
    from adadfq_core.sinks import tensorboard_sink

    root = run_dir or runs_folder()
    infos = [runs.info(root, run_id) for run_id in dict.fromkeys(run_ids)]
    sinks = {info.run_id: tensorboard_sink(root, info, out) for info in infos}
    _pass_on(root, sinks, follow)
    for run_id, sink in sinks.items():
        typer.echo(f"{run_id}\t{sink.folder}")


def log_to_mlflow(
    run_ids: RunIds,
    tracking_uri: Annotated[
        str, typer.Option(help="Address of the MLflow server, e.g. http://localhost:5000.")
    ],
    experiment: Annotated[str, typer.Option(help="MLflow's experiment; made if there is none.")],
    sweep: Annotated[
        str | None, typer.Option(help="Sweep of the runs: they are nested below a run of its name.")
    ] = None,
    follow: Follow = False,
    run_dir: RunDir = None,
) -> None:
    """Log runs to an MLflow server; again, and only what is new is added."""
    from adadfq_core import runs
    from adadfq_core.sinks import mlflow_tracking

    root = run_dir or runs_folder()
    infos = [runs.info(root, run_id) for run_id in dict.fromkeys(run_ids)]
    tracking = mlflow_tracking(tracking_uri, experiment)
    parent = None if sweep is None else tracking.parent(sweep, min(i.created for i in infos))
    sinks = {info.run_id: tracking.sink(root, info, parent) for info in infos}
    ended = _pass_on(root, sinks, follow)
    if parent is not None:
        tracking.settle_parent(parent, ended=ended)
    for run_id, sink in sinks.items():
        typer.echo(f"{run_id}\t{sink.mlflow_run_id}")


def _pass_on(root: Path, sinks: Mapping[str, Sink], follow_to_end: bool) -> bool:
    from adadfq_core.sinks import follow

    try:
        return follow(root, sinks, until_end=follow_to_end)
    except KeyboardInterrupt:
        typer.echo("Left; the same command goes on from here.", err=True)
        return False

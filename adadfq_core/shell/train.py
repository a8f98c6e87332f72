"""`python -m adadfq_core train`: start a run in its own process and follow it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from adadfq_core.errors import RunFailed
from adadfq_core.files import expanded
from adadfq_core.home import runs_folder
from adadfq_core.presets import DEFAULT_PRESET, preset_settings
from adadfq_core.settings import make_settings
from adadfq_core.shell.configuring import bits_of, configured
from adadfq_core.shell.network_options import Assignments, Data, Network, Weights, assigned, checked
from adadfq_core.shell.telling import printable

POLL_SECONDS = 0.5


def train(
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Named settings to start from: {DEFAULT_PRESET}, or none with --config."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of settings, as 'runs settings' prints it. It wins over --preset; "
            "--set and the other options win over it. Without --preset, a setting that the file "
            "leaves out takes its default."
        ),
    ] = None,
    network: Network = None,
    weights: Weights = None,
    data: Data = None,
    bits: Annotated[str | None, typer.Option(help="W,A: weight and activation bits.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs, warm-up included.")] = None,
    assignments: Assignments = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers.")] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder that keeps runs [default: in ADADFQ_HOME].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Quantize a network without its data; Ctrl-C stops the run, which can be resumed."""
    from adadfq_core import runs

    changes = configured(config) if config is not None else {}
    changes |= assigned(
        assignments, network=network, weights=weights, data=data, epochs=epochs, seed=seed
    )
    changes |= bits_of(bits) if bits is not None else {}
    if preset is None and config is None:
        preset = DEFAULT_PRESET
    settings = make_settings(changes) if preset is None else preset_settings(preset, changes)
    root = expanded(run_dir or runs_folder()).absolute()
    run_id = runs.start(root, checked(settings), preset or "", own_code=True)
    try:
        _follow(root, run_id)
    except KeyboardInterrupt:
        runs.stop(root, run_id)
        _follow(root, run_id)
    _report(root, run_id, as_json)


def _follow(root: Path, run_id: str) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from adadfq_core import runs
    from adadfq_core.runs.summary import summarize

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=None)
        records: list[runs.Record] = []
        cursor = 0
        while True:
            update = runs.read(root, run_id, cursor)
            cursor = update.cursor
            records += update.records
            for record in update.records:
                if record.kind is runs.RecordKind.NOTICE:
                    console.print(printable(record.data["text"]), markup=False)
            reached = summarize(records)
            shown = "" if reached.top1_q_last is None else f" Q {reached.top1_q_last:.2f} %"
            bar.update(
                task,
                completed=update.info.iteration,
                total=update.info.settings.iterations,
                description=f"{run_id} {update.info.status}{shown}",
            )
            if not update.info.active:
                return
            time.sleep(POLL_SECONDS)


def _report(root: Path, run_id: str, as_json: bool) -> None:
    from dataclasses import asdict

    from adadfq_core import runs
    from adadfq_core.runs.summary import summarize

    update = runs.read(root, run_id)
    summary = summarize(update.records)
    if update.info.status in (runs.RunStatus.FAILED, runs.RunStatus.LOST):
        raise RunFailed(f"Run {run_id} {update.info.status}: {update.info.reason}")
    if as_json:
        typer.echo(json.dumps({"run_id": run_id, **asdict(summary)}))
        return
    for name, value in asdict(summary).items():
        typer.echo(f"{name}\t{'not measured' if value is None else f'{value:.2f}'}")

"""`python -m adadfq_core ablate`: a sweep over settings, followed to its end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adadfq_core.cores import cores
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.files import expanded
from adadfq_core.home import runs_folder
from adadfq_core.settings import limits
from adadfq_core.shell.configuring import bits_of, configured, seeds_of
from adadfq_core.shell.network_options import Assignments, Data, Network, Weights, assigned, checked
from adadfq_core.shell.telling import printable

if TYPE_CHECKING:
    from adadfq_core.ablation.plan import Halving, Plan

POLL_SECONDS = 0.5


def _halving(factor: int) -> Halving | None:
    """Early stopping as `--halving` asks for it; 0 asks for none."""
    from adadfq_core.ablation.plan import Halving

    low, high = limits(Halving.model_fields["factor"])
    if factor and not low <= factor <= high:  # type: ignore[operator]  # it has both bounds
        raise InputError(
            f"--halving {factor} is not allowed; it must be a whole number from {low} to {high}, "
            "or 0 to stop none."
        )
    return Halving(factor=factor) if factor else None


def _plan(
    over: list[str],
    points: Path | None,
    design: str,
    count: int,
    design_seed: int,
    **common: Any,
) -> Plan:
    from adadfq_core.ablation import designs
    from adadfq_core.ablation.axes import parse_axis
    from adadfq_core.ablation.plan import Plan

    if (points is None) == (not over):
        raise InputError(
            "Name what to vary, either with --over lambda_l=0:0.4:5 (as often as there are axes) "
            "or with --points FILE."
        )
    if points is not None:
        found = designs.read_points(points)
        return Plan(design="list", axes=tuple(found[0]), points=found, **common)
    axes = [parse_axis(text) for text in over]
    names = tuple(axis.name for axis in axes)
    if design == "grid":
        return Plan(design="grid", axes=names, points=designs.grid(axes), **common)
    if design == "random":
        drawn = designs.random(axes, count, design_seed)
        return Plan(design="random", axes=names, points=drawn, **common)
    if design == "latin":
        drawn = designs.latin(axes, count, design_seed)
        return Plan(design="latin", axes=names, points=drawn, **common)
    raise InputError(f"--design {design} is not allowed; use grid, random or latin.")


def _settled(plan: Plan) -> Plan:
    """`plan` with its changes as the settings hold them and places made absolute.

    Raises:
        InputError: no cell can run, unknown network, or no such weights file.
    """
    from adadfq_core.ablation.designs import feasible

    going, refused = feasible(plan)
    if not going:
        raise InputError(f"No cell of the sweep can run; the first is refused: {refused[0][1]}")
    settings = checked(plan.settings(going[0]))
    names = [name for name in plan.changes if name not in plan.axes]
    if settings.names_own_code:
        names.append("code_folder")
    return plan.model_copy(update={"changes": {name: getattr(settings, name) for name in names}})


def ablate(
    over: Annotated[
        list[str] | None,
        typer.Option(
            help="An axis: lambda_l=0:0.4:5 (from, to, number), lr_q=1e-5:1e-3:3:log, bits=3,4,5, "
            "preset=..., what_if=...; repeat it for more axes."
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(help="CSV file of points in place of --over: a column each setting."),
    ] = None,
    design: Annotated[
        str, typer.Option(help="grid (all combinations), random or latin (hypercube).")
    ] = "grid",
    samples: Annotated[int, typer.Option(help="Points of a random or latin design.")] = 20,
    design_seed: Annotated[int, typer.Option(help="Seed of a random or latin design.")] = 0,
    seeds: Annotated[str, typer.Option(help="Number of seeds, or seeds such as 4,7.")] = "1",
    preset: Annotated[str, typer.Option(help="Named settings that all runs start from.")] = "quick",
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings that go over the preset's.")
    ] = None,
    network: Network = None,
    weights: Weights = None,
    data: Data = None,
    bits: Annotated[str | None, typer.Option(help="W,A: weight and activation bits.")] = None,
    assignments: Assignments = None,
    halving: Annotated[
        int,
        typer.Option(
            help="Stop a run half-way unless it is among the best 1/N there; 0 stops none."
        ),
    ] = 0,
    workers: Annotated[int | None, typer.Option(help="Runs at once [default: one a core].")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each run [default: 1].")] = None,
    ray_address: Annotated[
        str, typer.Option(help="Ray cluster that plays the runs: auto or host:port.")
    ] = "",
    name: Annotated[str, typer.Option(help="What the pages call the sweep.")] = "",
    resume: Annotated[
        str | None, typer.Option(help="Go on with what is missing of this sweep instead.")
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder that keeps runs [default: in ADADFQ_HOME].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Run a network at many settings and tell how each ends; Ctrl-C stops, --resume goes on."""
    from adadfq_core.ablation import control

    root = expanded(run_dir or runs_folder()).absolute()
    if resume is not None:
        control.resume(
            root,
            resume,
            workers=workers,
            threads=threads,
            ray_address=ray_address or None,
            own_code=True,
        )
        sweep_id = resume
    else:
        changes = configured(config) if config is not None else {}
        changes |= assigned(assignments, network=network, weights=weights, data=data)
        changes |= bits_of(bits) if bits is not None else {}
        plan = _plan(
            over or [],
            points,
            design,
            samples,
            design_seed,
            preset=preset,
            changes=changes,
            seeds=seeds_of(seeds),
            halving=_halving(halving),
        )
        plan = _settled(plan)
        _say_estimate(root, plan, workers, threads, bool(ray_address))
        sweep_id = control.start(
            root,
            plan,
            name=name,
            workers=workers,
            threads=threads,
            ray_address=ray_address,
            own_code=True,
        )
    try:
        _follow(root, sweep_id)
    except KeyboardInterrupt:
        control.stop(root, sweep_id)
        _follow(root, sweep_id)
    _report(root, sweep_id, as_json)


def _say_estimate(
    root: Path, plan: Plan, workers: int | None, threads: int | None, remote: bool
) -> None:
    """How many runs it takes, how long and how much disk, on stderr, before anything starts.

    Raises:
        InputError: too few or too many workers or threads.
        RunFailed: the disk has less room than that.
    """
    from rich.console import Console

    from adadfq_core.ablation import control
    from adadfq_core.ablation.designs import feasible
    from adadfq_core.ablation.estimate import costs, estimate, known_pace, known_runs
    from adadfq_core.ablation.probe import probe
    from adadfq_core.ablation.space import room_for, sweep_bytes

    workers, threads = control.checked_machines(workers, threads)
    console = Console(stderr=True)
    going, refused = feasible(plan)
    if remote:
        console.print(f"{len(going)} runs, {len(refused)} refused; their time depends on Ray.")
        return
    at_once = min(workers, len(going))
    if at_once * threads > cores():
        console.print(
            f"{at_once} runs at once with {threads} threads each share {cores()} cores, "
            "so they slow each other."
        )
    paces = {}
    for cost, settings in costs(plan, threads).items():
        pace = known_pace(root, settings, at_once)
        if pace is None:
            console.print("Measuring how long an iteration takes here...")
            pace = probe(settings, at_once)
        paces[cost] = pace
    console.print(estimate(plan, at_once, threads, paces).sentence)
    runs = known_runs(plan, threads, paces)
    assert runs is not None  # what was not known was measured
    console.print(room_for(sweep_bytes(runs, at_once), root), markup=False)


def _follow(root: Path, sweep_id: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from adadfq_core.ablation import control
    from adadfq_core.ablation.states import SETTLED, CellStatus, SweepStatus

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    told: set[int] = set()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(sweep_id, total=None)
        while True:
            info = control.info(root, sweep_id)
            cells = control.cells(root, sweep_id)
            for cell in cells:
                if cell.status is CellStatus.FAILED and cell.index not in told:
                    told.add(cell.index)
                    reason = printable(cell.reason)
                    console.print(f"cell {cell.index} {cell.point}: {reason}", markup=False)
            done = sum(cell.status in SETTLED for cell in cells)
            bar.update(
                task,
                completed=done,
                total=len(cells),
                description=f"{sweep_id} {info.status} {escape(printable(info.reason))}".rstrip(),
            )
            if info.status is not SweepStatus.RUNNING:
                return
            time.sleep(POLL_SECONDS)


def _report(root: Path, sweep_id: str, as_json: bool) -> None:
    from adadfq_core.ablation import control
    from adadfq_core.ablation.results import results_frame
    from adadfq_core.ablation.states import SweepStatus

    info = control.info(root, sweep_id)
    frame = results_frame(root, sweep_id)
    if as_json:
        rows = json.loads(frame.to_json(orient="records"))
        typer.echo(
            json.dumps(
                {
                    "sweep_id": sweep_id,
                    "status": info.status,
                    "reason": info.reason,
                    "cells": rows,
                }
            )
        )
    else:
        typer.echo(frame.to_csv(index=False, sep="\t"), nl=False)
    if info.status in (SweepStatus.FAILED, SweepStatus.LOST):
        raise RunFailed(f"Sweep {sweep_id} {info.status}: {info.reason}")

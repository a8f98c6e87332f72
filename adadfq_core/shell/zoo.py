"""`python -m adadfq_core zoo`: the bundled networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adadfq_core.home import home

zoo_commands = typer.Typer(help="Bundled full-precision networks.", no_args_is_help=True)


@zoo_commands.command("train")
def train(
    network: Annotated[str, typer.Argument(help="Name of the network, e.g. fashion-resnet20.")],
    work_folder: Annotated[
        Path | None,
        typer.Option(help="Where the resumable checkpoint is kept [default: in ADADFQ_HOME]."),
    ] = None,
) -> None:
    """Train a bundled network P from scratch (about an hour on two cores; resumable)."""
    from rich.console import Console

    from adadfq_core.training.bundling import train_bundled
    from adadfq_core.training.pretraining import EpochReport, Recipe
    from adadfq_core.zoo.registry import find

    console = Console(stderr=True)

    def report(epoch: EpochReport) -> None:
        console.print(
            f"epoch {epoch.epoch} of {epoch.epochs}: loss {epoch.loss:.4f} nats, "
            f"top-1 {epoch.top1:.2f} %, {epoch.seconds:.0f} s"
        )

    folder = work_folder or home() / "zoo-training"
    accuracy = train_bundled(find(network), Recipe(), folder, report)
    typer.echo(f"{network}: top-1 {accuracy:.2f} % on the test images")


@zoo_commands.command("list")
def list_networks() -> None:
    """List the networks that `--set network=NAME` takes."""
    from adadfq_core.zoo.registry import ZOO

    for entry in ZOO.values():
        channels, height, width = entry.images.shape
        typer.echo(f"{entry.name}\t{entry.dataset}\t{channels}x{height}x{width}")

"""`python -m adadfq_core zoo`: the named full-precision networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adadfq_core.home import home
from adadfq_core.shell.telling import is_terminal

if TYPE_CHECKING:  # torch is slow to import, and the help needs none of it
    from adadfq_core.zoo.entry import Progress, ZooEntry

zoo_commands = typer.Typer(help="Named full-precision networks.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the network, e.g. torchvision/resnet18.")]


@zoo_commands.command("train")
def train(
    network: Annotated[str, typer.Argument(help="Name of the network, e.g. fashion-resnet20.")],
    train_data: Annotated[
        str | None,
        typer.Option("--train", help="Data set with the training pictures, e.g. train.parquet."),
    ] = None,
    test_data: Annotated[
        str | None,
        typer.Option("--test", help="Data set with the test pictures [default: the network's]."),
    ] = None,
    work_folder: Annotated[
        Path | None,
        typer.Option(help="Where the resumable checkpoint is kept [default: in ADADFQ_HOME]."),
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network first; needs a C++ compiler.")
    ] = False,
) -> None:
    """Train a bundled network P from scratch (about an hour on two cores; resumable)."""
    from rich.console import Console

    from adadfq_core.training.bundling import train_bundled
    from adadfq_core.training.pretraining import EpochReport

    console = Console(stderr=True)

    def report(epoch: EpochReport) -> None:
        console.print(
            f"epoch {epoch.epoch} of {epoch.epochs}: loss {epoch.loss:.4f} nats, "
            f"top-1 {epoch.top1:.2f} %, {epoch.seconds:.0f} s"
        )

    folder = work_folder or home() / "zoo-training"
    accuracy = train_bundled(network, folder, report, train_data, test_data, compiled=compiled)
    typer.echo(f"{network}: top-1 {accuracy:.2f} % on the test images")


@zoo_commands.command("list")
def list_networks() -> None:
    """List networks that `--set network=NAME` takes; a table, or tabs between columns in a pipe."""
    from adadfq_core.zoo.registry import find, names

    header = ("name", "data set", "input", "classes", "top-1", "licence", "source", "weights")
    rows = [_row(find(name)) for name in names()]
    if not is_terminal():
        for row in rows:
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(
        "torchvision/NAME takes any of torchvision's classification networks, pytorchcv/NAME any "
        "of pytorchcv's for ImageNet-1k, CIFAR and SVHN."
    )


@zoo_commands.command("show")
def show(network: Name) -> None:
    """Tell all that is known of a network."""
    from adadfq_core.zoo.registry import find

    entry = find(network)
    images = entry.images
    resized = "covers the input" if images.resize is None else f"{images.resize} pixels"
    facts = {
        **dict(zip(("name", "data set", "input", "classes", "top-1"), _row(entry), strict=False)),
        "mean": ", ".join(f"{value:.4f}" for value in images.mean),
        "std": ", ".join(f"{value:.4f}" for value in images.std),
        "shorter side before the crop": f"{resized}, {images.interpolation}",
        "class names": ", ".join(images.classes[:10]) + (", ..." if images.classes[10:] else ""),
        "measured on": entry.data or "a data set of your own",
        "source": entry.source,
        "licence": entry.licence,
        "described at": entry.url,
        "weights": _place(entry),
    }
    for name, value in facts.items():
        typer.echo(f"{name}\t{value}")


@zoo_commands.command("coverage")
def coverage(
    network: Name,
    bits: Annotated[
        str, typer.Option(help="Bits by name pattern, e.g. first=8,last=8,layer3.*=4.")
    ] = "",
) -> None:
    """Tell what of a network would be quantized, and what not and why; needs no weights."""
    import torch

    from adadfq_core.bit_overrides import parse_bit_overrides
    from adadfq_core.quant import quantize
    from adadfq_core.settings import make_settings
    from adadfq_core.zoo.registry import find

    entry = find(network)
    defaults = make_settings({})
    q = quantize(
        entry.build().eval(),
        defaults.weight_bits,
        defaults.activation_bits,
        torch.zeros(2, *entry.images.shape),
        parse_bit_overrides(bits),
    )
    for row in q.coverage.rows:
        shown = row.reason if row.bits is None else f"{row.bits} bits"
        typer.echo(f"{row.name}\t{row.operation}\t{row.part}\t{shown}")
    typer.echo(str(q.coverage), err=True)


@zoo_commands.command("fetch")
def fetch(network: Name) -> None:
    """Download a network's trained weights, or check those that are here."""
    from adadfq_core.zoo.registry import find

    entry = find(network)
    with _progress_bar(network) as progress:
        path = entry.weights.fetch(progress)
    typer.echo(str(path))


def _row(entry: ZooEntry) -> tuple[str, ...]:
    return (
        entry.name,
        entry.dataset,
        "x".join(map(str, entry.images.shape)),
        str(len(entry.images.classes)),
        "not stated" if entry.top1 is None else f"{entry.top1:.2f} %",
        entry.licence,
        entry.source,
        _place(entry),
    )


def _place(entry: ZooEntry) -> str:
    return "here" if entry.weights.is_here() else "not here"


@contextmanager
def _progress_bar(label: str) -> Iterator[Progress]:
    """A bar on stderr that is moved by the `Progress` it yields."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

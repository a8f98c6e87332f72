"""`python -m adadfq_core eval`: how good a network is, full-precision or taken away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adadfq_core.errors import InputError
from adadfq_core.files import expanded
from adadfq_core.settings import NO_DATA, RunSettings, make_settings
from adadfq_core.shell.network_options import Assignments, Data, Network, Weights, assigned, checked
from adadfq_core.shell.telling import printable

if TYPE_CHECKING:
    from adadfq_core.export.accuracy import Accuracy
    from adadfq_core.zoo.evaluation_data import EvaluationData
    from adadfq_core.zoo.formats import ImageFormat


def evaluate(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A file of 'export' (.onnx, .safetensors, .pt2 or .html). A .pt2 is a program: "
            "open none of a stranger's. Without a file, the full-precision network is measured.",
        ),
    ] = None,
    network: Network = None,
    weights: Weights = None,
    data: Data = None,
    assignments: Assignments = None,
) -> None:
    """Measure the top-1 accuracy of a network on real images."""
    if file is not None:
        if weights is not None:
            raise InputError(f"{file} brings its own weights; leave out --weights.")
        changes = assigned(assignments, network=network, data=data)
        reached, images = _of_file(file, checked(make_settings(changes)), network is not None)
    else:
        changes = assigned(assignments, network=network, weights=weights, data=data)
        reached, images = _of_settings(checked(make_settings(changes)))
    for text in images.skipped:
        typer.echo(f"skipped {printable(text)}", err=True)
    low, high = reached.interval
    typer.echo(
        f"top1\t{reached.top1:.2f}\ninterval_95\t{low:.2f} to {high:.2f}\n"
        f"images\t{reached.images}\nskipped\t{len(images.skipped)}"
    )


def _of_settings(settings: RunSettings) -> tuple[Accuracy, EvaluationData]:
    from adadfq_core.export.accuracy import accuracy
    from adadfq_core.export.preparing import logits_of
    from adadfq_core.zoo.loading import load_float_network

    loaded = load_float_network(settings)
    images = _real_images(settings, settings.network, loaded.data, loaded.images)
    return accuracy(logits_of(loaded.network, images.images), images.labels), images


def _of_file(
    file: Path, settings: RunSettings, has_network: bool
) -> tuple[Accuracy, EvaluationData]:
    from adadfq_core.export.accuracy import accuracy
    from adadfq_core.export.opening import open_exported
    from adadfq_core.export.preparing import logits_of
    from adadfq_core.zoo.loading import architecture

    own = architecture(settings) if has_network else None
    opened = open_exported(expanded(file), own)
    given = None if settings.data == NO_DATA else settings.data or opened.description.data or None
    images = _real_images(settings, str(file), given, opened.description.images.format())
    return accuracy(logits_of(opened.predict, images.images), images.labels), images


def _real_images(
    settings: RunSettings, name: str, data: str | None, images: ImageFormat
) -> EvaluationData:
    from adadfq_core.zoo.evaluation_data import load_evaluation_data

    if data is None:
        raise InputError(
            f"{name} brings no test images; name a data set with --data, for example "
            "--data test.parquet."
        )
    return load_evaluation_data(data, images, settings.evaluation_images)

"""`python -m adadfq_core eval`: how good a full-precision network is."""

from __future__ import annotations

import typer

from adadfq_core.errors import InputError
from adadfq_core.settings import make_settings
from adadfq_core.shell.network_options import Assignments, Data, Network, Weights, assigned, checked


def evaluate(
    network: Network = None,
    weights: Weights = None,
    data: Data = None,
    assignments: Assignments = None,
) -> None:
    """Measure the top-1 accuracy of a full-precision network on real images."""
    from adadfq_core.training.evaluation import top1
    from adadfq_core.zoo.evaluation_data import load_evaluation_data
    from adadfq_core.zoo.loading import load_float_network

    changes = assigned(assignments, network=network, weights=weights, data=data)
    settings = checked(make_settings(changes))
    loaded = load_float_network(settings)
    if loaded.data is None:
        raise InputError(
            f"{settings.network} brings no test images; name a data set with --data, for example "
            "--data test.parquet."
        )
    images = load_evaluation_data(loaded.data, loaded.images, settings.evaluation_images)
    for text in images.skipped:
        typer.echo(f"skipped {text}", err=True)
    accuracy = top1(loaded.network, images.images, images.labels)
    typer.echo(
        f"top1\t{accuracy:.2f}\nimages\t{len(images.labels)}\nskipped\t{len(images.skipped)}"
    )

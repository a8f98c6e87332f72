"""Making outlets whose packages most users do without."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from adadfq_core.errors import InputError
from adadfq_core.runs.records import RunInfo

if TYPE_CHECKING:
    from adadfq_core.sinks.mlflow import MlflowTracking
    from adadfq_core.sinks.tensorboard import TensorBoardSink

_MISSING = "{} the package {}; run 'pip install -r requirements-tracking.txt'."
# By itself the client tries for minutes, during which nothing is told, reports its use to its
# makers, and prints addresses with the passwords in them. What the user's environment says wins.
MLFLOW_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def tensorboard_sink(root: Path, info: RunInfo, out: Path) -> TensorBoardSink:
    """An outlet of a run of store `root` to event files in the run's own folder within `out`.

    Raises:
        InputError: the package is missing, or the folder or what lies there cannot be used.
    """
    try:
        from adadfq_core.sinks.tensorboard import TensorBoardSink
    except ImportError as error:
        raise InputError(_MISSING.format("TensorBoard's files need", "tensorboard")) from error
    return TensorBoardSink(root, info, out)


def mlflow_tracking(uri: str, experiment: str) -> MlflowTracking:
    """The experiment named `experiment` at an MLflow server; it is made if there is none.

    Args:
        uri: address of the server, or what else the installed package takes.

    Raises:
        InputError: the package is missing, or the address or the name cannot be used.
        RunFailed: the server does not answer within about half a minute, or refuses.
    """
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from adadfq_core.sinks.mlflow import MlflowTracking
    except ImportError as error:
        raise InputError(_MISSING.format("MLflow's servers need", "mlflow-skinny")) from error
    return MlflowTracking(uri, experiment)

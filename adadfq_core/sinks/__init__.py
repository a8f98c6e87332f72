"""Outlets of stored runs to other tools: TensorBoard's event files and MLflow's tracking servers.

An outlet only reads a run's log, so it neither slows nor changes training, and it can be given a
run that is going, one that has ended, or one that it was given before.
"""

from adadfq_core.sinks.base import Sink
from adadfq_core.sinks.following import follow
from adadfq_core.sinks.opening import mlflow_tracking, tensorboard_sink

__all__ = ["Sink", "follow", "mlflow_tracking", "tensorboard_sink"]

"""What a run plays with: P, real images and the trainer by its settings, its state by a record."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from adadfq_core.runs.records import Record
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings
from adadfq_core.training import checkpoints
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.evaluation_data import EvaluationData, load_evaluation_data
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.loading import FloatNetwork


class RealImages(NamedTuple):
    """Real images that measure accuracy, and those that Q learns from if G does not make them."""

    measured: EvaluationData | None
    lessons: EvaluationData | None


def load_real_images(settings: RunSettings, images: ImageFormat, data: str | None) -> RealImages:
    """The real images of a run; no image is in both parts.

    Args:
        images: what P takes.
        data: the data set as a user names it; `None` for none.

    Raises:
        InputError: the data set is missing, damaged, too small or of other classes.
    """
    if data is None:
        return RealImages(None, None)
    found = load_evaluation_data(data, images, settings.evaluation_images)
    if settings.has_generator:
        return RealImages(found, None)
    lessons, measured = found.halves()
    return RealImages(measured, lessons)


def make_trainer(
    settings: RunSettings,
    loaded: FloatNetwork,
    device: torch.device,
    lessons: EvaluationData | None,
) -> Trainer:
    """The trainer of a run of P `loaded`, before its first iteration.

    Args:
        lessons: see `RealImages`; on `device`.

    Raises:
        InputError: P does not fit its images or classes, or there must be lessons and are none.
    """
    shape, classes = loaded.images.shape, len(loaded.images.classes)
    return Trainer(settings, loaded.network, shape, classes, device, lessons)


def checkpoint_state(store: RunStore, checkpoint: Record) -> dict[str, Any]:
    """What the file of `checkpoint` holds, for `Trainer.load_state_dict`.

    Raises:
        RunFailed: it is missing, altered or unreadable.
    """
    return checkpoints.load(store.path(checkpoint), checkpoint.data.get("sha256", ""))

"""Short runs of the bundled network, played in the test's own process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from adadfq_core.runs.loading import load_real_images, make_trainer
from adadfq_core.runs.process import identity
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings, make_settings
from adadfq_core.training import checkpoints
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.loading import load_float_network


def small(**changes: Any) -> RunSettings:
    values = {
        **{"epochs": 4, "iterations_per_epoch": 2, "warmup_epochs": 1, "batch": 4, "lr_q": 1e-2},
        **{"latent_dim": 5, "generator_width": 4, "q_average": 0.5, "evaluation_images": 40},
    }
    return make_settings({**values, **changes})


def trainer_of(settings: RunSettings) -> Trainer:
    loaded = load_float_network(settings)
    lessons = load_real_images(settings, loaded.images, loaded.data).lessons
    return make_trainer(settings, loaded, torch.device("cpu"), lessons)


def store_checkpoint(writer: RunWriter, trainer: Trainer) -> None:
    path = writer.checkpoints / f"{trainer.iteration:08d}.pt"
    digest = checkpoints.save(trainer.state_dict(), path)
    writer.append(RecordKind.CHECKPOINT, trainer.iteration, {"sha256": digest}, file=path)
    writer.flush()


def begin(root: Path, settings: RunSettings) -> RunWriter:
    run_id = RunStore(root).create_run(settings)
    writer = RunWriter(root, run_id)
    own = identity(os.getpid())
    assert own is not None
    writer.attach(own.pid, own.started)
    writer.set_status(RunStatus.RUNNING)
    return writer


def finished_run(root: Path, **changes: Any) -> tuple[str, int]:
    """A run of `small` settings played to its end, with a checkpoint there; name and iteration."""
    settings = small(**changes)
    trainer = trainer_of(settings)
    writer = begin(root, settings)
    while not trainer.finished:
        trainer.play()
    store_checkpoint(writer, trainer)
    writer.set_status(RunStatus.FINISHED)
    return writer.run_id, trainer.iteration

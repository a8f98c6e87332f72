"""The networks of a run as a checkpoint left them, to be looked at and never trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.game.generator import Generator
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.runs.loading import checkpoint_state, load_real_images, make_trainer
from adadfq_core.runs.records import Record, RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.loading import load_float_network


@dataclass(frozen=True, eq=False)
class InspectedNetworks:
    """P, Q and G of one moment of a run, on the CPU and without gradients.

    Attributes:
        p: captured by `quant.capture`.
        q: Q as it is evaluated and exported: its moving average, where the run keeps one.
        generator: in training mode, as the game uses it: let only copies of it make images
            (`inspection.walk`), since its BatchNorm counts them. `None` for a method without G.
        images: what the networks take and G makes.
        data: the real images of the run as a user names them (see `runs.loading`); `None` for none.
        settings: those in force at the checkpoint.
        iteration: the checkpoint's.
    """

    p: fx.GraphModule
    q: QuantizedNetwork
    generator: Generator | None
    images: ImageFormat
    data: str | None
    settings: RunSettings
    iteration: int


def checkpoint_at(root: Path, run_id: str, iteration: int) -> Record:
    """The newest checkpoint at or before `iteration`, else the earliest after it.

    Quick, since nothing is loaded: its iteration is what to remember loaded networks by.

    Raises:
        InputError: there is no such run, or it has no checkpoint.
    """
    store = RunStore(root)
    record = store.latest(run_id, RecordKind.CHECKPOINT, at_or_before=iteration)
    if record is not None:
        return record
    stored = store.read(run_id, kinds=[RecordKind.CHECKPOINT], limit=1)
    if stored.records:
        return stored.records[0]
    if not stored.info.ended:
        settings = stored.info.settings
        first = min(settings.checkpoint_every, settings.iterations)
        raise InputError(
            f"Run {run_id} has no checkpoint yet, so its networks cannot be looked at; wait for "
            f"iteration {first}, which stores the first one."
        )
    raise InputError(
        f"Run {run_id} is {stored.info.status} and has no checkpoint, so its networks cannot be "
        "looked at; choose another run."
    )


def inspectable_settings(root: Path, run_id: str) -> RunSettings:
    """The settings that run `run_id` was started with.

    Raises:
        InputError: there is no such run, or its network is code of the user's own.
    """
    settings = RunStore(root).info(run_id).settings
    if settings.names_own_code:
        raise InputError(
            f"The network {settings.network} of run {run_id} would run code to be looked at, which "
            "only a shell may; choose a run with a network of the zoo."
        )
    return settings


def load_networks(
    root: Path, run_id: str, iteration: int, *, own_code: bool = False
) -> InspectedNetworks:
    """The networks of the checkpoint that `checkpoint_at` names for `iteration`.

    Takes seconds for large networks: keep the result, by the checkpoint's iteration. A run that is
    going goes on undisturbed; nothing is written and no process is started.

    Args:
        own_code: let a network that is code of the user's own be imported, which runs it: for a
            shell alone, whose user asks for it.

    Raises:
        InputError: there is no such run, it has no checkpoint, its network is code of the user's
            own, or P's weights (for a method without G also the data) are not to be had any more.
        RunFailed: the checkpoint is missing, damaged or does not fit the networks.
    """
    store = RunStore(root)
    settings = store.info(run_id).settings if own_code else inspectable_settings(root, run_id)
    record, state = _stored(store, run_id, iteration)
    loaded = load_float_network(settings)
    lessons = None
    if not settings.has_generator:
        lessons = load_real_images(settings, loaded.images, loaded.data).lessons
    trainer = make_trainer(settings, loaded, torch.device("cpu"), lessons)
    try:
        trainer.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise RunFailed(
            f"The checkpoint of iteration {record.iteration} does not fit the network "
            f"{settings.network} as it is loaded now; put back the weights and the version that "
            f"run {run_id} was started with."
        ) from error
    players = trainer.players
    players.batchnorm_loss.remove()
    return InspectedNetworks(
        p=players.p,
        q=trainer.quantized_network().requires_grad_(False),
        generator=players.generator.requires_grad_(False) if settings.has_generator else None,
        images=loaded.images,
        data=loaded.data,
        settings=trainer.settings,
        iteration=record.iteration,
    )


def _stored(store: RunStore, run_id: str, iteration: int) -> tuple[Record, dict[str, Any]]:
    """The checkpoint for `iteration` and what it holds."""
    while True:
        record = checkpoint_at(store.root, run_id, iteration)
        try:
            return record, checkpoint_state(store, record)
        except RunFailed as error:
            # A run that is going may have deleted it just now, its record first.
            if checkpoint_at(store.root, run_id, iteration) == record:
                reason = str(error).rstrip(".")
                raise RunFailed(
                    f"{reason}; choose a moment for which another checkpoint is kept."
                ) from error

"""The full-precision network P that a run's settings name."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.server_options import check_readable
from adadfq_core.settings import NO_DATA, RunSettings
from adadfq_core.zoo.custom import import_network
from adadfq_core.zoo.data.named import NAMED
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.registry import find
from adadfq_core.zoo.weights import load_weights


@dataclass(frozen=True)
class FloatNetwork:
    """P in evaluation mode, the images that it takes, and the data set that measures it."""

    network: nn.Module
    images: ImageFormat
    data: str | None


def check_files(settings: RunSettings) -> None:
    """Refuse weights and images that this server does not read, before a process tries to.

    Raises:
        InputError: they are named by a path that lies elsewhere (see `server_options`).
    """
    if settings.weights:
        check_readable(settings.weights)
    if settings.data and settings.data not in (NO_DATA, *NAMED):
        check_readable(settings.data)


def load_float_network(settings: RunSettings) -> FloatNetwork:
    """P with its weights, on the CPU.

    A name of the zoo brings everything; `weights`, `data` and the image settings replace what it
    brings. A network of the user's own (`module:function`) must be given its weights, unless the
    function loads them, and the shape of its images.

    Raises:
        InputError: unknown network, weights or data that are not to be had or do not fit.
    """
    if settings.names_own_code:
        return _own_network(settings)
    entry = find(settings.network)
    if settings.weights:
        check_readable(settings.weights)
        network = entry.build()
        load_weights(network, Path(settings.weights))
    else:
        network = entry.load()
    images = _replaced(entry.images, settings)
    return FloatNetwork(network.eval(), images, _data(settings, entry.data))


def architecture(settings: RunSettings) -> nn.Module:
    """The network that the settings name, in evaluation mode, with weights that mean nothing.

    Raises:
        InputError: unknown network, or code of the user's own that fails.
    """
    if settings.names_own_code:
        return import_network(settings.network).eval()
    return find(settings.network).build().eval()


def _own_network(settings: RunSettings) -> FloatNetwork:
    if settings.image_shape is None:
        raise InputError(
            f"The network {settings.network} is not of the zoo, so image_shape must say what it "
            "takes, for example image_shape=3,32,32."
        )
    if settings.code_folder:
        # Where the module was found when the run was started, whoever resumes it.
        os.chdir(settings.code_folder)
    network = import_network(settings.network).eval()
    if settings.weights:
        check_readable(settings.weights)
        load_weights(network, Path(settings.weights))
    channels = settings.image_shape[0]
    unnamed = ImageFormat(settings.image_shape, (), (0.0,) * channels, (1.0,) * channels)
    images = _replaced(unnamed, settings)
    names = unnamed_classes(_number_of_classes(network, settings))
    return FloatNetwork(network, replace(images, classes=names), _data(settings, None))


def unnamed_classes(count: int) -> tuple[str, ...]:
    """Names for `count` classes of which nothing but their number is known."""
    return tuple(f"class {index}" for index in range(count))


def _number_of_classes(network: nn.Module, settings: RunSettings) -> int:
    assert settings.image_shape is not None
    try:
        with torch.no_grad():
            logits = network(torch.zeros(2, *settings.image_shape))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{settings.network} fails on images of shape {settings.image_shape} ({reason}); set "
            "image_shape to what it takes."
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise InputError(
            f"{settings.network} must give logits of shape (batch, classes) for its images."
        )
    return logits.shape[1]


def _replaced(images: ImageFormat, settings: RunSettings) -> ImageFormat:
    """`images` with what the settings say otherwise."""
    shape = settings.image_shape or images.shape
    mean, std = settings.image_mean or images.mean, settings.image_std or images.std
    if len(mean) != shape[0] or len(std) != shape[0]:
        raise InputError(
            f"image_mean = {mean} and image_std = {std} must have one number for each of the "
            f"{shape[0]} channels of image_shape."
        )
    resize = images.resize if shape == images.shape else None
    return replace(images, shape=shape, mean=mean, std=std, resize=resize)


def _data(settings: RunSettings, default: str | None) -> str | None:
    if settings.data == NO_DATA:
        return None
    return settings.data or default

"""What is known of a named full-precision network P."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import nn

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.zoo.formats import ImageFormat

Progress = Callable[[int, int | None], None]
"""Called while a file is fetched with the bytes that are here and those in all, where known."""


def silent(_done: int, _total: int | None) -> None:
    """The `Progress` that shows nothing."""


class WeightsFile(Protocol):
    """Where trained weights come from."""

    def is_here(self) -> bool:
        """Whether the file is on this machine; its content is not looked at."""

    def fetch(self, progress: Progress = silent) -> Path:
        """The file, brought here if it has to be and compared with its checksum.

        Raises:
            InputError: what should bring it is missing, or the file is not the expected one.
            RunFailed: it could not be downloaded.
        """


def fetched(weights: WeightsFile) -> Path:
    """The file of `weights`, fetched if need be.

    Raises:
        InputError: it is not to be had, for whatever reason.
    """
    try:
        return weights.fetch()
    except RunFailed as error:
        raise InputError(str(error)) from error


@dataclass(frozen=True)
class ZooEntry:
    """A named network, what images it takes, who made it, how to build and load it.

    Attributes:
        source: who made the weights, in words.
        dataset: name of the data set that it was trained for.
        licence: SPDX identifier of the weights and the code.
        url: where they are described.
        top1: top-1 in percent on the data set's test images as `source` states it, or `None`.
        build: the architecture with random weights.
        load: the network with trained weights, in evaluation mode on the CPU; raises `InputError`
            where they are not to be had.
        data: the data set that measures it unless a user names one (see `zoo.data`), or `None`.
        weights: the file of trained weights.
    """

    name: str
    source: str
    dataset: str
    images: ImageFormat
    licence: str
    url: str
    top1: float | None
    build: Callable[[], nn.Module]
    load: Callable[[], nn.Module]
    data: str | None
    weights: WeightsFile

"""The networks that the project trains itself and ships in `assets/networks`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.home import ASSETS
from adadfq_core.zoo import class_names, fashion_mnist
from adadfq_core.zoo.assets import verified
from adadfq_core.zoo.entry import Progress, ZooEntry, fetched, silent
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.networks import SmallResNet, resnet20
from adadfq_core.zoo.weights import load_weights


@dataclass(frozen=True)
class BundledWeights:
    """A file of `assets/`, named by its relative path."""

    name: str

    def is_here(self) -> bool:
        """Whether the file is in its place."""
        return (ASSETS / self.name).is_file()

    def fetch(self, progress: Progress = silent) -> Path:
        """The file after its checksum was compared; nothing is downloaded.

        Raises:
            InputError: it is missing, unlisted or altered.
        """
        if not self.is_here():
            raise InputError(
                f"The bundled weights {ASSETS / self.name} are missing; restore them with 'git "
                f"checkout assets/{self.name}' or train them with 'python -m adadfq_core zoo train "
                f"{Path(self.name).stem}'."
            )
        path = verified(self.name)
        progress(path.stat().st_size, path.stat().st_size)
        return path


def weights_name(name: str) -> str:
    """Path of the bundled network's weights, relative to `assets/`."""
    return f"networks/{name}.safetensors"


def card_name(name: str) -> str:
    """Path of the bundled network's model card, relative to `assets/`."""
    return f"networks/{name}.md"


def _stated_top1(name: str) -> float | None:
    """Top-1 in percent as the model card states it in bold; `None` before there is a card."""
    card = ASSETS / card_name(name)
    stated = card.is_file() and re.search(
        r"\*\*([\d.]+) %\*\*", card.read_text(encoding="utf-8", errors="replace")
    )
    return float(stated[1]) if stated else None


def _entry(
    name: str,
    dataset: str,
    images: ImageFormat,
    build: Callable[[], SmallResNet],
    data: str,
) -> ZooEntry:
    weights = BundledWeights(weights_name(name))

    def load() -> nn.Module:
        path = fetched(weights)
        network = build()
        load_weights(network, path)
        return network.eval()

    return ZooEntry(
        name=name,
        source="trained by this project",
        dataset=dataset,
        images=images,
        licence="MIT",
        url=f"assets/{card_name(name)}",
        top1=_stated_top1(name),
        build=build,
        load=load,
        data=data,
        weights=weights,
    )


def _cifar10(name: str, widths: tuple[int, ...]) -> ZooEntry:
    # Mean and standard deviation of the 50,000 training images, which went through JPEG.
    mean, std = (0.4913, 0.4821, 0.4465), (0.2452, 0.2428, 0.2606)
    return _entry(
        name,
        "CIFAR-10",
        ImageFormat((3, 32, 32), class_names.CIFAR10, mean, std),
        partial(resnet20, in_channels=3, num_classes=10, widths=widths),
        data="cifar10",
    )


BUNDLED: dict[str, ZooEntry] = {
    entry.name: entry
    for entry in (
        _entry(
            "fashion-resnet20",
            "Fashion-MNIST",
            ImageFormat(
                (1, 28, 28), fashion_mnist.CLASS_NAMES, fashion_mnist.MEAN, fashion_mnist.STD
            ),
            partial(resnet20, in_channels=1, num_classes=10),
            data="fashion-mnist",
        ),
        _cifar10("cifar10-resnet20", (16, 32, 64)),
        _cifar10("cifar10-resnet20-wide", (32, 64, 128)),
    )
}

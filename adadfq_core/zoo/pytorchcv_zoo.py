"""pytorchcv's classification networks, among them the pairs of the paper.

Facts that the package does not state are those of its author's evaluation scripts
(https://github.com/osmr/imgclsmob): the normalisation, and scaling before the central crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.zoo import class_names
from adadfq_core.zoo.downloads import Checksum, Download
from adadfq_core.zoo.entry import Progress, ZooEntry, fetched, silent
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.weights import fill, read_weights

PREFIX = "pytorchcv/"
URL = "https://github.com/osmr/imgclsmob"
# Top-1 of the full-precision networks in the paper's tables.
PAPER_TOP1 = {
    "resnet20_cifar10": 93.89,
    "resnet20_cifar100": 70.33,
    "resnet18": 71.47,
    "mobilenetv2_w1": 73.03,
    "resnet50": 77.73,
}
OFFERED = tuple(PAPER_TOP1)

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
_SMALL = {
    "cifar10": ("CIFAR-10", class_names.CIFAR10),
    "cifar100": ("CIFAR-100", class_names.CIFAR100),
    "svhn": ("SVHN", class_names.SVHN),
}
_MISSING = "{} needs the package pytorchcv; run 'pip install -r requirements-zoo.txt'."


@dataclass(frozen=True)
class _Facts:
    """What the package's table states of a network: error in 1/100 percent, size, crop's share."""

    error: int
    sha1: str
    release: str
    size: int
    scale: float


def short_names() -> tuple[str, ...]:
    """Names of the networks that this family can give, without its prefix.

    Raises:
        InputError: the package is missing.
    """
    return tuple(_table())


def entry(short_name: str) -> ZooEntry:
    """The entry of pytorchcv's network `short_name`, one of `short_names()` or of `OFFERED`."""
    dataset, images = _images(short_name)
    weights = _Weights(short_name)
    return ZooEntry(
        name=PREFIX + short_name,
        source="pytorchcv (Oleg Sémery)",
        dataset=dataset,
        images=images,
        licence="MIT",
        url=URL,
        top1=_top1(short_name),
        build=partial(_build, short_name),
        load=partial(_load, short_name, weights),
        data={"CIFAR-10": "cifar10", "CIFAR-100": "cifar100"}.get(dataset),
        weights=weights,
    )


@cache
def _table() -> dict[str, _Facts]:
    try:
        # An extra package, which most users do without.
        from pytorchcv.models.common import model_store
    except ImportError as error:
        raise InputError(_MISSING.format("Every network of pytorchcv")) from error
    table = {}
    header, *rows = model_store.load_csv(model_store.get_model_metainfos_file_path())
    for row in rows:
        facts = dict(zip(header, row, strict=True))
        # Without a release there are no trained weights; a star marks a preprocessing of its own,
        # which the package does not state.
        if (
            facts["test_dataset"] not in ("in1k", "cf")
            or facts["repo_release_tag"] == "NA"
            or facts["remark"].endswith("*")
        ):
            continue
        sized = facts["img_size"] != "NA"
        table[facts["model_name"]] = _Facts(
            int(facts["error_value"]),
            facts["checksum"],
            facts["repo_release_tag"],
            int(facts["img_size"]) if sized else 224,
            float(facts["img_scale"]) if sized else 0.875,
        )
    return table


def _suffix(short_name: str) -> str:
    return short_name.rpartition("_")[2]


def _images(short_name: str) -> tuple[str, ImageFormat]:
    """Name of the data set and what images the network takes.

    The paper's networks need no look into the package, so they can be listed without it.
    """
    small = _SMALL.get(_suffix(short_name))
    if small is not None:
        dataset, classes = small
        return dataset, ImageFormat((3, 32, 32), classes, *_CIFAR)
    size, scale = 224, 0.875
    if short_name not in PAPER_TOP1:
        facts = _table()[short_name]
        size, scale = facts.size, facts.scale
    return "ImageNet-1k", ImageFormat(
        (3, size, size), class_names.imagenet(), *_IMAGENET, resize=math.ceil(size / scale)
    )


def _top1(short_name: str) -> float | None:
    if short_name in PAPER_TOP1:
        return PAPER_TOP1[short_name]
    # For ImageNet the table states the top-5 error alone.
    if _suffix(short_name) in _SMALL:
        return round(100 - _table()[short_name].error / 100, 2)
    return None


@dataclass(frozen=True)
class _Weights:
    """The weights of one network; the package is asked for their address only when needed."""

    short_name: str

    def _download(self) -> Download:
        facts = _table()[self.short_name]
        file_name = f"{self.short_name}-{facts.error:04d}-{facts.sha1[:8]}.pth"
        url = f"{URL}/releases/download/{facts.release}/{file_name}.zip"
        return Download(url, file_name, Checksum("sha1", facts.sha1), zipped=True)

    def is_here(self) -> bool:
        """Whether the file was fetched; never without the package."""
        try:
            return self._download().is_here()
        except InputError:
            return False

    def fetch(self, progress: Progress = silent) -> Path:
        """The file, downloaded if need be: see `Download.fetch`."""
        return self._download().fetch(progress)


def _build(short_name: str) -> nn.Module:
    try:
        # An extra package, which most users do without.
        from pytorchcv.model_provider import get_model
    except ImportError as error:
        raise InputError(_MISSING.format(PREFIX + short_name)) from error
    network: nn.Module = get_model(short_name, pretrained=False)
    return network


def _load(short_name: str, weights: _Weights) -> nn.Module:
    path = fetched(weights)
    network = _build(short_name)
    known = network.state_dict()
    # As the package does: some files hold tensors that only training needs.
    state = {name: value for name, value in read_weights(path).items() if name in known}
    fill(network, state, path)
    return network.eval()

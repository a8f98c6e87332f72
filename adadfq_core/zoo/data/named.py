"""Test splits of data sets that a user names."""

from __future__ import annotations

from collections.abc import Callable

import torch

from adadfq_core.errors import InputError
from adadfq_core.home import ASSETS, home
from adadfq_core.zoo.assets import verified
from adadfq_core.zoo.data.idx import read_split, split_source
from adadfq_core.zoo.data.pixels import Source


def _fashion_mnist() -> Source:
    from adadfq_core.zoo.fashion_mnist import CLASS_NAMES  # that module imports this package

    folder = "data/fashion-mnist"
    for part in ("images-idx3", "labels-idx1"):
        verified(f"{folder}/t10k-{part}-ubyte.gz")
    return split_source(*read_split(ASSETS / folder, "t10k"), CLASS_NAMES)


def _cifar(kind: str) -> Source:
    from torchvision import datasets  # slow import, needed only here

    dataset = getattr(datasets, kind)
    folder = home() / "data"
    try:
        data = dataset(str(folder), train=False, download=True)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{kind} is not in {folder} and could not be downloaded ({reason}); connect to the "
            f"internet or put {dataset.filename} into that folder."
        ) from error
    pixels = torch.from_numpy(data.data).permute(0, 3, 1, 2)
    return split_source(pixels, torch.tensor(data.targets), tuple(data.classes))


NAMED: dict[str, Callable[[], Source]] = {
    "cifar10": lambda: _cifar("CIFAR10"),
    "cifar100": lambda: _cifar("CIFAR100"),
    "fashion-mnist": _fashion_mnist,
}
"""Name and opener; CIFAR is fetched by torchvision into `data` of the tool's home folder."""

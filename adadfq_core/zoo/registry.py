"""Finding a named network P, loading it with the data set that measures it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import NoReturn

from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.zoo import efficientnet_lite, pytorchcv_zoo, torchvision_zoo
from adadfq_core.zoo.bundled import BUNDLED
from adadfq_core.zoo.data import open_data
from adadfq_core.zoo.entry import ZooEntry

_FAMILIES: dict[str, ModuleType] = {
    family.PREFIX: family for family in (torchvision_zoo, pytorchcv_zoo)
}


def names() -> tuple[str, ...]:
    """Names that are offered for choice; `find` takes many more of the two large families."""
    families = [prefix + name for prefix, f in _FAMILIES.items() for name in f.OFFERED]
    return (*BUNDLED, efficientnet_lite.NAME, *families)


@cache
def find(name: str) -> ZooEntry:
    """The zoo's entry `name`.

    Raises:
        InputError: there is none of that name, or its family's package is missing.
    """
    if name in BUNDLED:
        return BUNDLED[name]
    if name == efficientnet_lite.NAME:
        return efficientnet_lite.entry()
    prefix = name[: name.find("/") + 1]
    family = _FAMILIES.get(prefix)
    if family is None:
        _refuse(name, names())
    short_name = name.removeprefix(prefix)
    if short_name not in family.OFFERED and short_name not in family.short_names():
        _refuse(name, tuple(prefix + other for other in family.short_names()))
    entry: ZooEntry = family.entry(short_name)
    return entry


def _refuse(name: str, known: tuple[str, ...]) -> NoReturn:
    # A user who leaves out the family's prefix means the part behind it.
    close = [other for other in known if other.rpartition("/")[2] == name]
    close = close or difflib.get_close_matches(name, known, n=3)
    guess = f" (perhaps {' or '.join(close)}?)" if close else ""
    families = " or ".join(f"{prefix}NAME" for prefix in _FAMILIES)
    raise InputError(
        f"Unknown network '{name}'{guess}; choose one of {', '.join(BUNDLED)}, "
        f"{efficientnet_lite.NAME}, {families} (see 'python -m adadfq_core zoo list')."
    )


def load_network(entry: ZooEntry) -> nn.Module:
    """P with its trained weights, in evaluation mode on the CPU.

    Raises:
        InputError: the weights are not to be had, altered or do not fit.
    """
    return entry.load()


@dataclass(frozen=True)
class EvaluationData:
    """Labelled real images: normalised floats `(N, C, H, W)` and classes `(N,)`."""

    images: Tensor
    labels: Tensor


def load_evaluation_data(entry: ZooEntry) -> EvaluationData:
    """The test images of the entry's data set. They serve accuracy and pictures, never training.

    Raises:
        InputError: the entry brings no data set, or it is missing, altered or damaged.
    """
    if entry.data is None:
        raise InputError(
            f"{entry.name} brings no test images of {entry.dataset}; name a data set of your own."
        )
    found = open_data(entry.data, entry.images)
    return EvaluationData(entry.images.normalise(found.pixels), found.labels)

"""Finding a named network P."""

from __future__ import annotations

import difflib
from functools import cache
from types import ModuleType
from typing import NoReturn

from adadfq_core.errors import InputError
from adadfq_core.zoo import efficientnet_lite, pytorchcv_zoo, torchvision_zoo
from adadfq_core.zoo.bundled import BUNDLED
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

"""Whether a data set's labels can be those of a network, and how they translate."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from adadfq_core.errors import InputError

_MOST_DIGITS = 18
"""Of a class name that counts as a number; Python refuses to read thousands of them."""


def in_order(names: Iterable[str]) -> list[str]:
    """Class names sorted; as numbers where all are decimal numbers, so that 10 comes after 9."""
    found = sorted(names)
    numbers = all(name.isdecimal() and len(name) <= _MOST_DIGITS for name in found)
    return sorted(found, key=int) if numbers else found


def check_labels(
    data: str, labels: Tensor, classes: tuple[str, ...], network: tuple[str, ...]
) -> None:
    """Refuse labels that cannot give a meaningful accuracy.

    Args:
        data: what the user calls the data set.
        labels: int64 `(N,)` of all its pictures.
        classes: its class names; empty where it has none.
        network: the network's class names; empty where they are unknown.

    Raises:
        InputError: no pictures, fewer than 2 classes, labels below or not starting at 0, or beyond
            the data set's or the network's classes.
    """
    if not len(labels):
        raise InputError(f"{data} holds no pictures; name a data set that has some.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise InputError(
            f"{data} has the label {low}, which is no class; remove such pictures or name a data "
            "set whose labels are all known."
        )
    if low == high:
        raise InputError(
            f"All {len(labels):,} pictures of {data} have the label {low}; an accuracy needs at "
            "least 2 classes."
        )
    if low > 0:
        raise InputError(
            f"{data} has labels {low}..{high}, but they must start at 0; subtract {low} from each."
        )
    if classes and high >= len(classes):
        raise InputError(
            f"{data} has labels 0..{high} but only {len(classes)} class names; correct one of them."
        )
    count = len(classes) or high + 1
    if network and count > len(network):
        raise InputError(
            f"{data} has {count} classes, the network has {len(network)} (its labels are "
            f"0..{len(network) - 1}, the data set's 0..{high}); name a data set of the network's "
            "classes."
        )


def network_labels(
    data: str, classes: tuple[str, ...], network: tuple[str, ...]
) -> tuple[int, ...] | None:
    """The network's label of each of the data set's classes, or `None` if both count alike.

    Names are compared without regard to case, and `_` and `-` count as spaces. If every class of
    the data set is one of the network's, the names decide. Otherwise the order does, as between
    ImageNet's folders (`n01440764`) and its words (`tench`), but not against the names in common.

    Raises:
        InputError: the order cannot be right: fewer classes, or common names in other places.
    """
    if not classes or not network:
        return None
    places: dict[str, list[int]] = {}
    for index, name in enumerate(network):
        places.setdefault(_key(name), []).append(index)
    found = [places.get(_key(name), []) for name in classes]
    if all(len(place) == 1 for place in found) and len({p[0] for p in found}) == len(found):
        mapped = tuple(place[0] for place in found)
        return None if mapped == tuple(range(len(network))) else mapped
    strange = [name for name, place in zip(classes, found, strict=True) if not place]
    moved = [i for i, place in enumerate(found) if place and i not in place]
    if len(classes) == len(network) and not moved:
        return None
    fault = f"'{strange[0]}' is not one of them" if strange else "a name occurs twice"
    raise InputError(
        f"It cannot be told which of the network's {len(network)} classes are the {len(classes)} "
        f"of {data}, since {fault}; give the data set's classes the network's names."
    )


def _key(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())

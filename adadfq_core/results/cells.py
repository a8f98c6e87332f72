"""Which runs a table of results is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adadfq_core.errors import InputError
from adadfq_core.presets import ABLATION, MARGINS, METHODS, Method, preset_settings
from adadfq_core.settings import RunSettings

RowKey = tuple[str, int, str]
"""Network, bits and method: what the seeds are averaged over."""

NETWORKS = ("fashion-resnet20", "cifar10-resnet20")
SEEDS = (0, 1, 2)
# No map, which nobody looks at here and which changes no number; the paper's ranges, where a preset
# has better ones and neither the method nor the user asks for any.
_VALUES = {"embed_every": 0, "ranges": "minmax"}
_VARIED = {
    "network": "--network",
    "weight_bits": "--bits",
    "activation_bits": "--bits",
    "method": "--methods",
    "seed": "--seeds",
}


@dataclass(frozen=True)
class Table:
    """A table by its name: its rows' methods, and the bits that it is made at."""

    name: str
    title: str
    methods: Mapping[str, Method]
    bits: tuple[int, ...]


TABLES = {
    table.name: table
    for table in (
        Table("main", "Methods compared", METHODS, (3, 4, 5)),
        Table("ablation", "What each part is worth", ABLATION, (3,)),
        Table("margins", "Which adaptability helps", MARGINS, (3,)),
    )
}


@dataclass(frozen=True)
class Cell:
    """One run of a table, and the row that it belongs to."""

    network: str
    bits: int
    method: str
    seed: int
    settings: RunSettings

    @property
    def row(self) -> RowKey:
        """The row that it belongs to."""
        return self.network, self.bits, self.method

    @property
    def name(self) -> str:
        """The cell in a few words."""
        return f"{self.network} {self.bits}w{self.bits}a {self.method}, seed {self.seed}"


def find_table(name: str) -> Table:
    """The table of that name.

    Raises:
        InputError: there is none.
    """
    if name not in TABLES:
        raise InputError(f"There is no table '{name}'; choose one of {', '.join(TABLES)}.")
    return TABLES[name]


def plan(
    table: str,
    preset: str,
    changes: Mapping[str, Any],
    *,
    networks: Sequence[str] = (),
    data: Mapping[str, str] | None = None,
    bits: Sequence[int] = (),
    methods: Sequence[str] = (),
    seeds: Sequence[int] = SEEDS,
) -> list[Cell]:
    """The cells of a table, in its order; of seeds, those of a row follow each other.

    Args:
        table: a name of `TABLES`.
        preset: named settings that all runs start from.
        changes: settings that go over the preset's; a method's own go over them.
        data: images by network, where they are not to be those that the zoo names.
        networks, bits, methods: what the table is restricted to, or is to have in place of its
            own; empty for all of its own.

    Raises:
        InputError: unknown table, preset or method, a change of what the table varies, or settings
            that are not allowed.
    """
    found = find_table(table)
    for name in changes:
        if name in _VARIED:
            raise InputError(f"{name} is what the table varies; restrict it with {_VARIED[name]}.")
    for name in methods:
        if name not in found.methods:
            raise InputError(
                f"The table {table} has no method '{name}'; choose from {', '.join(found.methods)}."
            )
    chosen = tuple(dict.fromkeys(networks)) or NETWORKS
    for name in ("data", "weights"):
        if changes.get(name) and len(chosen) > 1:
            raise InputError(
                f"{name} would hold for {len(chosen)} networks; name one with --network."
            )
    images = {network: {"data": spec} for network, spec in (data or {}).items()}
    cells = []
    for network in chosen:
        for number in dict.fromkeys(bits or found.bits):
            for method in dict.fromkeys(methods or found.methods):
                fixed = {"network": network, "weight_bits": number, "activation_bits": number}
                own = {**fixed, **images.get(network, {}), **found.methods[method].values}
                values = {**_VALUES, **changes, **own}
                for seed in dict.fromkeys(seeds):
                    settings = preset_settings(preset, {**values, "seed": seed})
                    cells.append(Cell(network, number, method, seed, settings))
    return cells

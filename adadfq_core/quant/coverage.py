"""What of a network is quantized, and in words what is left alone and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Part = Literal["weights", "activation", "input"]


@dataclass(frozen=True)
class CoverageRow:
    """One line of the table.

    Attributes:
        name: the layer's or call site's name in the network.
        operation: what it is, e.g. "Conv2d", "relu", "add".
        part: its "weights", its output ("activation"), or a layer's "input" that stays in float.
        bits: bits of each code; `None` where it is left in float.
        reason: why it is left in float; "" where it is quantized.
    """

    name: str
    operation: str
    part: Part
    bits: int | None
    reason: str = ""


@dataclass(frozen=True)
class Coverage:
    """The table of a quantized network, in the order of its forward pass."""

    rows: tuple[CoverageRow, ...]

    def _named(self, part: Part, quantized: bool) -> tuple[CoverageRow, ...]:
        return tuple(
            row for row in self.rows if row.part == part and (row.bits is not None) == quantized
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers with quantized weights."""
        return tuple(row.name for row in self._named("weights", True))

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the quantized activation call sites."""
        return tuple(row.name for row in self._named("activation", True))

    @property
    def weighted_layers(self) -> int:
        """Layers with weights, quantized or not."""
        return sum(row.part == "weights" for row in self.rows)

    @property
    def left_alone(self) -> tuple[CoverageRow, ...]:
        """What stays in float."""
        return tuple(row for row in self.rows if row.bits is None)

    def __str__(self) -> str:
        return (
            f"quantized {len(self.layers)} of {self.weighted_layers} layers with weights, "
            f"{len(self.activations)} activation call sites"
        )


def unique_names(names: Iterable[str]) -> list[str]:
    """`names` with "#2", "#3" behind a name's second and third occurrence."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique

"""What a sweep is to run: the points of a design, each with every seed, over common settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from adadfq_core.errors import InputError
from adadfq_core.presets import DEFAULT_PRESET, WHAT_IFS, preset_settings
from adadfq_core.settings import RunSettings, field

Design = Literal["grid", "list", "random", "latin"]
Point = dict[str, Any]
"""Value of each axis at one place of a design; JSON values only."""

BITS, PRESET, WHAT_IF = "bits", "preset", "what_if"
COMPOUND_AXES = {
    BITS: "weight_bits and activation_bits together",
    PRESET: "the preset that the run starts from",
    WHAT_IF: f"one of {', '.join(WHAT_IFS)}",
}
"""Axes that stand for more than one setting; every other axis is a setting's name."""

SEED = "seed"
MOST_CELLS = 10_000


class Halving(BaseModel):
    """Early stopping by asynchronous successive halving (Li et al. 2020, arXiv 1810.05934).

    A cell that reaches a rung goes on only if its top-1 there is among the best 1 / `factor` of
    the cells that have reached the rung. Rungs stand at these shares of a cell's iterations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: int = Field(3, ge=2, le=10)
    rungs: tuple[float, ...] = (0.5,)


class Plan(BaseModel):
    """A sweep before it has run.

    `changes` are put over the preset's settings, a point's values over both. Cells are all points
    with the first seed, then all with the second, so that a whole surface is seen early.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = DEFAULT_PRESET
    changes: dict[str, Any] = {}
    design: Design = "grid"
    axes: tuple[str, ...]
    points: tuple[Point, ...]
    seeds: tuple[int, ...] = (0,)
    halving: Halving | None = None

    @property
    def cells(self) -> list[Cell]:
        """Every run that is wanted, in the order in which they start."""
        places = [(seed, point) for seed in self.seeds for point in self.points]
        return [Cell(index, point, seed) for index, (seed, point) in enumerate(places)]

    def preset_of(self, cell: Cell) -> str:
        """The preset that one cell's run starts from."""
        return str(cell.point.get(PRESET, self.preset))

    def settings(self, cell: Cell) -> RunSettings:
        """The settings of one cell's run.

        Raises:
            InputError: values that are not allowed, also together (lambda_l at or above lambda_u).
        """
        return point_settings(self.preset, self.changes, {**cell.point, SEED: cell.seed})


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: its number, its place in the design and its seed."""

    index: int
    point: Point
    seed: int


def check_axis(name: str) -> None:
    """Check that `name` can be varied.

    Raises:
        InputError: neither a setting nor one of `COMPOUND_AXES`, or the seed, which is repeated.
    """
    if name == SEED:
        raise InputError(
            "The seed is not an axis; repeat every point over seeds instead (--seeds 3)."
        )
    if name not in COMPOUND_AXES:
        field(name)


def point_settings(
    preset: str, changes: Mapping[str, Any], point: Mapping[str, Any]
) -> RunSettings:
    """Settings of `preset` with `changes` and then the axes' values of `point` over them.

    Raises:
        InputError: an unknown preset, what-if or setting, or values that are not allowed.
    """
    merged: dict[str, Any] = dict(changes)
    what_if = point.get(WHAT_IF)
    if what_if is not None:
        if what_if not in WHAT_IFS:
            raise InputError(f"Unknown what-if '{what_if}'; choose one of {', '.join(WHAT_IFS)}.")
        merged |= WHAT_IFS[what_if]
    for name, value in point.items():
        if name == BITS:
            merged |= {"weight_bits": value, "activation_bits": value}
        elif name not in COMPOUND_AXES:
            merged[name] = value
    return preset_settings(str(point.get(PRESET, preset)), merged)

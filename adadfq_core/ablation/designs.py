"""Designs: the points of a sweep from its axes, and which of its cells can run."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from adadfq_core.ablation.axes import Axis, Value, axis_value, check_varied
from adadfq_core.ablation.plan import BITS, MOST_CELLS, WHAT_IF, Cell, Plan, Point
from adadfq_core.errors import InputError
from adadfq_core.files import read_start
from adadfq_core.presets import WHAT_IFS

_DRAWS = 100
"""Times that a point is drawn for each that is wanted, before it is said that there are not so
many: enough for all points of a small grid."""
_MOST_BYTES = 16 << 20
_EXAMPLE = "lambda_l=0.1,lambda_u=0.8"


def grid(axes: Sequence[Axis]) -> tuple[Point, ...]:
    """All combinations of the axes' values; those of the last axis follow each other.

    Raises:
        InputError: no axes, two that vary the same, one without values, or more than
            `plan.MOST_CELLS` points.
    """
    _check_axes(axes)
    for axis in axes:
        if not axis.values:
            raise InputError(
                f"A grid needs the number of values of {axis.name}; write "
                f"{axis.name}={axis.low:g}:{axis.high:g}:5, or draw random points."
            )
    _check_count(math.prod(len(axis.values) for axis in axes))
    return tuple(_point(axes, values) for values in itertools.product(*(a.values for a in axes)))


def random(axes: Sequence[Axis], count: int, seed: int) -> tuple[Point, ...]:
    """`count` different points, every axis drawn evenly and by itself (see `Axis.at`).

    Raises:
        InputError: no axes, two that vary the same, a count or seed that is not allowed, or
            fewer different points than that.
    """
    _check_axes(axes)
    _check_count(count)
    numbers = _numbers(seed)
    drawn: dict[tuple[Value, ...], None] = {}
    for _ in range(_DRAWS * count):
        drawn[tuple(axis.at(float(numbers.random())) for axis in axes)] = None
        if len(drawn) == count:
            return tuple(_point(axes, values) for values in drawn)
    raise InputError(
        f"The axes have too few different points for {count} random ones; ask for fewer, or take "
        "the grid."
    )


def latin(axes: Sequence[Axis], count: int, seed: int) -> tuple[Point, ...]:
    """A Latin hypercube: each of `count` equal parts of every axis is met once (see `Axis.at`).

    Points that fall together, as those of listed values may, are kept once, so there can be fewer
    than `count`. McKay, Beckman and Conover 1979, Technometrics 21(2).

    Raises:
        InputError: no axes, two that vary the same, or a count or seed that is not allowed.
    """
    # Imported here as it takes half a second, which the other designs need not wait for.
    from scipy.stats import qmc

    _check_axes(axes)
    _check_count(count)
    shares = qmc.LatinHypercube(len(axes), rng=_numbers(seed)).random(count)
    drawn = dict.fromkeys(
        tuple(axis.at(float(share)) for axis, share in zip(axes, row, strict=True))
        for row in shares
    )
    return tuple(_point(axes, values) for values in drawn)


def listed(text: str) -> tuple[Point, ...]:
    """The points that a user writes as `name=value,name=value`, on lines or between semicolons.

    Raises:
        InputError: not of that form, or as `read_points`; names the point.
    """
    rows: list[tuple[str, list[str]]] = []
    names: list[str] = []
    for number, part in enumerate(_written(text), 1):
        pairs = [[side.strip() for side in pair.partition("=")] for pair in part.split(",")]
        if not all(separator for _, separator, _ in pairs):
            raise InputError(f"The point '{part}' is not of the form {_EXAMPLE}.")
        found = [name for name, _, _ in pairs]
        names = names or found
        if sorted(found) != sorted(names):
            raise InputError(
                f"Point {number} names {', '.join(found)}, but the first names "
                f"{', '.join(names)}; name the same in all of them."
            )
        values = {name: value for name, _, value in pairs}
        rows.append((f"Point {number}", [values[name] for name in names]))
    return _points(names, rows)


def from_csv(text: str) -> tuple[Point, ...]:
    """The points of a table whose header names the axes, separated by commas or semicolons.

    Raises:
        InputError: as `read_points`.
    """
    content = text.removeprefix("\ufeff")
    header = content.lstrip().partition("\n")[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    try:
        # Strict: an open quote would swallow the lines that follow it.
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except csv.Error as error:
        raise InputError(
            f"The table of points cannot be read ({error}); write it as CSV with a header."
        ) from None
    if not lines:
        raise InputError(f"There are no points; name at least one, for example {_EXAMPLE}.")
    names = [name.strip() for name in lines[0][1]]
    if not all(names):
        raise InputError(
            "A column of the table of points has no name; name each after its setting, and leave "
            "out a table's index."
        )
    rows = []
    for number, cells in lines[1:]:
        if len(cells) != len(names):
            raise InputError(
                f"Line {number} of the table of points has {len(cells)} values for "
                f"{len(names)} columns; give one for each."
            )
        rows.append((f"Line {number}", [cell.strip() for cell in cells]))
    return _points(names, rows)


def read_points(path: Path) -> tuple[Point, ...]:
    """The points of the CSV file `path`, whose header names the axes.

    Raises:
        InputError: it cannot be read or is no such table, an axis that is unknown or named twice,
            a value that is not allowed, the same point twice, or more than `plan.MOST_CELLS`.
    """
    content = read_start(path, _MOST_BYTES, f"The file of points '{path}'")
    if len(content) > _MOST_BYTES:
        raise InputError(
            f"The file of points '{path}' is larger than {_MOST_BYTES >> 20} MiB; a sweep has at "
            f"most {MOST_CELLS} points."
        )
    try:
        return from_csv(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise InputError(
            f"The file of points '{path}' is not UTF-8 text; save it as CSV in UTF-8."
        ) from None


def feasible(plan: Plan) -> tuple[list[Cell], list[tuple[Cell, str]]]:
    """The cells of `plan` that can run, and the others with the sentence that refuses them.

    Raises:
        InputError: no cells, or more than `plan.MOST_CELLS`.
    """
    wanted = len(plan.points) * len(plan.seeds)
    if not wanted:
        raise InputError(
            "The sweep has no points or no seeds, so there is nothing to run; name at least one of "
            "each."
        )
    if wanted > MOST_CELLS:
        raise InputError(
            f"{len(plan.points)} points with {len(plan.seeds)} seed(s) make {wanted} runs; at most "
            f"{MOST_CELLS} are allowed, so take fewer of either."
        )
    going, refused = [], []
    for cell in plan.cells:
        try:
            plan.settings(cell)
        except InputError as error:
            refused.append((cell, str(error)))
        else:
            going.append(cell)
    return going, refused


def _written(text: str) -> Iterator[str]:
    parts = (part.strip() for line in text.splitlines() for part in line.split(";"))
    return (part for part in parts if part)


def _points(names: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> tuple[Point, ...]:
    """Points of `rows`, each with its place in words and a text for each of `names`."""
    if not rows:
        raise InputError(f"There are no points; name at least one, for example {_EXAMPLE}.")
    _check_count(len(rows))
    for name in names:
        check_varied(name)
    seen: dict[tuple[Value, ...], str] = {}
    for place, texts in rows:
        try:
            values = tuple(axis_value(name, text) for name, text in zip(names, texts, strict=True))
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        if values in seen:
            raise InputError(
                f"{place} is the same as {seen[values].lower()}; name each point once, and repeat "
                "runs over seeds instead."
            )
        seen[values] = place
    axes = [Axis(name, column) for name, column in zip(names, zip(*seen, strict=True), strict=True)]
    _check_axes(axes)
    return tuple(_point(axes, values) for values in seen)


def _point(axes: Sequence[Axis], values: Sequence[Value]) -> Point:
    return {axis.name: value for axis, value in zip(axes, values, strict=True)}


def _check_axes(axes: Sequence[Axis]) -> None:
    if not axes:
        raise InputError("There is no axis; name at least one, for example lambda_l=0:0.4:5.")
    for first, second in itertools.combinations(axes, 2):
        if first.name == second.name:
            raise InputError(
                f"The axis {first.name} is named twice; name it once, with all its values."
            )
        for setting in _settings_of(first) & _settings_of(second):
            raise InputError(
                f"{first.name} and {second.name} both decide {setting}; keep one of the two axes."
            )


def _settings_of(axis: Axis) -> set[str]:
    """The settings whose values `axis` decides."""
    if axis.name == BITS:
        return {"weight_bits", "activation_bits"}
    if axis.name == WHAT_IF:
        return {setting for value in axis.values for setting in WHAT_IFS[str(value)]}
    return {axis.name}


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_CELLS:
        raise InputError(
            f"A design of {count} points is not allowed; ask for 1 to {MOST_CELLS} of them."
        )


def _numbers(seed: int) -> np.random.Generator:
    if seed < 0:
        raise InputError(f"The design's seed {seed} is not allowed; it must be 0 or above.")
    return np.random.default_rng(seed)

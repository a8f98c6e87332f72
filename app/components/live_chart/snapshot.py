"""Take a Plotly figure apart into styles and data arrays that can be compared and sent.

Everything here is safe for JSON: NaN and infinities become null (a gap in the drawing), which
`json.dumps` would otherwise write as tokens that no browser accepts.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

import numpy as np
import plotly.graph_objects as go

Array: TypeAlias = np.ndarray | list[Any]
"""Numbers as float64 of one or two dimensions; anything else as a list of plain values."""

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None

# Labels and record ids come back to Python on a click, so they stay exact and keep their types.
_KEPT_AS_LISTS = frozenset({"customdata", "hovertext", "ids", "meta", "text"})

# Below this many values a JSON list is about as short as base64 and easier to read in a log.
_SMALLEST_PACKED = 64

# float32 is fine enough for drawing when its error is below this share of the drawn span.
_PACKING_ERROR = 1e-5


@dataclass(frozen=True)
class Trace:
    """One trace: `style` is the trace without its arrays, `arrays` holds them by dotted path."""

    style: dict[str, Any]
    arrays: dict[str, Array]


@dataclass(frozen=True)
class Snapshot:
    """A complete figure, taken apart."""

    revision: str
    layout: dict[str, Any]
    traces: tuple[Trace, ...]


def take_snapshot(figure: go.Figure, revision: str) -> Snapshot:
    """Take `figure` apart.

    The figure's template and its size are left out: the template comes from Streamlit's theme in
    the browser, the size from the page.
    """
    layout = figure.layout.to_plotly_json()
    for owned_by_page in ("template", "width", "height", "autosize", "uirevision"):
        layout.pop(owned_by_page, None)
    traces = []
    for trace in figure.data:
        arrays: dict[str, Array] = {}
        style = _split_mapping(trace.to_plotly_json(), "", arrays)
        traces.append(Trace(style, arrays))
    return Snapshot(revision, to_plain(layout), tuple(traces))


def to_plain(value: Any) -> Any:
    """Turn any value that Plotly accepts into one that JSON can hold."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return str(value) if isinstance(value, np.datetime64) else to_plain(value.item())
    if isinstance(value, np.ndarray):
        # numpy turns datetime64[ns] into integers, so dates are written out first.
        dated = np.datetime_as_string(value) if value.dtype.kind == "M" else value
        return to_plain(dated.tolist())
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def pack(array: Array) -> Json:
    """Write an array for the wire: a JSON list, or `{dtype, bdata, shape}` when it is long.

    The packed form is Plotly's own. Counts take the smallest integer type, other numbers float32
    where that cannot be told from float64 in a drawing.
    """
    if isinstance(array, list):
        return array
    if array.size < _SMALLEST_PACKED:
        return to_plain(array)
    code, packed = _narrow(array)
    return {
        "dtype": code,
        "bdata": base64.b64encode(np.ascontiguousarray(packed).tobytes()).decode("ascii"),
        "shape": list(array.shape),
    }


def pack_trace(trace: Trace) -> dict[str, Any]:
    """Put a trace together again, with its arrays packed."""
    whole = _copy_containers(trace.style)
    for path, array in trace.arrays.items():
        *parents, last = path.split(".")
        place: Any = whole
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        place[last] = pack(array)
    return whole


def _split_mapping(mapping: Mapping[str, Any], path: str, arrays: dict[str, Array]) -> dict:
    style: dict[str, Any] = {}
    for name, value in mapping.items():
        here = f"{path}{name}"
        if isinstance(value, Mapping):
            style[name] = _split_mapping(value, f"{here}.", arrays)
        elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
            style[name] = [
                _split_mapping(item, f"{here}.{index}.", arrays) for index, item in enumerate(value)
            ]
        elif isinstance(value, np.ndarray | list | tuple):
            arrays[here] = to_plain(value) if name in _KEPT_AS_LISTS else _to_array(value)
            if not isinstance(arrays[here], np.ndarray | list):  # a zero-dimensional numpy array
                style[name] = arrays.pop(here)
        else:
            style[name] = to_plain(value)
    return style


def _to_array(value: np.ndarray | list[Any] | tuple[Any, ...]) -> Array:
    if isinstance(value, np.ndarray):
        numeric = value.dtype.kind in "iuf" and value.ndim in (1, 2)
        return value.astype(np.float64) if numeric else to_plain(value)
    if value and all(isinstance(row, list | tuple | np.ndarray) for row in value):
        rectangular = len({len(row) for row in value}) == 1
        numeric = rectangular and _are_numbers(cell for row in value for cell in row)
    else:
        numeric = _are_numbers(value)
    return np.array(value, dtype=np.float64) if numeric else to_plain(value)


def _are_numbers(values: Any) -> bool:
    found = False
    for value in values:
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            return False
        found = True
    return found


def _narrow(array: np.ndarray) -> tuple[str, np.ndarray]:
    finite = array[np.isfinite(array)]
    if not finite.size:
        return "f4", array.astype("<f4")
    low, high = float(finite.min()), float(finite.max())
    if finite.size == array.size and np.array_equal(array, np.rint(array)):
        for code, kind in _integer_types():
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return code, array.astype(kind)
    largest = max(abs(low), abs(high))
    if largest < 1e37 and largest * np.finfo(np.float32).eps <= _PACKING_ERROR * (high - low):
        return "f4", array.astype("<f4")
    return "f8", array.astype("<f8")


def _integer_types() -> Iterator[tuple[str, np.dtype]]:
    for code in ("u1", "i1", "u2", "i2", "i4"):
        yield code, np.dtype(f"<{code}")


def _copy_containers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy_containers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_copy_containers(item) for item in value]
    return value

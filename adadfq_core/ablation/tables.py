"""Results of a sweep by the values of its axes, and as tables for a paper.

Seeds are averaged, other axes never: whoever asks for two axes of three fixes the third.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adadfq_core.ablation.names import (
    axes_of,
    latex_symbol,
    measure,
    plain_symbol,
    value_text,
    words,
)
from adadfq_core.ablation.states import CellStatus
from adadfq_core.errors import InputError
from adadfq_core.inspection.table_files import as_csv

TOP1 = "top1_q_last"
LOWER, UPPER = "lambda_l", "lambda_u"


class PlaceState(StrEnum):
    """What is known at one place of a design, all its seeds together.

    `halved`: every measured seed was stopped early, so the mean is that of fewer iterations.
    `refused`: the settings are not allowed. `failed`: no seed is measured and one has failed.
    `missing`: not measured yet, or the sweep has no such cell.
    """

    MEASURED = "measured"
    HALVED = "halved"
    FAILED = "failed"
    REFUSED = "refused"
    MISSING = "missing"


@dataclass(frozen=True, eq=False)
class Pivot:
    """A result by two axes; tables are `(R, C)` with the axes' values as index and columns.

    Attributes:
        rows, columns: the axes.
        value: the result's column.
        fixed: the one value that counts here of each axis that is held.
        mean, sd: over seeds, sd with `ddof=1`; NaN without a seed, and for sd with one alone.
        count: seeds behind the mean.
        state: a `PlaceState` each.
        best: row and column of the best mean that is `measured`; of several if they are equal.
        cells: the cells behind it all, as in the sweep's table.
    """

    rows: str
    columns: str
    value: str
    fixed: Mapping[str, Any]
    mean: pd.DataFrame
    sd: pd.DataFrame
    count: pd.DataFrame
    state: pd.DataFrame
    best: tuple[tuple[Any, Any], ...]
    cells: pd.DataFrame

    @property
    def decimals(self) -> int:
        """How many to write: two digits of the usual sd, at most what the result resolves.

        One is kept however much the seeds differ, if the result has any.
        """
        most = measure(self.value).decimals
        spread = self.sd.to_numpy()[self.sd.to_numpy() > 0]
        if not len(spread):
            return most
        return int(np.clip(1 - np.floor(np.log10(np.median(spread))), min(1, most), most))

    def cells_at(self, row: Any, column: Any) -> pd.DataFrame:
        """The cells behind one place, in the order of seeds; none where the sweep has none."""
        return self._by_place.get((row, column), self.cells.iloc[:0])

    @cached_property
    def _by_place(self) -> dict[Any, pd.DataFrame]:
        return dict(iter(self.cells.groupby([self.rows, self.columns])))

    @property
    def is_margin(self) -> bool:
        """Whether the axes are both boundaries, so that what is refused is their order."""
        return {self.rows, self.columns} == {LOWER, UPPER}


def pivot(
    frame: pd.DataFrame,
    rows: str,
    columns: str,
    value: str = TOP1,
    fixed: Mapping[str, Any] | None = None,
) -> Pivot:
    """Mean and standard deviation of `value` over seeds, by the axes `rows` and `columns`.

    Numbers ascend, texts keep the sweep's order. What lambda_l >= lambda_u rules out is `refused`
    also where the sweep has no cell for it.

    Args:
        frame: a sweep's table (`ablation.results.results_frame`).
        fixed: the value of each other axis that varies.

    Raises:
        InputError: an unknown axis, result or value, the same axis twice, or an axis that varies
            and is neither chosen nor fixed.
    """
    if rows == columns:
        raise InputError(f"Rows and columns are both {rows}; choose two different axes.")
    held = dict(fixed or {})
    cells = chosen_cells(frame, (rows, columns), value, held)
    index = pd.Index(ordered(cells[rows]), name=rows)
    heads = pd.Index(ordered(cells[columns]), name=columns)
    places = over_seeds(cells, (rows, columns), value).set_index([rows, columns])

    def table(name: str, elsewhere: Callable[[Any, Any], object]) -> pd.DataFrame:
        known = places[name].to_dict()
        filled = [
            [known[row, head] if (row, head) in known else elsewhere(row, head) for head in heads]
            for row in index
        ]
        return pd.DataFrame(filled, index, heads)

    def without_cell(row: Any, head: Any) -> PlaceState:
        point = {**held, rows: row, columns: head}
        refused = LOWER in point and UPPER in point and point[LOWER] >= point[UPPER]
        return PlaceState.REFUSED if refused else PlaceState.MISSING

    mean, state = table("mean", lambda *_: np.nan), table("state", without_cell)
    return Pivot(
        rows,
        columns,
        value,
        held,
        mean,
        table("sd", lambda *_: np.nan),
        table("n", lambda *_: 0),
        state,
        _best(mean.where(state == PlaceState.MEASURED), value),
        cells,
    )


def chosen_cells(
    frame: pd.DataFrame, axes: Sequence[str], value: str, fixed: Mapping[str, Any]
) -> pd.DataFrame:
    """The cells of `frame` with the values of `fixed`, in which nothing but `axes` varies.

    Raises:
        InputError: as `pivot`.
    """
    measure(value)
    known = axes_of(frame)
    for name in (*axes, *fixed):
        if name not in known:
            raise InputError(
                f"{name} is not an axis of this sweep; choose from {', '.join(known)}."
            )
    for name, wanted in fixed.items():
        there = ordered(frame[name])
        if wanted not in there:
            raise InputError(
                f"{name} = {value_text(wanted)} is not in this sweep; choose one of "
                f"{_listed(there)}."
            )
        frame = frame[frame[name] == wanted]
    for name in known:
        there = ordered(frame[name])
        if name not in axes and len(there) > 1:
            raise InputError(
                f"{name} takes {len(there)} values here, which must not be averaged; fix it at "
                f"one of {_listed(there)} or choose it as an axis."
            )
    return frame


def over_seeds(cells: pd.DataFrame, axes: Sequence[str], value: str) -> pd.DataFrame:
    """One row for each place of `cells` on `axes`.

    Returns:
        The axes' columns, then `mean`, `sd`, `n` and `state` as in `Pivot`, and `run_ids`, a list.
    """
    rows = []
    for place, group in cells.groupby(list(axes), sort=False):
        numbers, state = _measured(group, value)
        rows.append(
            [
                *place,
                numbers.mean() if len(numbers) else np.nan,
                numbers.std(ddof=1) if len(numbers) > 1 else np.nan,
                len(numbers),
                state,
                runs_of(group),
            ]
        )
    return pd.DataFrame(rows, columns=[*axes, "mean", "sd", "n", "state", "run_ids"])


def _measured(cells: pd.DataFrame, value: str) -> tuple[pd.Series[float], PlaceState]:
    """The values that count of one place's `cells`, and what they are."""
    for status, state in (
        (CellStatus.FINISHED, PlaceState.MEASURED),
        (CellStatus.HALVED, PlaceState.HALVED),
    ):
        numbers = cells.loc[cells["status"] == status, value].dropna()
        if len(numbers):
            return numbers, state
    for status, state in (
        (CellStatus.REFUSED, PlaceState.REFUSED),
        (CellStatus.FAILED, PlaceState.FAILED),
    ):
        if (cells["status"] == status).any():
            return pd.Series(dtype=float), state
    return pd.Series(dtype=float), PlaceState.MISSING


def runs_of(cells: pd.DataFrame) -> list[str]:
    """The runs that there are of `cells`, in their order."""
    return [str(run_id) for run_id in cells["run_id"].dropna()]


def ordered(values: pd.Series[Any]) -> list[Any]:
    """Each of an axis' `values` once: numbers ascend, texts keep their order."""
    found = values.dropna().unique().tolist()
    return found if any(isinstance(value, str) for value in found) else sorted(found)


def pivot_frame(pivot: Pivot) -> pd.DataFrame:
    """A row for each place: the two axes, `mean`, `sd`, `n` and `state`."""
    names = {"mean": pivot.mean, "sd": pivot.sd, "n": pivot.count, "state": pivot.state}
    return pd.DataFrame(
        [
            {
                pivot.rows: row,
                pivot.columns: head,
                **{name: table.loc[row, head] for name, table in names.items()},
            }
            for row in pivot.mean.index
            for head in pivot.mean.columns
        ]
    )


def to_csv(pivot: Pivot) -> bytes:
    """`pivot_frame` as comma-separated values in UTF-8."""
    return as_csv(pivot_frame(pivot))


def results_csv(frame: pd.DataFrame) -> bytes:
    """A sweep's table as comma-separated values in UTF-8, one row a cell."""
    return as_csv(frame)


class _Markup(NamedTuple):
    """How a format writes an axis' name, any text, a number (and whether it is the best)."""

    head: Callable[[str], str]
    text: Callable[[str], str]
    number: Callable[[str, bool], str]
    plus_minus: str
    dash: str
    dagger: str


_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _escape_latex(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(sign, sign) for sign in text)


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*<`\[])", r"\\\1", text)


_MARKDOWN = _Markup(
    head=lambda axis: plain_symbol(axis) or _escape_markdown(words(axis)),
    text=_escape_markdown,
    number=lambda number, best: f"**{number}**" if best else number,
    plus_minus=" ± ",
    dash="–",
    dagger="†",
)
_LATEX = _Markup(
    head=lambda axis: (
        f"${latex_symbol(axis)}$" if latex_symbol(axis) else _escape_latex(words(axis))
    ),
    text=_escape_latex,
    number=lambda number, best: rf"$\mathbf{{{number}}}$" if best else f"${number}$",
    plus_minus=r" \pm ",
    dash="--",
    dagger=r"\textsuperscript{\dag}",
)


def to_markdown(pivot: Pivot, text: Callable[[str], str] = _escape_markdown) -> str:
    """A Markdown table (GitHub's) with the best in bold and a line that says what it shows.

    Args:
        text: writes any text for the program that shows the table.
    """
    # A line break would end the table.
    markup = _MARKDOWN._replace(text=lambda words: text(" ".join(words.split())))
    corner = f"{markup.head(pivot.rows)} ↓ {markup.head(pivot.columns)} →"
    lines = [
        [corner, *(markup.text(value_text(head)) for head in pivot.mean.columns)],
        ["---", *["---:"] * len(pivot.mean.columns)],
        *_body(pivot, markup),
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{_caption(pivot, markup)}\n\n{table}\n"


def to_latex(pivot: Pivot) -> str:
    """A LaTeX table (package booktabs) with the best in bold and a caption."""
    width = len(pivot.mean.columns)
    heads = [_LATEX.text(value_text(head)) for head in pivot.mean.columns]
    rows = [[_LATEX.head(pivot.rows), *heads], *_body(pivot, _LATEX)]
    first, *others = (f"{' & '.join(row)} \\\\" for row in rows)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_caption(pivot, _LATEX)}}}",
            rf"\begin{{tabular}}{{l{'r' * width}}}",
            r"\toprule",
            rf" & \multicolumn{{{width}}}{{c}}{{{_LATEX.head(pivot.columns)}}} \\",
            rf"\cmidrule(lr){{2-{width + 1}}}",
            first,
            r"\midrule",
            *others,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _body(pivot: Pivot, markup: _Markup) -> list[list[str]]:
    return [
        [
            markup.text(value_text(row)),
            *(_place_text(pivot, row, head, markup) for head in pivot.mean.columns),
        ]
        for row in pivot.mean.index
    ]


def _place_text(pivot: Pivot, row: Any, head: Any, markup: _Markup) -> str:
    state = pivot.state.loc[row, head]
    if state == PlaceState.REFUSED:
        return markup.dash
    if state == PlaceState.FAILED:
        return "failed"
    if state == PlaceState.MISSING:
        return ""
    digits = pivot.decimals
    number = f"{pivot.mean.loc[row, head]:.{digits}f}"
    sd = pivot.sd.loc[row, head]
    if np.isfinite(sd):
        number += f"{markup.plus_minus}{sd:.{digits}f}"
    written = markup.number(number, (row, head) in pivot.best)
    return written + markup.dagger if state == PlaceState.HALVED else written


def _caption(pivot: Pivot, markup: _Markup) -> str:
    """What the numbers are, what is held, and the marks that occur."""
    what = measure(pivot.value).title
    counts = pivot.count.to_numpy()[pivot.count.to_numpy() > 0]
    if len(counts) and counts.max() > 1:
        least, most = counts.min(), counts.max()
        seeds = f"{most}" if least == most else f"{least} to {most}"
        what += f", mean ± standard deviation over {seeds} seeds"
    parts = [markup.text(what)]
    parts += [
        f"{markup.head(name)} = {markup.text(value_text(value))}"
        for name, value in pivot.fixed.items()
    ]
    marks = {state for row in pivot.state.to_numpy() for state in row}
    if PlaceState.REFUSED in marks:
        rule = f": {markup.head(LOWER)} must be below {markup.head(UPPER)}"
        parts.append(f"{markup.dash} not allowed{rule if pivot.is_margin else ''}")
    if PlaceState.MISSING in marks:
        parts.append("empty: not measured")
    if PlaceState.HALVED in marks:
        parts.append(f"{markup.dagger} stopped early")
    return "; ".join(parts) + "."


def _best(mean: pd.DataFrame, value: str) -> tuple[tuple[Any, Any], ...]:
    numbers = mean.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).any():
        return ()
    best = np.nanmin(numbers) if measure(value).lower_is_better else np.nanmax(numbers)
    return tuple(
        (mean.index[row], mean.columns[column]) for row, column in np.argwhere(numbers == best)
    )


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(value_text, values))

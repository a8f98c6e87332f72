"""What other tables beside one have measured with the settings of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.results.cells import TABLES, Cell, Table
from adadfq_core.results.paper import paper_result
from adadfq_core.results.reading import read_rows
from adadfq_core.results.rows import Row, settings_mark

_Same = tuple[str, int, str, bool]
"""Network, bits, mark of the settings, and whether Q counts as calibrated."""


def lent_rows(folder: Path, table: Table, cells: Sequence[Cell]) -> list[Row]:
    """Rows of `table` that another table in `folder` has measured under a name of its own.

    What is common to two tables, as the paper's method is, then need not run for each of them.
    Only the seeds of `cells` are taken, and what cannot be read lends nothing.
    """
    asked: dict[_Same, list[Cell]] = {}
    for cell in cells:
        calibrated = table.methods[cell.method].calibrated
        same = (cell.network, cell.bits, settings_mark(cell.settings), calibrated)
        asked.setdefault(same, []).append(cell)
    lent = []
    for other in TABLES.values():
        if other is table:
            continue
        for row in _readable(folder / f"{other.name}.csv", other):
            calibrated = other.methods[row.method].calibrated
            same = (row.network, row.bits, row.settings, calibrated)
            lent += _lent(table, row, asked.get(same, []))
    return lent


def _readable(path: Path, table: Table) -> list[Row]:
    """The rows of a table's file whose methods it has, none where it cannot be read."""
    with suppress(InputError):  # missing, or damaged, which whoever makes that table is told
        return [row for row in read_rows(path) if row.method in table.methods]
    return []


def _lent(table: Table, row: Row, cells: Sequence[Cell]) -> list[Row]:
    """`row` as that of `table` to which `cells` belong, if it has any of their seeds."""
    seeds = {cell.seed for cell in cells} & row.measured.keys()
    if not seeds:
        return []
    method = cells[0].method
    measured = {seed: row.measured[seed] for seed in sorted(seeds)}
    paper = paper_result(table.name, row.network, method, row.bits)
    return [replace(row, method=method, measured=measured, failed=0, paper=paper)]

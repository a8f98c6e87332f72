"""What other tables beside one have measured with the settings of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from adadfq_core.errors import InputError
from adadfq_core.results.cells import TABLES, Cell, RowKey, Table
from adadfq_core.results.paper import paper_result
from adadfq_core.results.reading import read_rows
from adadfq_core.results.rows import Row, settings_mark


def lent_rows(folder: Path, table: Table, cells: Sequence[Cell]) -> list[Row]:
    """Rows of `table` that another table in `folder` has measured under a name of its own.

    What is common to two tables, as the paper's method is, then need not run for each of them.
    Only the seeds of `cells` are taken, and what cannot be read lends nothing.
    """
    seeds: dict[RowKey, set[int]] = {}
    wanted: dict[tuple[str, int, str, bool], RowKey] = {}
    for cell in cells:
        mark = settings_mark(cell.settings)
        calibrated = table.methods[cell.method].calibrated
        wanted[cell.network, cell.bits, mark, calibrated] = cell.row
        seeds.setdefault(cell.row, set()).add(cell.seed)
    lent = []
    for other in TABLES.values():
        if other is table:
            continue
        rows: list[Row] = []
        with suppress(InputError):  # it is missing, or damaged, which whoever makes it is told
            rows = read_rows(folder / f"{other.name}.csv")
        for row in rows:
            method = other.methods.get(row.method)
            if method is None:
                continue
            key = wanted.get((row.network, row.bits, row.settings, method.calibrated))
            if key is None:
                continue
            measured = {seed: each for seed, each in row.measured.items() if seed in seeds[key]}
            if measured:
                paper = paper_result(table.name, key[0], key[2], key[1])
                lent.append(replace(row, method=key[2], measured=measured, failed=0, paper=paper))
    return lent

"""The tables that are shipped: of whole rows, by this program, and told the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from adadfq_core.results.cells import TABLES, find_table
from adadfq_core.results.files import to_csv
from adadfq_core.results.reading import read_rows

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "results"
SHIPPED = [name for name in TABLES if (FOLDER / f"{name}.csv").is_file()]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_row_is_measured_by_every_seed(name: str) -> None:
    path = FOLDER / f"{name}.csv"
    rows = read_rows(path)
    table = find_table(name)
    assert path.read_text(encoding="utf-8") == to_csv(rows)
    places = {(row.network, row.bits) for row in rows}
    assert {row.key for row in rows} == {(*place, m) for place in places for m in table.methods}
    for row in rows:
        assert row.failed == 0 and len(row.measured) >= 3, row.key
        assert row.versions and len({top1.p for top1 in row.measured.values()}) == 1
    assert "missing" not in path.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.skipif("main" not in SHIPPED, reason="the main table is not made yet")
def test_the_readme_tells_the_numbers_of_the_main_table() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for row in read_rows(FOLDER / "main.csv"):
        if row.method in ("AdaDFQ", "GDFQ", "best recipe", "calibration only", "real data"):
            assert f"{row.mean:.2f}" in text, row.key

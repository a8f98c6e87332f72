"""The tables that are shipped: whole, by this program, and told the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from adadfq_core.results.cells import find_table
from adadfq_core.results.files import to_csv
from adadfq_core.results.reading import read_rows

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "results"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.csv") if path.stem in ("main", "margins"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_row_is_there_with_all_its_seeds(name: str) -> None:
    path = FOLDER / f"{name}.csv"
    rows = read_rows(path)
    table = find_table(name)
    assert path.read_text(encoding="utf-8") == to_csv(rows)
    places = {(row.network, row.bits) for row in rows}
    assert {row.key for row in rows} == {(*place, m) for place in places for m in table.methods}
    for row in rows:
        assert row.failed == row.missing == 0 and len(row.measured) >= 3, row.key
        assert row.versions and len({top1.p for top1 in row.measured.values()}) == 1


@pytest.mark.skipif("main" not in SHIPPED, reason="the main table is not made yet")
def test_the_readme_tells_the_numbers_of_the_main_table() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for row in read_rows(FOLDER / "main.csv"):
        if row.method in ("AdaDFQ", "GDFQ", "calibration only"):
            assert f"{row.mean:.2f}" in text, row.key

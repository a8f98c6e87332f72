"""The tables that are shipped: of whole rows, by this program, and told the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from adadfq_core.results.cells import find_table
from adadfq_core.results.files import to_csv
from adadfq_core.results.reading import read_rows
from adadfq_core.results.rows import Row

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks" / "results"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.csv") if path.stem in ("main", "margins"))


def finished(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.missing]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_measured_is_whole_and_what_is_not_is_told(name: str) -> None:
    path = FOLDER / f"{name}.csv"
    rows = read_rows(path)
    table = find_table(name)
    assert path.read_text(encoding="utf-8") == to_csv(rows)
    places = {(row.network, row.bits) for row in rows}
    assert {row.key for row in rows} == {(*place, m) for place in places for m in table.methods}
    assert finished(rows), "a table of nothing"
    for row in finished(rows):
        assert row.failed == 0 and len(row.measured) >= 3, row.key
        assert row.versions and len({top1.p for top1 in row.measured.values()}) == 1
    told = path.with_suffix(".md").read_text(encoding="utf-8")
    assert ("missing" in told) is (len(finished(rows)) < len(rows))


@pytest.mark.skipif("main" not in SHIPPED, reason="the main table is not made yet")
def test_the_readme_tells_the_numbers_of_the_main_table() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for row in finished(read_rows(FOLDER / "main.csv")):
        if row.method in ("AdaDFQ", "GDFQ", "calibration only"):
            assert f"{row.mean:.2f}" in text, row.key

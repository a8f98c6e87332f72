from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from stored_sheets import sheet

from adadfq_core.inspection.sample_table import COLUMNS, sample_table, sheet_columns
from adadfq_core.inspection.table_files import as_csv, as_parquet
from adadfq_core.settings import RunSettings

# Names that a careless writer breaks.
CLASSES = ('T-shirt, "top"', "Zürich\nbag", "犬")


@pytest.fixture
def table() -> pd.DataFrame:
    arrays = sheet(1, 6, labels=np.array([0, 0, 1, 1, 2, 2]))
    arrays["h_prime"][:2] = np.nan, 0.1
    return sample_table([sheet_columns(10, arrays, RunSettings())], CLASSES)


def test_csv_holds_every_cell(table: pd.DataFrame) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(table).decode("utf-8"), newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["class_name"] for row in rows] == [CLASSES[i // 2] for i in range(6)]
    assert (rows[0]["h_prime"], rows[0]["region"]) == ("", "")
    # The digits of the stored number, not those of its neighbour with more.
    assert (rows[1]["h_prime"], rows[1]["region"]) == ("0.1", "inside")
    for name in ("loss_ds", "loss_q", "p_confidence"):
        assert [np.float32(row[name]) for row in rows] == table[name].tolist()


def test_parquet_keeps_values_and_types(table: pd.DataFrame) -> None:
    back = pyarrow.parquet.read_table(io.BytesIO(as_parquet(table)))
    assert back.column_names == list(COLUMNS)
    assert back["class_name"].to_pylist() == table["class_name"].tolist()
    assert str(back.schema.field("h_prime").type) == "float"
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(as_parquet(table))), table)


def test_rows_keep_the_order_that_they_were_given(table: pd.DataFrame) -> None:
    turned = table[::-1]
    assert pd.read_csv(io.BytesIO(as_csv(turned)))["place"].tolist() == [5, 4, 3, 2, 1, 0]
    assert pd.read_parquet(io.BytesIO(as_parquet(turned)))["place"].tolist() == [5, 4, 3, 2, 1, 0]


def test_an_empty_table_has_its_head() -> None:
    empty = sample_table([], ())
    assert as_csv(empty).decode() == ",".join(COLUMNS) + "\n"
    assert pyarrow.parquet.read_table(io.BytesIO(as_parquet(empty))).column_names == list(COLUMNS)

"""Tables as files for other programs; rows in the table's order, without its index."""

from __future__ import annotations

import io

import pandas as pd


def as_csv(table: pd.DataFrame) -> bytes:
    """`table` as comma-separated values in UTF-8; NaN and missing values are empty."""
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text.encode()


def as_parquet(table: pd.DataFrame) -> bytes:
    """`table` as Parquet, types kept."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()

"""What of the network is quantized, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

_PARTS = {"weights": "weights", "activation": "activation", "input": "input of the layer"}


def coverage_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row for each layer and call site, what is left in float last.

    `rows` are `adadfq_core.quant.coverage.CoverageRow` as dictionaries.
    """
    ordered = sorted(rows, key=lambda row: row["bits"] is None)
    return pd.DataFrame(
        {
            "name": [row["name"] for row in ordered],
            "what": [row["operation"] for row in ordered],
            "part": [_PARTS[row["part"]] for row in ordered],
            "bits": [f"{row['bits']}" if row["bits"] else "float" for row in ordered],
            "why it stays in float": [row["reason"] for row in ordered],
        }
    )


def coverage_title(rows: Sequence[dict[str, Any]]) -> str:
    """How much is quantized, in one line."""
    layers = [row for row in rows if row["part"] == "weights"]
    sites = sum(row["part"] == "activation" for row in rows)
    quantized = sum(row["bits"] is not None for row in layers)
    return (
        f"What is quantized: {quantized} of {len(layers)} layers with weights, {sites} activations"
    )

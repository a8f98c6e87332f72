"""A table of results out of its CSV file, as `files.to_csv` wrote it."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np

from adadfq_core.errors import InputError
from adadfq_core.results.files import CSV_COLUMNS
from adadfq_core.results.paper import PaperResult
from adadfq_core.results.rows import Measured, Row


def read_rows(path: Path) -> list[Row]:
    """The rows of the table in the file `path`, in its order.

    Numbers are as exact as the file's two decimals.

    Raises:
        InputError: it cannot be read, or is no such table.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:  # ValueError: no text, or a path with a null byte
        reason = getattr(error, "strerror", None) or "no text, or no path"
        raise InputError(
            f"'{path}' cannot be read ({reason}); name a table that `results` wrote."
        ) from error
    try:
        lines = csv.DictReader(io.StringIO(text), strict=True)
        if tuple(lines.fieldnames or ()) != CSV_COLUMNS:
            raise ValueError("other columns")
        return [_row(line) for line in lines]
    except (csv.Error, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{path}' is no table of results ({error}); make it anew with `results`."
        ) from error


def _row(line: dict[str, str]) -> Row:
    of_q, of_p = (
        dict(_seed(each) for each in line[name].split())
        for name in ("top1_by_seed", "top1_p_by_seed")
    )
    if of_q.keys() != of_p.keys():
        raise ValueError("other seeds of P than of Q")
    paper = None
    if line["paper_network"]:
        stated = (_number(line["paper_top1_p"]), _number(line["paper_top1_q"]))
        paper = PaperResult(line["paper_network"], *stated)
    return Row(
        network=line["network"],
        bits=int(line["bits"]),
        method=line["method"],
        preset=line["preset"],
        settings=line["settings"],
        measured={seed: Measured(q, of_p[seed]) for seed, q in of_q.items()},
        planned=int(line["seeds_planned"]),
        failed=int(line["seeds_failed"]),
        paper=paper,
        versions=tuple(filter(None, line["versions"].split("; "))),
    )


def _seed(text: str) -> tuple[int, float]:
    seed, _, top1 = text.partition(":")
    return int(seed), _number(top1)


def _number(text: str) -> float:
    value = float(text) if text else math.nan
    if np.isinf(value):
        raise ValueError(f"{text} is no percentage")
    return value

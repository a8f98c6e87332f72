"""Rows of tables of results with made-up numbers."""

from __future__ import annotations

from adadfq_core.results.paper import paper_result
from adadfq_core.results.rows import Measured, Row


def row(
    method: str,
    tops: list[float],
    *,
    network: str = "fashion-resnet20",
    bits: int = 3,
    table: str = "main",
    settings: str = "0123abcd",
) -> Row:
    """A row whose seeds 0, 1 … reached `tops`, of a P with 90 %."""
    return Row(
        network=network,
        bits=bits,
        method=method,
        preset="quick",
        settings=settings,
        measured={seed: Measured(top1, 90.0) for seed, top1 in enumerate(tops)},
        planned=3,
        failed=0,
        paper=paper_result(table, network, method, bits),
        versions=("torch 2.14.1", "adadfq 0.1.0") if tops else (),
    )

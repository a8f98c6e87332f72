"""Tables of sweeps as `ablation.results.results_frame` makes them, with chosen results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

NO_RESULT = {
    name: np.nan
    for name in (
        "top1_p",
        "top1_q_calibrated",
        "top1_q_best",
        "top1_q_last",
        "recovered",
        "ms_per_iteration",
        "seconds",
    )
}


def cell(top1: float | None = None, *, seed: int = 0, **rest: Any) -> dict[str, Any]:
    """One row: finished with `top1`, or as `rest` says, whose other names are axes."""
    results = dict(NO_RESULT)
    if top1 is not None:
        results |= {"top1_p": 90.0, "top1_q_calibrated": 40.0, "top1_q_best": top1 + 1}
        results |= {"top1_q_last": top1, "recovered": (top1 - 40) / 50, "ms_per_iteration": 100.0}
    known = {"status": "finished", "reason": "", "run_id": None, "seed": seed}
    return {**known, **rest, **results}


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    """`rows` as a table; those that ran have a run each."""
    frame = pd.DataFrame(rows)
    frame.insert(0, "cell", range(len(rows)))
    ran = frame["status"].isin(["finished", "halved", "failed"])
    frame["run_id"] = [f"run{index}" if there else None for index, there in enumerate(ran)]
    return frame


def margins() -> pd.DataFrame:
    """lambda_l 0, 0.1, 0.4 by lambda_u 0.4, 0.8: every state that a place can have."""
    return table(
        cell(60.0, lambda_l=0.0, lambda_u=0.4),
        cell(61.0, lambda_l=0.0, lambda_u=0.4, seed=1),
        cell(70.0, lambda_l=0.1, lambda_u=0.8),
        cell(74.0, lambda_l=0.1, lambda_u=0.8, seed=1),
        cell(50.0, lambda_l=0.0, lambda_u=0.8, status="halved", reason="stopped early"),
        cell(lambda_l=0.1, lambda_u=0.4, status="failed", reason="loss_q became nan; resume."),
        cell(lambda_l=0.4, lambda_u=0.8, status="waiting"),
        cell(lambda_l=0.4, lambda_u=0.4, status="refused", reason="lambda_l = 0.4 must be below"),
    )

"""H' of the samples of one or more runs, read from the steps in their logs.

Several runs, such as the seeds of one setting, are pooled: their samples count alike.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from adadfq_core.runs.database import session
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore

QUANTILES = {"q10": 0.10, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q90": 0.90}

# Only the list leaves the database: of a step's other numbers there are a score.
_STEPS = (
    "SELECT iteration, json_extract(data, '$.h_prime') FROM checked_records "
    "WHERE run_id = ? AND kind = ?"
)


def h_prime_by_epoch(root: Path, *run_ids: str) -> pd.DataFrame:
    """Quantiles and mean of H' of all samples of each epoch, warm-up included.

    Returns:
        Columns `epoch` (from 1 on), those of `QUANTILES` and `mean`; values that are not finite
        are left out, and an epoch without any other is a row of NaN.

    Raises:
        InputError: there is no such run.
    """
    store = RunStore(root)
    epochs: defaultdict[int, list[np.ndarray]] = defaultdict(list)
    for run_id in run_ids:
        per_epoch = store.info(run_id).settings.iterations_per_epoch
        with session(store.database) as connection:
            steps = connection.execute(f"{_STEPS} ORDER BY seq", (run_id, RecordKind.STEP))
            for iteration, text in steps:
                epochs[(iteration - 1) // per_epoch + 1].append(_finite(text))
    rows = []
    for epoch in sorted(epochs):
        samples = np.concatenate(epochs[epoch])
        numbers = (
            [*np.quantile(samples, list(QUANTILES.values())), samples.mean()]
            if len(samples)
            else [np.nan] * (len(QUANTILES) + 1)
        )
        rows.append([epoch, *numbers])
    return pd.DataFrame(rows, columns=["epoch", *QUANTILES, "mean"])


def last_h_prime(root: Path, *run_ids: str, samples: int = 2048) -> np.ndarray:
    """H' of the newest `samples` of each run, `(k,)`, oldest first, one run after the other.

    Values that are not finite are left out.

    Raises:
        InputError: there is no such run.
    """
    store = RunStore(root)
    found = [np.empty(0)]
    for run_id in run_ids:
        # Every iteration has as many samples as the others.
        steps = -(-samples // store.info(run_id).settings.batch)
        with session(store.database) as connection:
            rows = connection.execute(
                f"{_STEPS} ORDER BY seq DESC LIMIT ?", (run_id, RecordKind.STEP, steps)
            ).fetchall()
        newest = np.concatenate([np.empty(0), *(_finite(text) for _, text in reversed(rows))])
        found.append(newest[-samples:])
    return np.concatenate(found)


def _finite(text: str) -> np.ndarray:
    """The numbers of a JSON list in which those that are not finite are texts (`runs.records`)."""
    values = np.array([float(value) for value in json.loads(text)])
    finite: np.ndarray = values[np.isfinite(values)]
    return finite

"""Q's loss on G's images and on real ones over the epochs, read from the logs of runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from adadfq_core.runs.database import session
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore

COLUMNS = ["epoch", "training", "test"]

# Only a number leaves the database: of a step's others there are a score.
_LOSSES = (
    "SELECT iteration, json_extract(data, '$.loss_q') FROM checked_records "
    "WHERE run_id = ? AND kind = ? ORDER BY seq"
)


def q_loss_by_epoch(root: Path, *run_ids: str) -> pd.DataFrame:
    """Q's loss in each epoch in which it learns, the mean over the runs.

    Returns:
        Columns `epoch` (from 1 on, the warm-up's left out), `training` (`L_Q` of G's images, the
        mean over the epoch's iterations, nats) and `test` (that of the real images at the epoch's
        last evaluation; NaN in epochs without one).

    Raises:
        InputError: there is no such run.
    """
    store = RunStore(root)
    parts = [pd.DataFrame(columns=COLUMNS[1:], dtype=float)]
    for run_id in run_ids:
        settings = store.info(run_id).settings
        with session(store.database) as connection:
            training, test = (
                # Text where it is not finite (`runs.records`); missing in logs of old versions.
                {i: float(loss) for i, loss in found if loss is not None}
                for found in (
                    connection.execute(_LOSSES, (run_id, kind)).fetchall()
                    for kind in (RecordKind.STEP, RecordKind.EVALUATION)
                )
            )
        losses = pd.DataFrame(
            {"training": pd.Series(training, dtype=float), "test": pd.Series(test, dtype=float)}
        )
        # The calibrated Q is measured before its first move, at the end of the warm-up.
        losses = losses[losses.index > settings.warmup_iterations]
        epochs = (losses.index.to_numpy(dtype=int) - 1) // settings.iterations_per_epoch + 1
        parts.append(losses.groupby(epochs).agg({"training": "mean", "test": "last"}))
    pooled = pd.concat(parts).groupby(level=0).mean()
    return pooled.rename_axis("epoch").reset_index().astype({"epoch": int})[COLUMNS]

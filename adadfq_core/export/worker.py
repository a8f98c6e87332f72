"""The process of one preparation: `python -m adadfq_core.export.worker ROOT RUN ITERATION`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path

import torch

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.export.preparation import Preparation, folder_of, write_preparation
from adadfq_core.export.preparing import prepare
from adadfq_core.export.taking import take
from adadfq_core.runs.process import identity

_NICENESS = 5


def main() -> int:
    """Prepare what the command line names; its state and the reason of a failure are kept."""
    root, run_id, iteration = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    folder = folder_of(root / run_id, iteration)
    own = identity(os.getpid())
    assert own is not None
    state = Preparation(
        iteration=iteration,
        pid=own.pid,
        process_started=own.started,
        doing="loading the networks",
        updated=time.time(),
    )
    write_preparation(folder, state)
    # A run that trains meanwhile comes first. One thread, for the same reason.
    with contextlib.suppress(AttributeError, OSError):  # Windows has no niceness
        os.nice(_NICENESS)
    torch.set_num_threads(1)
    try:
        for reached in prepare(take(root, run_id, iteration), folder, state):
            state = reached
            write_preparation(folder, state)
        return 0
    except (InputError, RunFailed) as error:
        reason = str(error)
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
    write_preparation(folder, state.model_copy(update={"state": "failed", "reason": reason}))
    return 1


if __name__ == "__main__":
    sys.exit(main())

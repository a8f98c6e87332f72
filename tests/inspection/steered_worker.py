"""The inspection process with answers that a test steers by the run's name; it needs no torch."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.inspection import worker
from adadfq_core.inspection.progress import Progress
from adadfq_core.inspection.replies import WalkReply
from adadfq_core.inspection.requests import WalkRequest


class Unreadable:
    """What the other side fails to make of its pickle."""

    def __reduce__(self) -> tuple[object, tuple[int, int]]:
        return divmod, (1, 0)


class Answers:
    """Of a walk: as many pixels as it has steps, and this process' number as the checkpoint."""

    def __init__(self, _folder: Path) -> None:
        print("this must not end up among the replies")

    def answer(self, request: WalkRequest, progress: Progress) -> WalkReply:
        """Does what the run's name says."""
        match request.run_id:
            case "slow":
                for done in range(400):
                    progress("being slow", done / 400)
                    time.sleep(0.05)
            case "deaf":
                time.sleep(60)
            case "dying":
                os._exit(3)
            case "broken":
                raise ZeroDivisionError("nothing\n is left")
            case "end of file":
                raise EOFError("half of an archive")
            case "unreadable":
                return WalkReply(Unreadable(), 0)  # type: ignore[arg-type]
            case "input":
                raise InputError("steps = 1 is not allowed; choose 2.")
            case "failed":
                raise RunFailed("The checkpoint is damaged; choose another.")
        return WalkReply(np.zeros((request.steps, 1, 1, 1), np.uint8), os.getpid())


if __name__ == "__main__":
    sys.modules["adadfq_core.inspection.answers"] = sys.modules["__main__"]
    worker.main(int(sys.argv[1]), Path(sys.argv[2]))

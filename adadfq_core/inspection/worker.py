"""The inspection process: `python -m adadfq_core.inspection.worker PARENT_PID CACHE_FOLDER`."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from adadfq_core.embedding import child

# More than runs have (5), so that no training is held up.
_NICENESS = 15


def main(parent: int, cache_folder: Path) -> None:
    """Serve standard input until it or process `parent` ends."""
    replies = child.settle_in(parent, _NICENESS)
    # Not before the priority is low: importing torch takes seconds of processor time.
    from adadfq_core.inspection.serving import serve

    serve(cache_folder, sys.stdin.buffer, replies)


if __name__ == "__main__":
    with contextlib.suppress(SystemExit):
        main(int(sys.argv[1]), Path(sys.argv[2]))
    # Tearing down the compiler takes up to a second, for which `close` would keep a server waiting.
    os._exit(0)

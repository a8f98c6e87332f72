"""Workers that start at once: forked by a process that has loaded the libraries already.

`python nursery.py` reads lines `ROOT RUN_ID FAULT` and answers each with the number of a new
process that is the worker of that run and, if FAULT is not `-`, comes to grief as `faults` says.
"""

from __future__ import annotations

import os
import signal
import sys


def _become_worker(root: str, run_id: str, fault: str) -> None:
    os.setsid()
    log = os.open(os.path.join(root, run_id, "worker.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(log, stream)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    import faults

    from adadfq_core.runs import worker

    if fault != "-":
        faults.arm(fault)
    sys.argv = ["worker", root, run_id]
    code = worker.main()
    sys.stdout.flush()
    os._exit(code)


def main() -> None:
    import adadfq_core.runs.worker  # noqa: F401

    # Nobody asks for the exit codes, and no child stays defunct.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _become_worker(*line.split())
        print(pid, flush=True)


if __name__ == "__main__":
    main()

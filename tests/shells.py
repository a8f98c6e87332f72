"""The program as a user of a shell runs it."""

from __future__ import annotations

import os
import subprocess
import sys


def shell(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m adadfq_core` with `words` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "adadfq_core", *words],
        capture_output=True,
        text=True,
        env=os.environ,
        timeout=300,
        check=False,
    )

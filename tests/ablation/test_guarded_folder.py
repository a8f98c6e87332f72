"""A folder that goes with its owner: by its will, and when it is killed as Ray kills."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from adadfq_core.ablation.executors.guarded_folder import guarded_folder

SLEEPER = "import time; time.sleep(100)"
OWNER = f"""
import subprocess, sys, time
from adadfq_core.ablation.executors.guarded_folder import guarded_folder

with guarded_folder("adadfq-test-") as folder:
    user = subprocess.Popen(
        [sys.executable, "-c", {SLEEPER!r}, str(folder / "runs")], start_new_session=True
    )
    print(folder, user.pid, flush=True)
    time.sleep(100)
"""


def _sleeper(word: Path) -> psutil.Popen:
    return psutil.Popen([sys.executable, "-c", SLEEPER, str(word)], start_new_session=True)


def test_leaving_ends_what_works_in_the_folder_and_removes_it() -> None:
    with guarded_folder("adadfq-test-") as folder:
        (folder / "runs").mkdir()
        (folder / "runs" / "file").write_text("text")
        user = _sleeper(folder / "runs")
        stranger = _sleeper(folder.with_name(f"{folder.name}0"))
        began = time.monotonic()
    assert not folder.exists()
    # What it has killed need not be gone: this process, its parent, has not asked for its end yet.
    assert time.monotonic() - began < 8
    try:
        assert user.wait(10) != 0
        assert stranger.is_running()
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not end a process' children")
def test_a_killed_owner_takes_folder_and_processes_along() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert owner.stdout is not None
    path, pid = owner.stdout.readline().split()
    folder, user = Path(path), psutil.Process(int(pid))
    assert folder.is_dir()
    # Ray, ending a worker process, kills its children as well, but not theirs.
    for child in psutil.Process(owner.pid).children():
        if child.pid != user.pid:
            child.kill()
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 30
    while folder.exists() or (user.is_running() and user.status() != psutil.STATUS_ZOMBIE):
        assert time.monotonic() < deadline, "the folder or a process in it is still there"
        time.sleep(0.05)

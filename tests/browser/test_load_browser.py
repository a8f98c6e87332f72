"""Many sessions at once: nothing fails, and runs wait for each other instead of for the cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser_support import LONG, ROOT, end_runs, serve, start_run, wait_until
from load import crowd

from adadfq_core import runs
from adadfq_core.runs import RecordKind


@pytest.mark.slow
def test_six_who_watch_and_three_who_start(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    root = tmp_path / "runs"
    watched = start_run(root, epochs=10_000, slow_motion=200)
    try:
        wait_until(lambda: runs.info(root, watched).iteration > 20, seconds=LONG)
        with serve(ROOT / "app" / "main.py") as url:
            seen = crowd(browser, url, root, watched, watchers=6, starters=3)
        assert seen.failed_pages == [] and seen.locked == 0
        assert len(seen.queued) == 3 and seen.most_active == 1
        assert seen.ended == dict.fromkeys(seen.queued, "finished")
        assert runs.info(root, watched).status is runs.RunStatus.STOPPED
        begun = [
            runs.read(root, run_id, kinds=[RecordKind.STATUS]).records for run_id in seen.queued
        ]
        told = [[record.data["status"] for record in records] for records in begun]
        assert told == [["queued", "starting", "running", "finished"]] * 3
        starts = [records[1].seq for records in begun]
        assert starts == sorted(starts), "in the order in which they came"
    finally:
        end_runs(root)

"""What the page says of a run's state, and how often it is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adadfq_core.presets import preset_settings
from adadfq_core.runs import RunInfo, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.summary import Summary
from app.pace import BESIDE_TRAINING, EAGER, LIVELY, refresh_seconds
from app.panels.status import doing, figures, status_html


@pytest.fixture
def info(tmp_path: Path) -> RunInfo:
    store = RunStore(tmp_path)
    stored = store.info(store.create_run(preset_settings("interactive")))
    return replace(stored, status=RunStatus.RUNNING, iteration=400)


@pytest.mark.parametrize(
    ("changes", "left", "said"),
    [
        ({"status": RunStatus.QUEUED, "iteration": 0, "place": 2}, None, "queued: 2nd in the"),
        ({"status": RunStatus.STARTING, "iteration": 0}, None, "starting: loading the network"),
        ({}, 125.4, "running · iteration 400 of 1500 · about 2 min 05 s left"),
        ({"iteration": 12}, None, "running · iteration 12 of 1500 · warm-up: only G learns"),
        ({"status": RunStatus.FINISHED, "iteration": 1500}, 3.0, "finished · iteration 1500 of"),
    ],
)
def test_every_state_is_told_in_a_line(
    info: RunInfo, changes: dict[str, object], left: float | None, said: str
) -> None:
    line = doing(replace(info, **changes), left)
    assert line.startswith(said)
    assert ("left" in line) == ("left" in said)


def test_figures_are_dashes_until_they_are_measured() -> None:
    assert [value for _, value, _ in figures(Summary())] == ["–"] * 4
    summary = Summary(top1_p=95.0, top1_q_calibrated=85.0, top1_q_last=92.5)
    values = [value for _, value, _ in figures(summary)]
    assert values == ["95.00 %", "85.00 %", "92.50 %", "75 %"]


@pytest.mark.parametrize(("status", "failed"), [("running", False), ("lost", True)])
def test_the_bar_says_how_far_the_run_is_and_whether_it_broke(
    info: RunInfo, status: str, failed: bool
) -> None:
    html = status_html(replace(info, status=RunStatus(status), iteration=375), Summary(), None)
    assert 'aria-valuenow="25"' in html and "width:25.00%" in html
    assert ('class="bar failed"' in html) == failed


@pytest.mark.parametrize(
    ("changes", "has_points", "cores", "seconds"),
    [
        ({}, False, 2, EAGER),
        ({"status": RunStatus.QUEUED}, False, 2, LIVELY),
        ({}, True, 2, BESIDE_TRAINING),
        ({}, True, 3, LIVELY),
        ({"status": RunStatus.PAUSED}, True, 2, LIVELY),
        ({"settings": preset_settings("interactive", {"slow_motion": 500})}, True, 2, LIVELY),
        ({"settings": preset_settings("interactive", {"threads": 1})}, True, 2, LIVELY),
    ],
)
def test_a_page_is_drawn_less_often_where_training_has_every_core(
    info: RunInfo, changes: dict[str, object], has_points: bool, cores: int, seconds: float
) -> None:
    run = replace(info, **changes)
    assert refresh_seconds(run, has_points, eager=False, cores=cores) == seconds
    assert refresh_seconds(run, has_points, eager=True, cores=cores) == EAGER

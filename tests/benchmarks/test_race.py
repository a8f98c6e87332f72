"""What the race makes of curves and times: hand-worked cases."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from race import (
    CURVES,
    PAPER_EPOCH,
    PROTOCOLS,
    Field,
    Pace,
    Point,
    Racer,
    app,
    most_behind,
    read_curve,
    write_curve,
)
from typer.testing import CliRunner


def every(step: int, *tops: float) -> list[Point]:
    return [Point(step * number, top) for number, top in enumerate(tops, start=1)]


# After 5 and 20 epochs 70 and 80 %; the plain game takes 200 ms, the engine 100, the preset 50.
PAPER = every(PAPER_EPOCH, *[60] * 4, 70, *[75] * 14, 80)
FIELD = Field(
    "fashion-resnet20",
    3,
    0,
    {"paper": PAPER, "interactive": every(50, 69, 72, 79)},
    {"plain": Pace(0, 0, 200.0), "paper": Pace(0, 0, 100.0), "interactive": Pace(0, 0, 50.0)},
)


def test_only_marks_that_the_paper_s_protocol_has_come_to_count() -> None:
    assert FIELD.marks() == [(5, 70), (20, 80)]


def test_who_was_there_when() -> None:
    at_70 = {"plain": 200.0, "paper": 100.0, "interactive": 5.0}
    assert FIELD.seconds(70) == pytest.approx(at_70)
    assert FIELD.seconds(80) == pytest.approx(
        {"plain": 800.0, "paper": 400.0, "interactive": math.inf}
    )


def test_how_far_the_preset_is_below_the_plain_game_at_equal_time() -> None:
    # The last of its points holds on, while the plain game comes to 80.
    assert FIELD.behind() == pytest.approx(1.0)


def test_before_its_first_evaluation_a_preset_is_behind_nobody() -> None:
    same = Pace(0, 0, 1.0)
    assert most_behind(every(1000, 50), same, every(200, 60, 70), same) == 0
    assert most_behind(every(300, 50), same, every(200, 60, 70), same) == 20


def test_iterations_of_the_warmup_have_a_time_of_their_own() -> None:
    pace = Pace(warmup_iterations=10, warmup_ms=100.0, ms=200.0)
    assert [pace.seconds(n) for n in (5, 10, 15)] == pytest.approx([0.5, 1.0, 2.0])
    assert pace.seconds(math.inf) == math.inf


def test_curves_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    assert read_curve(path) == []
    write_curve(path, every(50, 12.34, 90.0))
    assert read_curve(path) == every(50, 12.34, 90.0)


def test_a_whole_curve_stays_where_no_state_of_its_run_is_left(tmp_path: Path) -> None:
    paths = {}
    for protocol in PROTOCOLS:
        racer = Racer("fashion-resnet20", 3, protocol, 0)
        paths[tmp_path / "curves" / f"{racer.name}.csv"] = racer.until(epochs=1)
    (tmp_path / "curves").mkdir()
    for path, until in paths.items():
        write_curve(path, every(until // 2, 60, 70))
    before = {path: path.read_bytes() for path in paths}
    options = ["--network", "fashion-resnet20", "--bits", "3", "--seeds", "1", "--epochs", "1"]
    folders = ["--folder", str(tmp_path / "curves"), "--states", str(tmp_path / "states")]
    told = CliRunner().invoke(app, ["record", *options, *folders])
    assert told.exit_code == 0, told.output
    assert told.output.count("70.00 %") == 2
    assert {path: path.read_bytes() for path in paths} == before


def test_recorded_curves_rise_in_iterations_and_are_percentages() -> None:
    recorded = list(CURVES.glob("*.csv"))
    if not recorded:
        pytest.skip(f"no curve was recorded in {CURVES.name} yet")
    for path in recorded:
        points = read_curve(path)
        iterations = [point.iteration for point in points]
        assert points and iterations == sorted(set(iterations)), path.name
        assert all(0 < point.top1 <= 100 for point in points), path.name

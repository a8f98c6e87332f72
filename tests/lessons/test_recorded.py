"""Recordings: what is kept of a run, and what is said of files that are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from recorded_lessons import CLOSE, run_of, write_recordings

from adadfq_core.errors import RunFailed
from adadfq_core.lessons.recorded import (
    FOLDER,
    MARGINS,
    read_run,
    read_runs,
    read_surface,
    recorded_run,
    run_file,
    sheet_file,
    write_run,
)
from adadfq_core.runs.records import Record, RecordKind

ROOT = Path(__file__).resolve().parents[2]


def log(steps: int) -> list[Record]:
    data = [{"network": "p", "top1": 94.0}, {"network": "q_calibrated", "top1": 70.0}]
    records = [Record(n, 5, RecordKind.EVALUATION, each, None) for n, each in enumerate(data)]
    for n in range(1, steps + 1):
        records.append(Record(9 + n, n, RecordKind.STEP, {"h_prime_mean": n / 100}, None))
    last = {"network": "q", "top1": 91.25}
    return [*records, Record(999, steps, RecordKind.EVALUATION, last, None)]


def test_a_log_becomes_a_few_numbers() -> None:
    run = recorded_run(log(25), "paper", 3, 25, 5, {"a": 1})
    assert run.top1_p == 94.0 and run.top1_q == ((5, 70.0), (25, 91.25)) and run.final == 91.25
    # Means of 1..10, 11..20 and 21..25 hundredths.
    assert run.h_prime == ((10, 0.055), (20, 0.155), (25, 0.23))


def test_a_run_that_measured_nothing_is_refused() -> None:
    with pytest.raises(RunFailed, match="real images"):
        recorded_run(log(25)[2:-1], "paper", 0, 25, 5, {})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = run_of("paper", 4, 90.5)
    write_run(tmp_path, run)
    assert read_run(run_file(tmp_path, "paper", 4)) == run


def test_only_seeds_that_every_margin_has_are_compared(tmp_path: Path) -> None:
    write_recordings(tmp_path, {**CLOSE, "paper": [91.0, 92.0]})
    found = read_runs(tmp_path)
    assert list(found) == list(MARGINS)
    assert all([run.seed for run in found[margin]] == [0, 1] for margin in MARGINS)
    assert [run.final for run in found["disagreement"]] == [91.0, 92.0]


def test_too_few_or_damaged_recordings_are_told(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"0 seed\(s\)"):
        read_runs(tmp_path)
    write_recordings(tmp_path, CLOSE)
    run_file(tmp_path, "paper", 1).write_text('{"margin": "paper"}')
    with pytest.raises(RunFailed, match=r"paper-seed1\.json"):
        read_runs(tmp_path)


def test_the_measured_surface_is_a_grid_of_finished_runs() -> None:
    frame = read_surface()
    assert len(frame) == frame["lambda_l"].nunique() * frame["lambda_u"].nunique() == 16
    assert (frame["status"] == "finished").all() and frame["top1_q_last"].between(80, 95).all()
    with pytest.raises(RunFailed, match=r"margin-3w3a\.csv"):
        read_surface(FOLDER / "nowhere")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.delitem(sys.modules, "record_lessons", raising=False)
    import record_lessons

    return record_lessons


@pytest.mark.slow
def test_the_script_keeps_a_played_run_and_knows_it_again(script, tmp_path: Path) -> None:
    from adadfq_core import runs

    changes = {"epochs": 2, "iterations_per_epoch": 2, "warmup_epochs": 1, "batch": 4}
    changes |= {"generator_width": 4, "evaluation_images": 20, "snapshot_every": 1, "seed": 1}
    settings = script.settings_of("agreement", 1, None).model_copy(update=changes)
    root, folder = tmp_path / "work", tmp_path / "kept"
    folder.mkdir()
    assert not script.is_recorded(folder, "agreement", settings)
    run_id = script.play(root, settings)
    final = script.record(root, run_id, folder, "agreement", with_sheet=True)
    run = read_run(run_file(folder, "agreement", 1))
    assert run.final == final and (run.iterations, run.warmup, run.seed) == (4, 2, 1)
    assert len(run.top1_q) == 2 and run.h_prime[-1][0] == 4
    steps = runs.read(root, run_id, kinds=[RecordKind.STEP]).records
    mean = sum(step.data["h_prime_mean"] for step in steps) / 4
    assert run.h_prime[-1][1] == pytest.approx(mean, abs=1e-4)
    assert sheet_file(folder, "agreement").read_bytes().startswith(b"\x89PNG")
    assert script.is_recorded(folder, "agreement", settings)
    other = settings.model_copy(update={"iterations_per_epoch": 3})
    assert not script.is_recorded(folder, "agreement", other)
    assert set(run.about["versions"]) == {"python", "torch"}
    assert run.about["command"].startswith("python benchmarks/record_lessons.py")


def test_the_script_plays_the_margins_that_the_lesson_names(script) -> None:
    for margin, (lower, upper) in MARGINS.items():
        settings = script.settings_of(margin, 3, 120)
        assert (settings.lambda_l, settings.lambda_u, settings.seed) == (lower, upper, 3)
        assert (settings.iterations, settings.weight_bits, settings.activation_bits) == (120, 3, 3)

from __future__ import annotations

from typing import Any

import pytest

from adadfq_core.game.step import SCALARS
from adadfq_core.runs.records import Record, RecordKind
from adadfq_core.settings import LIVE_SETTINGS, RunSettings, make_settings
from adadfq_core.sinks.readings import dated, hyperparameters, scalars, spelled, texts


def record(kind: RecordKind, **data: Any) -> Record:
    return Record(1, 7, kind, data, None)


def test_every_number_of_a_step_is_shown() -> None:
    numbers = scalars(record(RecordKind.STEP, **dict.fromkeys(SCALARS, 0.0)))
    assert len(numbers) == len(SCALARS)


@pytest.mark.parametrize(
    ("given", "numbers", "sentences"),
    [
        (
            record(RecordKind.STEP, loss_q=-2.0, h_prime=[0.1], lr_q=1e-4, seconds=9.0),
            {"loss/L_Q": -2.0, "rate/lr_q": 1e-4},
            {},
        ),
        (
            record(RecordKind.EVALUATION, network="q_calibrated", top1=60.5, seconds=1.0),
            {"accuracy/top1_q_calibrated": 60.5},
            {},
        ),
        (
            record(RecordKind.EVALUATION, network="q", top1=61.0, seconds=1.0, loss_q=-3.5),
            {"accuracy/top1_q": 61.0, "loss/L_Q_test": -3.5},
            {},
        ),
        (
            record(RecordKind.VALUE, before=0.5, after_g=0.25),
            {"game_value/before": 0.5, "game_value/after_g": 0.25},
            {},
        ),
        (
            record(RecordKind.PARAMETERS, changes={"lambda_l": 0.2, "slow_motion": 5}),
            {"setting/lambda_l": 0.2, "setting/slow_motion": 5.0},
            {"changes": "lambda_l = 0.2, slow_motion = 5"},
        ),
        (record(RecordKind.NOTICE, text="No map."), {}, {"notices": "No map."}),
        (record(RecordKind.STATUS, status="paused", reason=""), {}, {"status": "paused"}),
        (
            record(RecordKind.STATUS, status="failed", reason="It diverged."),
            {},
            {"status": "failed: It diverged."},
        ),
        (record(RecordKind.CHECKPOINT, sha256="00"), {}, {}),
    ],
)
def test_records_are_named_in_groups(
    given: Record, numbers: dict[str, float], sentences: dict[str, str]
) -> None:
    assert scalars(given) == numbers
    assert texts(given) == sentences


def test_whatever_can_change_during_a_run_is_a_number() -> None:
    settings = RunSettings()
    assert all(isinstance(getattr(settings, name), int | float) for name in LIVE_SETTINGS)


def test_records_without_a_time_have_that_of_the_one_before() -> None:
    records = [
        record(RecordKind.STATUS, status="running", reason=""),
        record(RecordKind.STEP, seconds=4.0),
        record(RecordKind.IMAGES),
        record(RecordKind.EVALUATION, network="q", top1=1.0, seconds=6.5),
    ]
    assert [seconds for _, seconds in dated(records, 3.0)] == [3.0, 4.0, 4.0, 6.5]


def test_hyperparameters_are_what_a_table_compares() -> None:
    settings = make_settings({"lambda_l": 0.2, "image_shape": (3, 32, 32)})
    values = hyperparameters(settings)
    assert values["lambda_l"] == 0.2
    assert values["class_shift"] is False
    assert values["image_shape"] == "3,32,32"
    assert values["image_mean"] == ""
    assert "seed" in values and "weight_bits" in values
    assert "checkpoint_every" not in values and "threads" not in values


def test_values_are_spelled_as_the_shell_reads_them() -> None:
    settings = make_settings({"image_mean": (0.5, 0.25)})
    assert make_settings({"image_mean": spelled(settings.image_mean)}) == settings

"""Plans: cells in order, and the settings that a point means."""

from __future__ import annotations

from typing import Any

import pytest

from adadfq_core.ablation.plan import Plan, check_axis, point_settings
from adadfq_core.errors import InputError
from adadfq_core.presets import preset_settings


def test_all_points_run_with_the_first_seed_before_the_second() -> None:
    plan = Plan(axes=("beta",), points=({"beta": 1.0}, {"beta": 2.0}), seeds=(4, 7))
    assert [(cell.index, cell.point["beta"], cell.seed) for cell in plan.cells] == [
        (0, 1.0, 4),
        (1, 2.0, 4),
        (2, 1.0, 7),
        (3, 2.0, 7),
    ]
    assert plan.settings(plan.cells[3]).seed == 7
    assert plan.settings(plan.cells[3]).beta == 2.0


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ({"bits": 5}, {"weight_bits": 5, "activation_bits": 5}),
        ({"what_if": "without L_ds"}, {"alpha_ds": 0.0}),
        ({"what_if": "GDFQ", "bits": 2}, {"method": "gdfq", "weight_bits": 2}),
        ({"preset": "paper-cifar"}, {"epochs": 400, "generator_width": 128}),
        # What is varied wins over what is common, and that over the preset and the what-if.
        ({"what_if": "without L_ds", "alpha_ds": 0.7}, {"alpha_ds": 0.7}),
        ({"preset": "quick"}, {"epochs": 7}),
    ],
)
def test_a_points_values_win_over_common_changes_and_the_preset(
    point: dict[str, Any], expected: dict[str, Any]
) -> None:
    changes = {} if "epochs" in expected and expected["epochs"] == 400 else {"epochs": 7}
    settings = point_settings("interactive", changes | {"warmup_epochs": 1}, point)
    assert {name: getattr(settings, name) for name in expected} == expected


def test_a_plan_survives_the_database() -> None:
    plan = Plan(
        axes=("lr_q", "class_shift", "what_if"),
        points=({"lr_q": 1e-4, "class_shift": True, "what_if": "GDFQ"},),
        changes={"lambda_l": 0.2, "network": "fashion-resnet20"},
        seeds=(0, 1),
        halving={"factor": 4},
    )
    read = Plan.model_validate_json(plan.model_dump_json())
    assert read == plan
    assert read.settings(read.cells[0]) == plan.settings(plan.cells[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seed", r"The seed is not an axis; .*--seeds 3"),
        ("lamda_l", r"Unknown setting 'lamda_l'"),
    ],
)
def test_what_cannot_be_varied_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_axis(name)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"what_if": "without G"}, r"Unknown what-if 'without G'; choose one of AdaDFQ"),
        ({"preset": "slow"}, r"Unknown preset 'slow'"),
        ({"lambda_l": 0.8}, r"lambda_l = 0.8 must be below lambda_u = 0.8"),
        ({"bits": 9}, r"weight_bits = 9 is not allowed; .* from 2 to 8"),
    ],
)
def test_values_that_are_not_allowed_are_told(point: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        point_settings("interactive", {}, point)


def test_the_quick_preset_is_a_shorter_interactive_one() -> None:
    quick, interactive = preset_settings("quick"), preset_settings("interactive")
    assert quick.iterations < interactive.iterations / 2
    differing = {
        name
        for name in type(quick).model_fields
        if getattr(quick, name) != getattr(interactive, name)
    }
    assert differing == {
        *("epochs", "warmup_epochs", "evaluate_every", "ranges"),
        *("snapshot_every", "embed_every", "checkpoint_every"),
    }

from __future__ import annotations

import math
from typing import Any

import pytest

from adadfq_core.errors import InputError
from adadfq_core.presets import (
    ABLATION,
    DEFAULT_PRESET,
    MARGINS,
    METHODS,
    PRESETS,
    WHAT_IFS,
    Method,
    preset_settings,
)
from adadfq_core.settings import (
    LIVE_SETTINGS,
    RunSettings,
    bounds,
    change_live,
    field,
    make_settings,
    metadata,
    parse_assignment,
)

# Name, a value that is refused, and what the sentence must say of the allowed ones.
BAD: list[tuple[str, Any, str]] = [
    ("seed", -1, "a whole number from 0 to 2147483647"),
    ("weight_bits", 1, "a whole number from 2 to 8"),
    ("weight_bits", 9, "a whole number from 2 to 8"),
    ("weight_bits", 3.5, "a whole number from 2 to 8"),
    ("weight_bits", "four", "a whole number from 2 to 8"),
    ("activation_bits", 0, "a whole number from 2 to 8"),
    ("activation_bits", 32, "a whole number from 2 to 8"),
    ("epochs", 0, "a whole number from 1 to 10000"),
    ("iterations_per_epoch", 0, "a whole number from 1 to 100000"),
    ("warmup_epochs", 0, "a whole number from 1 to 1000"),
    ("batch", 1, "a whole number from 2 to 1024"),
    ("batch", 1025, "a whole number from 2 to 1024"),
    ("latent_dim", 0, "a whole number from 1 to 4096"),
    ("generator_width", 2, "a whole number from 4 to 1024"),
    ("generator_width", 65, "a multiple of 2"),
    ("bias_correction", "perhaps", "true or false"),
    ("class_shift", "perhaps", "true or false"),
    ("activation_clipping", 2, "true or false"),
    ("adaptive_batchnorm", "perhaps", "true or false"),
    ("lambda_l", -0.1, "a number from 0 to 1"),
    ("lambda_l", None, "a number from 0 to 1"),
    ("lambda_u", 1.1, "a number from 0 to 1"),
    ("lambda_u", math.nan, "a number from 0 to 1"),
    ("alpha_ds", -1, "a number from 0 to 100"),
    ("alpha_as", 101, "a number from 0 to 100"),
    ("beta", math.inf, "a number from 0 to 100"),
    ("gamma", "much", "a number from 0 to 100"),
    ("slow_motion", -1, "a whole number from 0 to 5000"),
    ("temperature", 0, "a number from 0.1 to 1000"),
    ("temperature", 1001, "a number from 0.1 to 1000"),
    ("lr_g", -1e-3, "a number from 0 to 1"),
    ("lr_q", 2, "a number from 0 to 1"),
    ("adam_beta1", 1, "a number from 0 to below 1"),
    ("adam_beta2", 1.0, "a number from 0 to below 1"),
    ("q_momentum", 1, "a number from 0 to below 1"),
    ("q_average", 1, "a number from 0 to below 1"),
    ("q_weight_decay", -1, "a number from 0 to 1"),
    ("feature_weight", -1, "a number from 0 to 10000"),
    ("replay", 1025, "a whole number from 0 to 1024"),
    ("ranges", "widest", "'minmax', 'searched' or 'learned'"),
    ("schedule", "linear", "'constant', 'steps' or 'cosine'"),
    ("evaluate_every", 0, "a whole number from 1 to 1000000"),
    ("value_every", 0, "a whole number from 1 to 1000000"),
    ("snapshot_every", 0, "a whole number from 1 to 1000000"),
    ("embed_every", -1, "a whole number from 0 to 1000000"),
    ("checkpoint_every", 0, "a whole number from 1 to 1000000"),
    ("threads", 0, "a whole number from 1 to 256"),
    ("threads", 257, "a whole number from 1 to 256"),
    ("network", 3, "a text"),
    ("method", "zeroq", "'adadfq', 'gdfq' or 'real'"),
    ("weights", 1, "a text"),
    ("data", 1, "a text"),
    ("code_folder", 1, "a text"),
    ("evaluation_images", 9, "a whole number from 10 to 1000000"),
    ("image_shape", "3,32", "numbers separated by commas"),
    ("image_shape", "3,32,0", "must be from 1 to 4096"),
    ("image_shape", "3,x,32", "numbers separated by commas"),
    ("image_mean", "a", "numbers separated by commas"),
    ("image_std", "0.5,0", "must be above 0"),
    ("bit_overrides", 8, "a text"),
    ("bit_overrides", "first", "pattern=bits with bits from 2 to 8"),
    ("bit_overrides", "first=8,last=9", "pattern=bits with bits from 2 to 8"),
    ("bit_overrides", "=8", "pattern=bits with bits from 2 to 8"),
    ("bit_overrides", "conv*=four", "pattern=bits with bits from 2 to 8"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_is_named_with_what_is_allowed(name: str, value: Any, allowed: str) -> None:
    with pytest.raises(InputError) as caught:
        make_settings({name: value})
    sentence = str(caught.value)
    assert f"{name} = {value!r}" in sentence and allowed in sentence
    assert "\n" not in sentence and sentence.endswith(".")


def test_every_setting_is_tried_with_a_bad_value() -> None:
    assert {name for name, _, _ in BAD} == set(RunSettings.model_fields)


@pytest.mark.parametrize("name", RunSettings.model_fields)
def test_the_ends_of_every_range_are_allowed_and_beyond_them_nothing(name: str) -> None:
    low, high = bounds(name)
    if low is None or high is None:
        assert field(name).annotation not in (int, float)
        return
    strict = any(hasattr(constraint, "lt") for constraint in field(name).metadata)
    around = {"warmup_epochs": {"epochs": 10_000}, "epochs": {"warmup_epochs": 1}}.get(name, {})
    others = {"lambda_l": {"lambda_u": 1.0}, "lambda_u": {"lambda_l": 0.0}}.get(name, around)
    for value in (low, high):
        try:
            assert getattr(make_settings({**others, name: value}), name) == value
        except InputError as error:
            paired = name in ("lambda_l", "lambda_u", "epochs") and "must be below" in str(error)
            assert paired or (strict and value == high), error
    for value in (low - 1, high + 1):
        with pytest.raises(InputError, match=f"^{name} = .* (is not allowed|multiple of 2)"):
            make_settings({**others, name: value})


@pytest.mark.parametrize(("lower", "upper"), [(0.8, 0.8), (0.9, 0.2), (1, 1), (0, 0)])
def test_the_lower_boundary_must_be_below_the_upper(lower: float, upper: float) -> None:
    with pytest.raises(InputError) as caught:
        make_settings({"lambda_l": lower, "lambda_u": upper})
    assert f"lambda_l = {lower:g} must be below lambda_u = {upper:g}" in str(caught.value)
    with pytest.raises(InputError, match=r"lambda_l = 0\.85 must be below lambda_u = 0\.8;"):
        change_live(make_settings({}), {"lambda_l": 0.85})


@pytest.mark.parametrize(("epochs", "warmup"), [(4, 4), (3, 5)])
def test_the_warmup_must_be_shorter_than_the_run(epochs: int, warmup: int) -> None:
    with pytest.raises(InputError) as caught:
        make_settings({"epochs": epochs, "warmup_epochs": warmup})
    assert f"warmup_epochs = {warmup} must be below epochs = {epochs}" in str(caught.value)


def test_unknown_settings() -> None:
    for attempt in (
        lambda: make_settings({"lambda": 0.1}),
        lambda: change_live(make_settings({}), {"lambda": 0.1}),
        lambda: preset_settings("interactive", {"lambda": 0.1}),
        lambda: parse_assignment("lambda=0.1"),
        lambda: bounds("lambda"),
        lambda: metadata("lambda"),
    ):
        with pytest.raises(InputError, match=r"Unknown setting 'lambda'; .*lambda_l, lambda_u"):
            attempt()


def test_the_defaults_are_the_papers_protocol() -> None:
    protocol = {
        "epochs": 400,
        "iterations_per_epoch": 200,
        "warmup_epochs": 4,
        "batch": 16,
        "latent_dim": 100,
        "lr_g": 1e-3,
        "adam_beta1": 0.5,
        "adam_beta2": 0.999,
        "lr_q": 1e-4,
        "q_momentum": 0.9,
        "q_weight_decay": 1e-4,
        "schedule": "steps",
        "q_average": 0,
        "alpha_ds": 0.2,
        "alpha_as": 0.1,
        "lambda_l": 0.1,
        "lambda_u": 0.8,
        "beta": 1,
        "gamma": 1,
        "temperature": 20,
    }
    paper = preset_settings("paper-cifar")
    assert paper == make_settings({})
    values = paper.model_dump()
    assert {name: values[name] for name in protocol} == protocol
    assert (paper.iterations, paper.warmup_iterations) == (80_000, 800)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_can_be_changed(name: str) -> None:
    plain, changed = preset_settings(name), preset_settings(name, {"seed": 7, "weight_bits": "5"})
    assert changed.seed == 7 and changed.weight_bits == 5
    assert changed.model_copy(update={"seed": 0, "weight_bits": plain.weight_bits}) == plain
    assert PRESETS[name].name == name and PRESETS[name].summary


@pytest.mark.parametrize("name", WHAT_IFS)
def test_every_what_if_is_a_change_of_the_method_alone(name: str) -> None:
    base = preset_settings("interactive", {"seed": 3, "beta": 0.7})
    changed = make_settings(WHAT_IFS[name], base)
    assert changed.seed == 3
    assert (changed == base) == (name == "AdaDFQ")


@pytest.mark.parametrize("table", [METHODS, ABLATION], ids=["methods", "ablation"])
def test_no_two_rows_of_a_table_tell_the_same(table: dict[str, Method]) -> None:
    assert next(iter(table)) == "AdaDFQ" and table["AdaDFQ"].values == {}
    told = [
        (preset_settings("quick", method.values), method.calibrated) for method in table.values()
    ]
    assert len(set(told)) == len(table)
    assert all(method.summary.endswith(".") for method in table.values())


def test_margins_are_those_of_the_paper_and_of_both_ends() -> None:
    base = preset_settings("paper-cifar")
    assert preset_settings("paper-cifar", MARGINS["the paper's margin"].values) == base
    boundaries = [(m.values["lambda_l"], m.values["lambda_u"]) for m in MARGINS.values()]
    assert boundaries == [(0.1, 0.8), (0.0, 0.1), (0.9, 1.0)]


def test_the_methods_are_in_the_order_of_the_table() -> None:
    ours = ["best recipe", "calibration only"]
    assert list(METHODS) == ["AdaDFQ", "GDFQ", "AdaSG", *ours, "real data"]
    assert [name for name, method in METHODS.items() if method.calibrated] == ["calibration only"]


def test_the_best_recipe_is_the_preset_best() -> None:
    values = METHODS["best recipe"].values
    assert preset_settings("interactive", values) == preset_settings("best")


def test_presets_that_are_refused() -> None:
    assert DEFAULT_PRESET in PRESETS
    with pytest.raises(InputError, match=r"Unknown preset 'fast'; choose one of .*paper-cifar"):
        preset_settings("fast")
    with pytest.raises(InputError, match="batch = 1 is not allowed"):
        preset_settings("interactive", {"batch": 1})


LIVE = {
    "lambda_l": 0.3,
    "lambda_u": 0.6,
    "alpha_ds": 0.0,
    "alpha_as": 3.0,
    "beta": 0.5,
    "gamma": 2.0,
    "temperature": 5.0,
    "lr_g": 1e-4,
    "lr_q": 1e-5,
    "slow_motion": 500,
}


def test_what_may_change_while_a_run_trains() -> None:
    assert set(LIVE_SETTINGS) == set(LIVE)
    base = preset_settings("interactive", {"seed": 5})
    changed = change_live(base, LIVE)
    assert changed.model_dump() == {**base.model_dump(), **LIVE}
    assert base == preset_settings("interactive", {"seed": 5})
    with pytest.raises(InputError, match="gamma = -1 is not allowed"):
        change_live(base, {"gamma": -1})


@pytest.mark.parametrize("name", sorted(set(RunSettings.model_fields) - set(LIVE)))
def test_what_may_not(name: str) -> None:
    settings = make_settings({})
    with pytest.raises(InputError, match=f"^{name} cannot change while a run trains.*lambda_l"):
        change_live(settings, {"gamma": 2.0, name: getattr(settings, name)})


def test_assignments_of_the_shell() -> None:
    assert parse_assignment("lambda_l=0.2") == ("lambda_l", "0.2")
    assert parse_assignment(" network = a=b ") == ("network", "a=b")
    assert make_settings(dict([parse_assignment("batch=32")])).batch == 32
    with pytest.raises(InputError, match="'lambda_l' is not of the form key=value"):
        parse_assignment("lambda_l")

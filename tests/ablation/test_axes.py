from __future__ import annotations

import json
from typing import Any

import pytest

from adadfq_core.ablation.axes import Axis, axis_value, parse_axis
from adadfq_core.errors import InputError
from adadfq_core.settings import RunSettings

VALUES: list[tuple[str, tuple[Any, ...]]] = [
    ("lambda_l=0:0.4:5", (0.0, 0.1, 0.2, 0.3, 0.4)),
    ("lambda_u = 0.5 : 0.9 : 5", (0.5, 0.6, 0.7, 0.8, 0.9)),
    ("beta=0:1:4", (0.0, 0.333333, 0.666667, 1.0)),
    ("lambda_u=0.1234567:1:2", (0.1234567, 1.0)),
    ("lr_q=1e-5:1e-3:3:log", (1e-5, 1e-4, 1e-3)),
    ("lr_q=1e-4:1e-3:3:LOG", (1e-4, 0.000316228, 1e-3)),
    ("lambda_l=0,1", (0.0, 1.0)),
    ("lambda_u=0,1", (0.0, 1.0)),
    ("lambda_l=0.9", (0.9,)),
    ("bits=3,4,5", (3, 4, 5)),
    ("bits=5, 3", (5, 3)),
    ("bits=2:8:3", (2, 5, 8)),
    ("batch=8:64:4:log", (8, 16, 32, 64)),
    ("generator_width=32:96:3", (32, 64, 96)),
    ("warmup_epochs=500", (500,)),
    ("epochs=1", (1,)),
    ("method=adadfq,gdfq", ("adadfq", "gdfq")),
    ("class_shift=true,false", (True, False)),
    ("what_if=AdaDFQ,without L_ds", ("AdaDFQ", "without L_ds")),
    ("preset=interactive,paper-cifar", ("interactive", "paper-cifar")),
    ("network=package.module:build", ("package.module:build",)),
    ("bit_overrides=;first=8,last=8", ("", "first=8,last=8")),
]


@pytest.mark.parametrize(("text", "values"), VALUES)
def test_values_are_typed_as_the_settings_hold_them(text: str, values: tuple[Any, ...]) -> None:
    axis = parse_axis(text)
    assert axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]
    assert tuple(json.loads(json.dumps(axis.values))) == values


def test_a_range_keeps_its_ends_also_without_a_count() -> None:
    assert parse_axis("lambda_l=0:0.4:3") == Axis("lambda_l", (0.0, 0.2, 0.4), 0.0, 0.4)
    assert parse_axis("lr_q=1e-5:1e-3:log") == Axis("lr_q", (), 1e-5, 1e-3, log=True)
    assert parse_axis("lambda_l=0,0.4") == Axis("lambda_l", (0.0, 0.4))


REFUSED: list[tuple[str, str]] = [
    ("", "^The axis '' has no '='; write for example lambda_l=0:0.4:5"),
    ("lambda_l", "^The axis 'lambda_l' has no '='"),
    ("=1", "Unknown setting ''"),
    ("lambda=1", "Unknown setting 'lambda'; known settings are network,"),
    ("seed=0,1,2", "seed is not an axis.*--seeds 3"),
    ("image_shape=3,32,32", "^image_shape says what P's images are like"),
    ("lambda_l=", "^The axis lambda_l has no values"),
    ("lambda_l=0.1,,0.2", "^lambda_l = '' is not allowed; it must be a number from 0 to 1"),
    ("lambda_l=nan", "^lambda_l = 'nan' is not allowed; it must be a number from 0 to 1"),
    ("beta=1,inf", "^beta = 'inf' is not allowed; it must be a number from 0 to 100"),
    ("lambda_u=0.5:1.5:3", "^lambda_u = '1.5' is not allowed; it must be a number from 0 to 1"),
    ("lambda_u=nan:1:3", "^lambda_u = 'nan' is not allowed"),
    ("q_momentum=0:1:3", "^q_momentum = '1' is not allowed; .* from 0 to below 1"),
    ("bits=3,9", "^bits = '9' is not allowed; it must be a whole number from 2 to 8"),
    ("bits=3.5", r"^bits = '3\.5' is not allowed; it must be a whole number from 2 to 8"),
    ("generator_width=64,65", "^generator_width = '65' must be a multiple of 2"),
    ("generator_width=64:66:3", "^generator_width = 65.0 must be a multiple of 2"),
    ("method=adadfq,zeroq", "^method = 'zeroq' is not allowed; use 'adadfq', 'gdfq' or 'real'"),
    ("class_shift=true,perhaps", "^class_shift = 'perhaps' is not allowed; .* true or false"),
    ("class_shift=0:1:2", "^class_shift = '0:1:2' is not allowed"),
    ("preset=interactive,fast", "^Unknown preset 'fast'; choose one of interactive"),
    ("what_if=AdaDFQ,nothing", "^Unknown what-if 'nothing'; choose one of AdaDFQ"),
    ("bits=3,4,3", "^The axis bits has 3 2 times; name each value once"),
    ("lambda_l=0.1,0.10", "^The axis lambda_l has 0.1 2 times"),
    ("lambda_l=0.1:0.1000002:5", "^The axis lambda_l has 0.1 "),
    ("bits=3:8:3", "^bits=3:8:3 has 5.5 within, but bits takes whole numbers; choose another"),
    ("batch=8:64:3:log", "^batch=8:64:3:log has 22.6274 within"),
    ("lambda_l=0.4:0:5", "^lambda_l=0.4:0:5 must go from a smaller to a larger number"),
    ("lambda_l=0.4:0.4:1", "write one value alone as lambda_l=0.4"),
    ("lr_q=0:1e-3:3:log", "^lr_q=0:1e-3:3:log has no equal ratios from 0 on; start above 0"),
    ("lambda_l=0:0.4:0", "^The count '0' of lambda_l=0:0.4:0 must be a whole number from 2 to"),
    ("lambda_l=0:0.4:1", "^The count '1' of"),
    ("lambda_l=0:0.4:-3", "^The count '-3' of"),
    ("lambda_l=0:0.4:2.5", "^The count '2.5' of"),
    ("lambda_l=0:0.4:10001", "^The count '10001' of"),
    ("lambda_l=0:0.4:" + "9" * 5000, "^The count '9"),
    ("lambda_l=0:0.4:5,0.9", "^The count '5,0.9' of"),
    ("lambda_l=0:0.4:5:linear", "is not of the form start:stop:count"),
    ("lambda_l=0:", "^lambda_l = '' is not allowed"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_is_refused_is_said_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        parse_axis(text)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_one_value_of_a_pair_is_checked_by_itself() -> None:
    assert axis_value("lambda_l", "1") == 1.0
    assert axis_value("warmup_epochs", 1000) == 1000
    with pytest.raises(InputError, match=r"^lambda_l = 1\.5 is not allowed"):
        axis_value("lambda_l", 1.5)


def test_every_setting_of_one_value_can_be_an_axis() -> None:
    lists = {"image_shape", "image_mean", "image_std"}
    for name in set(RunSettings.model_fields) - lists - {"seed"}:
        default = getattr(RunSettings(), name)
        assert axis_value(name, str(default)) == default


@pytest.mark.parametrize(
    ("axis", "at_0", "at_half", "at_end"),
    [
        ("lambda_l=0:0.4", 0.0, 0.2, 0.4),
        ("lr_q=1e-5:1e-3:log", 1e-5, 1e-4, 1e-3),
        ("bits=3:6", 3, 5, 6),
        ("generator_width=4:10", 4, 8, 10),
        ("batch=2:512:log", 2, 32, 512),
        ("method=adadfq,gdfq,real", "adadfq", "gdfq", "real"),
    ],
)
def test_shares_of_an_axis(axis: str, at_0: Any, at_half: Any, at_end: Any) -> None:
    parsed = parse_axis(axis)
    assert [parsed.at(0), parsed.at(0.5), parsed.at(1 - 1e-12)] == [at_0, at_half, at_end]
    assert type(parsed.at(0.5)) is type(at_half)


def test_a_whole_range_has_equal_parts_and_only_what_is_allowed() -> None:
    shares = [(index + 0.5) / 100 for index in range(100)]
    bits = [parse_axis("bits=3:6").at(share) for share in shares]
    assert [bits.count(value) for value in (3, 4, 5, 6)] == [25] * 4
    widths = {parse_axis("generator_width=4:12:log").at(share) for share in shares}
    assert widths == {4, 6, 8, 10, 12}


def test_drawn_values_never_leave_the_range() -> None:
    axis = parse_axis("lambda_l=0.12345678:0.12345679")
    assert {axis.at(share / 7) for share in range(7)} <= {0.12345678, 0.12345679}

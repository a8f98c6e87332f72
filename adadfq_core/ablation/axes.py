"""Axes of a design: what is varied, over which values or within which range."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, Self, get_origin

from pydantic import ValidationError, model_validator

from adadfq_core.ablation.plan import (
    BITS,
    MOST_CELLS,
    PRESET,
    WHAT_IF,
    check_axis,
    point_settings,
)
from adadfq_core.errors import InputError
from adadfq_core.presets import DEFAULT_PRESET
from adadfq_core.settings import RunSettings, field, make_settings

Value = bool | int | float | str

_FORMS = "lambda_l=0:0.4:5, lr_q=1e-5:1e-3:3:log or bits=3,4,5"
_LOG = "log"
_DIGITS = 6
"""Significant digits of values that are reckoned: no one reads more in a table, and 0.1 + 0.2 is
0.3 with them."""


@dataclass(frozen=True)
class Axis:
    """One varied setting, or one of `plan.COMPOUND_AXES`.

    Attributes:
        values: what a grid takes, in order; none where a range was given without a count.
        low, high: ends of the range, both allowed; `None` where values were listed.
        log: steps within the range are equal ratios, not equal differences.
    """

    name: str
    values: tuple[Value, ...]
    low: float | None = None
    high: float | None = None
    log: bool = False

    def at(self, share: float) -> Value:
        """The value at `share`, within [0, 1), of the axis: equal shares are equally likely.

        Of listed values each has the same part. A range of whole numbers gives those that the
        setting allows: each the same part, or with `log` the nearest to the point of the range.
        """
        low, high = self.low, self.high
        if low is None or high is None:
            return self.values[int(share * len(self.values))]
        step = _whole_step(self.name)
        if step is not None and not self.log:
            return int(low) + step * int(share * ((high - low) // step + 1))
        value = low * (high / low) ** share if self.log else low + share * (high - low)
        if step is not None:
            return step * round(value / step)
        return min(max(_rounded(value), low), high)


class _Alone(RunSettings):
    """Settings whose values are checked one by one, not in pairs."""

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        return self


def check_varied(name: str) -> None:
    """Check that `name` can be an axis.

    Raises:
        InputError: as `plan.check_axis`, or the setting's value is a list.
    """
    check_axis(name)
    annotation = _annotation(name)
    if annotation not in (bool, int, float, str) and get_origin(annotation) is not Literal:
        raise InputError(
            f"{name} says what P's images are like, so it is not an axis; set it once for all runs."
        )


def axis_value(name: str, given: object) -> Value:
    """`given`, which may be a text, as the settings hold it.

    Only the value itself is checked: whether lambda_l is below lambda_u is a matter of the point.

    Raises:
        InputError: it is not allowed; names the setting, the value and what is allowed.
    """
    if name in (PRESET, WHAT_IF):
        text = str(given)
        point_settings(DEFAULT_PRESET, {}, {name: text})
        return text
    setting = _setting(name)
    try:
        value: Value = getattr(_Alone.model_validate({setting: given}), setting)
    except ValidationError:
        try:
            make_settings({setting: given})
        except InputError as error:
            raise InputError(str(error).replace(setting, name, 1)) from None
        raise
    return value


def parse_axis(text: str) -> Axis:
    """The axis that a user writes as `name=values`.

    Values are separated by commas, or by semicolons where they hold commas themselves. Numbers
    may be a range `start:stop:count`, ends included, with `:log` behind it for equal ratios. The
    count may be left out of a range from which values are drawn.

    Raises:
        InputError: none of these forms, an unknown name, the seed, a value that is not allowed or
            named twice, or steps between whole numbers that are not whole.
    """
    name, separator, given = (part.strip() for part in text.partition("="))
    if not separator:
        raise InputError(f"The axis '{text}' has no '='; write for example {_FORMS}.")
    check_varied(name)
    if not given:
        raise InputError(f"The axis {name} has no values; write for example {_FORMS}.")
    if ":" in given and _annotation(name) in (int, float):
        return _range(name, given)
    parts = given.split(";" if ";" in given else ",")
    return Axis(name, _distinct(name, [axis_value(name, part.strip()) for part in parts]))


def _range(name: str, given: str) -> Axis:
    parts = [part.strip() for part in given.split(":")]
    log = parts[-1].lower() == _LOG
    if log:
        parts.pop()
    if len(parts) not in (2, 3):
        raise InputError(
            f"{name}={given} is not of the form start:stop:count; write for example {_FORMS}."
        )
    low, high = (axis_value(name, part) for part in parts[:2])
    assert not isinstance(low, str) and not isinstance(high, str)
    if low >= high:
        raise InputError(
            f"{name}={given} must go from a smaller to a larger number; write one value alone "
            f"as {name}={parts[0]}."
        )
    if log and low <= 0:
        raise InputError(
            f"{name}={given} has no equal ratios from {parts[0]} on; start above 0 or leave "
            f"out :{_LOG}."
        )
    values: tuple[Value, ...] = ()
    if len(parts) == 3:
        count = _count(name, given, parts[2])
        shares = [index / (count - 1) for index in range(1, count - 1)]
        ratio = high / low if log else 0.0
        inner = [low * ratio**s if log else low + s * (high - low) for s in shares]
        values = _distinct(name, [low, *(_inner(name, given, value) for value in inner), high])
    return Axis(name, values, low, high, log)


def _count(name: str, given: str, text: str) -> int:
    count = int(text) if text.isdecimal() and len(text) <= len(str(MOST_CELLS)) else 0
    if not 2 <= count <= MOST_CELLS:
        raise InputError(
            f"The count {text!r} of {name}={given} must be a whole number from 2 to {MOST_CELLS}."
        )
    return count


def _inner(name: str, given: str, value: float) -> Value:
    """`value` within the range `given`, as the settings hold it."""
    value = _rounded(value)
    if _annotation(name) is int and value != int(value):
        raise InputError(
            f"{name}={given} has {value:g} within, but {name} takes whole numbers; choose another "
            "count, or write each value, separated by commas."
        )
    return axis_value(name, value)


def _distinct(name: str, values: list[Value]) -> tuple[Value, ...]:
    value, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"The axis {name} has {value} {times} times; name each value once, and repeat runs "
            "over seeds instead."
        )
    return tuple(values)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _setting(name: str) -> str:
    """The setting that the axis stands for; of `bits` one of the two alike."""
    return "weight_bits" if name == BITS else name


def _annotation(name: str) -> Any:
    return str if name in (PRESET, WHAT_IF) else field(_setting(name)).annotation


def _whole_step(name: str) -> int | None:
    """Distance between the whole numbers that axis `name` allows; `None` where it takes others."""
    if _annotation(name) is not int:
        return None
    factors = [getattr(c, "multiple_of", None) for c in field(_setting(name)).metadata]
    return next((int(factor) for factor in factors if factor), 1)

"""Valid settings of every kind, for properties that hold for all of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from adadfq_core.settings import RunSettings, bounds, field, make_settings

PAIRS = (("lambda_l", "lambda_u"), ("warmup_epochs", "epochs"))
FRACTION = st.floats(0, 1)
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "image_shape": st.none() | st.tuples(*[st.integers(1, 4096)] * 3),
    "image_mean": st.none() | st.lists(FRACTION, min_size=1, max_size=4).map(tuple),
    "image_std": st.none()
    | st.lists(st.floats(0, 1, exclude_min=True), min_size=1, max_size=4).map(tuple),
    "method": st.sampled_from(["adadfq", "gdfq", "real"]),
    "bias_correction": st.booleans(),
    "activation_clipping": st.booleans(),
    "adaptive_batchnorm": st.booleans(),
    "ranges": st.sampled_from(["minmax", "searched", "learned"]),
    "class_shift": st.booleans(),
    "bit_overrides": st.sampled_from(["", "first=8,last=8", "layer?.[!a]*=4, last=2"]),
    "schedule": st.sampled_from(["constant", "steps", "cosine"]),
}


def _number(name: str) -> st.SearchStrategy[Any]:
    low, high = bounds(name)
    assert low is not None and high is not None
    if field(name).annotation is float:
        strict = any(hasattr(constraint, "lt") for constraint in field(name).metadata)
        return st.floats(low, high, exclude_max=strict)
    if name == "generator_width":
        return st.integers(int(low) // 2, int(high) // 2).map(lambda half: 2 * half)
    return st.integers(int(low), int(high))


def _in_order(values: dict[str, Any]) -> RunSettings:
    merged = {**RunSettings().model_dump(), **values}
    for low, high in PAIRS:
        if merged[low] >= merged[high]:
            values = {name: value for name, value in values.items() if name not in (low, high)}
    return make_settings(values)


def valid_settings(**texts: st.SearchStrategy[str]) -> st.SearchStrategy[RunSettings]:
    """Settings with any part of them changed; `texts` draws those that are free texts."""
    strategies = {**OTHERS, **texts}
    numbers = {name for name in RunSettings.model_fields if field(name).annotation in (int, float)}
    strategies |= {name: _number(name) for name in numbers}
    return st.fixed_dictionaries({}, optional=strategies).map(_in_order)

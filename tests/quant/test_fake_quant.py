from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adadfq_core.quant.fake_quant import (
    fake_quantize,
    levels,
    scale_and_zero_point,
    widen_to_zero,
)
from adadfq_core.quant.ranges import weight_range

ALL_BITS = range(2, 9)


def close(actual: torch.Tensor, expected: Any) -> None:
    target = torch.tensor(expected, dtype=torch.float64)
    # The reference is written with seven decimals.
    torch.testing.assert_close(actual, target, rtol=1e-5, atol=1e-7)


def test_every_reference_tensor(reference: dict[str, Any]) -> None:
    cases = reference["fake_quant"]
    assert {case["kind"] for case in cases} >= {"conv"}
    for case in cases:
        x = torch.tensor(case["x"], dtype=torch.float64).view(case["shape"])
        low = torch.tensor(case["range_min"], dtype=torch.float64)
        high = torch.tensor(case["range_max"], dtype=torch.float64)
        axis = 0 if low.numel() > 1 else None
        scale, _ = scale_and_zero_point(low, high, case["bits"])
        close(scale.reshape(-1), torch.as_tensor(case["levels_per_unit"]).reshape(-1).tolist())
        y = fake_quantize(x, case["bits"], low, high, channel_axis=axis)
        close(y.flatten(), case["y"])


@pytest.mark.parametrize("bits", ALL_BITS)
def test_ends_of_the_range_and_clipping(bits: int) -> None:
    top = 2**bits - 1
    x = torch.tensor([-5.0, 0.0, 1.0, float(top), top + 40.0])
    assert fake_quantize(x, bits, 0.0, float(top)).tolist() == [0, 0, 1, top, top]
    assert levels(bits) == top


def test_worked_by_hand() -> None:
    # 2 bits over [-1, 2]: one level a unit, codes for -1, 0, 1, 2.
    x = torch.tensor([-3.0, -1.4, -0.6, 0.4, 0.6, 1.6, 9.0])
    assert fake_quantize(x, 2, -1.0, 2.0).tolist() == [-1, -1, -1, 0, 1, 2, 2]


def test_ties_go_to_the_even_code() -> None:
    x = torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5, 3.5])
    assert fake_quantize(x, 3, -2.0, 5.0).tolist() == [-2, 0, 0, 2, 2, 4]
    scale, zero_point = scale_and_zero_point(torch.tensor(-2.5), torch.tensor(4.5), 3)
    assert scale == 1 and zero_point == -2


@pytest.mark.parametrize("bits", [-1, 0, 1, 9, 32])
def test_other_bits_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=rf"bits = {bits} .*2 to 8"):
        fake_quantize(torch.ones(3), bits, 0.0, 1.0)


def test_ill_shaped_ranges_are_refused() -> None:
    x = torch.ones(3, 4)
    with pytest.raises(ValueError, match="needs a channel_axis"):
        fake_quantize(x, 4, torch.zeros(3), torch.ones(3))
    with pytest.raises(ValueError, match=r"must be \(3,\)"):
        fake_quantize(x, 4, torch.zeros(4), torch.ones(4), channel_axis=0)
    with pytest.raises(ValueError, match=r"must be \(4,\)"):
        fake_quantize(x, 4, torch.zeros(3), torch.ones(3), channel_axis=1)
    with pytest.raises(ValueError, match=r"must be \(3,\)"):
        fake_quantize(x, 4, torch.zeros(3), torch.ones(4), channel_axis=0)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_each_channel_uses_its_own_range(axis: int) -> None:
    x = torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(0))
    high = torch.tensor([0.5, 1.0, 2.0])
    y = fake_quantize(x, 4, -high, high, channel_axis=axis)
    for channel in range(3):
        part = x.select(axis, channel)
        alone = fake_quantize(part, 4, -high[channel], high[channel])
        assert torch.equal(y.select(axis, channel), alone)


@pytest.mark.parametrize("bits", ALL_BITS)
def test_gradient_is_the_identity_for_clipped_values_too(bits: int) -> None:
    x = torch.tensor([-100.0, -0.2, 0.0, 0.3, 100.0], requires_grad=True)
    low = torch.tensor(-1.0, requires_grad=True)
    high = torch.tensor(1.0, requires_grad=True)
    upstream = torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0])
    fake_quantize(x, bits, low, high).backward(upstream)
    assert x.grad is not None and torch.equal(x.grad, upstream)
    assert low.grad is None and high.grad is None


def test_the_input_is_left_alone() -> None:
    x = torch.tensor([0.123, -4.0, 7.0])
    before = x.clone()
    fake_quantize(x, 2, -1.0, 1.0)
    assert torch.equal(x, before)


@pytest.mark.parametrize("bits", ALL_BITS)
def test_zero_and_constant_channels(bits: int) -> None:
    weight = torch.stack([torch.zeros(8), torch.full((8,), 0.3), torch.full((8,), -0.3)])
    low, high = weight_range(weight)
    scale, zero_point = scale_and_zero_point(low, high, bits)
    y = fake_quantize(weight, bits, low, high, channel_axis=0)
    assert torch.isfinite(scale).all() and torch.isfinite(y).all()
    assert torch.equal(y[0], torch.zeros(8))
    torch.testing.assert_close(y[1:], weight[1:], rtol=1e-6, atol=0)
    assert ((zero_point <= 0) & (zero_point >= -levels(bits))).all()


@pytest.mark.parametrize("bits", ALL_BITS)
@pytest.mark.parametrize(("low", "high"), [(1.0, 1.2), (-3.0, -1.0), (-0.4, 2.0), (1e-12, 1e-12)])
def test_ranges_are_widened_to_hold_zero(bits: int, low: float, high: float) -> None:
    weight = torch.linspace(low, high, 7).unsqueeze(0)
    wide_low, wide_high = weight_range(weight)
    torch.testing.assert_close(wide_low, torch.tensor([min(low, 0.0)]))
    torch.testing.assert_close(wide_high, torch.tensor([max(high, 0.0)]))
    _, zero_point = scale_and_zero_point(wide_low, wide_high, bits)
    assert 0 <= -zero_point.item() <= levels(bits)
    zero = fake_quantize(torch.zeros(1, 1), bits, wide_low, wide_high, channel_axis=0)
    assert zero.item() == 0


def test_a_given_range_is_not_widened() -> None:
    # Levels 1 and 4/3 to 2 alone are left for a range of 1 to 2 at 2 bits.
    y = fake_quantize(torch.tensor([0.0, 1.4], dtype=torch.float64), 2, 1.0, 2.0)
    torch.testing.assert_close(y, torch.tensor([1.0, 4 / 3], dtype=torch.float64))


finite = st.floats(-1e3, 1e3, width=32)


@settings(max_examples=100, deadline=None)
@given(st.lists(finite, min_size=1, max_size=80), st.integers(2, 8))
def test_few_values_idempotent_and_close(values: list[float], bits: int) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    low, high = widen_to_zero(x.min(), x.max())
    y = fake_quantize(x, bits, low, high)
    scale, zero_point = scale_and_zero_point(low, high, bits)
    assert y.unique().numel() <= 2**bits
    assert torch.equal(fake_quantize(y, bits, low, high), y)
    assert (y[x == 0] == 0).all()
    assert 0 <= -zero_point.item() <= levels(bits)
    # Half a step of rounding, and half a step more where the zero point was rounded.
    assert ((y - x).abs() <= (1 + 1e-9) / scale).all()


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_codes_are_those_of_pytorch_s_own_operator(bits: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(16, 40)
    low, high = widen_to_zero(*weight.aminmax(dim=1))
    scale, zero_point = scale_and_zero_point(low, high, bits)
    expected = torch.fake_quantize_per_channel_affine(
        weight, 1 / scale, -zero_point.to(torch.int32), 0, 0, 2**bits - 1
    )
    actual = fake_quantize(weight, bits, low, high, channel_axis=0)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from adadfq_core.export.integer.arithmetic import Rescaling, exact_float, rescale, rescaling
from adadfq_core.export.integer.formats import Format, common_step
from adadfq_core.export.integer.operations import Windows, convolve, pool_max, pool_sum

INT32 = st.integers(-(2**31) + 1, 2**31 - 1)


def _one(multiplier: int, shift: int) -> Rescaling:
    return Rescaling(np.array([multiplier]), np.array([shift]))


def _applied(values: list[int], by: Rescaling) -> list[int]:
    return [int(v) for v in rescale(np.array([values], np.int32), by)[0]]


def test_halves_go_to_the_even_neighbour() -> None:
    assert _applied([1, 3, 5, -1, -3, -5, 4, -4], _one(1, 1)) == [0, 2, 2, 0, -2, -2, 2, -2]
    # Times 3/4: 1.5, 4.5, -1.5, -4.5, and 0.75.
    assert _applied([2, 6, -2, -6, 1], _one(3, 2)) == [2, 4, -2, -4, 1]


def test_each_channel_has_its_own_multiplier() -> None:
    by = Rescaling(np.array([1, 1, 3]), np.array([1, -3, 0]))
    values = np.array([[[5, 7], [5, -7], [5, 7]]], np.int32)
    assert rescale(values, by).tolist() == [[[2, 4], [40, -56], [15, 21]]]


@given(st.lists(INT32, min_size=1, max_size=8), st.integers(0, 2**31 - 1), st.integers(0, 62))
def test_rescaling_is_the_exact_product_rounded_once(
    values: list[int], multiplier: int, shift: int
) -> None:
    expected = [round(Fraction(v * multiplier, 2**shift)) for v in values]
    assert _applied(values, _one(multiplier, shift)) == expected


@given(st.floats(2.0**-31, 2.0**30))
def test_a_multiplier_keeps_31_bits_of_the_ratio(ratio: float) -> None:
    by = rescaling(np.array([ratio]))
    multiplier, shift = int(by.multiplier[0]), int(by.shift[0])
    assert 0 < multiplier < 2**31
    assert -30 <= shift <= 62
    error = abs(Fraction(multiplier) / Fraction(2) ** shift - Fraction(ratio))
    assert error <= Fraction(ratio) / 2**31


def test_powers_of_two_are_shifts_and_nothing_is_nothing() -> None:
    by = rescaling(np.array([8.0, 0.25, 1.0, 2.0**-80, 0.0]))
    assert by.multiplier.tolist() == [1, 1, 1, 0, 0]
    assert by.shift.tolist() == [-3, 2, 0, 0, 0]


def test_a_sum_gets_fraction_bits_while_it_is_small_and_loses_bits_when_it_is_large() -> None:
    coarse = Format(np.array([0.5, 1.0]), np.array([0, 0]), np.array([12, 2**30]))
    step = common_step(coarse, np.array([2.0]))
    # Reach 6 + 2 = 16 steps: 4 bits, so 20 more. Reach 2^30 + 2: 31 bits, so 2 fewer.
    assert step.tolist() == [0.5 / 2**20, 4.0]


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [(1, 1, 1, 1), (2, 1, 1, 2), (1, 2, 2, 4), (3, 0, 1, 1)],
)
def test_convolution_is_exact(stride: int, padding: int, dilation: int, groups: int) -> None:
    random = np.random.default_rng(3)
    x = random.integers(-255, 256, (3, 4, 11, 9)).astype(np.int32)
    weight = random.integers(-255, 256, (8, 4 // groups, 3, 3))
    windows = Windows((3, 3), (stride,) * 2, (dilation,) * 2, ((padding,) * 2,) * 2)
    found = convolve(x, weight, windows, groups, exact_float(255 * 255 * 36))
    parts = torch.from_numpy(x).long(), torch.from_numpy(weight).long()
    expected = F.conv2d(*parts, None, stride, padding, dilation, groups)
    assert found.dtype == np.int32
    assert np.array_equal(found, expected.numpy())


def test_float32_is_taken_only_while_it_holds_every_integer() -> None:
    largest = next(n for n in (2**24, 2**53) if np.float32(n) + np.float32(1) == np.float32(n))
    assert exact_float(largest) is np.float32
    assert exact_float(largest + 1) is np.float64
    x = np.array([[[[1, 2**24]]]], np.int32)
    windows = Windows((1, 2), (1, 1), (1, 1), ((0, 0), (0, 0)))
    weight = np.ones((1, 1, 1, 2), np.int64)
    assert convolve(x, weight, windows, 1, exact_float(2**24 + 1)).item() == 2**24 + 1


def test_pooling_beyond_the_edge() -> None:
    x = np.array([[[[-5, -2, -3], [-4, -9, -1], [-7, -6, -8]]]], np.int32)
    windows = Windows((2, 2), (2, 2), (1, 1), ((1, 0), (1, 0)))
    assert pool_max(x, windows).tolist() == [[[[-5, -2], [-4, -1]]]]
    assert pool_sum(x, windows).tolist() == [[[[-5, -5], [-11, -24]]]]

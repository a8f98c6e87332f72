from __future__ import annotations

import numpy as np
import pytest
import torch

from adadfq_core.lessons.numbers import (
    fewer_bits_suffice,
    filter_weights,
    round_filter,
    round_number,
    staircase,
)
from adadfq_core.quant.layers import quantize_weight
from adadfq_core.zoo.registry import find


def test_two_bits_from_0_to_3_snap_to_whole_numbers() -> None:
    assert [round_number(value, 2, 0.0, 3.0) for value in (-5, 0.4, 1.6, 9)] == [0, 0, 2, 3]


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_the_staircase_has_every_step_and_ends_at_the_range(bits: int) -> None:
    x, y = staircase(bits, -1.0, 1.0, reach=1.5)
    assert x[0] == -1.5 and x[-1] == 1.5
    assert len(np.unique(y)) == 2**bits
    assert (np.diff(y) >= 0).all() and 0 in y
    assert np.abs(y - x)[np.abs(x) < 0.9].max() <= 1 / (2**bits - 1) + 1e-6


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_with_its_whole_range_a_filter_is_rounded_as_the_engine_rounds_it(bits: int) -> None:
    weights = filter_weights(find("fashion-resnet20").load(), "stages.2.2.conv2", channel=3)
    rounding = round_filter(weights, bits, kept=1.0)
    engine = quantize_weight(weights[None], bits).flatten().numpy()
    np.testing.assert_array_equal(rounding.after, engine)
    assert rounding.clipped == 0
    assert len(rounding.allowed) == 2**bits and np.isin(rounding.after, rounding.allowed).all()
    assert rounding.error == pytest.approx(np.abs(engine - rounding.before).mean())


def test_a_narrower_range_clips_what_lies_more_than_half_a_step_outside() -> None:
    # Levels of 2 bits over half of 0..6 are 0, 1, 2, 3: 3.4 is rounded to 3, 4 and 6 are clipped.
    rounding = round_filter(torch.tensor([0.0, 1.2, 3.4, 4.0, 6.0]), 2, kept=0.5)
    np.testing.assert_allclose(rounding.allowed, [0, 1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(rounding.after, [0, 1, 3, 3, 3], atol=1e-6)
    assert rounding.clipped == pytest.approx(0.4)
    assert rounding.error == pytest.approx((0.2 + 0.4 + 1 + 3) / 5, rel=1e-5)


def test_fewer_bits_suffice_only_below_the_chosen_number() -> None:
    by_bits = {2: 20.0, 4: 89.0, 5: 89.5, 6: 91.0}
    assert not fewer_bits_suffice(90.0, by_bits, 5, loss=1.0)
    assert fewer_bits_suffice(90.0, by_bits, 6, loss=1.0)
    assert fewer_bits_suffice(90.0, by_bits, 5, loss=1.5)

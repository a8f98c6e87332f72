from __future__ import annotations

import pytest
import torch

from adadfq_core.quant.fake_quant import fake_quantize
from adadfq_core.quant.ranges import ActivationQuantizer


def ends(quantizer: ActivationQuantizer) -> tuple[float, float]:
    low, high = quantizer.range()
    return low.item(), high.item()


@pytest.mark.parametrize("steps", [10, 50, 100, 400])
@pytest.mark.parametrize("constant", [1.0, 0.37, -2.5])
def test_a_constant_input_gives_that_range_at_every_step(steps: int, constant: float) -> None:
    quantizer = ActivationQuantizer(4)
    quantizer.observing = True
    x = torch.full((2, 3), constant)
    expected = (min(constant, 0.0), max(constant, 0.0))
    for _ in range(steps):
        y = quantizer(x)
        assert ends(quantizer) == pytest.approx(expected, rel=1e-5)
        torch.testing.assert_close(y, x, rtol=1e-5, atol=0)
    quantizer.observing = False
    frozen = ends(quantizer)
    quantizer(x * 100)
    assert ends(quantizer) == frozen


def test_bias_corrected_average_by_hand() -> None:
    quantizer = ActivationQuantizer(8)
    quantizer.observing = True
    lows, highs = [-1.0, -2.0, -0.5], [1.0, 3.0, 8.0]
    for n in range(1, 4):
        quantizer(torch.tensor([lows[n - 1], highs[n - 1]]))
        weights = [0.1 * 0.9 ** (n - 1 - i) for i in range(n)]
        low = sum(w * v for w, v in zip(weights, lows, strict=False)) / sum(weights)
        high = sum(w * v for w, v in zip(weights, highs, strict=False)) / sum(weights)
        assert ends(quantizer) == pytest.approx((low, high), rel=1e-6)


def test_reading_the_range_does_not_move_it() -> None:
    quantizer = ActivationQuantizer(4)
    quantizer.observing = True
    quantizer(torch.tensor([-1.0, 2.0]))
    assert {ends(quantizer) for _ in range(30)} == {ends(quantizer)}


def test_a_range_without_zero_is_widened() -> None:
    quantizer = ActivationQuantizer(4)
    quantizer.observing = True
    quantizer(torch.tensor([1.0, 3.0]))
    assert ends(quantizer) == pytest.approx((0.0, 3.0))
    assert quantizer(torch.zeros(2)).tolist() == [0, 0]


def test_an_unused_range_maps_to_finite_values() -> None:
    assert torch.isfinite(ActivationQuantizer(4)(torch.tensor([0.0, 5.0]))).all()


def test_quantizes_with_the_range_in_force_and_passes_the_gradient() -> None:
    quantizer = ActivationQuantizer(3)
    quantizer.observing = True
    x = torch.tensor([-1.0, 0.4, 2.0], requires_grad=True)
    y = quantizer(x)
    assert torch.equal(y, fake_quantize(x, 3, *quantizer.range()))
    y.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones(3))


def test_the_range_survives_a_state_dict() -> None:
    quantizer = ActivationQuantizer(4)
    quantizer.observing = True
    quantizer(torch.tensor([-1.0, 2.0]))
    other = ActivationQuantizer(4)
    other.load_state_dict(quantizer.state_dict())
    assert ends(other) == ends(quantizer)

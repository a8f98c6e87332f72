"""Ranges narrower than minima and maxima, searched for and learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from played import assert_resumes, states_of_q
from torch import Tensor, nn

from adadfq_core.export.frozen import freeze
from adadfq_core.quant import quantize
from adadfq_core.quant.fake_quant import fake_quantize, levels
from adadfq_core.quant.layers import QuantizedLayer
from adadfq_core.quant.range_shares import (
    SEARCHED,
    RangeShares,
    fake_quantize_clipping,
    range_errors,
)
from adadfq_core.quant.ranges import ActivationQuantizer
from adadfq_core.training.trainer import Trainer

VALUES = {
    "ranges": "learned",
    "weight_bits": 2,
    "activation_bits": 3,
    "epochs": 3,
    "iterations_per_epoch": 2,
    "warmup_epochs": 1,
    "lr_q": 0.05,
}


class Rounding(torch.autograd.Function):
    """Rounds, with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def by_parts(x: Tensor, bits: int, low: Tensor, high: Tensor) -> Tensor:
    """The same quantization of steps that each pass their own gradient on."""
    scale = levels(bits) / (high - low)
    zero = Rounding.apply(low * scale)
    code, top = Rounding.apply(x * scale), zero + levels(bits)
    # Not `torch.clamp`, which gives half of the gradient to a bound where both are equal.
    return torch.where(code < zero, zero, torch.where(code > top, top, code)) / scale


def test_gradients_worked_by_hand() -> None:
    # 2 bits over [0, 3]: a step of 1. Rounding errors -0.4 and 0.4, one value clipped at code 3.
    x = torch.tensor([0.4, 1.6, 5.0], requires_grad=True)
    low, high = torch.tensor(0.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    y = fake_quantize_clipping(x, 2, low, high)
    assert y.tolist() == [0, 2, 3]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1, 1, 0]
    # By the step: -0.4 + 0.4 + 3; the upper bound is three steps, the lower one the negative of
    # that and the whole of what is clipped.
    assert high.grad is not None and high.grad.item() == pytest.approx(1.0)
    assert low.grad is not None and low.grad.item() == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(2, 8),
    seed=st.integers(0, 1000),
    below=st.floats(0, 2),
    above=st.floats(0.1, 2),
    by_channel=st.booleans(),
)
def test_values_are_those_of_fake_quantize_and_gradients_those_of_its_parts(
    bits: int, seed: int, below: float, above: float, by_channel: bool
) -> None:
    torch.manual_seed(seed)
    shape = (3, 1) if by_channel else ()
    x = torch.randn(3, 17, dtype=torch.float64, requires_grad=True)
    scatter = 1 + torch.rand(shape, dtype=torch.float64)
    low = (-below * scatter).requires_grad_()
    high = (above * scatter).requires_grad_()
    axis = 0 if by_channel else None
    bounds = [low.flatten(), high.flatten()] if by_channel else [low, high]
    y = fake_quantize_clipping(x, bits, bounds[0], bounds[1], channel_axis=axis)
    plain = fake_quantize(x, bits, bounds[0].detach(), bounds[1].detach(), channel_axis=axis)
    assert torch.equal(y, plain)
    weights = torch.randn(3, 17, dtype=torch.float64)
    got = torch.autograd.grad((y * weights).sum(), [x, low, high])
    same = by_parts(x, bits, low, high)
    expected = torch.autograd.grad((same * weights).sum(), [x, low, high])
    for mine, other in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("gradients", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("values", [torch.contiguous_format, torch.channels_last])
def test_gradients_do_not_depend_on_how_maps_lie_in_memory(
    values: torch.memory_format, gradients: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).to(memory_format=values).requires_grad_()
    weights = torch.randn(2, 3, 4, 5, dtype=torch.float64).to(memory_format=gradients)
    low, high = (torch.tensor(v, dtype=x.dtype, requires_grad=True) for v in (-0.7, 1.1))
    got = torch.autograd.grad(fake_quantize_clipping(x, 3, low, high), [x, low, high], weights)
    expected = torch.autograd.grad(by_parts(x, 3, low, high), [x, low, high], weights)
    for mine, other in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, other)


def test_single_precision_tells_the_gradient_of_a_large_map() -> None:
    torch.manual_seed(0)
    x, weights = torch.randn(2, 16, 16, 32, 32).unbind()
    gradients = []
    for dtype in (torch.float32, torch.float64):
        low, high = (torch.tensor(v, dtype=dtype, requires_grad=True) for v in (-0.6, 1.3))
        y = fake_quantize_clipping(x.to(dtype), 4, low, high)
        gradients.append(torch.autograd.grad(y, [low, high], weights.to(dtype)))
    for single, double in zip(*gradients, strict=True):
        assert single.item() == pytest.approx(double.item(), rel=1e-3)


def test_a_pass_that_asks_for_no_range_computes_none() -> None:
    x = torch.randn(5, requires_grad=True)
    low, high = (torch.tensor(v, requires_grad=True) for v in (-1.0, 1.0))
    y = fake_quantize_clipping(x, 3, low, high)
    assert y.grad_fn is not None
    (path,) = [n for n, _ in y.grad_fn.next_functions if n and "RangePath" in n.name()]
    calls: list[int] = []
    path.register_prehook(lambda grads: calls.append(1))
    torch.autograd.grad(y.sum(), x, retain_graph=True)
    assert not calls
    torch.autograd.grad(y.sum(), [x, high])
    assert calls


OUTLIER = torch.cat(
    [torch.randn(2000, generator=torch.Generator().manual_seed(0)), torch.tensor([12.0])]
)


def shares_of(*shape: int, learned: bool = True) -> RangeShares:
    return RangeShares(shape, torch.device("cpu"), learned=learned)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_a_range_learns_to_leave_an_outlier_out(bits: int) -> None:
    low, high = OUTLIER.min(), OUTLIER.max()
    shares = shares_of()
    optimizer = torch.optim.Adam(shares.parameters(), lr=0.02)

    def error() -> Tensor:
        y = fake_quantize_clipping(OUTLIER, bits, *shares(low, high, 1, bits))
        return (y - OUTLIER).square().mean()

    before = error().item()
    for _ in range(200):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert error().item() < 0.7 * before
    assert 1 < shares(low, high, 1, bits)[1].item() < 8


def test_errors_worked_by_hand() -> None:
    # 2 bits over [0, 3]: codes 0, 1, 2, 3. Over a third of it: 0, 1/3, 2/3, 1.
    x = torch.tensor([0.0, 1.0, 2.4])
    errors = range_errors(x, 2, torch.tensor(0.0), torch.tensor(3.0))
    assert len(errors) == len(SEARCHED)
    assert SEARCHED[-1] == pytest.approx(1) and min(SEARCHED) == pytest.approx(0.3)
    assert errors[-1].item() == pytest.approx(0.4**2 / 3)
    # Three tenths of it reach to 0.9: the two larger values are clipped.
    assert errors[0].item() == pytest.approx((0.1**2 + 1.5**2) / 3)


@pytest.mark.parametrize("axis", [0, 1])
def test_each_channel_has_errors_of_its_own(axis: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 3, 5)
    low, high = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([3.0, 2.0, 1.0])
    together = range_errors(x, 3, low, high, channel_axis=axis)
    for channel in range(3):
        alone = range_errors(x.select(axis, channel), 3, low[channel], high[channel])
        torch.testing.assert_close(together[:, channel], alone)


@pytest.mark.parametrize("learned", [False, True])
def test_the_best_share_is_used_and_of_equal_ones_the_widest(learned: bool) -> None:
    shares = shares_of(2, learned=learned)
    errors = torch.ones(len(SEARCHED), 2)
    errors[5, 1] = 0.5
    shares.take_best(errors)
    torch.testing.assert_close(shares.shares, torch.tensor([[1.0, SEARCHED[5]]] * 2))
    assert isinstance(shares.shares, nn.Parameter) is learned


def test_zero_stays_within_whatever_is_learned() -> None:
    shares = shares_of(2)
    with torch.no_grad():
        shares.shares.copy_(torch.tensor([[-2.0, 6.0], [-1.0, 1.5]]))
    low, high = shares(torch.tensor([-1.0, -1.0]), torch.tensor([2.0, 2.0]), 4, 3)
    assert low.tolist() == [0.0, -6.0]
    assert high.tolist() == [0.0, 3.0]


@pytest.mark.parametrize("learned", [False, True])
def test_what_a_narrow_range_leaves_out_has_no_gradient(learned: bool) -> None:
    layer = QuantizedLayer(nn.Linear(3, 1, bias=False), None, 4)
    site = ActivationQuantizer(4)
    with torch.no_grad():
        layer.layer.weight.copy_(torch.tensor([[0.1, -0.2, 1.0]]))
        site.observing = True
        site(torch.tensor([0.0, 4.0]))
        site.observing = False
    for part in (layer, site):
        part.share_ranges(learned=learned)
        assert part.shares is not None
        with torch.no_grad():
            part.shares.shares.fill_(0.5)
    # Weights reach from -0.1 to 0.5 now, activations to 2.
    activations = torch.tensor([[1.0, 3.0]], requires_grad=True)
    site(activations).sum().backward()
    assert activations.grad is not None and activations.grad.tolist() == [[1, 0]]
    layer(torch.ones(1, 3)).sum().backward()
    assert layer.layer.weight.grad is not None
    assert layer.layer.weight.grad.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("learned", [False, True])
def test_weights_do_not_grow_for_a_target_that_is_out_of_range(learned: bool) -> None:
    torch.manual_seed(0)
    images = torch.rand(16, 2, 6, 6)
    q = quantize(small_network(), 4, 4, images)
    q.share_ranges(learned=learned)
    with torch.no_grad(), q.observing_ranges():
        q(images)
    ((_, site),) = q.activation_quantizers()
    assert site.shares is not None
    with torch.no_grad():
        site.shares.shares.fill_(0.3)
    conv = next(m for m in q.modules() if isinstance(m, QuantizedLayer))
    before = conv.layer.weight.detach().clone()
    optimizer = torch.optim.SGD([conv.layer.weight], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        reached = site.range()[1].item()
        # All that the range holds is too little, so that the loss pulls the layer up for ever.
        (10 * reached - site(conv(images).relu())).square().mean().backward()
        optimizer.step()
    assert (conv.layer.weight - before).norm() < before.norm()


def small_network() -> nn.Module:
    torch.manual_seed(0)
    parts = (nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    return nn.Sequential(*parts).eval()


@pytest.mark.parametrize("learned", [False, True])
def test_all_of_a_range_is_used_until_something_is_found(learned: bool) -> None:
    images = torch.randn(6, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    plain, shared = (quantize(small_network(), 3, 3, images) for _ in range(2))
    shared.share_ranges(learned=learned)
    with torch.no_grad():
        for q in (plain, shared):
            with q.observing_ranges():
                q(images)
    assert torch.equal(plain(images), shared(images))
    assert torch.equal(freeze(plain)(images), freeze(shared)(images))


@pytest.mark.parametrize("learned", [False, True])
def test_the_search_brings_weights_and_activations_closer(learned: bool) -> None:
    network = small_network()
    images = torch.randn(64, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    q = quantize(network, 2, 2, images)
    q.share_ranges(learned=learned)
    conv = next(m for m in q.modules() if isinstance(m, QuantizedLayer))
    ((_, site),) = q.activation_quantizers()
    with torch.no_grad():
        with q.observing_ranges():
            q(images)
        with q.searching_ranges():
            q(images)
        torch.testing.assert_close(freeze(q)(images), q(images))
        seen: list[Tensor] = []
        site.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        q(images)

        def errors() -> tuple[float, float]:
            weight = (conv.quantized_weight() - conv.layer.weight).square().mean().item()
            return weight, (site(seen[0]) - seen[0]).square().mean().item()

        found = errors()
        shares = [conv.shares, site.shares]
        kept = [each.shares.clone() for each in shares if each is not None]
        for each in shares:
            assert each is not None
            each.shares.fill_(1)
        whole = errors()
        for each, value in zip(shares, kept, strict=True):
            assert each is not None
            each.shares.copy_(value)
    assert found[0] < whole[0] and found[1] < whole[1]
    narrowed = [m.shares.min().item() for m in q.modules() if isinstance(m, RangeShares)]
    assert len(narrowed) == 3 and all(0.3 <= share <= 1 for share in narrowed)
    assert min(narrowed) < 1


def test_transposed_and_grouped_layers_learn_a_range_a_channel() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.ConvTranspose2d(4, 6, 3, groups=2), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=3)
    ).eval()
    images = torch.randn(2, 4, 5, 5)
    q = quantize(network, 2, 4, images)
    with torch.no_grad(), q.observing_ranges():
        before = q(images)
    q.share_ranges(learned=True)
    q.requires_grad_(True)
    q(images).square().sum().backward()
    shares = [m.shares for m in q.modules() if isinstance(m, RangeShares)]
    assert sorted(tuple(each.shape) for each in shares) == [(2,), (2, 6), (2, 6)]
    assert all(each.grad is not None and bool((each.grad != 0).any()) for each in shares)
    with torch.no_grad():
        torch.testing.assert_close(q(images), before)


@pytest.mark.parametrize("ranges", ["searched", "learned"])
def test_a_run_narrows_ranges_after_its_warm_up_and_resumes_to_the_same_numbers(
    tiny_trainer: Callable[..., Trainer], ranges: str
) -> None:
    values = {**VALUES, "ranges": ranges, "q_average": 0.9}
    states = states_of_q(tiny_trainer(**values))
    names = [name for name in states[0] if name.endswith("shares.shares")]
    assert names
    assert all(bool((states[0][name] == 1).all()) for name in names), "the warm-up uses all"
    assert any(bool((states[1][name] < 1).any()) for name in names)
    moved = [not torch.equal(states[1][name], states[-1][name]) for name in names]
    assert all(moved) if ranges == "learned" else not any(moved)
    assert_resumes(lambda: tiny_trainer(**values), states[-1])


@pytest.mark.parametrize("ranges", ["searched", "learned"])
def test_what_is_evaluated_and_exported_has_these_ranges(
    tiny_trainer: Callable[..., Trainer], ranges: str
) -> None:
    trainer = tiny_trainer(**{**VALUES, "ranges": ranges, "q_average": 0.9})
    while trainer.warming_up:
        trainer.play()
    images = torch.rand(16, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(trainer.quantized_network()(images), trainer.players.q(images))
    while not trainer.finished:
        trainer.play()
    q = trainer.quantized_network()
    with torch.no_grad():
        found = q(images)
        torch.testing.assert_close(freeze(q)(images), found)
        for module in q.modules():
            if isinstance(module, RangeShares):
                module.shares.fill_(1)
        assert not torch.allclose(freeze(q)(images), found)

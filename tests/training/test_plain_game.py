"""The trainer against the plain game that the benchmarks hold it to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from step import Case, compare
from torch import nn

from adadfq_core.game.step import _apply


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("bits", [3, 5])
def test_the_trainer_plays_the_plain_game(bits: int) -> None:
    assert compare(Case("resnet20", bits, batch=4, threads=1), torch.float64, iterations=6) < 1e-9


def test_in_single_precision_the_first_iteration_is_the_plain_one() -> None:
    # Not closer: of G's biases in front of BatchNorm, which change no image, the gradient is
    # rounding alone, and Adam makes full steps of it.
    case = Case("resnet20", 5, batch=4, threads=1)
    assert compare(case, torch.float32, iterations=1) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet20", "resnet18"])
def test_twenty_iterations_of_the_papers_protocols(network: str) -> None:
    assert compare(Case(network, 4, batch=8, threads=2), torch.float64) < 1e-9


FORMATS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("of_weight", FORMATS)
@pytest.mark.parametrize("of_gradient", FORMATS)
def test_a_weight_moves_by_its_own_gradient_however_both_lie_in_memory(
    optimizer: type[torch.optim.Optimizer],
    fused: bool,
    of_weight: torch.memory_format,
    of_gradient: torch.memory_format,
) -> None:
    start, gradient = torch.randn(2, 5, 4, 3, 3, generator=torch.Generator().manual_seed(0))

    def moved(weight: torch.Tensor, by: torch.Tensor, how: bool) -> torch.Tensor:
        parameter = nn.Parameter(weight)
        _apply(optimizer([parameter], lr=0.1, fused=how), [by])
        assert parameter.grad is None
        return parameter.detach()

    laid = start.clone(memory_format=of_weight), gradient.clone(memory_format=of_gradient)
    torch.testing.assert_close(moved(*laid, fused), moved(start.clone(), gradient, False))

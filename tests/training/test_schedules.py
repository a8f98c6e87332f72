from __future__ import annotations

import pytest

from adadfq_core.settings import make_settings
from adadfq_core.training.schedules import learning_rate_factor


@pytest.mark.parametrize(
    ("epoch", "factor"), [(100, 0.1), (200, 0.01), (300, 0.001)], ids=["100", "200", "300"]
)
def test_the_papers_milestones(epoch: int, factor: float) -> None:
    paper = make_settings({})
    first = epoch * 200
    assert learning_rate_factor(paper, first) == pytest.approx(factor, rel=1e-12)
    assert learning_rate_factor(paper, first - 1) == pytest.approx(10 * factor, rel=1e-12)


def test_the_papers_ends() -> None:
    paper = make_settings({})
    assert learning_rate_factor(paper, 0) == 1
    assert learning_rate_factor(paper, paper.iterations - 1) == pytest.approx(1e-3)


def test_cosine_waits_for_the_warmup_and_ends_near_zero() -> None:
    settings = make_settings(
        {"schedule": "cosine", "epochs": 10, "warmup_epochs": 2, "iterations_per_epoch": 5}
    )
    factors = [learning_rate_factor(settings, i) for i in range(settings.iterations + 3)]
    assert factors[:11] == [1.0] * 11
    assert factors[30] == pytest.approx(0.5)
    assert factors == sorted(factors, reverse=True)
    assert 0 < factors[49] < 0.01
    assert factors[50:] == pytest.approx([0, 0, 0], abs=1e-12)


def test_constant() -> None:
    settings = make_settings({"schedule": "constant"})
    assert {learning_rate_factor(settings, i) for i in (0, 20_000, 79_999)} == {1.0}

from __future__ import annotations

from adadfq_core.runs.comparison import Difference, differences
from adadfq_core.settings import RunSettings


def test_only_what_differs_in_the_order_of_the_model() -> None:
    runs = [
        RunSettings(seed=1, lambda_u=0.7, image_mean=(0.5,)),
        RunSettings(seed=1, lambda_u=0.8),
        RunSettings(seed=2, lambda_u=0.7),
    ]
    assert differences(runs) == [
        Difference("image_mean", ((0.5,), None, None)),
        Difference("seed", (1, 1, 2)),
        Difference("lambda_u", (0.7, 0.8, 0.7)),
    ]


def test_equal_settings_and_fewer_than_two_differ_in_nothing() -> None:
    assert differences([RunSettings(), RunSettings()]) == []
    assert differences([RunSettings(seed=3)]) == []
    assert differences([]) == []

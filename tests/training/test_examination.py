from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from adadfq_core.game.methods import distillation_loss
from adadfq_core.game.objectives import quantized_network_loss
from adadfq_core.training.evaluation import EVALUATION_BATCH, top1
from adadfq_core.training.examination import Examination
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.evaluation_data import EvaluationData

COUNT = EVALUATION_BATCH + 70


@pytest.fixture
def data() -> EvaluationData:
    draw = torch.Generator().manual_seed(3)
    images = torch.randn(COUNT, 1, 8, 8, generator=draw)
    return EvaluationData(images, torch.randint(3, (COUNT,), generator=draw), (), "made up")


def both_answers(trainer: Trainer, images: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return trainer.players.p(images), trainer.quantized_network()(images)


@pytest.mark.parametrize("method", ["adadfq", "gdfq"])
def test_q_is_measured_by_what_it_minimises_over_all_images(
    tiny_trainer: Callable[..., Trainer], data: EvaluationData, method: str
) -> None:
    trainer = tiny_trainer(method=method, temperature=3.0)
    while not trainer.finished:
        trainer.play()
    examination = Examination(trainer, data)
    score = examination.measure("q")
    p, q = both_answers(trainer, data.images)
    if method == "gdfq":
        expected = distillation_loss(p, q, data.labels, 3.0)
    else:
        expected = quantized_network_loss(p, q, 3.0)
    assert score.loss_q == pytest.approx(float(expected), rel=1e-5)
    assert score.top1 == top1(trainer.quantized_network(), data.images, data.labels)
    assert examination.measure("p") == (top1(trainer.players.p, data.images, data.labels), None)


def test_p_answers_once_and_q_every_time(
    tiny_trainer: Callable[..., Trainer], data: EvaluationData
) -> None:
    trainer = tiny_trainer()
    seen: list[int] = []
    trainer.players.p.register_forward_hook(lambda *_: seen.append(1))
    examination = Examination(trainer, data)
    before = examination.measure("q_calibrated").loss_q
    while not trainer.finished:
        trainer.play()
    played = len(seen)
    assert examination.measure("q").loss_q != before
    assert len(seen) == played
    # The temperature in force, as in training.
    warm = examination.measure("q").loss_q
    trainer.change(trainer.settings.model_copy(update={"temperature": 2.0}))
    p, q = both_answers(trainer, data.images)
    cold = examination.measure("q").loss_q
    assert cold == pytest.approx(float(quantized_network_loss(p, q, 2.0)), rel=1e-5)
    assert cold != warm

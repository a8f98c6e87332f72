"""Rounding weights moves the means of a layer's output, and the biases can undo that."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from played import assert_resumes, states_of_q
from torch import Tensor, nn

from adadfq_core.quant import quantize
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.training.trainer import Trainer


def corrected(network: nn.Module, images: Tensor, bits: int = 2) -> QuantizedNetwork:
    """`network` quantized and corrected on `images`."""
    q = quantize(network.eval(), bits, 8, images)
    with torch.no_grad():
        with q.observing_ranges():
            q(images)
        with q.correcting_biases():
            q(images)
    return q


def test_a_hand_worked_shift() -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        # Three steps of 0.5 lie between 0 and 1.5: 0.7 becomes 0.5.
        layer.weight.copy_(torch.tensor([[0.7, 1.5]]))
        layer.bias.fill_(0.25)
    images = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    q = corrected(nn.Sequential(layer), images)
    # The mean input of the rounded weight is 2, so the mean output fell by 0.4.
    assert q.state_dict()["graph_module.0.layer.bias"].item() == pytest.approx(0.65)
    assert layer.bias.item() == 0.25, "P is left as it is"
    assert q(images).mean().item() == pytest.approx(layer(images).mean().item(), abs=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(4, 6, 3, groups=2), (5, 4, 9)),
        (nn.Conv2d(4, 4, 3, groups=4, stride=2, padding=1), (5, 4, 8, 8)),
        (nn.ConvTranspose2d(4, 6, 2, groups=2), (5, 4, 5, 5)),
        (nn.Linear(7, 3), (5, 7)),
        (nn.Linear(7, 3), (5, 2, 7)),
    ],
    ids=["conv1d", "depthwise", "transposed", "linear", "sequence"],
)
def test_the_mean_of_every_channel_comes_back(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    images = torch.rand(shape)
    with torch.no_grad():
        q = corrected(nn.Sequential(layer), images)
        plain = quantize(nn.Sequential(layer).eval(), 2, 8, images)
        axis = -1 if isinstance(layer, nn.Linear) else 1

        def means(y: Tensor) -> Tensor:
            return y.movedim(axis, -1).flatten(0, -2).mean(0)

        aim = means(layer(images))
        assert not torch.allclose(means(plain(images)), aim, atol=1e-3)
        torch.testing.assert_close(means(q(images)), aim)


def test_batchnorms_bias_is_the_one_that_moves(
    random_norms: Callable[[nn.Module], nn.Module],
) -> None:
    torch.manual_seed(0)
    network = random_norms(nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5)))
    images = torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        q = corrected(network, images)
        torch.testing.assert_close(
            q(images).mean((0, 2, 3)), network.eval()(images).mean((0, 2, 3))
        )


def test_a_layer_without_any_bias_stays() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 2, bias=False))
    images = torch.rand(3, 4)
    q = corrected(network, images)
    untouched = quantize(network, 2, 8, images)
    assert torch.equal(q(images), untouched(images))


def test_what_passes_later_moves_nothing() -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 4)
    q = corrected(nn.Sequential(nn.Linear(4, 2)), images)
    before = {name: value.clone() for name, value in q.state_dict().items()}
    q(images * 7)
    assert all(torch.equal(value, before[name]) for name, value in q.state_dict().items())


def test_a_run_corrects_once_and_resumes_to_the_same_numbers(
    tiny_trainer: Callable[..., Trainer],
) -> None:
    values = {"bias_correction": True, "weight_bits": 2, "epochs": 3, "iterations_per_epoch": 2}
    values |= {"warmup_epochs": 1, "q_average": 0.9}
    whole, plain = tiny_trainer(**values), tiny_trainer(**{**values, "bias_correction": False})
    states = states_of_q(whole)
    for _ in range(2):
        plain.play()
    aim = plain.players.q.state_dict()
    moved = {name for name, value in aim.items() if not torch.equal(value, states[1][name])}
    assert moved and all(name.endswith("bias") for name in moved), moved
    assert_resumes(lambda: tiny_trainer(**values), states[-1])


def test_the_averaged_q_is_corrected_too(tiny_trainer: Callable[..., Trainer]) -> None:
    trainer = tiny_trainer(bias_correction=True, iterations_per_epoch=2, warmup_epochs=1)
    trainer.change(trainer.settings.model_copy(update={"q_average": 0.9}))
    while trainer.warming_up:
        trainer.play()
    own, current = trainer.quantized_network(), trainer.players.q
    assert own is not current
    for one, other in zip(own.parameters(), current.parameters(), strict=True):
        assert torch.equal(one, other)

"""BatchNorm's statistics measured anew in the quantized network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from played import assert_resumes, states_of_q
from torch import Tensor, nn

from adadfq_core.export.frozen import freeze
from adadfq_core.quant import quantize
from adadfq_core.quant.network import QuantizedNetwork
from adadfq_core.quant.norm_statistics import NormStatistics
from adadfq_core.quant.operations import is_batchnorm
from adadfq_core.training import trainer as trainer_module
from adadfq_core.training.trainer import Trainer

Norms = Callable[[nn.Module], nn.Module]


def measured(network: nn.Module, *batches: Tensor, bits: int = 2) -> QuantizedNetwork:
    """`network` quantized, its BatchNorm measured on `batches`."""
    q = quantize(network.eval(), bits, 8, batches[0])
    with torch.no_grad():
        with q.observing_ranges():
            q(batches[0])
        with q.measuring_batchnorm():
            for images in batches:
                q(images)
    return q


def statistics(q: QuantizedNetwork) -> list[tuple[Tensor, Tensor]]:
    norms = [module for module in q.modules() if is_batchnorm(module)]
    return [(norm.running_mean, norm.running_var) for norm in norms]  # type: ignore[misc]


def test_hand_worked_statistics() -> None:
    network = nn.Sequential(nn.Conv1d(1, 1, 1, bias=False), nn.BatchNorm1d(1))
    with torch.no_grad():
        network[0].weight.fill_(2.0)
    # The values 2, 4 and 6, then 8: mean 5, squares 9 + 1 + 1 + 9 = 20 over 4 - 1.
    q = measured(network, torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[4.0]]]))
    ((mean, variance),) = statistics(q)
    assert mean.item() == pytest.approx(5)
    assert variance.item() == pytest.approx(20 / 3)
    norm = network[1]
    assert (norm.running_mean.item(), norm.running_var.item()) == (0, 1), "P is left as it is"
    assert q(torch.tensor([[[2.5]]])).item() == pytest.approx(0, abs=1e-6)


def test_batches_count_as_if_they_were_one() -> None:
    torch.manual_seed(0)
    parts = [torch.randn(count, 3, 4) * 5 + 100 for count in (2, 7, 1)]
    norm = nn.BatchNorm1d(3)
    taken = NormStatistics(norm)
    for part in parts:
        taken.take(part)
    values = torch.cat(parts).movedim(1, 0).flatten(1)
    torch.testing.assert_close(norm.running_mean, values.mean(1))
    torch.testing.assert_close(norm.running_var, values.var(1))


def test_a_single_value_says_nothing_of_the_variance() -> None:
    norm = nn.BatchNorm1d(2)
    NormStatistics(norm).take(torch.tensor([[3.0, 4.0]]))
    assert norm.running_mean.tolist() == [3, 4] and norm.running_var.tolist() == [1, 1]


class Twice(nn.Module):
    """A BatchNorm that cannot be folded, since its input is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class Frozen(nn.Module):
    """A BatchNorm as detectors write it by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(4))
        self.register_buffer("running_var", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.running_mean, self.running_var
        return (x - mean.view(1, -1, 1, 1)) / (variance.view(1, -1, 1, 1) + 1e-5).sqrt()


@pytest.mark.parametrize(
    "network",
    [
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)),
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)),
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        Twice,
    ],
    ids=["folded", "transposed", "alone", "read twice"],
)
def test_what_leaves_a_batchnorm_is_as_the_network_learned_it(
    network: Callable[[], nn.Module], random_norms: Norms
) -> None:
    torch.manual_seed(0)
    float_network = random_norms(network())
    images = torch.rand(16, 3, 8, 8)
    before = statistics(quantize(float_network.eval(), 2, 8, images))
    q = measured(float_network, images)
    seen = []
    for module in q.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        out = q(images)
    ((mean, variance),) = statistics(q)
    assert not torch.allclose(mean, before[0][0])
    if seen:
        torch.testing.assert_close(seen[0].mean((0, 2, 3)), mean)
        torch.testing.assert_close(seen[0].var((0, 2, 3)), variance)
    else:
        norm = next(m for m in float_network.modules() if isinstance(m, nn.BatchNorm2d))
        aim = norm.bias if norm.affine else torch.zeros(4)
        torch.testing.assert_close(out.mean((0, 2, 3)), aim, atol=1e-4, rtol=1e-4)


def test_a_batchnorm_written_by_hand_is_measured() -> None:
    torch.manual_seed(0)
    images = torch.rand(8, 3, 6, 6)
    q = measured(nn.Sequential(nn.Conv2d(3, 4, 3), Frozen(), nn.ReLU()), images)
    ((mean, _),) = statistics(q)
    assert bool((mean != 0).all())


def test_later_layers_measure_what_they_will_see(random_norms: Norms) -> None:
    """The first layer's new statistics hold before the second layer's are measured."""
    torch.manual_seed(0)
    network = random_norms(
        nn.Sequential(
            *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)),
        )
    )
    images = torch.rand(8, 3, 9, 9)
    q = measured(network, images)
    with torch.no_grad():
        torch.testing.assert_close(
            q(images).mean((0, 2, 3)), network[4].bias.detach(), atol=1e-4, rtol=1e-4
        )


def test_what_passes_later_moves_nothing(random_norms: Norms) -> None:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 8, 8)
    for network in (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), Twice()):
        q = measured(random_norms(network), images)
        before = {name: value.clone() for name, value in q.state_dict().items()}
        q(images * 7)
        assert all(torch.equal(value, before[name]) for name, value in q.state_dict().items())


def test_both_corrections_take_a_shift_out_once(random_norms: Norms) -> None:
    torch.manual_seed(0)
    network = random_norms(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    images = torch.rand(8, 3, 8, 8)
    q = quantize(network.eval(), 2, 8, images)
    with torch.no_grad():
        with q.correcting_biases(behind_batchnorm=False):
            q(images)
        with q.measuring_batchnorm():
            q(images)
        torch.testing.assert_close(q(images).mean((0, 2, 3)), network[1].bias.detach())


VALUES = {"adaptive_batchnorm": True, "weight_bits": 2, "epochs": 3, "iterations_per_epoch": 2}


@pytest.mark.parametrize("both", [False, True])
def test_a_run_measures_once_and_resumes_to_the_same_numbers(
    tiny_trainer: Callable[..., Trainer], both: bool
) -> None:
    values = {**VALUES, "warmup_epochs": 1, "q_average": 0.9, "bias_correction": both}
    whole, plain = tiny_trainer(**values), tiny_trainer(**{**values, "adaptive_batchnorm": False})
    states = states_of_q(whole)
    for _ in range(2):
        plain.play()
    aim = plain.players.q.state_dict()
    moved = {name for name, value in aim.items() if not torch.equal(value, states[1][name])}
    assert any("running_mean" in name for name in moved)
    assert any("running_var" in name for name in moved)
    assert both or all("running_" in name for name in moved), moved
    kept = [name for name in states[1] if "running_" in name]
    assert all(torch.equal(states[1][name], states[-1][name]) for name in kept), "only once"
    assert_resumes(lambda: tiny_trainer(**values), states[-1])


def test_what_is_evaluated_has_the_new_statistics(tiny_trainer: Callable[..., Trainer]) -> None:
    trainer = tiny_trainer(**VALUES, q_average=0.9)
    while trainer.warming_up:
        trainer.play()
    own, current = trainer.quantized_network(), trainer.players.q
    assert own is not current
    images = torch.rand(4, 1, 8, 8)
    assert torch.equal(own(images), current(images))


def test_no_setting_no_images(
    tiny_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("images were made for nothing")

    monkeypatch.setattr(trainer_module, "imagine", refuse)
    trainer = tiny_trainer()
    while not trainer.finished:
        trainer.play()


def test_a_network_without_batchnorm_is_told(tiny_settings: Callable[..., object]) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    settings = tiny_settings(adaptive_batchnorm=True)
    trainer = Trainer(settings, network, (1, 8, 8), 3, torch.device("cpu"))  # type: ignore[arg-type]
    assert any("adaptive_batchnorm changes nothing" in told for told in trainer.notices)
    while trainer.warming_up:
        trainer.play()
    assert trainer.players.q(torch.zeros(1, 1, 8, 8)).isfinite().all()


def test_activation_clipping_makes_p_answer_louder(tiny_trainer: Callable[..., Trainer]) -> None:
    def asked(clipping: bool, seed: int) -> tuple[float, float]:
        """P's mean logit of the asked class, and Q's mean upper range, at the warm-up's end."""
        trainer = tiny_trainer(
            **{"activation_clipping": clipping, "iterations_per_epoch": 40, "lr_g": 3e-2},
            seed=seed,
            **{"gamma": 0.1, "class_shift": True, "batch": 16, "beta": 0.2},
        )
        while trainer.warming_up:
            outcome = trainer.play()
        logits = outcome.p_logits.gather(1, outcome.labels.unsqueeze(1))
        quantizers = trainer.players.q.activation_quantizers()
        uppers = [quantizer.range()[1].item() for _, quantizer in quantizers]
        return logits.mean().item(), sum(uppers) / len(uppers)

    # One seed's range may come out the other way round, on some processors.
    quiet, loud = ([asked(clipping, seed) for seed in range(3)] for clipping in (False, True))
    assert all(own[0] > other[0] for own, other in zip(loud, quiet, strict=True))
    assert sum(high for _, high in loud) > sum(high for _, high in quiet)


def test_what_is_exported_has_the_new_statistics(tiny_trainer: Callable[..., Trainer]) -> None:
    whole, again = (tiny_trainer(**VALUES, q_average=0.9) for _ in range(2))
    while not whole.finished:
        whole.play()
    again.load_state_dict(whole.state_dict())
    images = torch.rand(4, 1, 8, 8)
    expected = whole.quantized_network()(images)
    assert torch.equal(again.quantized_network()(images), expected)
    torch.testing.assert_close(freeze(again.quantized_network())(images), expected)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.game.step import SCALARS
from adadfq_core.settings import change_live
from adadfq_core.training import checkpoints
from adadfq_core.training.trainer import Trainer

Build = Callable[..., Trainer]
WeightsOf = Callable[[nn.Module], dict[str, Tensor]]


def scalars(trainer: Trainer, iterations: int) -> list[list[float]]:
    return [trainer.play().scalars.tolist() for _ in range(iterations)]


def assert_same(own: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert own.keys() == other.keys()
    for name in own:
        assert torch.equal(own[name], other[name]), name


def test_one_seed_gives_the_same_numbers_twice(tiny_trainer: Build, weights_of: WeightsOf) -> None:
    first, second = tiny_trainer(seed=3), tiny_trainer(seed=3)
    numbers = scalars(first, 8)
    torch.manual_seed(99)  # the run has its own stream of random numbers
    torch.rand(5)
    assert scalars(second, 8) == numbers
    assert_same(weights_of(first.players.q), weights_of(second.players.q))
    assert_same(weights_of(first.players.generator), weights_of(second.players.generator))


def test_another_seed_gives_other_numbers(tiny_trainer: Build) -> None:
    assert scalars(tiny_trainer(seed=3), 2) != scalars(tiny_trainer(seed=4), 2)


def test_a_trainer_leaves_the_global_random_numbers_alone(tiny_trainer: Build) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    tiny_trainer().play()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("stop", [0, 2, 3, 4, 5, 9, 12])
@pytest.mark.parametrize("changes", [{}, {"q_average": 0.9}, {"replay": 3, "feature_weight": 9.0}])
def test_continuing_equals_never_stopping(
    stop: int,
    changes: dict[str, Any],
    tiny_trainer: Build,
    weights_of: WeightsOf,
    tmp_path: Path,
) -> None:
    whole = tiny_trainer(**changes, schedule="cosine")
    numbers = scalars(whole, 12)

    broken = tiny_trainer(**changes, schedule="cosine")
    assert scalars(broken, stop) == numbers[:stop]
    digest = checkpoints.save(broken.state_dict(), tmp_path / "state.pt")
    later = tiny_trainer(**changes, schedule="cosine")
    later.play()  # whatever it did before does not matter
    later.load_state_dict(checkpoints.load(tmp_path / "state.pt", digest))
    assert later.iteration == stop
    assert later.warming_up == (stop < 4) and later.finished == (stop == 12)
    assert scalars(later, 12 - stop) == numbers[stop:]
    assert_same(weights_of(later.quantized_network()), weights_of(whole.quantized_network()))
    assert_same(weights_of(later.players.q), weights_of(whole.players.q))
    assert_same(weights_of(later.players.generator), weights_of(whole.players.generator))


def test_changed_settings_are_restored(tiny_trainer: Build) -> None:
    trainer = tiny_trainer()
    trainer.play()
    trainer.change(change_live(trainer.settings, {"gamma": 0.25}))
    other = tiny_trainer()
    other.load_state_dict(trainer.state_dict())
    assert other.settings == trainer.settings and other.settings.gamma == 0.25


def test_a_change_takes_effect_at_the_next_iteration(tiny_trainer: Build) -> None:
    changed, plain = tiny_trainer(), tiny_trainer()
    assert scalars(changed, 2) == scalars(plain, 2)
    changed.change(change_live(changed.settings, {"gamma": 0.0}))
    own, other = (
        dict(zip(SCALARS, scalars(trainer, 1)[0], strict=True)) for trainer in (changed, plain)
    )
    assert own["loss_g"] == pytest.approx(other["loss_g"] - other["loss_bns"], rel=1e-4)
    assert {name for name in SCALARS if own[name] != other[name]} == {"loss_g", "grad_norm_g"}


def test_warmup_then_training(tiny_trainer: Build, weights_of: WeightsOf) -> None:
    trainer = tiny_trainer()
    p_before = weights_of(trainer.players.p)
    q_before = [x.detach().clone() for x in trainer.players.q.parameters()]
    for iteration in range(4):
        assert trainer.warming_up and trainer.iteration == iteration
        trainer.play()
    now = list(trainer.players.q.parameters())
    assert all(torch.equal(a, b) for a, b in zip(q_before, now, strict=True))
    ranges = [x.clone() for x in trainer.players.q.buffers()]
    assert all(int(q.batches) == 4 for _, q in trainer.players.q.activation_quantizers())
    assert not trainer.warming_up
    while not trainer.finished:
        trainer.play()
    assert trainer.iteration == 12
    assert all(not torch.equal(a, b) for a, b in zip(q_before, now, strict=True))
    after = list(trainer.players.q.buffers())
    assert all(torch.equal(a, b) for a, b in zip(ranges, after, strict=True))
    assert_same(p_before, weights_of(trainer.players.p))


def test_learning_rates_follow_the_schedule(tiny_trainer: Build) -> None:
    trainer = tiny_trainer(epochs=4, iterations_per_epoch=2, lr_g=1e-2, lr_q=1e-3)
    rates = []
    while not trainer.finished:
        trainer.play()
        g, q = trainer.players.optimizer_g, trainer.players.optimizer_q
        rates.append((g.param_groups[0]["lr"], q.param_groups[0]["lr"]))
    factors = [1, 1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert [g for g, _ in rates] == pytest.approx([1e-2 * f for f in factors])
    assert [q for _, q in rates] == pytest.approx([1e-3 * f for f in factors])


def test_optimizers_of_the_paper(tiny_trainer: Build) -> None:
    players = tiny_trainer().players
    g, q = players.optimizer_g.param_groups[0], players.optimizer_q.param_groups[0]
    assert isinstance(players.optimizer_g, torch.optim.Adam) and g["betas"] == (0.5, 0.999)
    assert isinstance(players.optimizer_q, torch.optim.SGD)
    assert (q["momentum"], q["nesterov"], q["weight_decay"]) == (0.9, True, 1e-4)
    assert len(q["params"]) == len(list(players.p.parameters()))


def test_momentum_zero_trains(tiny_trainer: Build) -> None:
    scalars(tiny_trainer(q_momentum=0), 6)


def test_the_average_of_q(tiny_trainer: Build) -> None:
    trainer = tiny_trainer(q_average=0.75)
    scalars(trainer, 4)
    expected = [x.detach().clone() for x in trainer.players.q.parameters()]
    for _ in range(5):
        trainer.play()
        for mean, current in zip(expected, trainer.players.q.parameters(), strict=True):
            mean.mul_(0.75).add_(current.detach(), alpha=0.25)
    averaged = trainer.quantized_network()
    assert averaged is not trainer.players.q
    for own, mean in zip(averaged.parameters(), expected, strict=True):
        torch.testing.assert_close(own, mean, rtol=1e-5, atol=1e-7)
    for own, current in zip(averaged.buffers(), trainer.players.q.buffers(), strict=True):
        assert torch.equal(own, current)


def test_without_average_q_itself_is_evaluated(tiny_trainer: Build) -> None:
    trainer = tiny_trainer(q_average=0)
    assert trainer.quantized_network() is trainer.players.q


def test_half_moves_lead_where_whole_iterations_do(
    tiny_trainer: Build, weights_of: WeightsOf
) -> None:
    halved, plain = tiny_trainer(), tiny_trainer()
    while not plain.finished:
        g, q = halved.play_halves()
        expected = plain.play()
        assert (g.player, q.player) == ("g", "q")
        assert torch.equal(g.outcome.scalars, expected.scalars)
    for name in ("q", "generator"):
        own, other = (weights_of(getattr(t.players, name)) for t in (halved, plain))
        assert_same(own, other)
    assert torch.equal(halved.state_dict()["random"], plain.state_dict()["random"])


def test_each_half_move_shows_what_its_player_changed(tiny_trainer: Build) -> None:
    trainer = tiny_trainer(lr_q=0.05, lr_g=0.05)
    warm_up = trainer.settings.warmup_iterations
    for _ in range(warm_up):
        g, q = trainer.play_halves()
        assert torch.equal(q.before.p_logits, q.after.p_logits)
    halves = trainer.play_halves()
    g = next(halves)
    assert trainer.iteration == warm_up
    assert not torch.equal(g.before.images, g.after.images)
    assert g.value_before == g.before.h_prime.mean() and g.value_after == g.after.h_prime.mean()
    before = [x.detach().clone() for x in trainer.players.q.parameters()]
    (q,) = halves
    assert trainer.iteration == warm_up + 1
    assert any(
        not torch.equal(a, b) for a, b in zip(trainer.players.q.parameters(), before, strict=True)
    )
    assert torch.equal(q.before.images, q.after.images)
    assert torch.equal(q.before.p_logits, q.after.p_logits)
    assert not torch.equal(q.before.q_logits, q.after.q_logits)
    assert q.value_before == g.value_after != q.value_after

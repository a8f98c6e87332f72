from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.game.step import SCALARS
from adadfq_core.settings import RunSettings
from adadfq_core.training import checkpoints
from adadfq_core.training.trainer import Trainer
from adadfq_core.zoo.evaluation_data import EvaluationData, NormalisedPixels
from adadfq_core.zoo.formats import ImageFormat

SHAPE = (1, 8, 8)
CLASSES = ("a", "b", "c")
Build = Callable[..., Trainer]


def data_of(labels: list[int]) -> EvaluationData:
    """Random images with these labels; the first pixel of each is its place."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (len(labels), *SHAPE), generator=random).to(torch.uint8)
    pixels[:, 0, 0, 0] = torch.arange(len(labels))
    images = NormalisedPixels(pixels, ImageFormat(SHAPE, CLASSES, (0.5,), (0.25,)))
    return EvaluationData(images, torch.tensor(labels), CLASSES, "pictures", ("x.png: broken",))


def places(data: EvaluationData) -> list[int]:
    return data.images.pixels[:, 0, 0, 0].tolist()


@pytest.fixture
def learner(
    tiny_network: Callable[..., nn.Module], tiny_settings: Callable[..., RunSettings]
) -> Build:
    """Build a trainer whose Q learns from 21 real images."""

    def build(**changes: object) -> Trainer:
        settings = tiny_settings(method="real", **changes)
        lessons = data_of([0, 1, 2] * 7)
        return Trainer(settings, tiny_network(), SHAPE, 3, torch.device("cpu"), lessons)

    return build


@pytest.mark.parametrize(
    ("labels", "learned", "measured"),
    [
        ([0, 0, 0, 0, 1, 1], [0, 2, 4], [1, 3, 5]),
        ([0, 1, 0, 1, 0, 1, 0, 1], [0, 1, 4, 5], [2, 3, 6, 7]),
        # The odd one goes to either part by turns.
        ([0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 2, 4, 6, 8], [1, 3, 5, 7]),
        ([0, 1, 2, 3, 4], [0, 2, 4], [1, 3]),
        # With classes that have no images.
        ([3, 3, 1], [1, 2], [0]),
    ],
)
def test_every_second_image_of_a_class_is_measured_on(
    labels: list[int], learned: list[int], measured: list[int]
) -> None:
    first, second = data_of(labels).halves()
    assert (places(first), places(second)) == (learned, measured)
    assert first.labels.tolist() == [labels[place] for place in learned]
    assert second.labels.tolist() == [labels[place] for place in measured]
    assert first.skipped == second.skipped == ("x.png: broken",)


def test_halves_hold_as_many_of_each_class_and_no_common_image() -> None:
    random = torch.Generator().manual_seed(3)
    labels = torch.randint(7, (200,), generator=random).tolist()
    first, second = data_of(labels).halves()
    counts = [torch.bincount(half.labels, minlength=7) for half in (first, second)]
    assert (counts[0] - counts[1]).abs().max() <= 1
    assert abs(len(first.labels) - len(second.labels)) <= 1
    assert sorted(places(first) + places(second)) == list(range(200))


@pytest.mark.parametrize("labels", [[0], [2]])
def test_one_image_cannot_be_halved(labels: list[int]) -> None:
    with pytest.raises(InputError, match=r"'pictures' has 1 readable image\(s\).* name a larger"):
        data_of(labels).halves()


def test_q_learns_from_the_given_images_alone_and_g_stays(
    learner: Build, weights_of: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    trainer = learner()
    lessons = data_of([0, 1, 2] * 7)
    known = {
        tuple(image.flatten().tolist()): label
        for image, label in zip(lessons.images[:], lessons.labels.tolist(), strict=True)
    }
    g_before = weights_of(trainer.players.generator)
    q_before = weights_of(trainer.players.q)
    drawn = set()
    while not trainer.finished:
        warming_up = trainer.warming_up
        outcome = trainer.play()
        for image, label in zip(outcome.images, outcome.labels.tolist(), strict=True):
            assert known[tuple(image.flatten().tolist())] == label
            drawn.add(tuple(image.flatten().tolist()))
        told = dict(zip(SCALARS, outcome.scalars.tolist(), strict=True))
        assert (told["grad_norm_q"] == 0) == warming_up
        assert told["loss_q"] < 0 < told["h_prime_mean"]
        of_g = ("loss_g", "loss_margin", "loss_ds", "loss_as", "loss_bns", "grad_norm_g")
        assert all(told[name] == 0 for name in of_g)
        assert trainer.learning_rates[0] == 0 < trainer.learning_rates[1]
    assert len(drawn) > 15
    assert all(int(q.batches) == 4 for _, q in trainer.players.q.activation_quantizers())
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            g_before.values(), weights_of(trainer.players.generator).values(), strict=True
        )
    )
    assert any(
        not torch.equal(a, b)
        for a, b in zip(q_before.values(), weights_of(trainer.players.q).values(), strict=True)
    )


@pytest.mark.parametrize("stop", [0, 3, 4, 7])
def test_continuing_equals_never_stopping(
    stop: int,
    learner: Build,
    weights_of: Callable[[nn.Module], dict[str, Tensor]],
    tmp_path: Path,
) -> None:
    whole, broken, later = (learner(q_average=0.9) for _ in range(3))
    numbers = [whole.play().scalars.tolist() for _ in range(12)]
    assert [broken.play().scalars.tolist() for _ in range(stop)] == numbers[:stop]
    digest = checkpoints.save(broken.state_dict(), tmp_path / "state.pt")
    later.play()
    later.load_state_dict(checkpoints.load(tmp_path / "state.pt", digest))
    assert [later.play().scalars.tolist() for _ in range(12 - stop)] == numbers[stop:]
    for name, own in weights_of(later.quantized_network()).items():
        assert torch.equal(own, weights_of(whole.quantized_network())[name]), name


def test_there_is_only_qs_half_move(
    learner: Build, weights_of: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    halved, plain = learner(lr_q=0.05), learner(lr_q=0.05)
    for _ in range(4):
        (waiting,) = halved.play_halves()
        plain.play()
        assert waiting.player == "q" and torch.equal(
            waiting.before.p_logits, waiting.after.p_logits
        )
    (move,) = halved.play_halves()
    expected = plain.play()
    assert move.player == "q" and torch.equal(move.outcome.scalars, expected.scalars)
    assert torch.equal(move.before.images, move.after.images)
    assert not torch.equal(move.before.q_logits, move.after.q_logits)
    assert move.value_before == move.before.h_prime.mean()
    assert move.value_after == move.after.h_prime.mean() != move.value_before
    for name, own in weights_of(halved.players.q).items():
        assert torch.equal(own, weights_of(plain.players.q)[name]), name


def test_without_real_images_it_is_refused(
    tiny_network: Callable[..., nn.Module], tiny_settings: Callable[..., RunSettings]
) -> None:
    with pytest.raises(InputError, match="method = real learns from real images, and the run has"):
        Trainer(tiny_settings(method="real"), tiny_network(), SHAPE, 3, torch.device("cpu"))


def test_nothing_is_said_of_what_generated_images_lack(learner: Build) -> None:
    assert not any("generated images" in notice for notice in learner().notices)
    p = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    settings = learner().settings
    trainer = Trainer(settings, p, SHAPE, 3, torch.device("cpu"), data_of([0, 1, 2]))
    assert trainer.notices == []


def test_everything_that_helps_q_works_on_real_images_too(learner: Build, tmp_path: Path) -> None:
    recipe = {"ranges": "learned", "replay": 4, "feature_weight": 100.0}
    whole, broken, later = (learner(**recipe) for _ in range(3))
    numbers = [whole.play().scalars.tolist() for _ in range(12)]
    assert [broken.play().scalars.tolist() for _ in range(7)] == numbers[:7]
    digest = checkpoints.save(broken.state_dict(), tmp_path / "state.pt")
    later.load_state_dict(checkpoints.load(tmp_path / "state.pt", digest))
    assert [later.play().scalars.tolist() for _ in range(5)] == numbers[7:]
    plain = learner(ranges="learned")
    assert [plain.play().scalars.tolist() for _ in range(12)] != numbers

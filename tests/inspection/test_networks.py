from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from played_runs import begin, small, store_checkpoint, trainer_of
from torch import Tensor, nn

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.inspection import networks
from adadfq_core.inspection.networks import checkpoint_at, load_networks
from adadfq_core.runs.records import RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.training import checkpoints
from adadfq_core.zoo.loading import load_float_network

PROBE = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
STORED = (2, 4, 6)


@dataclass
class Played:
    """A run that is going, with Q's evaluated answers to `PROBE` and G's weights by iteration."""

    root: Path
    run_id: str
    answers: dict[int, Tensor]
    weights: dict[int, Tensor]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Played:
    root = tmp_path_factory.mktemp("stored") / "runs"
    settings = small()
    trainer = trainer_of(settings)
    with begin(root, settings) as writer:
        played = Played(root, writer.run_id, {}, {})
        for iteration in range(1, STORED[-1] + 1):
            trainer.play()
            if iteration in STORED:
                store_checkpoint(writer, trainer)
                with torch.no_grad():
                    played.answers[iteration] = trainer.quantized_network()(PROBE)
                spread = trainer.players.generator.spread
                played.weights[iteration] = spread.weight.detach().clone()
    return played


@pytest.fixture
def played(stored: Played, tmp_path: Path) -> Played:
    """A copy that a test may damage."""
    shutil.copytree(stored.root, tmp_path / "runs")
    return Played(tmp_path / "runs", stored.run_id, stored.answers, stored.weights)


def file_of(played: Played, iteration: int) -> Path:
    record = checkpoint_at(played.root, played.run_id, iteration)
    return RunStore(played.root).path(record)


@pytest.mark.parametrize(
    ("asked", "found"), [(0, 2), (1, 2), (2, 2), (3, 2), (4, 4), (5, 4), (6, 6), (10_000, 6)]
)
def test_the_checkpoint_of_a_moment(stored: Played, asked: int, found: int) -> None:
    assert checkpoint_at(stored.root, stored.run_id, asked).iteration == found


@pytest.mark.parametrize("iteration", [2, 4, 6])
def test_the_networks_are_those_that_the_run_had(stored: Played, iteration: int) -> None:
    seen = load_networks(stored.root, stored.run_id, iteration + 1)
    assert seen.iteration == iteration
    assert torch.equal(seen.q(PROBE), stored.answers[iteration])
    assert seen.generator is not None
    assert torch.equal(seen.generator.spread.weight, stored.weights[iteration])
    original = load_float_network(small())
    torch.testing.assert_close(seen.p(PROBE), original.network(PROBE), rtol=1e-4, atol=1e-4)
    assert seen.images == original.images and seen.data == "fashion-mnist"
    assert seen.settings == small()


def test_what_is_loaded_needs_no_gradients_and_has_no_hooks(stored: Played) -> None:
    seen = load_networks(stored.root, stored.run_id, 6)
    assert seen.generator is not None
    for network in (seen.p, seen.q, seen.generator):
        assert not any(parameter.requires_grad for parameter in network.parameters())
        assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_run_is_not_disturbed(stored: Played) -> None:
    store = RunStore(stored.root)
    records = store.read(stored.run_id)
    folder = store.folder(stored.run_id)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    load_networks(stored.root, stored.run_id, 4)
    assert store.read(stored.run_id) == records and records.info.status == RunStatus.RUNNING
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files


def test_q_itself_where_no_average_is_kept(
    tmp_path: Path, weights_of: Callable[[nn.Module], dict[str, Tensor]]
) -> None:
    settings = small(q_average=0, lambda_l=0.2)
    trainer = trainer_of(settings)
    with begin(tmp_path, settings) as writer:
        for _ in range(3):
            trainer.play()
        trainer.change(settings.model_copy(update={"gamma": 0.5}))
        store_checkpoint(writer, trainer)
    seen = load_networks(tmp_path, writer.run_id, 3)
    expected = weights_of(trainer.players.q)
    assert all(torch.equal(value, expected[name]) for name, value in weights_of(seen.q).items())
    assert seen.settings.gamma == 0.5, "as in force at the checkpoint"


def test_a_run_on_real_images_has_no_generator(tmp_path: Path) -> None:
    settings = small(method="real")
    trainer = trainer_of(settings)
    with begin(tmp_path, settings) as writer:
        trainer.play()
        store_checkpoint(writer, trainer)
    seen = load_networks(tmp_path, writer.run_id, 1)
    assert seen.generator is None
    with torch.no_grad():
        assert torch.equal(seen.q(PROBE), trainer.quantized_network()(PROBE))


def test_before_the_first_checkpoint_it_says_when_there_will_be_one(tmp_path: Path) -> None:
    with begin(tmp_path, small(checkpoint_every=5)) as writer:
        with pytest.raises(InputError, match=r"no checkpoint yet.*wait for iteration 5, which"):
            load_networks(tmp_path, writer.run_id, 3)
        writer.set_status(RunStatus.FAILED, "It diverged.")
    with pytest.raises(InputError, match=r"is failed and has no checkpoint.*choose another run"):
        load_networks(tmp_path, writer.run_id, 3)


def test_an_unknown_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no run 'nope'"):
        load_networks(tmp_path, "nope", 0)


def test_a_damaged_checkpoint_is_told_and_the_others_stay_usable(played: Played) -> None:
    path = file_of(played, 4)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunFailed, match=r"00000004\.pt is damaged.*another checkpoint is kept\."):
        load_networks(played.root, played.run_id, 4)
    assert load_networks(played.root, played.run_id, 2).iteration == 2


def test_a_missing_checkpoint_is_told(played: Played) -> None:
    file_of(played, 6).unlink()
    with pytest.raises(RunFailed, match=r"00000006\.pt.*choose a moment"):
        load_networks(played.root, played.run_id, 6)


def test_a_checkpoint_that_the_run_deletes_meanwhile_gives_way_to_another(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = networks.checkpoint_state
    deleted = []

    def after_pruning(store: RunStore, record: Any) -> dict[str, Any]:
        if not deleted:
            deleted.append(record.iteration)
            store.forget(played.run_id, [record])
            store.path(record).unlink()
        return read(store, record)

    monkeypatch.setattr(networks, "checkpoint_state", after_pruning)
    seen = load_networks(played.root, played.run_id, 4)
    assert deleted == [4] and seen.iteration == 2
    assert torch.equal(seen.q(PROBE), played.answers[2])


def test_a_checkpoint_of_other_networks_is_told(tmp_path: Path) -> None:
    settings = small()
    other = trainer_of(small(generator_width=6))
    with begin(tmp_path, settings) as writer:
        store_checkpoint(writer, other)
    with pytest.raises(RunFailed, match=r"iteration 0 does not fit the network fashion-resnet20"):
        load_networks(tmp_path, writer.run_id, 0)


def test_code_of_a_users_own_is_never_imported(tmp_path: Path) -> None:
    code = tmp_path / "own_code.py"
    code.write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    settings = small(network=f"{code}:build", code_folder=str(tmp_path), image_shape=(1, 4, 4))
    with begin(tmp_path / "runs", settings) as writer:
        path = writer.checkpoints / "00000001.pt"
        digest = checkpoints.save({"iteration": 1}, path)
        writer.append(RecordKind.CHECKPOINT, 1, {"sha256": digest}, file=path)
    with pytest.raises(InputError, match=r"own_code\.py:build of run .* would run code"):
        load_networks(tmp_path / "runs", writer.run_id, 1)
    assert not (tmp_path / "imported").exists()

"""Numbers that go wrong stop a run before they are kept, and a way back is offered."""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from shells import shell
from streamlit.testing.v1 import AppTest
from workers import Nursery, ended, small, wait

from adadfq_core import runs
from adadfq_core.errors import InputError
from adadfq_core.runs import RecordKind, RunStatus
from adadfq_core.runs.divergence import offered_rates, sentence
from adadfq_core.runs.loading import checkpoint_state
from adadfq_core.runs.resumption import last_whole_checkpoint
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings
from adadfq_core.training.soundness import first_non_finite
from adadfq_core.training.trainer import Trainer
from app.run_view import RunView

MAIN = Path(__file__).parents[2] / "app" / "main.py"


def _iterations(root: Path, run_id: str, kind: RecordKind = RecordKind.STEP) -> list[int]:
    return [record.iteration for record in runs.read(root, run_id, kinds=[kind]).records]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        # The next loss shows it.
        ("weight:9", r"loss_\w+ became (nan|inf) at iteration 10; "),
        ("generator:9", r"loss_\w+ became (nan|inf) at iteration 10; "),
        # No loss shows it before the checkpoint.
        ("weight:12", r"Q's \S+ is not finite any more at iteration 12; "),
        ("range:12", r"Q's \S+average_\w+ is not finite any more at iteration 12; "),
        ("generator:12", r"G's \S+ is not finite any more at iteration 12; "),
    ],
)
def test_what_is_not_finite_stops_the_run_before_it_is_kept(
    nursery: Nursery, root: Path, fault: str, reason: str
) -> None:
    nursery.fault = fault
    run_id = runs.start(root, small())
    assert ended(root, run_id) is RunStatus.FAILED
    assert re.match(reason, runs.info(root, run_id).reason), runs.info(root, run_id).reason
    assert _iterations(root, run_id, RecordKind.CHECKPOINT) == [4, 8]
    checkpoint, notice = last_whole_checkpoint(RunStore(root), run_id)
    assert notice == ""
    assert first_non_finite(checkpoint_state(RunStore(root), checkpoint)) is None


def test_an_accuracy_of_weights_that_are_not_finite_is_not_stored(
    nursery: Nursery, root: Path
) -> None:
    nursery.fault = "weight:10"
    changes = {"data": "", "evaluation_images": 20, "evaluate_every": 4}
    run_id = runs.start(root, small(**changes))
    assert ended(root, run_id) is RunStatus.FAILED
    assert "is not finite any more at iteration 10" in runs.info(root, run_id).reason
    assert _iterations(root, run_id, RecordKind.EVALUATION) == [6, 6]


def test_the_offer_is_a_command_that_goes_back_with_smaller_rates(
    nursery: Nursery, root: Path
) -> None:
    nursery.fault = "weight:10"
    run_id = runs.start(root, small(lr_g=2e-3, lr_q=4e-4))
    view = RunView.attach(root, run_id)
    assert ended(root, run_id) is RunStatus.FAILED
    view.refresh()
    assert max(_iterations(root, run_id)) == 11
    offer = re.search(r"'python -m adadfq_core (.*?)'", runs.info(root, run_id).reason)
    assert offer is not None
    words = shlex.split(offer[1])
    assert words[:3] == ["runs", "resume", run_id]
    assert [word for word in words if "=" in word] == ["lr_g=0.0002", "lr_q=4e-05"]
    done = shell(*words, "--run-dir", str(root))
    assert done.returncode == 0, done.stderr
    assert ended(root, run_id) is RunStatus.FINISHED
    steps = runs.read(root, run_id, kinds=[RecordKind.STEP]).records
    assert [record.iteration for record in steps] == list(range(1, 31))
    rates = [record.data["lr_g"] for record in steps]
    assert min(rates[:8]) > 1e-3 and max(rates[8:]) <= 2e-4
    assert runs.current_settings(root, run_id).lr_q == 4e-5
    notices = runs.read(root, run_id, kinds=[RecordKind.NOTICE]).records
    assert any("went back to the checkpoint of iteration 8" in r.data["text"] for r in notices)
    named = {record.file for record in runs.read(root, run_id, kinds=[RecordKind.IMAGES]).records}
    stored = {path.relative_to(root).as_posix() for path in (root / run_id / "arrays").iterdir()}
    assert stored == named, "what was taken out leaves no file"
    view.refresh()
    assert view.steps["iteration"].tolist() == list(range(1, 31)), "an open page follows"


def test_every_page_bears_the_numbers_and_one_has_a_button_for_the_offer(
    nursery: Nursery, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(root.parent))
    nursery.fault = "weight:10"
    run_id = runs.start(root, small(lr_g=2e-3, lr_q=4e-4))
    assert ended(root, run_id) is RunStatus.FAILED
    page = AppTest.from_file(str(MAIN), default_timeout=60)
    page.query_params["run"] = run_id
    for view in ("inspect", "take_away", "runs", "play"):
        page.switch_page(f"views/{view}.py").run()
        assert not page.exception, view
    label = "Resume with lr_g = 0.0002 and lr_q = 4e-05"
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception
    assert ended(root, run_id) is RunStatus.FINISHED
    assert runs.current_settings(root, run_id).lr_q == 4e-5
    assert label not in [button.label for button in page.run().button]


@pytest.mark.parametrize("lr_g", [1e-6, 0.0123456, 0.5])
def test_every_offer_is_understood(lr_g: float) -> None:
    offer = sentence("loss_g became nan", 3, "a-run", RunSettings(lr_g=lr_g, lr_q=1e-4))
    assert offered_rates(offer) == pytest.approx({"lr_g": lr_g / 10, "lr_q": 1e-5}, rel=1e-5)
    assert offered_rates(f"{offer}"[:-80]) == offered_rates("The disk is full.") == {}


def test_a_change_that_is_not_allowed_takes_nothing_out(nursery: Nursery, root: Path) -> None:
    nursery.fault = "weight:10"
    run_id = runs.start(root, small())
    assert ended(root, run_id) is RunStatus.FAILED
    before = runs.read(root, run_id).records
    for changes, message in (({"batch": 8}, "batch cannot change"), ({"lr_g": 7}, "lr_g = 7")):
        with pytest.raises(InputError, match=message):
            runs.resume(root, run_id, changes=changes)
    done = shell("runs", "resume", run_id, "--set", "lr_g=7", "--run-dir", str(root))
    assert (done.returncode, done.stdout) == (2, "") and "lr_g = '7'" in done.stderr
    assert runs.read(root, run_id).records == before


def test_a_change_made_just_after_a_checkpoint_outlives_a_kill(
    nursery: Nursery, root: Path
) -> None:
    """It is logged with the checkpoint's own iteration, which does not hold it."""
    run_id = runs.start(root, small())
    runs.pause(root, run_id)
    wait(lambda: runs.info(root, run_id).status is RunStatus.PAUSED)
    assert runs.info(root, run_id).iteration == 0
    runs.step(root, run_id, 8)
    wait(lambda: _iterations(root, run_id, RecordKind.CHECKPOINT) == [4, 8])
    number = runs.set_parameters(root, run_id, {"beta": 0.25})
    wait(lambda: runs.command(root, number).applied_iteration == 8)
    os.kill(runs.info(root, run_id).pid or 0, signal.SIGKILL)
    assert ended(root, run_id) is RunStatus.LOST
    runs.resume(root, run_id)
    assert ended(root, run_id) is RunStatus.FINISHED
    checkpoint = runs.latest(root, run_id, RecordKind.CHECKPOINT)
    assert checkpoint is not None
    assert checkpoint_state(RunStore(root), checkpoint)["settings"]["beta"] == 0.25


@pytest.mark.parametrize("part", ["q", "q_average", "generator", "optimizer_g", "optimizer_q"])
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_one_number_anywhere_is_found(
    tiny_trainer: Callable[..., Trainer], part: str, number: float
) -> None:
    trainer = tiny_trainer(q_average=0.9)
    for _ in range(6):
        trainer.play()
    state: dict[str, Any] = trainer.state_dict()
    assert first_non_finite(state) is None
    owner = state[part]["state"] if part.startswith("optimizer") else state[part]
    tensors = [
        (place, tensor)
        for place, value in owner.items()
        for tensor in (value.values() if isinstance(value, dict) else [value])
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    ]
    place, tensor = tensors[-1]
    with torch.no_grad():
        tensor.view(-1)[-1] = number
    found = first_non_finite(state)
    assert found is not None and str(place).removeprefix("graph_module.") in found

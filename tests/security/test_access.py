"""Where users sign in, each changes only what is theirs; where nobody does, everyone everything."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored_runs import held_run, stored_run
from streamlit.testing.v1 import AppTest

from adadfq_core import runs
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.sweeps import SweepStore
from adadfq_core.errors import InputError
from adadfq_core.runs.database import session
from adadfq_core.runs.records import RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings
from app import access
from app.markdown import JOINER

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")
ANN, BOB = "ann@example.org", "bob@example.org"
NOT_YOURS = rf"belongs to {ANN}: you can look at it, and start your own\."

SignIn = Callable[[str | None], None]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return tmp_path / "runs"


@pytest.fixture
def sign_in(monkeypatch: pytest.MonkeyPatch) -> SignIn:
    """Let the visitor be one who has signed in, or `None`, one who could."""

    def do(email: str | None) -> None:
        claims = {"is_logged_in": email is not None, "email": email}
        monkeypatch.setattr(access, "_claims", lambda: claims)

    return do


def own(root: Path, run_id: str, owner: str) -> str:
    with session(RunStore(root).database, "IMMEDIATE") as connection:
        connection.execute("UPDATE runs SET owner = ? WHERE run_id = ?", (owner, run_id))
    return run_id


@pytest.mark.parametrize(
    ("installed", "can"),
    [
        ({"authlib", "httpx2"}, True),
        ({"authlib", "httpx"}, True),
        ({"authlib"}, False),
        ({"httpx2"}, False),
        (set(), False),
    ],
)
def test_signing_in_is_offered_only_where_it_works(
    root: Path, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, installed: set[str], can: bool
) -> None:
    known = importlib.util.find_spec

    def find(name: str, *rest: Any) -> object:
        if name in ("authlib", "httpx", "httpx2"):
            return object() if name in installed else None
        return known(name, *rest)

    sign_in(None)
    monkeypatch.setattr(access.importlib.util, "find_spec", find)
    page = AppTest.from_function(_only_the_panel).run()
    assert [button.label for button in page.button] == ["Sign in"] * can
    told = [warning.value for warning in page.warning]
    assert bool(told) != can and all("pip install -r requirements-auth.txt" in t for t in told)


def _only_the_panel() -> None:
    from app.access import sign_in_panel

    sign_in_panel()


@pytest.mark.parametrize(
    ("claims", "owner"),
    [
        ({"email": ANN}, ANN),
        ({"email": ANN, "email_verified": True}, ANN),
        ({"email": ANN, "email_verified": "true"}, ANN),
        ({"email": ANN, "email_verified": False, "iss": "https://id", "sub": "7"}, "https://id#7"),
        ({"iss": "https://id", "sub": "7"}, "https://id#7"),
    ],
)
def test_an_address_that_nobody_has_verified_is_no_name(claims: dict[str, Any], owner: str) -> None:
    assert access.owner_of(claims) == owner


STEERING: dict[str, Callable[[Path, str], object]] = {
    "pause": access.pause,
    "resume": access.resume,
    "step": access.step,
    "step_half": access.step_half,
    "stop": access.stop,
    "set_parameters": lambda root, run_id: access.set_parameters(root, run_id, {"beta": 0.5}),
    "set_labels": lambda root, run_id: access.set_labels(root, run_id, ["x"], ""),
    "delete_runs": lambda root, run_id: access.delete_runs(root, [run_id]),
}


@pytest.mark.parametrize("name", STEERING)
def test_a_run_of_another_is_only_looked_at(root: Path, sign_in: SignIn, name: str) -> None:
    with held_run(root) as writer:
        run_id = own(root, writer.run_id, ANN)
        before = runs.info(root, run_id)
        sign_in(BOB)
        with pytest.raises(InputError, match=f"^{run_id} {NOT_YOURS}"):
            STEERING[name](root, run_id)
        sign_in(None)
        with pytest.raises(InputError, match="you can look at it, and sign in to start your own"):
            STEERING[name](root, run_id)
        assert runs.info(root, run_id) == before
        assert RunStore(root).pending(run_id) == []


def test_one_of_another_among_several_keeps_all(root: Path, sign_in: SignIn) -> None:
    mine, theirs = own(root, stored_run(root), BOB), own(root, stored_run(root), ANN)
    sign_in(BOB)
    with pytest.raises(InputError, match=f"^{theirs} {NOT_YOURS}"):
        access.delete_runs(root, [mine, theirs])
    assert len(runs.list_runs(root)) == 2
    assert access.delete_runs(root, [mine]) > 0


def test_ones_own_run_is_steered(root: Path, sign_in: SignIn) -> None:
    with held_run(root) as writer:
        run_id = own(root, writer.run_id, ANN)
        sign_in(ANN)
        access.pause(root, run_id)
        access.set_labels(root, run_id, ["x"], "")
        assert [command.kind for command in RunStore(root).pending(run_id)] == ["pause"]
        assert runs.info(root, run_id).tags == ("x",)


def test_a_run_of_nobody_is_nobodys(root: Path, sign_in: SignIn) -> None:
    run_id = stored_run(root)
    sign_in(ANN)
    with pytest.raises(InputError, match="was not started by anyone signed in"):
        access.delete_runs(root, [run_id])


def test_who_starts_or_imports_a_run_owns_it(
    root: Path, sign_in: SignIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adadfq_core.runs.control.spawn_worker", lambda *_: 1)
    sign_in(ANN)
    first = access.start(root, RunSettings(), "quick")
    second = access.start(root, RunSettings(), "quick")
    assert {info.owner for info in runs.list_runs(root)} == {ANN}
    assert runs.info(root, second).queued and not runs.info(root, first).queued

    elsewhere = tmp_path / "elsewhere"
    runs.export_run(elsewhere, own(elsewhere, stored_run(elsewhere), BOB), tmp_path / "run.zip")
    source = io.BytesIO((tmp_path / "run.zip").read_bytes())
    source.name = "run.zip"
    assert runs.info(root, access.import_run(root, source)).owner == ANN
    sign_in(None)
    for action in (
        lambda: access.start(root, RunSettings(), "quick"),
        lambda: access.import_run(root, source),
        lambda: access.start_sweep(root, PLAN, name="mine"),
        lambda: access.prepare(root, first, 1),
        lambda: access.measure_pace(RunSettings(), 1),
    ):
        with pytest.raises(InputError, match="Sign in first"):
            action()


PLAN = Plan(axes=("lambda_l",), points=({"lambda_l": 0.1},))


def test_a_sweep_of_another_is_only_looked_at(root: Path, sign_in: SignIn) -> None:
    store = SweepStore(root)
    sweep_id = store.create(PLAN, [], name="", workers=1, threads=1, ray_address="", owner=ANN)
    assert store.info(sweep_id).owner == ANN
    sign_in(BOB)
    for action in (
        lambda: access.stop_sweep(root, sweep_id),
        lambda: access.resume_sweep(root, sweep_id),
        lambda: access.delete_sweep(root, sweep_id, with_runs=False),
    ):
        with pytest.raises(InputError, match=f"^{sweep_id} {NOT_YOURS}"):
            action()


def test_without_sign_in_everyone_may_do_everything(root: Path) -> None:
    run_id = own(root, stored_run(root), ANN)
    assert access.visitor() == ""
    access.set_labels(root, run_id, ["x"], "")
    access.delete_runs(root, [run_id])
    assert runs.list_runs(root) == []


def test_the_page_shows_all_runs_and_greys_out_what_is_not_ones_own(
    root: Path, sign_in: SignIn
) -> None:
    with held_run(root) as writer:
        writer.set_status(RunStatus.STOPPED)
    run_id = own(root, writer.run_id, ANN)
    sign_in(BOB)
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    assert not page.exception
    enabled = {button.label for button in page.button if not button.disabled}
    assert {"Start", "Sign out"} <= enabled and "Resume" not in enabled
    captions = " ".join(caption.value for caption in page.caption).replace("\\", "")
    captions = captions.replace(JOINER, "")
    assert f"{run_id} belongs to {ANN}: you can look at it, and start your own." in captions
    # A slider that is moved nevertheless, by whatever means, changes nothing.
    sign_in(None)
    page.run()
    enabled = {button.label for button in page.button if not button.disabled}
    assert "Start" not in enabled and "Resume" not in enabled
    sign_in(ANN)
    page.run()
    assert "Resume" in {button.label for button in page.button if not button.disabled}

"""Who may do what: every change that a page makes to runs and sweeps, and all that takes the
machine for minutes, goes through here.

Without sign-in, which the section [auth] of `.streamlit/secrets.toml` turns on, everyone who
reaches the page may do everything. With it everyone sees all runs, and who has signed in starts
runs and steers, changes and deletes those alone. A button that is greyed out only says so
beforehand.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import streamlit as st

from adadfq_core import runs
from adadfq_core.ablation import control as sweeps
from adadfq_core.ablation.estimate import Pace
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.probe import probe
from adadfq_core.errors import InputError
from adadfq_core.export.jobs import start_preparing
from adadfq_core.home import uploads_folder
from adadfq_core.runs import RunInfo
from adadfq_core.server_options import DATA_ROOTS
from adadfq_core.settings import RunSettings
from adadfq_core.zoo.loading import check_files

_ALONE = ("localhost", "127.0.0.1", "::1")
"""Addresses at which no other machine reaches the page."""


def _claims() -> Mapping[str, Any]:
    """What the sign-in tells of the visitor; without "is_logged_in" there is no sign-in."""
    return st.user


def owner_of(claims: Mapping[str, Any]) -> str:
    """The name by which runs belong to somebody who has signed in.

    The e-mail address, unless the provider says that nobody has verified it: else the number
    that the provider gives the account, which nobody can choose.
    """
    email = str(claims.get("email") or "")
    if email and claims.get("email_verified", True) in (True, "true"):
        return email
    return f"{claims.get('iss', '')}#{claims.get('sub', '')}"


def visitor() -> str | None:
    """Who looks at the page: empty where there is no sign-in, `None` before it."""
    claims = _claims()
    if "is_logged_in" not in claims:
        return ""
    return owner_of(claims) if claims["is_logged_in"] else None


def may_steer(item: RunInfo | sweeps.SweepInfo) -> bool:
    """Whether the visitor may change a run or sweep."""
    who = visitor()
    return who == "" or (who is not None and item.owner == who)


def why_not(item: RunInfo | sweeps.SweepInfo) -> str:
    """Why the visitor may only look at a run or sweep; empty where that is not so."""
    if may_steer(item):
        return ""
    belongs = f"belongs to {item.owner}" if item.owner else "was not started by anyone signed in"
    start = "start your own" if visitor() else "sign in to start your own"
    name = item.run_id if isinstance(item, RunInfo) else item.sweep_id
    return f"{name} {belongs}: you can look at it, and {start}."


def _check(*items: RunInfo | sweeps.SweepInfo) -> None:
    for item in items:
        if refusal := why_not(item):
            raise InputError(refusal)


def _check_runs(root: Path, run_ids: Iterable[str]) -> None:
    if visitor() != "":
        _check(*(runs.info(root, run_id) for run_id in run_ids))


def signed_in() -> str:
    """Who changes something on this server; empty where there is no sign-in.

    Raises:
        InputError: the visitor has to sign in first.
    """
    who = visitor()
    if who is None:
        raise InputError("Sign in first: this server changes nothing for visitors.")
    return who


def start(root: Path, settings: RunSettings, preset: str, max_active: int | None = None) -> str:
    """Start a run, or let it wait for its turn (see `runs.start`)."""
    owner = signed_in()
    check_files(settings)
    return runs.start(root, settings, preset, max_active, waits=True, owner=owner)


def resume(root: Path, run_id: str, **options: Any) -> None:
    """Let a run go on, at once or in its turn (see `runs.resume`)."""
    _check_runs(root, [run_id])
    check_files(runs.info(root, run_id).settings)
    runs.resume(root, run_id, waits=True, **options)


def pause(root: Path, run_id: str) -> None:
    """See `runs.pause`."""
    _check_runs(root, [run_id])
    runs.pause(root, run_id)


def step(root: Path, run_id: str) -> None:
    """See `runs.step`."""
    _check_runs(root, [run_id])
    runs.step(root, run_id)


def step_half(root: Path, run_id: str) -> None:
    """See `runs.step_half`."""
    _check_runs(root, [run_id])
    runs.step_half(root, run_id)


def stop(root: Path, run_id: str) -> None:
    """See `runs.stop`."""
    _check_runs(root, [run_id])
    runs.stop(root, run_id)


def set_parameters(root: Path, run_id: str, changes: dict[str, Any]) -> None:
    """See `runs.set_parameters`."""
    _check_runs(root, [run_id])
    runs.set_parameters(root, run_id, changes)


def set_labels(root: Path, run_id: str, tags: Iterable[str], note: str) -> None:
    """See `runs.set_labels`."""
    _check_runs(root, [run_id])
    runs.set_labels(root, run_id, list(tags), note)


def delete_runs(root: Path, run_ids: Iterable[str]) -> int:
    """See `runs.delete_runs`."""
    wanted = list(run_ids)
    _check_runs(root, wanted)
    return runs.delete_runs(root, wanted)


def import_run(root: Path, source: BinaryIO) -> str:
    """See `runs.import_run`."""
    return runs.import_run(root, source, owner=signed_in())


def prepare(root: Path, run_id: str, iteration: int) -> None:
    """See `export.jobs.start_preparing`; of any run, which takes minutes of the machine."""
    signed_in()
    start_preparing(root, run_id, iteration)


def measure_pace(settings: RunSettings, workers: int) -> Pace:
    """See `ablation.probe.probe`, which takes the whole machine."""
    signed_in()
    return probe(settings, workers)


def start_sweep(root: Path, plan: Plan, **options: Any) -> str:
    """See `ablation.control.start`."""
    return sweeps.start(root, plan, owner=signed_in(), **options)


def resume_sweep(root: Path, sweep_id: str) -> None:
    """See `ablation.control.resume`."""
    _check(sweeps.info(root, sweep_id))
    sweeps.resume(root, sweep_id)


def stop_sweep(root: Path, sweep_id: str) -> None:
    """See `ablation.control.stop`."""
    _check(sweeps.info(root, sweep_id))
    sweeps.stop(root, sweep_id)


def delete_sweep(root: Path, sweep_id: str, *, with_runs: bool) -> int:
    """See `ablation.control.delete`; with its runs, those have to be the visitor's as well."""
    _check(sweeps.info(root, sweep_id))
    if with_runs:
        _check_runs(root, sweeps.run_ids(root, sweep_id))
    return sweeps.delete(root, sweep_id, with_runs=with_runs)


def _can_sign_in() -> bool:
    """Whether all is installed that Streamlit's sign-in imports when its button is pressed."""

    def is_here(name: str) -> bool:
        return importlib.util.find_spec(name) is not None

    return is_here("authlib") and (is_here("httpx2") or is_here("httpx"))


def sign_in_panel() -> None:
    """Draw who is signed in, or the button for it; nothing where there is no sign-in."""
    who = visitor()
    if who == "":
        return
    with st.container(horizontal=True, horizontal_alignment="right", key="sign_in"):
        if who is not None:
            st.text(who)
            st.button("Sign out", on_click=st.logout)
        elif not _can_sign_in():
            st.warning("Nobody can sign in: 'pip install -r requirements-auth.txt' is missing.")
        else:
            st.button("Sign in", type="primary", on_click=st.login)


def limit_files_where_shared() -> None:
    """Let no page name files of a server that others reach, unless it is told which they may."""
    shared = "is_logged_in" in _claims() or st.get_option("server.address") not in _ALONE
    if shared and not os.environ.get(DATA_ROOTS):
        folder = uploads_folder()
        folder.mkdir(parents=True, exist_ok=True)
        # Processes that the page starts inherit it.
        os.environ[DATA_ROOTS] = str(folder)

"""The Take away page: the quantized network as files that run elsewhere, each of them measured."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import streamlit as st

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.export.jobs import preparation
from adadfq_core.export.preparation import Preparation, folder_of
from adadfq_core.home import runs_folder
from adadfq_core.runs import RecordKind, RunInfo
from app import access
from app.export.run_report import report_bytes
from app.export.usage import export_command
from app.markdown import plain
from app.panels.take_away.checks import checks_panel
from app.panels.take_away.choice import chosen_checkpoint
from app.panels.take_away.files import files_panel
from app.panels.take_away.progress import strip_html
from app.panels.take_away.usage import usage_panel

REFRESH_SECONDS = 1.0


def page() -> None:
    """Draw the page."""
    root = runs_folder()
    try:
        known = runs.list_runs(root)
        if not known:
            st.info(
                "There is no run yet: start one on the Play page, and its quantized network can be "
                "taken away here.",
                icon=":material/play_arrow:",
            )
            return
        info, iteration = chosen_checkpoint(root, known)
        if iteration is None:
            without_checkpoint(info)
        elif info.settings.names_own_code:
            own_code(info, iteration)
        else:
            taking(root, info, iteration)
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))


def own_code(info: RunInfo, iteration: int) -> None:
    """Say how a network is taken away that a page never runs."""
    st.info(
        f"The network {plain(info.settings.network)} is code of its user's own, which a page never "
        "runs; take Q away with a shell, where that code lies:",
        icon=":material/terminal:",
    )
    st.code(export_command(info.run_id, iteration), language="bash", wrap_lines=True)


def without_checkpoint(info: RunInfo) -> None:
    """Say when there is something to take away."""
    settings = info.settings
    if not info.ended:
        first = min(settings.checkpoint_every, settings.iterations)
        st.info(
            f"This run has no checkpoint yet: iteration {first} stores the first one, and Q can be "
            "taken away from then on, while the run goes on.",
            icon=":material/hourglass_empty:",
        )
    else:
        st.info(
            f"This run is {info.status} and has no checkpoint, so there is no Q to take away; "
            "choose another run, or resume it on the Play page.",
            icon=":material/block:",
        )


def taking(root: Path, info: RunInfo, iteration: int) -> None:
    """What is prepared of the checkpoint, kept up to date, or the button that starts it."""
    run_id = info.run_id
    found = preparation(root, run_id, iteration)
    if (found is None or found.state == "failed") and prepare_button(found):
        access.prepare(root, run_id, iteration)
        st.rerun()
    if found is None:
        return
    measured = has_images(root, run_id)
    folder = folder_of(root / run_id, iteration)
    shown = found.state

    @st.fragment(run_every=REFRESH_SECONDS if shown == "going" else None)
    def live() -> None:
        try:
            now = preparation(root, run_id, iteration)
        except (InputError, RunFailed) as error:
            st.error(plain(str(error)))
            return
        if now is None or now.state != shown:
            st.rerun()
        results(now, folder, measured, f"{run_id}-{iteration}")

    live()
    if shown == "done":
        report_panel(root, run_id, found, folder)
    elif shown == "going":
        st.caption("The report can be downloaded once everything is prepared.")


def prepare_button(failed: Preparation | None) -> bool:
    """Whether the reader asks to prepare the files; tells what that does, or why it failed."""
    if failed is not None:
        st.error(plain(failed.reason), icon=":material/error:")
        return st.button("Prepare again", type="primary", icon=":material/refresh:")
    st.markdown(
        "Writes Q as ONNX, as PyTorch files and as a program of `torch.export`, measures each of "
        "them on the run's real images, and checks its arithmetic, size and speed. A process of "
        "its own does so, within minutes for a small network; a run goes on meanwhile."
    )
    return st.button("Prepare", type="primary", icon=":material/deployed_code:")


def has_images(root: Path, run_id: str) -> bool:
    """Whether the run is measured on real images."""
    loaded = runs.latest(root, run_id, RecordKind.NETWORK)
    return loaded is None or loaded.data["data"] is not None


def results(found: Preparation, folder: Path, measured: bool, revision: str) -> None:
    """All that is there of a preparation."""
    with st.container(gap="medium"):
        st.html(strip_html(found, measured))
        if found.files:
            with st.container():
                files_panel(found, folder)
        with st.container():
            checks_panel(found, revision)
        if found.state == "done":
            with st.container():
                usage_panel(found, folder)


def report_panel(root: Path, run_id: str, found: Preparation, folder: Path) -> None:
    """The button that makes the report."""
    st.markdown("## Report")
    st.caption(
        "One HTML file with the result, the run's charts and images, these checks and the packed "
        "network in it; it needs nothing else to be opened."
    )
    st.download_button(
        "Download the report",
        partial(report_bytes, root, run_id, found, folder),
        file_name=f"{run_id}-{found.iteration}.html",
        mime="text/html",
        icon=":material/article:",
        on_click="ignore",
        help="Made when it is pressed, which takes seconds.",
    )


page()

"""The sidebar's choice of P, its weights and the real images that measure it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.settings import field
from adadfq_core.zoo.entry import ZooEntry
from adadfq_core.zoo.registry import find, names
from adadfq_core.zoo.uploads import MOST_MEGABYTES, keep_upload
from adadfq_core.zoo.weights import SUFFIXES
from app import access
from app.markdown import plain

CHOICES = ("network", "weights", "data", "bit_overrides")


def _facts(entry: ZooEntry) -> str:
    channels, height, width = entry.images.shape
    facts = [entry.dataset, f"{channels}×{height}×{width}", f"{len(entry.images.classes)} classes"]
    if entry.top1 is not None:
        facts.append(f"top-1 {entry.top1:.2f} %")
    return " · ".join([*facts, entry.licence])


def network_panel(active: bool) -> None:
    """Draw the panel; it stays as it is while a run is active."""
    chosen = st.session_state["setting_network"]
    offered = list(dict.fromkeys([*names(), chosen]))
    st.selectbox(
        "Network P",
        offered,
        key="setting_network",
        disabled=active,
        help=str(field("network").description),
    )
    try:
        entry = find(st.session_state["setting_network"])
    except InputError as error:
        st.caption(plain(str(error)))
        return
    st.caption(_facts(entry))
    if not active:
        _offer_download(entry)
    with st.expander("Own weights and data"):
        _own_weights(entry, active)
        st.text_input(
            "Test images",
            key="setting_data",
            placeholder=entry.data or "none: accuracy is not measured",
            disabled=active,
            help=str(field("data").description),
        )
        st.text_input(
            "Bits of single layers",
            key="setting_bit_overrides",
            placeholder="first=8,last=8",
            disabled=active,
            help=str(field("bit_overrides").description),
        )


def _offer_download(entry: ZooEntry) -> None:
    if st.session_state["setting_weights"] or entry.weights.is_here():
        return
    if not st.button("Download weights", help=f"From {entry.url}, checked by its hash."):
        st.caption("The weights are not on this machine yet.")
        return
    bar = st.progress(0.0, text="downloading")

    def show(done: int, total: int | None) -> None:
        share = done / total if total else 0.0
        bar.progress(min(share, 1.0), text=f"{done / 2**20:.1f} MB")

    try:
        access.signed_in()
        entry.weights.fetch(show)
    except (InputError, RunFailed) as error:
        st.error(plain(str(error)))
        return
    st.rerun()


def _own_weights(entry: ZooEntry, active: bool) -> None:
    if st.session_state["setting_weights"]:
        name = st.session_state.get("upload_name") or _name_of_weights()
        st.caption(f"Weights: {plain(name)}")
        st.button(
            "Use the zoo's weights",
            disabled=active,
            on_click=_forget_weights,
            help="Give the uploaded weights up.",
        )
        return
    uploaded = st.file_uploader(
        "Weights of your own",
        type=[suffix.lstrip(".") for suffix in SUFFIXES],
        disabled=active,
        max_upload_size=MOST_MEGABYTES,
        help=f"For the architecture of {entry.name}. Read without running code of the file.",
    )
    if uploaded is None:
        return
    try:
        access.signed_in()
        path = keep_upload(uploaded.name, uploaded.getvalue(), entry)
    except InputError as error:
        st.error(plain(str(error)))
        return
    st.session_state["setting_weights"] = str(path)
    st.session_state["upload_name"] = uploaded.name
    st.rerun()


def _name_of_weights() -> str:
    return Path(st.session_state["setting_weights"]).name


def _forget_weights() -> None:
    st.session_state["setting_weights"] = ""
    st.session_state.pop("upload_name", None)

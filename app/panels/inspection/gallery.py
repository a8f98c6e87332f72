"""Pages of generated images, to look through, to click and to take away."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from adadfq_core.inspection.contact_sheet import contact_sheet, stretched
from adadfq_core.inspection.selection import page_count, page_of
from adadfq_core.inspection.table_files import as_csv, as_parquet
from app.components.gallery import Sprite, gallery, make_sprite
from app.panels.inspection.state import Inspected, choose, chosen, keys
from app.panels.tiles import LEGEND, tiles_of
from app.sample_ids import sample_id, sample_of

PAGE_SIZES = (50, 100, 200, 500)
_DRAWN = "drawn_gallery"


def gallery_panel(held: Inspected, rows: pd.DataFrame) -> None:
    """Draw one page of `rows`, and offer what can be taken away."""
    _lasso_note(held)
    if rows.empty:
        st.info("No sample passes all filters: widen one of those at the left.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        size = st.selectbox(
            "A page", PAGE_SIZES, index=1, key="gallery_size", help="Images on a page."
        )
        pages = page_count(len(rows), size)
        st.session_state["gallery_page"] = min(st.session_state.get("gallery_page", 1), pages)
        page = st.number_input(
            f"Page of {pages}", 1, pages, key="gallery_page", help=f"{len(rows):,} samples in all."
        )
        width = st.select_slider(
            "Size",
            (56, 84, 112, 168),
            value=84,
            key="gallery_width",
            help="Of an image, in pixels.",
        )
        stretch = st.toggle(
            "stretch each",
            key="gallery_stretch",
            help="Each image from its own darkest to its own brightest value: faint ones become "
            "visible, but brightness no longer compares.",
        )
    shown = page_of(rows, int(page), size)
    selected = chosen(held)
    gallery(
        tiles_of(shown, held.classes, _sprite(held, shown, stretch)),
        key="gallery",
        selected=None if selected is None else sample_id(*selected),
        alt="Generated images",
        on_click=lambda number: choose(held.info.run_id, sample_of(number)),
        tile_width=width,
    )
    _downloads(held, rows, shown, stretch)


def _lasso_note(held: Inspected) -> None:
    if held.lasso is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Only the {len(held.lasso):,} samples that were selected on the map.")
        st.button(
            "Show all",
            help="Forget the selection on the map.",
            on_click=setattr,
            args=(held, "lasso", None),
        )


def _sprite(held: Inspected, shown: pd.DataFrame, stretch: bool) -> Sprite:
    """The images of the page as one picture; kept while the page stays the same."""
    asked = (held.info.run_id, tuple(keys(shown)), stretch)
    drawn: tuple[object, Sprite] | None = st.session_state.get(_DRAWN)
    if drawn is None or drawn[0] != asked:
        pixels = held.images(shown)
        drawn = (asked, make_sprite(stretched(pixels) if stretch else pixels))
        st.session_state[_DRAWN] = drawn
    return drawn[1]


def _downloads(held: Inspected, rows: pd.DataFrame, shown: pd.DataFrame, stretch: bool) -> None:
    st.caption(LEGEND)

    def sheet() -> bytes:
        pixels: np.ndarray = held.images(shown)
        captions = [
            f"{asked} {1 - h:.2f}"
            for asked, h in zip(shown["class_name"], shown["h_prime"], strict=True)
        ]
        return contact_sheet(pixels, captions, stretch=stretch)

    with st.container(horizontal=True):
        for label, make, suffix, mime, about in (
            ("Contact sheet", sheet, "page.png", "image/png", "This page as one PNG."),
            (
                "CSV",
                lambda: as_csv(rows),
                "samples.csv",
                "text/csv",
                "The table of all samples that pass the filters.",
            ),
            (
                "Parquet",
                lambda: as_parquet(rows),
                "samples.parquet",
                "application/vnd.apache.parquet",
                "The same table, with its types.",
            ),
        ):
            st.download_button(
                label, make, file_name=f"{held.info.run_id}-{suffix}", mime=mime, help=about
            )

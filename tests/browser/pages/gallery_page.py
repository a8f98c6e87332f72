"""A page with a gallery, for the browser test; `streamlit run` shows it to a person too."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import streamlit as st

sys.path.insert(0, str(Path(__file__).parents[3]))

from app.components.gallery import GalleryTiles, Sprite, gallery, make_sprite

# The browser test rebuilds the images from these.
COUNT, SIDE = 500, 32


def pixels_of(page: int) -> np.ndarray:
    shape = (COUNT, 3, SIDE, SIDE)
    return np.random.default_rng(page).integers(0, 256, shape, dtype=np.uint8)


@st.cache_data
def sprite_of(page: int) -> Sprite:
    return make_sprite(pixels_of(page))


st.set_page_config(layout="wide")
state = st.session_state
state.setdefault("selected", None)
with st.sidebar:
    page = st.number_input("Page", 0, 9, 0)
    width = st.slider("Tile width", 32, 192, 96, step=32)
    # Each click is one run of the page, which the number proves.
    state["runs"] = state.get("runs", 0) + 1
    st.button("Run again")
    renamed = st.checkbox("Rename tile 3")
    st.write(f"run {state['runs']}")
    st.write(f"selected {state['selected']}")

first = 1000 * page
captions = [f"tile {first + i}\nH' {i / COUNT:.2f}" for i in range(COUNT)]
if renamed:
    captions[3] = "another name"
tiles = GalleryTiles(
    sprite_of(page),
    ids=[first + i for i in range(COUNT)],
    captions=captions,
    colours=["#dc2626", "#0d9488", "#2563eb"] * (COUNT // 3) + ["#000000"] * (COUNT % 3),
    titles=[f"image {i} of page {page}" for i in range(COUNT)],
)


def click(tile: int) -> None:
    state["selected"] = tile
    state["clicks"] = state.get("clicks", 0) + 1


gallery(
    tiles,
    key="tiles",
    selected=state["selected"],
    alt="Generated images",
    on_click=click,
    tile_width=width,
)
with st.sidebar:
    st.write(f"clicks {state.get('clicks', 0)}")

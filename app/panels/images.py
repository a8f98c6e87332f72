"""The images of the moment that the Play page shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from adadfq_core.inspection.sample_table import REGIONS, region_codes
from adadfq_core.settings import RunSettings
from app.components.gallery import GalleryTiles, gallery, make_sprite
from app.panels.tiles import LEGEND, tiles_of
from app.run_view import Frame

TILE_WIDTH = 96
_DRAWN = "images_drawn"


def images_panel(
    run_id: str, frame: Frame, classes: Sequence[str], on_click: Callable[[int], object]
) -> None:
    """Draw the images; `on_click` takes the number (`sample_ids`) of one that was clicked."""
    if frame.images is None:
        return
    real = not frame.settings.has_generator
    st.markdown("## Real images in place of G's" if real else "## Generated images")
    gallery(
        _tiles((run_id, frame.images_iteration), frame.images, frame.settings, classes),
        key="images",
        selected=None,
        alt="The images of the moment",
        on_click=on_click,
        tile_width=TILE_WIDTH,
    )
    st.caption(
        f"The batch of iteration {frame.images_iteration}; click an image to inspect it. {LEGEND} "
        + (
            "Q learns from one half of the real images, the other half measures it."
            if real
            else "Training uses these images only; real ones serve the accuracy and the map."
        )
    )


def _tiles(
    moment: tuple[str, int],
    images: dict[str, np.ndarray],
    settings: RunSettings,
    classes: Sequence[str],
) -> GalleryTiles:
    """The sheet's images; kept until another moment is shown."""
    asked = (moment, settings.lambda_l, settings.lambda_u)
    drawn: tuple[object, GalleryTiles] | None = st.session_state.get(_DRAWN)
    if drawn is None or drawn[0] != asked:
        rows = _rows(moment[1], images, settings)
        drawn = (asked, tiles_of(rows, classes, make_sprite(images["pixels"])))
        st.session_state[_DRAWN] = drawn
    return drawn[1]


def _rows(
    iteration: int, images: dict[str, np.ndarray], settings: RunSettings
) -> dict[str, np.ndarray]:
    """What `tiles_of` needs, without the losses that the table of samples computes as well."""
    h_prime = images["h_prime"]
    count = len(h_prime)
    return {
        "class_index": images["labels"],
        "p_class": images["p_logits"].argmax(1),
        "q_class": images["q_logits"].argmax(1),
        "iteration": np.full(count, iteration),
        "place": np.arange(count),
        "h_prime": h_prime,
        # The last one stands for -1, of an H' that is not finite.
        "region": np.array([*REGIONS, None])[region_codes(h_prime, settings)],
    }

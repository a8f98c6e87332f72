"""A walk through the generator's latent space, from one image and class to another."""

from __future__ import annotations

import streamlit as st

from adadfq_core.inspection.replies import WalkReply
from adadfq_core.inspection.requests import WalkRequest
from app.panels.inspection.service import when_answered
from app.panels.inspection.state import Inspected
from app.panels.pictures import enlarged, grid, picture

STEPS = 16


def walk_panel(held: Inspected) -> None:
    """Choose both ends and the moment of the generator; draw the way between them."""
    if not held.info.settings.has_generator:
        st.info("This run has no generator: real images are in its place.")
        return
    names = held.classes
    total = max(held.info.iteration, 1)
    moment = st.slider(
        "Generator of iteration",
        0,
        total,
        total,
        key=f"walk_moment_{held.info.run_id}",
        help="The nearest stored checkpoint before it is taken.",
    )
    ends = []
    for place, column in zip(("from", "to"), st.columns(2), strict=True):
        with column:
            label = st.selectbox(
                f"Class {place}",
                range(len(names)),
                index=0 if place == "from" else min(1, len(names) - 1),
                format_func=lambda index: names[index],
                key=f"walk_class_{place}_{held.info.run_id}",
                help="Between two classes what G has learned for each is mixed.",
            )
            seed = st.slider(
                f"Noise {place}",
                0,
                99,
                0 if place == "from" else 1,
                key=f"walk_seed_{place}",
                help="Number of the latent point; the same number is the same point.",
            )
            ends.append((label, seed))
    (class_from, seed_from), (class_to, seed_to) = ends
    request = WalkRequest(
        held.root,
        held.info.run_id,
        held.checkpoint(moment),
        seed_from,
        seed_to,
        class_from,
        class_to,
        STEPS,
    )
    when_answered(request, "walk", WalkReply, lambda reply: _way(reply, held))


def _way(reply: WalkReply, held: Inspected) -> None:
    place = st.slider(
        "On the way",
        1,
        len(reply.pixels),
        1,
        key="walk_place",
        help="Slide to walk; the whole way stands below.",
    )
    image, way = st.columns([1, 3])
    image.html(enlarged(reply.pixels[place - 1], "on the way"))
    tiles = [
        f'<figure class="{"here" if index + 1 == place else ""}">'
        f"{picture(pixels, f'step {index + 1}')}<figcaption>{index + 1}</figcaption></figure>"
        for index, pixels in enumerate(reply.pixels)
    ]
    way.html(grid(tiles))
    st.caption(
        f"The generator of iteration {reply.checkpoint}, in evaluation mode with statistics "
        "measured anew, along the arc between both points."
    )

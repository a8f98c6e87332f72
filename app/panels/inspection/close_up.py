"""One sample up close: its numbers at once, and what needs the networks when that is there."""

from __future__ import annotations

import html

import pandas as pd
import streamlit as st

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.inspection.clipping import SiteClipping
from adadfq_core.inspection.close_up import CloseUp, close_up
from adadfq_core.inspection.replies import CloseUpReply
from adadfq_core.inspection.requests import CloseUpRequest
from adadfq_core.inspection.samples import settings_at
from app.charts.close_up import distributions_figure, top_figure
from app.components.live_chart import live_chart
from app.markdown import plain
from app.panels.inspection.service import when_answered
from app.panels.inspection.state import Inspected, SampleKey
from app.panels.pictures import enlarged, grid, picture

_SYMBOLS = (
    ("H'", "h_prime", ".4f"),
    ("adaptability 1 − H'", "adaptability", ".4f"),
    ("H_info (nats)", "h_info", ".4f"),
    ("L_ds (nats)", "l_ds", ".4f"),
    ("L_as (nats)", "l_as", ".4f"),
    ("L_Q (nats)", "l_q", ".3f"),
)


def facts(sample: CloseUp) -> pd.DataFrame:
    """The sample's numbers, one a row."""
    rows = [(name, f"{getattr(sample, field):{digits}}") for name, field, digits in _SYMBOLS]
    return pd.DataFrame([*rows, ("region", sample.region)], columns=["of this sample", "value"])


def close_up_panel(held: Inspected, key: SampleKey) -> None:
    """Everything about the sample `key`."""
    iteration, place = key
    record = held.samples.sheets[iteration]
    arrays = runs.arrays(held.root, record)
    label = int(arrays["labels"][place])
    name = held.classes[label]
    st.markdown(f"## {plain(name)}, iteration {iteration}, image {place + 1}")
    image, numbers = st.columns([2, 3])
    image.html(enlarged(arrays["pixels"][place], f"generated {name}"))
    settings = settings_at(held.samples, held.info.settings, iteration)
    try:
        sample = close_up(
            arrays["p_logits"][place],
            arrays["q_logits"][place],
            float(arrays["h_prime"][place]),
            label,
            settings,
        )
    except InputError as error:
        st.warning(plain(str(error)))
        return
    numbers.dataframe(facts(sample), hide_index=True, width="stretch")
    revision = f"{held.info.run_id}-{iteration}-{place}"
    for key, make, title, alt in (
        (
            "close_up_top",
            top_figure,
            "The five likeliest classes of P and of Q",
            "Likeliest classes of P and Q",
        ),
        (
            "close_up_distributions",
            distributions_figure,
            "Where both disagree, softmax(p − q), and agree, softmax(p + q)",
            "Disagreement and agreement distribution over the classes",
        ),
    ):
        figure = make(sample, held.classes)
        live_chart(figure, key=key, revision=revision, title=title, height=288, alt=alt)
    when_answered(
        CloseUpRequest(held.root, held.info.run_id, iteration, place),
        "close_up",
        CloseUpReply,
        lambda reply: _networks_view(reply, held),
    )


def _networks_view(reply: CloseUpReply, held: Inspected) -> None:
    for notice in reply.notices:
        st.caption(plain(notice))
    if reply.nearest is not None and reply.pixels is not None:
        st.markdown("### Nearest real images, by P's features")
        tiles = [
            f"<figure>{picture(pixels, f'real {held.classes[label]}')}"
            f"<figcaption>{html.escape(held.classes[label])}<br>distance {distance:.2f}"
            "</figcaption></figure>"
            for pixels, label, distance in zip(
                reply.pixels, reply.nearest.labels[0], reply.nearest.distances[0], strict=True
            )
        ]
        st.html(grid(tiles))
    if reply.clipping:
        st.markdown(f"### What Q clips of it, Q of iteration {reply.checkpoint}")
        st.dataframe(clipping_table(reply.clipping), hide_index=True, width="stretch")
        st.caption(
            "From the stored picture, which is rounded to 8 bits and cut off at black and white; "
            "the logits above are those of the game."
        )


def clipping_table(sites: tuple[SiteClipping, ...]) -> pd.DataFrame:
    """Where values of the sample lie outside of Q's ranges, most of them first."""
    table = pd.DataFrame(
        {
            "activation": [site.name for site in sites],
            "Q's range": [f"{site.range_min:.2f} … {site.range_max:.2f}" for site in sites],
            "its values": [
                f"{float(site.smallest[0]):.2f} … {float(site.largest[0]):.2f}" for site in sites
            ],
            "clipped (%)": [round(100 * float(site.below[0] + site.above[0]), 3) for site in sites],
        }
    )
    return table.sort_values("clipped (%)", ascending=False, kind="stable")


def sample_beside(held: Inspected, key: SampleKey | None) -> None:
    """The close-up, or how to get one; a failure is told in its place."""
    if key is None:
        st.info("Click an image or a point to see it up close.", icon=":material/touch_app:")
        return
    try:
        close_up_panel(held, key)
    except (InputError, RunFailed) as error:
        st.warning(plain(str(error)))

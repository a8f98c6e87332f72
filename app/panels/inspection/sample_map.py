"""The map: where P or Q puts the samples among real images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from adadfq_core.embedding.settings import Metric, ProjectionSettings
from adadfq_core.inspection.replies import MapReply
from adadfq_core.inspection.requests import MOST_REAL, MapRequest, SampleRange
from adadfq_core.settings import limits
from app.charts.sample_map import COLOURINGS, RealPoints, sample_map_figure
from app.components.live_chart import live_chart
from app.glossary import glossary_link
from app.markdown import plain
from app.panels.inspection.service import when_answered
from app.panels.inspection.state import Inspected, SampleKey, choose, chosen_network, keys

MOST_SAMPLES = 2000
_METHODS = {"UMAP": "umap", "PCA (at once)": "pca"}


def _projection(row: DeltaGenerator) -> tuple[ProjectionSettings, int]:
    """The projection that is chosen in `row`, and how many real images it is fitted on."""
    fields = ProjectionSettings.model_fields
    method = row.segmented_control(
        "Method",
        list(_METHODS),
        default="UMAP",
        required=True,
        key="map_method",
        help=fields["method"].description,
    )
    space = row.segmented_control(
        "Coordinates",
        (2, 3),
        default=2,
        required=True,
        key="map_coordinates",
        help="A flat map or one in space.",
    )
    with row.popover("Parameters"):
        neighbours, distance = (
            st.slider(
                name,
                *(kind(end) for end in limits(fields[name])),
                fields[name].default,
                step,
                key=key,
                help=fields[name].description,
            )
            for name, kind, step, key in (
                ("n_neighbors", int, 1, "map_neighbours"),
                ("min_dist", float, 0.01, "map_distance"),
            )
        )
        metric = st.selectbox(
            "metric",
            get_args(Metric),
            key="map_metric",
            help=fields["metric"].description,
        )
        real = st.slider(
            "real images",
            200,
            MOST_REAL,
            2000,
            100,
            key="map_real",
            help="The map is fitted on them once and kept; samples are placed on it.",
        )
    settings = ProjectionSettings(
        method=_METHODS[method],
        n_components=space,
        n_neighbors=neighbours,
        min_dist=distance,
        metric=metric,
    )
    return settings, real


def map_panel(held: Inspected, rows: pd.DataFrame, first: int, last: int) -> None:
    """Draw the map of the samples of iterations `first` to `last` that are among `rows`."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    about = "Whose penultimate layer places the images."
    moment = chosen_network(row, held, "map_network", about)
    projection, real = _projection(row)
    request = MapRequest(
        held.root,
        held.info.run_id,
        SampleRange(first, last, MOST_SAMPLES),
        moment,
        projection,
        real,
    )
    when_answered(request, "map", MapReply, lambda reply: _map_view(reply, held, rows))


def placed_rows(reply: MapReply, rows: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Those of `rows` that the map has a finite place for, and their positions `(n, k)`."""
    places = {tuple(key): index for index, key in enumerate(reply.keys.tolist())}
    found = np.array([places.get(key, -1) for key in keys(rows)], dtype=np.int64)
    there = found >= 0
    there[there] = np.isfinite(reply.positions[found[there]]).all(axis=1)
    return rows[there], reply.positions[found[there]]


def _map_view(reply: MapReply, held: Inspected, rows: pd.DataFrame) -> None:
    colouring = st.segmented_control(
        "Colour",
        COLOURINGS,
        default="class",
        required=True,
        key="map_colour",
        help="What the colours of the samples tell.",
    )
    shown, positions = placed_rows(reply, rows)
    flat = reply.real_positions.shape[1] == 2
    figure = sample_map_figure(
        shown,
        positions,
        RealPoints(reply.real_positions, reply.real_labels),
        held.classes,
        colouring,
        "UMAP" if reply.method == "umap" else "PCA",
    )
    live_chart(
        figure,
        key="sample_map",
        revision=f"{held.info.run_id}-{reply.method}-{flat}",
        height=560,
        alt="Samples among real images",
        on_click=lambda point: _click(held, point),
        on_select=(lambda inside: _select(held, inside)) if flat else None,
    )
    for notice in reply.notices:
        st.caption(plain(notice))
    st.caption(
        f"{len(shown):,} samples of the filters among {len(reply.real_labels):,} real images. "
        + ("Draw round samples to see only them in the gallery. " if flat else "")
        + glossary_link(reply.method)
    )


def _click(held: Inspected, point: dict[str, Any]) -> None:
    if point["customdata"] is not None:
        iteration, place = point["customdata"]
        choose(held.info.run_id, (iteration, place))


def _select(held: Inspected, inside: Sequence[SampleKey]) -> None:
    held.lasso = frozenset((iteration, place) for iteration, place in inside) or None

"""Samples as tiles of a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from adadfq_core.inspection.sample_table import REGIONS, answer_name
from app.charts.style import OVER_COLOUR, P_COLOUR, Q_COLOUR, UNDER_COLOUR
from app.components.gallery import GalleryTiles, Sprite
from app.sample_ids import sample_id

LEGEND = (
    "Below each image: the class asked of G and its adaptability, 1 for a sharp disagreement of P "
    "and Q, 0 where they agree. The mark above it: under (red), inside (teal) or over (blue) the "
    "margin."
)

_COLOURS = dict(zip(REGIONS, (UNDER_COLOUR, Q_COLOUR, OVER_COLOUR), strict=True))


def tiles_of(
    rows: Mapping[str, np.ndarray] | pd.DataFrame, classes: Sequence[str], sprite: Sprite
) -> GalleryTiles:
    """One tile for each of `rows`, its id the sample's (`sample_ids`).

    Args:
        rows: "class_index", "p_class", "q_class", "iteration", "place", "h_prime" and "region" of
            each sample (see `inspection.sample_table`).
        sprite: the images of `rows`, in their order.
    """
    numbers = ("class_index", "p_class", "q_class", "iteration", "place", "h_prime")
    values = zip(
        *(rows[name].tolist() for name in numbers),
        rows["region"].astype(object).tolist(),
        strict=True,
    )
    ids, captions, colours, titles = [], [], [], []
    for asked, p, q, iteration, place, h_prime, region in values:
        ids.append(sample_id(iteration, place))
        captions.append(f"{classes[asked]}\n{1 - h_prime:.2f}")
        colours.append(_COLOURS.get(region, P_COLOUR))
        titles.append(
            f"asked: {classes[asked]}; P says {answer_name(p, classes)}, "
            f"Q says {answer_name(q, classes)}\n"
            f"H' {h_prime:.3f}, {region}; adaptability {1 - h_prime:.3f}\n"
            f"iteration {iteration}, image {place + 1}"
        )
    return GalleryTiles(sprite, ids, captions, colours, titles)

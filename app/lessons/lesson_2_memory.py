"""Lesson 2: BatchNorm remembers how real images look, so that a batch can be made without any."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from adadfq_core.lessons import memory
from app.charts.lessons.memory import belief_figure, channels_figure
from app.components.live_chart import live_chart
from app.lessons import texts
from app.lessons.question import Verdict, ask
from app.lessons.subject import subject
from app.lessons.texts import text
from app.lessons.widgets import Choice, Span, Widgets, begin, slider
from app.panels.pictures import grid, picture

LIMIT = 0.15
BATCH = 64
SHOWN = 8
# In pixels.
PICTURES = 640
REAL, BLACK, MADE = "real", "black", "made"
PATCHES = (1, 2, 4, 7, 14, 28)


class Recipe(NamedTuple):
    """How a batch is made: where from, and for made ones how (see `memory.patchwork`)."""

    source: str
    patch: int = 1
    brightness: float = 0.5
    contrast: float = 1.0
    real_percent: int = 0


START = Recipe(MADE)
BRIGHTNESS = Span(0.0, 1.0, START.brightness, 0.05)
CONTRAST = Span(0.0, 2.0, START.contrast, 0.1)
# In percent.
SHARE = Span(0, 100, START.real_percent, 5)


def widgets() -> Widgets:
    """What may be set."""
    return {
        "learn_2_source": Choice((MADE, BLACK, REAL), MADE),
        "learn_2_patch": Choice(PATCHES, START.patch),
        "learn_2_brightness": BRIGHTNESS,
        "learn_2_contrast": CONTRAST,
        "learn_2_share": SHARE,
        "learn_2_layer": _layer(),
    }


def _layer() -> Span:
    return Span(1, _layers(), 1, 1)


def draw() -> None:
    """Draw the model and the question."""
    begin(widgets())
    hands, eyes = st.columns([2, 3], gap="medium")
    with hands:
        recipe = _recipe()
        layer = slider(text("lesson_2.layer"), "learn_2_layer", _layer())
        question = st.container()
    with eyes:
        st.html(_pictures(pixels(recipe)[:SHOWN].numpy()), width=PICTURES)
        _belief(loss(recipe))
        _channels(recipe, layer)
        st.caption(text("lesson_2.honest"))
    with question:
        ask(2, text("lesson_2.question", limit=LIMIT), lambda: check(recipe))


def pixels(recipe: Recipe) -> Tensor:
    """The batch, uint8 `(BATCH, C, H, W)`."""
    known = subject().known
    real = known.images.pixels[known.spread(BATCH)]
    if recipe.source == REAL:
        return real
    if recipe.source == BLACK:
        return torch.zeros_like(real)
    _, channels, height, width = real.shape
    shape = (len(real), channels, height, width)
    made = memory.patchwork(shape, recipe.patch, recipe.brightness, recipe.contrast)
    return memory.blend(made, real, recipe.real_percent / 100)


def loss(recipe: Recipe) -> float:
    """`L_BNS` of the batch."""
    return _recall(recipe, 1)[0]


def check(recipe: Recipe) -> Verdict:
    """Whether the batch holds nothing real and its `L_BNS` is below `LIMIT`."""
    if recipe.source == REAL or (recipe.source == MADE and recipe.real_percent):
        return Verdict(False, text("lesson_2.uses_real"))
    values = {"loss": loss(recipe), "limit": LIMIT, "real": loss(Recipe(REAL))}
    if values["loss"] < LIMIT:
        return Verdict(True, text("lesson_2.believed", **values))
    if recipe.source == BLACK:
        return Verdict(False, text("lesson_2.all_black", **values))
    hint = "hint_patch" if recipe.patch not in (4, 7) else "hint_light"
    return Verdict(False, text(f"lesson_2.{hint}", **values))


@st.cache_data(show_spinner=False, max_entries=500)
def _recall(recipe: Recipe, layer: int) -> tuple[float, memory.Recall]:
    found = subject()
    return memory.recall(
        found.graph, found.known.images.format.normalise(pixels(recipe)), layer - 1
    )


@st.cache_data(show_spinner=False)
def _layers() -> int:
    return memory.batchnorm_count(subject().graph)


def _recipe() -> Recipe:
    source = st.segmented_control(
        text("lesson_2.source"),
        [MADE, BLACK, REAL],
        format_func=lambda name: text(f"lesson_2.sources.{name}"),
        key="learn_2_source",
        required=True,
    )
    off = source != MADE
    left, right = st.columns(2)
    with left:
        patch = st.select_slider(text("lesson_2.patch"), PATCHES, key="learn_2_patch", disabled=off)
        share = slider(text("lesson_2.share"), "learn_2_share", SHARE, format="%d %%", disabled=off)
    with right:
        brightness = slider(
            text("lesson_2.brightness"), "learn_2_brightness", BRIGHTNESS, disabled=off
        )
        contrast = slider(text("lesson_2.contrast"), "learn_2_contrast", CONTRAST, disabled=off)
    return Recipe(MADE, patch, brightness, contrast, share) if source == MADE else Recipe(source)


def _pictures(images: np.ndarray) -> str:
    alt = text("lesson_2.picture_alt")
    tiles = (picture(image, f"{alt} {index}") for index, image in enumerate(images, start=1))
    return grid([f"<figure>{tile}</figure>" for tile in tiles])


def _belief(found: float) -> None:
    words = texts.all_texts()["lesson_2"]["belief"]
    others = {
        words["real"]: loss(Recipe(REAL)),
        words["black"]: loss(Recipe(BLACK)),
    }
    live_chart(
        belief_figure(found, others, LIMIT, words | {"limit": text("lesson_2.limit", limit=LIMIT)}),
        key="learn_2_belief",
        revision="",
        title=text("lesson_2.belief_title", loss=found),
        height=150,
        alt=text("lesson_2.belief_alt", loss=found, limit=LIMIT, real=others[words["real"]]),
    )


def _channels(recipe: Recipe, layer: int) -> None:
    _, recall = _recall(recipe, layer)
    values = {
        "layer": layer,
        "channels": len(recall.stored_mean),
        "mean_gap": float(np.abs(recall.seen_mean - recall.stored_mean).mean()),
        "std_gap": float(np.abs(recall.seen_std - recall.stored_std).mean()),
    }
    live_chart(
        channels_figure(recall, texts.all_texts()["lesson_2"]["channels"]),
        key="learn_2_channels",
        revision=str(layer),
        title=text("lesson_2.channels_title", **values),
        height=236,
        alt=text("lesson_2.channels_alt", **values),
    )

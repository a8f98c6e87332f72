"""The Streamlit side of the gallery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import streamlit as st

from adadfq_core.errors import InputError
from app.components import assets

from .sprite import Sprite

_FRONTEND = Path(__file__).parent / "frontend"

_mount = st.components.v2.component(
    "adadfq_gallery",
    js=assets.LOADER,
    css=(_FRONTEND / "gallery.css").read_text(encoding="utf-8"),
)


@dataclass(frozen=True, slots=True)
class GalleryTiles:
    """One page of tiles, all sequences in the order of the sprite's images.

    Attributes:
        sprite: The images.
        ids: What a click reports.
        captions: One or two short lines below each image, parted by a line break; what does not fit
            is cut. Also the tile's name for readers who do not see it.
        colours: Of the mark above each image, in any spelling of CSS.
        titles: Shown while the pointer rests on the tile.

    Raises:
        InputError: a sequence of another length than the sprite has images.
    """

    sprite: Sprite
    ids: Sequence[int]
    captions: Sequence[str]
    colours: Sequence[str]
    titles: Sequence[str]

    def __post_init__(self) -> None:
        for name in ("ids", "captions", "colours", "titles"):
            given = len(getattr(self, name))
            if given != self.sprite.count:
                raise InputError(
                    f"{given} {name} for {self.sprite.count} images are not allowed; give each "
                    "image one."
                )


def gallery(
    tiles: GalleryTiles,
    *,
    key: str,
    selected: int | None,
    alt: str,
    on_click: Callable[[int], object],
    tile_width: int = 96,
) -> None:
    """Show `tiles` in rows, as many in each as fit.

    Tab enters the gallery and leaves it; inside, the arrow keys, Home and End go from tile to tile
    and Enter clicks. Not to be called inside `st.form`, which holds clicks back.

    Args:
        tiles: Keep them, or at least their sprite, from run to run while they do not change.
        key: Names the gallery. One gallery a key and session; like any widget key.
        selected: Id of the tile that is drawn as the selected one.
        alt: What the gallery shows, for readers who do not see it.
        on_click: Called with the id of a tile that was clicked, before the run that this causes.
        tile_width: Of each tile in CSS pixels. Images are enlarged to it without smoothing, and
            look even where it is a multiple of their width.
    """
    sprite = tiles.sprite
    _mount(
        key=key,
        data={
            "tiles": {
                "ids": [int(tile_id) for tile_id in tiles.ids],
                "captions": list(tiles.captions),
                "colours": list(tiles.colours),
                "titles": list(tiles.titles),
            },
            "sprite": {
                "columns": sprite.columns,
                "rows": sprite.rows,
                "width": sprite.width,
                "height": sprite.height,
            },
            "selected": None if selected is None else int(selected),
            "alt": alt,
            "tileWidth": tile_width,
            "assets": assets.publish(
                f"gallery/{key}", module=_module(), sprite=(sprite.png, "image/png")
            ),
        },
        on_clicked_change=partial(assets.tell, key, "clicked", on_click),
    )


@cache
def _module() -> assets.File:
    return (_FRONTEND / "gallery.js").read_bytes(), assets.SCRIPT

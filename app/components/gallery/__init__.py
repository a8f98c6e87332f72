"""A page of up to 500 small images as tiles to look at, to tab through and to click.

All images travel as one picture, a sprite, whose address is a hash of its content: the browser
fetches it once, and an update holds texts alone. A run that changes nothing sends nothing to the
browser's script; one that changes a few tiles touches these in the page.

Modules: `sprite` (pixels to that picture), `component` (the Streamlit side) and `frontend/` (the
browser side).
"""

from .component import GalleryTiles, gallery
from .sprite import MOST_IMAGES, Sprite, make_sprite

__all__ = ["MOST_IMAGES", "GalleryTiles", "Sprite", "gallery", "make_sprite"]

"""The grid of a moment's images with class and adaptability."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
import streamlit as st
from PIL import Image

from app.run_view import Frame

_STYLE = """<style>
.samples{display:grid;grid-template-columns:repeat(8,minmax(0,1fr));gap:10px}
@media (max-width:900px){.samples{grid-template-columns:repeat(4,minmax(0,1fr))}}
.samples figure{margin:0;font-size:.72rem;line-height:1.25}
.samples img{width:100%;image-rendering:pixelated;border-radius:4px;display:block}
.samples img+img{margin-top:3px}
.samples figcaption{white-space:nowrap;overflow:hidden;text-overflow:ellipsis;opacity:.85}
</style>"""


def _data_uri(pixels: np.ndarray) -> str:
    image = np.moveaxis(pixels, 0, -1).squeeze()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def images_panel(frame: Frame, classes: Sequence[str]) -> None:
    """The images of the moment, each with its class and adaptability."""
    if frame.images is None:
        return
    real = not frame.settings.has_generator
    st.markdown("##### Real images in place of G's" if real else "##### Generated images")
    st.caption(
        f"The batch of iteration {frame.images_iteration}. Adaptability 1: P and Q disagree "
        "sharply; 0: they agree. "
        + (
            "Q learns from one half of the real images, the other half measures it."
            if real
            else "Training uses these images only; real ones serve the accuracy and the map."
        )
    )
    st.html(samples_html(frame.images, classes))


def picture(pixels: np.ndarray, about: str) -> str:
    """HTML of one image `(C, H, W)` uint8 of which `about` is the text alternative."""
    return f'<img alt="{html.escape(about)}" src="{_data_uri(pixels)}">'


def samples_html(images: dict[str, np.ndarray], classes: Sequence[str]) -> str:
    """HTML of the sheet: `pixels` `(n, C, H, W)` uint8 with labels, h_prime and both logits."""
    tiles = []
    for pixels, label, h_prime, p, q in zip(
        images["pixels"],
        images["labels"],
        images["h_prime"],
        images["p_logits"],
        images["q_logits"],
        strict=True,
    ):
        name = html.escape(classes[int(label)])
        hover = (
            f"asked: {name}; P says {html.escape(classes[int(p.argmax())])}, "
            f"Q says {html.escape(classes[int(q.argmax())])}; H' = {h_prime:.3f}"
        )
        tiles.append(
            f'<figure title="{hover}">{picture(pixels, f"generated {classes[int(label)]}")}'
            f"<figcaption>{name}<br>adaptability {1 - h_prime:.2f}</figcaption></figure>"
        )
    return grid(tiles)


def grid(tiles: Sequence[str]) -> str:
    """HTML of `tiles`, each a `<figure>`, eight a row or four on a narrow screen."""
    return f'{_STYLE}<div class="samples">{"".join(tiles)}</div>'

"""A run as one HTML file that tells the result, shows how it came about and carries the network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from adadfq_core.export.accuracy import Accuracy
from adadfq_core.export.cost import Cost
from adadfq_core.export.description import Description
from adadfq_core.export.preparation import Preparation
from adadfq_core.inspection.sample_table import REGIONS, answer_name, sheet_columns
from adadfq_core.runs import RunInfo
from adadfq_core.settings import RunSettings
from adadfq_core.settings_file import to_yaml
from app.export.markup import Html, element, folded, joined, table
from app.export.report_charts import (
    Drawn,
    accuracy_chart,
    curves,
    map_chart,
    margin_chart,
)
from app.export.report_files import files_and_checks
from app.export.report_page import Section, chart_or_sentence, page
from app.export.usage import eval_command, torch_code
from app.export.words import interval_text, size_text
from app.panels.pictures import grid, picture
from app.run_view import Frame, RunView

MOST_BYTES_INSIDE = 20_000_000
"""A larger network would make the page slow to open."""


@dataclass(frozen=True)
class ReportContent:
    """All that a report tells.

    Attributes:
        view: of the run, refreshed.
        frame: the newest moment.
        preparation: of the checkpoint whose Q is taken away, finished.
        description: what its files say of themselves.
        network_file: Q packed, as `adadfq_core.load_quantized` reads it.
    """

    view: RunView
    frame: Frame
    preparation: Preparation
    description: Description
    network_file: bytes

    @property
    def cost(self) -> Cost:
        """Of the network before and after quantization."""
        assert self.preparation.cost is not None
        return self.preparation.cost


def report_html(content: ReportContent) -> str:
    """The report as a whole HTML document, which needs nothing but itself."""
    view, frame = content.view, content.frame
    classes = content.description.images.classes
    title = _title(view.info.settings)
    sections = [
        Section("cost", "Size and operations", _cost(content.cost)),
        Section("files", "Files and checks", files_and_checks(content.preparation)),
        Section("curves", "The run", _charts([accuracy_chart(view), *curves(view)])),
        Section("margin", "The margin", _margin(frame, classes)),
        Section("images", _images_title(frame.settings), _gallery(frame, classes)),
        Section("map", "The map", chart_or_sentence(map_chart(frame, classes))),
        Section("settings", "Settings", _settings(view, content.description.versions)),
        Section("network-file", "Use the network", _use(content)),
    ]
    return page(f"{title} · {view.info.run_id}", _header(title, content), sections)


# --- heading ------------------------------------------------------------------------------------


def _title(settings: RunSettings) -> str:
    apart = f" ({settings.bit_overrides} apart)" if settings.bit_overrides else ""
    return (
        f"{settings.network} with {settings.weight_bits}-bit weights and "
        f"{settings.activation_bits}-bit activations{apart}"
    )


def _header(title: str, content: ReportContent) -> Html:
    info = content.view.info
    parts = [element("h1", title), _about(info, content.preparation.iteration)]
    if info.note:
        parts.append(element("p", info.note, class_="note"))
    return joined([*parts, element("p", *_result(content), class_="result")])


def _about(info: RunInfo, iteration: int) -> Html:
    created = datetime.fromtimestamp(info.created, UTC)
    date = element("time", f"{created:%d %B %Y, %H:%M} UTC", datetime=created.isoformat())
    facts = [
        ("Run", info.run_id),
        ("Started", date),
        ("State", info.status.value),
        ("Q of iteration", f"{iteration:,} of {info.settings.iterations:,}"),
    ]
    if info.tags:
        facts.append(("Tags", ", ".join(info.tags)))
    return _facts(facts)


def _facts(facts: Sequence[tuple[str, str]]) -> Html:
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in facts)
    return element("dl", *pairs, class_="facts")


def _result(content: ReportContent) -> list[str]:
    """The result in one sentence, in pieces."""
    cost = content.cost
    size = [
        "takes ",
        element("strong", size_text(cost.packed_bytes)),
        f" in place of {size_text(cost.float_bytes)}, ",
        element("strong", f"{cost.float_bytes / cost.packed_bytes:.1f} times smaller"),
        ".",
    ]
    p, q = content.preparation.p, content.preparation.q
    if p is None or q is None:
        return ["Q ", *size, " Its accuracy was not measured: there were no real images."]
    return [
        "Q reaches a top-1 of ",
        element("strong", f"{q.top1:.2f} %"),
        f" ({_certainty(q)}) against P's {p.top1:.2f} % ({_certainty(p)}), and ",
        *size,
    ]


def _certainty(accuracy: Accuracy) -> str:
    return f"95 % interval {interval_text(accuracy)}, {accuracy.images:,} images"


def _amount(count: int) -> str:
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= factor:
            return f"{count / factor:,.2f} {unit}"
    return str(count)


# --- sections -----------------------------------------------------------------------------------


def _cost(cost: Cost) -> Html:
    sizes = (cost.float_bytes, cost.byte_bytes, cost.packed_bytes)
    operations = _amount(cost.operations)
    rows = [
        ("Size", *map(size_text, sizes)),
        ("Bytes", *(f"{size:,}" for size in sizes)),
        ("Share of P's size", *(f"{100 * size / cost.float_bytes:.1f} %" for size in sizes)),
        ("Multiply-accumulates an image", *[operations] * 3),
        (
            "Bit operations an image",
            _amount(cost.float_bit_operations),
            "–",
            _amount(cost.bit_operations),
        ),
    ]
    words = (
        "Bit operations are multiply-accumulates times the bits of both factors. Where a runtime "
        "knows no type narrower than a byte, the network takes the room of the middle column."
    )
    layers = table(
        ("Layer", "Weights", "Bits of weights", "Bits of inputs", "MACs", "Bit operations"),
        (
            (
                layer.name,
                f"{layer.weights:,}",
                str(layer.weight_bits),
                str(layer.input_bits),
                f"{layer.operations:,}",
                f"{layer.operations * layer.weight_bits * layer.input_bits:,}",
            )
            for layer in cost.layers
        ),
        class_="numbers",
    )
    rest = f"Beside them {cost.others:,} parameters stay in float, at 4 bytes each."
    heads = ("", "P, 32-bit float", "A byte a weight", "Q, packed")
    return joined(
        [
            table(heads, rows, class_="numbers"),
            element("p", words, class_="small"),
            folded(f"The {len(cost.layers)} layers", layers, element("p", rest, class_="small")),
        ]
    )


def _charts(drawn: Sequence[Drawn]) -> Html:
    return element("div", *map(chart_or_sentence, drawn), class_="charts")


def _margin(frame: Frame, classes: Sequence[str]) -> Html:
    settings = frame.settings
    words = (
        "H' near 0: P and Q disagree strongly and Q may be unable to follow (under-fitting). H' "
        "near 1: they agree and nothing is left to learn (over-fitting). The margin is what lies "
        f"between, from {settings.lambda_l:g} to {settings.lambda_u:g}."
    )
    return joined([element("p", words), chart_or_sentence(margin_chart(frame, classes))])


def _images_title(settings: RunSettings) -> str:
    return "Generated images" if settings.has_generator else "Real images in place of G's"


def _gallery(frame: Frame, classes: Sequence[str]) -> Html:
    if frame.images is None:
        return element("p", "No images were stored.", class_="left-out")
    rows = sheet_columns(frame.images_iteration, frame.images, frame.settings)
    tiles = [
        _tile(pixels, classes[label], f"{1 - h_prime:.2f}", answers, (*REGIONS, "unknown")[region])
        for pixels, label, h_prime, region, *answers in zip(
            frame.images["pixels"],
            *(rows[name] for name in ("class_index", "h_prime", "region")),
            *([answer_name(one, classes) for one in rows[f"{name}_class"]] for name in "pq"),
            strict=True,
        )
    ]
    asked = "the class asked of G" if frame.settings.has_generator else "its class"
    words = (
        f"The batch of iteration {frame.images_iteration}. Below each image: {asked} and its "
        "adaptability, 1 for a sharp disagreement of P and Q, 0 where they agree."
    )
    legend = (
        element("span", text, class_=f"key {region}")
        for region, text in zip(
            REGIONS, ("under the margin", "inside the margin", "over the margin"), strict=True
        )
    )
    return joined([element("p", words), element("p", *legend, class_="small"), Html(grid(tiles))])


def _tile(
    pixels: np.ndarray, name: str, adaptability: str, answers: Sequence[str], region: str
) -> Html:
    about = f"{name}; P says {answers[0]}, Q says {answers[1]}"
    caption = element("figcaption", name, Html("<br>"), element("small", adaptability))
    image = Html(picture(pixels, about))
    return element("figure", image, caption, class_=region, title=about)


def _settings(view: RunView, versions: Mapping[str, str]) -> Html:
    info = view.info
    facts = [("Preset", info.preset or "none"), ("Seed", str(info.settings.seed))]
    parts: list[str] = [_facts([*facts, *versions.items()])]
    if view.changes:
        rows = [(f"{iteration:,}", text) for iteration, text in view.changes]
        parts += [
            element("h3", "Changed during the run"),
            table(("After iteration", "Change"), rows),
        ]
    else:
        parts.append(element("p", "Nothing was changed during the run."))
    text = to_yaml(info.settings, info.preset or None)
    parts.append(folded("The settings at the start, as YAML", element("pre", text)))
    return joined(parts)


def _use(content: ReportContent) -> Html:
    info, data = content.view.info, content.view.network["data"]
    name = f"{info.run_id}.safetensors"
    load = torch_code(name, content.description.images, content.description.network)
    measure = eval_command(name, "" if data is None else data["spec"])
    return joined(
        [
            _download(name, content.network_file),
            element("h3", "Load it in PyTorch"),
            element("pre", element("code", load)),
            element("h3", "Measure it again from a shell"),
            element("pre", element("code", measure)),
        ]
    )


def _download(name: str, network: bytes) -> Html:
    size = size_text(len(network))
    if len(network) >= MOST_BYTES_INSIDE:
        words = (
            f"The packed network has {size}, too much to be carried by this page; export it as "
            f"{name} beside the page."
        )
        return element("p", words, class_="left-out")
    link = element(
        "a",
        f"Download {name} ({size})",
        id="network",
        download=name,
        href=f"data:application/octet-stream;base64,{base64.b64encode(network).decode()}",
    )
    return element("p", link, " It is part of this page.", class_="download")

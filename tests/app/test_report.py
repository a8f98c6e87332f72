"""The report: its file is parsed as a browser would, and its texts and links are looked at."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adadfq_core.settings_file import from_yaml
from app.export.report import MOST_BYTES_INSIDE, report_html
from tests.app.preparations import COST
from tests.app.report_contents import CLASSES, NETWORK_FILE, content_of

LOADING = ("src", "href", "srcset", "poster", "data", "action", "xlink:href")
CURVES = ["accuracy", "value", "bands", "terms", "loss-q", "gradients"]
WITHOUT_END = {"meta", "link", "img", "br"}
EVIL = "<script>alert(1)</script>"


@dataclass
class Parsed(HTMLParser):
    """What a document holds: tags with their attributes, and texts by the innermost tag."""

    document: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.document)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in WITHOUT_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def said(self) -> str:
        """All text that a reader sees."""
        return " ".join(
            "".join(text for tag, text in self.texts if tag not in ("script", "style")).split()
        )

    def charts(self) -> list[str]:
        found = [each["id"] for each in self.all("div") if each.get("class") == "plot"]
        return [chart.removeprefix("chart-") for chart in found]

    def network(self) -> dict[str, str] | None:
        found = [link for link in self.all("a") if link.get("id") == "network"]
        return found[0] if found else None


def test_the_parts_stand_in_order_and_the_contents_name_them(tmp_path: Path) -> None:
    parsed = Parsed(report_html(content_of(tmp_path)))
    headings = [text for tag, text in parsed.texts if tag == "h2"]
    assert headings == [
        "Size and operations",
        "Files and checks",
        "The run",
        "The margin",
        "Generated images",
        "The map",
        "Settings",
        "Use the network",
    ]
    (start,) = [place for place, (tag, _) in enumerate(parsed.tags) if tag == "nav"]
    links = [each["href"] for tag, each in parsed.tags[start:] if tag == "a"][: len(headings)]
    keys = [each["id"] for each in parsed.all("section") if f"#{each.get('id')}" in links]
    assert links == [f"#{key}" for key in keys]
    assert parsed.charts() == [*CURVES, "margin-picture", "map"]
    identifiers = [each["id"] for _, each in parsed.tags if "id" in each]
    assert len(identifiers) == len(set(identifiers))
    assert len(parsed.all("h1")) == 1
    labels = [each["aria-label"] for each in parsed.all("div") if each.get("class") == "plot"]
    assert all(label.endswith(".") for label in labels)
    assert labels[0] == "Top-1 of Q: 70.00 % at first, 88.00 % at the end; of P: 90.00 %."


def test_the_result_is_told_in_numbers(tmp_path: Path) -> None:
    content = content_of(tmp_path)
    said = Parsed(report_html(content)).said()
    packed, whole = COST.packed_bytes, COST.float_bytes
    assert (packed, whole) == (535, 4400)
    assert (
        "Q reaches a top-1 of 88.00 % (95 % interval 82.77 to 91.80 %, 200 images) against P's "
        "90.00 % (95 % interval 85.06 to 93.43 %, 200 images), and takes 0.5 kB in place of "
        "4.4 kB, 8.2 times smaller."
    ) in said
    assert "fashion-resnet20 with 3-bit weights and 3-bit activations" in said
    assert content.view.info.run_id in said
    assert "30 of 1,500" in said
    for number in ("4,400", "1,160", "535", "5.08 k", "5.20 M", "481.92 k"):
        assert number in said
    assert "1,000" in said and "480,000" in said, "the layer's weights and bit operations"


def test_files_and_checks_are_told(tmp_path: Path) -> None:
    said = Parsed(report_html(content_of(tmp_path))).said()
    assert (
        "ONNX, friendly to runtimes computes other numbers than Q, as it is made to: it predicts "
        "what Q predicts for 75.00 % of the images, below 99.9 %, and its top-1 is 3.00 points "
        "below Q's, more than 0.05."
    ) in said
    assert "bit-true to training is not the same" not in said
    assert (
        "Computed with integers alone for 200 images" in said and "Activation by activation" in said
    )
    assert "no kernel here computes below 8 bits." in said
    for number in ("85.00 %", "−3.00", "99.9000", "115.20 to 153.60", "128.00"):
        assert number in said


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    document = report_html(content_of(tmp_path))
    parsed = Parsed(document)
    for tag, attributes in parsed.tags:
        for name in LOADING:
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, name)
    style = "".join(text for tag, text in parsed.texts if tag == "style")
    assert style and not re.search(r"url\(|@import", style)
    policies = [each for each in parsed.all("meta") if "http-equiv" in each]
    assert policies[0]["content"].startswith("default-src 'none';")
    assert document.count("plotly.js v") == 1


def test_images_are_those_of_the_sheet_with_their_classes(tmp_path: Path) -> None:
    content = content_of(tmp_path)
    assert content.frame.images is not None
    parsed = Parsed(report_html(content))
    images = parsed.all("img")
    assert len(images) == 2 * len(CLASSES)
    for image, pixels, label in zip(
        images, content.frame.images["pixels"], content.frame.images["labels"], strict=True
    ):
        assert image["alt"].startswith(f"{CLASSES[label]}; P says ")
        png = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels[0])
    regions = [each["class"] for each in parsed.all("figure")]
    assert regions == ["under", "inside", "inside", "inside", "inside", "over"]


def test_the_network_is_inside_up_to_twenty_megabytes(tmp_path: Path) -> None:
    content = content_of(tmp_path)
    name = f"{content.view.info.run_id}.safetensors"
    link = Parsed(report_html(content)).network()
    assert link is not None and link["download"] == name
    packed = link["href"].removeprefix("data:application/octet-stream;base64,")
    assert base64.b64decode(packed, validate=True) == NETWORK_FILE
    large = content_of(tmp_path / "large", network_file=bytes(MOST_BYTES_INSIDE))
    parsed = Parsed(report_html(large))
    assert parsed.network() is None
    assert "The packed network has 20.00 MB, too much to be carried by this page" in parsed.said()


def test_settings_load_again_and_changes_are_listed(tmp_path: Path) -> None:
    content = content_of(tmp_path, seed=7, lambda_u=0.7)
    parsed = Parsed(report_html(content))
    (text,) = [text for tag, text in parsed.texts if tag == "pre"]
    assert from_yaml(text) == {
        name: getattr(content.view.info.settings, name)
        for name in type(content.view.info.settings).model_fields
    }
    said = parsed.said()
    assert "lambda_l = 0.25" in said and "1.2.3" in said and "4.5.6" in said
    codes = [text for tag, text in parsed.texts if tag == "code"]
    name = f"{content.view.info.run_id}.safetensors"
    assert f"network = load_quantized('{name}')" in codes[0]
    assert codes[1] == f"python -m adadfq_core eval {name} --data 'my photos'"


def test_a_network_of_ones_own_is_told_to_be_given(tmp_path: Path) -> None:
    content = content_of(tmp_path, network="my.nets:small")
    codes = [text for tag, text in Parsed(report_html(content)).texts if tag == "code"]
    assert "from my.nets import small\n" in codes[0]
    assert ".safetensors', small())" in codes[0]


def test_words_of_others_are_text(tmp_path: Path) -> None:
    plain = Parsed(report_html(content_of(tmp_path, note="a note", tags=("a", "b"))))
    content = content_of(
        tmp_path / "evil",
        classes=(EVIL, 'a" onload="alert(2)', "x</style></title><img src=//e.org/x>"),
        note=f"note {EVIL}",
        tags=(f"tag {EVIL}", '"><b>'),
        network=f"m:{EVIL}",
        weights=f"{EVIL}'\"&.pt",
    )
    parsed = Parsed(report_html(content))
    assert [tag for tag, _ in parsed.tags] == [tag for tag, _ in plain.tags]
    assert not any(name.startswith("on") for _, each in parsed.tags for name in each)
    said = parsed.said()
    assert f"note {EVIL}" in said and f"tag {EVIL}" in said and f"m:{EVIL} with 3-bit" in said
    assert parsed.all("img")[0]["alt"].startswith(EVIL)
    margin = json.loads(
        next(text for tag, text in parsed.texts if tag == "script" and "class asked of G" in text)
    )
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert margin["layout"]["yaxis"]["ticktext"][0] == shown


@pytest.mark.parametrize(
    ("missing", "charts", "sentences"),
    [
        (
            {"measured": False},
            [*CURVES[1:], "margin-picture", "map"],
            [
                "Top-1 is not measured: no real images were given.",
                "Its accuracy was not measured: there were no real images.",
                "There were no real images, so the files were not measured.",
                "--data DATA",
            ],
        ),
        (
            {"pictures": False},
            CURVES,
            [
                "No batch was stored, so there is no picture of the margin.",
                "No images were stored.",
                "This run made no map of features.",
            ],
        ),
        (
            {"method": "real"},
            [*(key for key in CURVES if key != "terms"), "margin-picture", "map"],
            ["This run has no generator, and so no loss of one", "Real images in place of G's"],
        ),
        (
            {"steps": False},
            ["accuracy", "margin-picture", "map"],
            ["No iteration was played yet", "Nothing was changed during the run."],
        ),
    ],
)
def test_what_is_missing_is_told_in_a_sentence(
    tmp_path: Path, missing: dict[str, object], charts: list[str], sentences: list[str]
) -> None:
    parsed = Parsed(report_html(content_of(tmp_path, **missing)))
    assert parsed.charts() == charts
    said = parsed.said()
    assert [sentence for sentence in sentences if sentence not in said] == []


def test_of_gdfq_only_its_own_terms_are_drawn(tmp_path: Path) -> None:
    names = []
    for method in ("adadfq", "gdfq"):
        parsed = Parsed(report_html(content_of(tmp_path / method, method=method)))
        figures = [text for tag, text in parsed.texts if tag == "script" and '"data":[' in text]
        terms = next(text for text in figures if "L\\u003csub\\u003eBNS" in text)
        names.append([re.sub("<.*?>", "", trace["name"]) for trace in json.loads(terms)["data"]])
    assert names == [["LG", "Lmargin", "Lds", "Las", "LBNS"], ["LG", "LBNS"]]

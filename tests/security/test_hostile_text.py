"""Words of anyone's are shown as words: on every page, in charts, reports and on terminals.

What a browser makes of them is looked at by `tests/browser/test_hostile_text_browser.py`.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hostile_texts import ALARM, HOST, HOSTILE, SHORT, hostile_run, hostile_sweep
from markdown_it import MarkdownIt
from PIL import Image
from safetensors.torch import save
from silent_inspection import refuse
from streamlit.testing.v1 import AppTest

from adadfq_core.ablation.axes import parse_axis
from adadfq_core.ablation.results import results_frame
from adadfq_core.ablation.tables import pivot, to_markdown
from adadfq_core.errors import InputError
from adadfq_core.home import uploads_folder
from adadfq_core.runs.database import session
from adadfq_core.runs.store import RunStore
from adadfq_core.shell.telling import print_table
from adadfq_core.zoo.data import open_data
from adadfq_core.zoo.formats import ImageFormat
from adadfq_core.zoo.registry import find
from adadfq_core.zoo.uploads import keep_upload
from app.charts.ablation.heat_map import heat_map_figure
from app.charts.embedding import embedding_figure
from app.charts.logits import logits_figure
from app.charts.margin_picture import margin_picture
from app.charts.style import LONGEST_TEXT, beside_lines, change_marks, literal
from app.export.report import report_html
from app.markdown import JOINER, code, plain
from app.panels.ablation.axes import explained

ROOT = Path(__file__).resolve().parents[2]
MAIN = str(ROOT / "app" / "main.py")
PAGES = ("play", "take_away", "runs")
SECTIONS = {
    "inspect": ("Gallery", "Map", "Classes", "Numbers"),
    "ablation": ("Heat map", "Table", "All runs"),
}
"""Of the pages that have some."""

# Fields of Streamlit's messages that its browser side takes as Markdown, whatever element has them.
MARKDOWN = {"body", "label", "help", "tooltip", "text", "caption", "title", "options_markdown"}
# Elements that show their texts as they are.
LITERAL = {"text", "code", "arrow_data_frame", "text_area", "text_input", "html"}
INVISIBLE = re.compile(f"[{JOINER}\u2068\u2069]")


def as_read(text: str) -> str:
    """What a reader sees of `text`: white space and signs without width do not count."""
    return " ".join(INVISIBLE.sub("", text).split())


# --- one text -----------------------------------------------------------------------------------


class Seen(HTMLParser):
    """The text of a piece of HTML, the elements in it and what they point to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.elements, self.addresses = "", set[str](), list[str]()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_plain_text_is_text_alone(name: str) -> None:
    rules = MarkdownIt("commonmark", {"linkify": False}).enable(["table", "strikethrough"])
    seen = Seen(rules.render(plain(HOSTILE[name])))
    assert seen.elements <= {"p"}
    expected = HOSTILE[name].encode(errors="replace").decode()
    # A NUL is none of Markdown's characters.
    assert as_read(seen.text) == as_read(expected.replace("\0", "\ufffd"))


@pytest.mark.parametrize("name", HOSTILE)
def test_code_is_text_in_one_line(name: str) -> None:
    seen = Seen(MarkdownIt("commonmark").render(f"values: {code(HOSTILE[name])}!"))
    assert seen.elements == {"p", "code"}
    expected = HOSTILE[name].encode(errors="replace").decode().replace("\0", "\ufffd")
    assert as_read(seen.text) == as_read(f"values: {expected.strip()}!")


@pytest.mark.parametrize("text", ["`a`", "``", "a`b``c", "`", "x`"])
def test_code_may_hold_the_sign_of_code(text: str) -> None:
    assert Seen(MarkdownIt("commonmark").render(code(text))).text.strip() == text


# What Streamlit looks for once more when Markdown's escapes are resolved (its 1.67.0).
LOOKED_FOR = (
    r"https?://",
    r"www\.",
    r"[-.\w+]+@[-\w]+(\.[-\w]+)+",
    r":material_\w+:",
    r":streamlit:",
    r"(^|\s)(<->|->|<-|--|>=|<=|~=)(\s|$)",
)


@pytest.mark.parametrize("pattern", LOOKED_FOR)
def test_nothing_is_left_that_streamlit_looks_for_in_texts(pattern: str) -> None:
    whole = " ".join(HOSTILE.values()) + " HTTPS://X.Y WWW.X.Y -- -> <- >= a.b+c@d-e.f --"
    assert re.search(pattern, whole, re.IGNORECASE)
    assert not re.search(pattern, plain(whole).replace("\\", ""), re.IGNORECASE)
    # This it looks for before.
    assert ":material/" not in plain(whole)


def test_a_command_in_a_sentence_can_still_be_copied() -> None:
    sentence = "use 'python -m adadfq_core train --config FILE' or C:\\files, at 12:30 by a@b"
    assert plain(sentence).replace("\\", "") == sentence.replace("\\", "")


def test_a_turned_text_ends_where_it_ends() -> None:
    assert plain("\u202etext") == "\u2068\u202etext\u2069"
    assert plain("text") == "text"


# --- charts -------------------------------------------------------------------------------------

CLASSES = tuple(HOSTILE.values())


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


def hostile_texts_in(figure: Any) -> set[str]:
    """Those of the payloads' markup that Plotly would take for some in `figure`."""
    whole = json.loads(go.Figure(figure).to_json())
    marks = (
        "<script",
        "<img",
        "<svg",
        "<a ",
        "</script",
        "</title",
        "<i>",
        "&lt;i&gt;",
        '<span style="',
    )
    return {
        mark for text in texts_in(whole) for mark in marks if mark in text.replace("&amp;", "¤")
    }


def samples(names: tuple[str, ...] = CLASSES) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    n, classes = 2 * len(names), len(names)
    return {
        "labels": np.arange(n) % classes,
        "h_prime": np.linspace(0, 1, n, dtype=np.float32),
        "push": np.zeros(n),
        "p_logits": random.standard_normal((n, classes), np.float32),
        "q_logits": random.standard_normal((n, classes), np.float32),
    }


def on_a_map() -> go.Figure:
    part = {
        "positions": np.zeros((len(CLASSES), 2)),
        "labels": np.arange(len(CLASSES)),
        "adaptability": np.zeros(len(CLASSES)),
    }
    return embedding_figure(part, part, CLASSES)


FIGURES: dict[str, Callable[[], Any]] = {
    "margin": lambda: margin_picture(samples(), 0.1, 0.8, CLASSES),
    "few classes": lambda: margin_picture(samples(CLASSES[:9]), 0.1, 0.8, CLASSES[:9]),
    "map": on_a_map,
    "logits": lambda: logits_figure(*np.random.default_rng(0).random((3, len(CLASSES))), CLASSES),
    "beside": lambda: go.Figure(
        [
            part
            for name in CLASSES
            for part in beside_lines(name, [{"type": "scatter", "name": "mean", "line": {}}])
        ]
    ),
    "changes": lambda: go.Figure(layout=change_marks([(1, text) for text in CLASSES])),
}


@pytest.mark.parametrize("name", FIGURES)
def test_charts_hold_no_markup_of_a_users(name: str) -> None:
    assert hostile_texts_in(FIGURES[name]()) == set()


def test_what_the_charts_are_searched_for_is_found() -> None:
    assert hostile_texts_in({"layout": {"title": {"text": " ".join(CLASSES)}}}) >= {"<img", "<a "}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_charts_text_is_as_it_was_but_for_its_length(name: str) -> None:
    text = HOSTILE[name]
    seen = Seen(literal(text)).text
    assert seen == text if len(text) <= LONGEST_TEXT else len(seen) == LONGEST_TEXT + 1


# --- pages --------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    refuse(monkeypatch, lambda request: HOSTILE["addresses"])
    return tmp_path / "runs"


def markdown_of(node: Any) -> Iterator[tuple[str, str]]:
    """Every text of a drawn element that its browser side takes as Markdown, with its field."""
    if node.type in LITERAL:
        return
    proto = node.proto
    for descriptor, value in proto.ListFields() if proto is not None else ():
        if descriptor.name in MARKDOWN and isinstance(value, str):
            yield f"{node.type}.{descriptor.name}", value


def raw(text: str) -> list[str]:
    """The payloads that `text` holds as they are, although they are more than words."""
    return [
        name for name, hostile in HOSTILE.items() if plain(hostile) != hostile and hostile in text
    ]


def look_at(page: AppTest) -> tuple[list[str], int]:
    """Where the page hands hostile words over as markup, and how many texts it hands over."""
    found, count = [], 0
    for node in (*page.main, *page.sidebar):
        for place, text in markdown_of(node):
            count += 1
            found += [f"{place}: {name}" for name in raw(text)]
        if node.type == "html":
            elements = Seen(node.proto.body).elements
            found += [f"html: <{element}>" for element in elements & {"script", "svg", "a", "sub"}]
            found += [f"html: {name}" for name in raw(node.proto.body) if "<" in HOSTILE[name]]
    return found, count


@pytest.mark.parametrize(
    ("place", "section"),
    [
        *((place, "") for place in PAGES),
        *((place, section) for place, sections in SECTIONS.items() for section in sections),
    ],
)
def test_no_page_hands_words_over_as_markup(root: Path, place: str, section: str) -> None:
    beside = hostile_run(root, CLASSES[:3], method="gdfq").view.run_id
    content = hostile_run(root, CLASSES[:9])
    run_id = content.view.run_id
    sweep_id = hostile_sweep(root, run_id)
    page = AppTest.from_file(MAIN, default_timeout=120)
    page.session_state["inspected_sample"] = (run_id, (content.frame.images_iteration, 0))
    page.query_params["run"], page.query_params["beside"] = run_id, beside
    page.session_state["inspect_section" if place == "inspect" else f"sweep_section_{sweep_id}"] = (
        section
    )
    page.run()
    if place != "play":
        page.switch_page(f"views/{place}.py").run()
    assert [each.message for each in page.exception] == []
    found, count = look_at(page)
    assert found == [] and count > 3


def test_the_nearest_real_images_have_names_and_no_markup() -> None:
    def script() -> None:
        from types import SimpleNamespace as Made

        import numpy as np
        from hostile_texts import HOSTILE

        from app.panels.inspection import close_up

        reply = Made(
            notices=(HOSTILE["addresses"],),
            nearest=Made(labels=np.array([[0, 1]]), distances=np.array([[1.0, 2.0]])),
            pixels=np.zeros((2, 1, 4, 4), np.uint8),
            clipping=(),
        )
        close_up._networks_view(reply, Made(classes=(HOSTILE["handler"], HOSTILE["script"])))

    page = AppTest.from_function(script, default_timeout=60).run()
    assert not page.exception
    (tiles,) = (node.proto.body for node in page.main if node.type == "html")
    assert HOSTILE["handler"] in Seen(tiles).text
    assert look_at(page)[0] == []


def test_a_page_that_did_would_be_found() -> None:
    def script() -> None:
        import streamlit as st

        st.caption("![see](http://hostile.example/1.png)")
        st.button("x", help=":red[red] :blue-background[blue] :rainbow[all] :small[small]")

    page = AppTest.from_function(script).run()
    assert [each.partition(": ")[2] for each in look_at(page)[0]] == [
        "Markdown's picture",
        "colours",
    ]


# --- sweeps, reports and names of files ---------------------------------------------------------


def test_an_axis_with_hostile_values_is_explained_in_words() -> None:
    told = explained(parse_axis(f"network={HOSTILE['icons']},`{HOSTILE['link']}`"))
    assert Seen(MarkdownIt("commonmark").render(told)).elements == {"p", "code"}


def test_a_table_of_hostile_values_is_a_table_of_words(root: Path) -> None:
    sweep_id = hostile_sweep(root, hostile_run(root, CLASSES[:3]).view.run_id)
    table = pivot(results_frame(root, sweep_id), "network", "lambda_l")
    rules = MarkdownIt("commonmark").enable("table")
    shown = Seen(rules.render(to_markdown(table, plain)))
    assert shown.elements <= {"p", "table", "thead", "tbody", "tr", "th", "td", "strong"}
    for text in (HOSTILE["Markdown's picture"], HOSTILE["handler"], HOSTILE["addresses"]):
        assert as_read(text) in as_read(shown.text)
    assert (
        hostile_texts_in(heat_map_figure(results_frame(root, sweep_id), "network", "lambda_l"))
        == set()
    )


def test_a_report_holds_no_markup_of_a_users(root: Path) -> None:
    innocent = report_html(hostile_run(root / "a", ("shirt", "shoe", "bag")))
    assert f"window.{ALARM}=1</script>" not in innocent
    content = hostile_run(root, CLASSES[:9])
    whole = report_html(content)
    body = re.sub(r"<script.*?</script>", "", whole, flags=re.DOTALL)
    assert whole.count("<script") == innocent.count("<script")
    assert Seen(body).elements == Seen(innocent).elements - {"script"}
    text = as_read(Seen(body).text)
    for name in ("script", "link", "Markdown's picture", "attribute", "entities", "formulas"):
        assert as_read(HOSTILE[name]) in text
    assert not any(HOST in value or ALARM in value for value in Seen(body).addresses)


# --- names of files -----------------------------------------------------------------------------

NAMES = [
    *("../../evil.pt", "/etc/evil.pt", "C:\\evil.pt", "evil.\0pt", ".pt", ".."),
    *(HOSTILE["attribute"], HOSTILE["turned"], HOSTILE["half a character"], HOSTILE["long"]),
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:30]))
def test_an_uploads_name_names_no_file(root: Path, name: str) -> None:
    entry = find("fashion-resnet20")
    with pytest.raises(InputError):
        keep_upload(name, b"no weights", entry)
    assert not list(uploads_folder().parent.rglob("*evil*"))
    content = save({key: value.contiguous() for key, value in entry.build().state_dict().items()})
    kept = keep_upload(f"{name[:50]}.safetensors", content, entry)
    assert kept.parent == uploads_folder()
    assert re.fullmatch(r"[0-9a-f]{32}\.safetensors", kept.name)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are texts there")
def test_class_folders_whose_names_are_no_text_have_names_that_can_be_shown(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("L", (4, 4), 128).save(picture, "PNG")
    for name in (b"bag\xff", HOSTILE["svg"].encode()):
        folder = os.fsencode(tmp_path) + b"/" + name
        os.mkdir(folder)
        Path(os.fsdecode(folder + b"/1.png")).write_bytes(picture.getvalue())
    found = open_data(str(tmp_path), ImageFormat((1, 4, 4), (), (0.0,), (1.0,)))
    assert set(found.classes) == {"bag\ufffd", HOSTILE["svg"]}
    assert "".join(found.classes).encode()


def test_downloads_are_named_by_runs_and_by_what_stands_in_the_source() -> None:
    """A run's id has a fixed form; no word of a user's gets into a name."""
    named = [
        (path.name, ast.unparse(keyword.value))
        for path in sorted((ROOT / "app").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "file_name"
    ]
    known = re.compile(r"'[\w.]+'|file\.name|f'\{(held\.info\.)?run_id\}.*'")
    assert named and [each for each in named if not known.fullmatch(each[1])] == []


# --- terminals ----------------------------------------------------------------------------------


def shell(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "adadfq_core", *arguments]
    environment = {**os.environ, "ADADFQ_HOME": str(root.parent)}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300, cwd=ROOT)
    assert b"Traceback" not in done.stderr
    return (done.stdout + done.stderr).decode()


def failed_run(root: Path) -> str:
    """A run with control characters in the texts that no labels are."""
    run_id = hostile_run(root, CLASSES[:3]).view.run_id
    with session(RunStore(root).database, "IMMEDIATE") as connection:
        connection.execute(
            "UPDATE runs SET preset = ?, reason = ? WHERE run_id = ?", (BELL, BELL, run_id)
        )
    return run_id


BELL = "\x1b]0;title\x07 and \x1b[2J \x9b2J [bold]no[/x]"


def test_no_text_is_a_command_to_a_terminal(root: Path) -> None:
    run_id = failed_run(root)
    said = (
        shell(root, "runs", "list"),
        shell(root, "runs", "show", run_id),
        shell(root, "runs", "show", BELL),
        shell(root, "eval", "--data", BELL, "--network", BELL),
    )
    for text in said:
        assert "\\x1b]0;title\\x07 and" in text
        assert not set(text) & {"\x1b", "\x07", "\x9b", "\0"}


def test_a_table_on_a_terminal_spells_them_out(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("adadfq_core.shell.telling.is_terminal", lambda: True)
    print_table(("run", "why"), [("1", BELL)])
    shown = capsys.readouterr().out
    assert "\\x1b]0;title" in shown and "[bold]no[/x]" in shown and "\x1b" not in shown


def test_tags_are_long_enough_to_be_hostile() -> None:
    assert len(SHORT) > 10 and any("<script" in text for text in SHORT)

"""The Runs page's tables and texts, and its states, without a browser."""

from __future__ import annotations

import shlex
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from stored_runs import held_run, stored_run
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from adadfq_core import runs
from adadfq_core.__main__ import application
from adadfq_core.ablation.plan import Plan
from adadfq_core.ablation.states import SweepInfo, SweepStatus
from adadfq_core.errors import InputError
from adadfq_core.runs.overview import SweepName
from adadfq_core.runs.records import RecordKind, RunInfo, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.summary import Summary
from adadfq_core.settings import RunSettings
from app.markdown import JOINER, plain
from app.panels.runs.chosen import comparison_table
from app.panels.runs.frame import RunFilter, matching, reader_zone, runs_frame
from app.panels.runs.known import Held, brought_up_to_date
from app.panels.runs.outlets import commands
from app.panels.runs.sweeps import sweeps_frame

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")
BERLIN = ZoneInfo("Europe/Berlin")


def run(name: str, status: RunStatus = RunStatus.FINISHED, **values: object) -> RunInfo:
    made = RunInfo(name, 1.75e9, RunSettings(), "quick", status, "", 5, None, None, 1.75e9)
    for attribute, value in values.items():
        object.__setattr__(made, attribute, value)
    return made


@pytest.fixture
def frame() -> pd.DataFrame:
    infos = [
        run("run-c", tags=("paper", "fig 2"), note="The *best* one"),
        run("run-b", RunStatus.FAILED, preset="paper-cifar"),
        run("run-a", tags=("paper",), settings=RunSettings(network="torchvision/resnet18")),
    ]
    reached = {info.run_id: Summary() for info in infos}
    reached["run-c"] = Summary(top1_p=90.0, top1_q_calibrated=40.0, top1_q_last=80.0)
    sweeps = {"run-a": SweepName("s1", "margins"), "run-b": SweepName("s2", "")}
    return runs_frame(infos, reached, sweeps, BERLIN)


def test_a_row_tells_of_its_run(frame: pd.DataFrame) -> None:
    best, _, last = frame.to_dict("records")
    assert (best["run_id"], best["status"], best["bits"]) == ("run-c", "finished", "4w4a")
    assert best["recovered"] == pytest.approx(80)
    assert str(best["created"]) == "2025-06-15 17:06:40+02:00"
    assert (best["lambda_l"], best["lambda_u"], best["tags"]) == (0.1, 0.8, ["paper", "fig 2"])
    assert pd.isna(last["top1_p"]) and pd.isna(last["recovered"])
    assert frame["sweep"].tolist() == ["", "s2", "margins"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RunFilter(), "cba"),
        (RunFilter("RUN-A"), "a"),
        (RunFilter("paper"), "cba"),
        (RunFilter("paper cifar"), "b"),
        (RunFilter("fig *best*"), "c"),
        (RunFilter("resnet18"), "a"),
        (RunFilter("(.*"), ""),
        (RunFilter(statuses=("failed", "lost")), "b"),
        (RunFilter(tags=("paper",)), "ca"),
        (RunFilter(tags=("paper", "fig 2")), "c"),
        (RunFilter(sweeps=("s1", "s2")), "ba"),
        (RunFilter("paper", statuses=("finished",), sweeps=("s1",)), "a"),
    ],
)
def test_filters(frame: pd.DataFrame, wanted: RunFilter, found: str) -> None:
    assert [run_id[-1] for run_id in matching(frame, wanted)["run_id"]] == list(found)


@pytest.mark.parametrize("name", [None, "", "Nowhere/Town", "../etc"])
def test_a_time_zone_that_is_not_known_is_utc(name: str | None) -> None:
    assert reader_zone(name) == ZoneInfo("UTC")


def test_only_summaries_that_changed_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    ended = stored_run(root)
    held: Held = {}
    asked: list[list[str]] = []
    read = runs.summaries

    def noted(root: Path, run_ids: list[str]) -> dict[str, Summary]:
        asked.append(run_ids)
        return read(root, run_ids)

    monkeypatch.setattr(runs, "summaries", noted)
    with held_run(root) as writer:
        for top1 in (50.0, 60.0):
            data = {"network": "q", "top1": top1, "seconds": 1.0}
            writer.append(RecordKind.EVALUATION, 1, data)
            writer.flush()
            reached = brought_up_to_date(root, RunStore(root).list_runs(), held)
            assert reached[writer.run_id].top1_q_last == top1
            assert reached[ended].top1_q_last == 66.0
    assert asked == [[writer.run_id, ended], [writer.run_id]]
    infos = RunStore(root).list_runs()
    runs.delete_runs(root, [ended])
    assert brought_up_to_date(root, [*infos, run("deleted")], held).keys() == held.keys()


def test_differences_side_by_side() -> None:
    settings = [RunSettings(image_mean=(0.1, 0.2)), RunSettings(weights="/w.pt", class_shift=True)]
    table = comparison_table(["one", "two"], runs.differences(settings))
    assert table.to_dict("list") == {
        "setting": ["weights", "image_mean", "class_shift"],
        "one": ["–", "0.1, 0.2", "False"],
        "two": ["/w.pt", "–", "True"],
    }


@pytest.mark.parametrize("tool", ["TensorBoard", "MLflow"])
def test_the_commands_for_other_tools_are_commands_of_the_shell(tool: str, root: Path) -> None:
    program, *words = shlex.split(commands(["run-a", "run-b"])[tool])
    assert [program, *words[:2]] == ["python", "-m", "adadfq_core"]
    told = CliRunner().invoke(application, words[2:])
    # It got as far as looking for the runs: all its options exist.
    assert isinstance(told.exception, InputError)
    assert str(told.exception).startswith("There is no run 'run-a'")


def test_sweeps_tell_how_many_cells_are_settled() -> None:
    plan = Plan(axes=("lambda_l", "bits"), points=({"lambda_l": 0.1, "bits": 3},))
    status = SweepStatus.RUNNING
    infos = [
        SweepInfo(name, 1.75e9, title, plan, 2, 1, "", status, "", None, None, 0.0)
        for name, title in (("s1", "mine"), ("s2", ""))
    ]
    counts = {"s1": {"finished": 3, "failed": 1, "refused": 1, "running": 2, "waiting": 3}}
    one, two = sweeps_frame(infos, counts, BERLIN).to_dict("records")
    assert (one["name"], one["settled"], one["cells"], one["done"]) == ("mine", 5, 10, 0.5)
    assert two["name"] == "λ_l × bits" and (two["settled"], two["cells"], two["done"]) == (0, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "[link](http://evil.example)",
        "![picture](http://evil.example/x.png)",
        "<http://evil.example> <b>bold</b> &amp;",
        "*a* _b_ `c` ~d~ $e$ :red[f]",
        "# heading",
        "1. list",
        "back\\slash, ümlaut, 'quote' and \"quote\"",
    ],
)
def test_words_of_a_user_are_no_markdown(text: str) -> None:
    escaped = MarkdownIt().renderInline(plain(text)).replace(JOINER, "")
    assert "<" not in escaped
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        escaped = escaped.replace(entity, character)
    assert escaped == text


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return tmp_path / "runs"


def open_page() -> AppTest:
    page = AppTest.from_file(MAIN, default_timeout=60).run()
    page.switch_page("views/runs.py").run()
    assert not page.exception
    return page


def told(page: AppTest) -> str:
    elements = (*page.info, *page.success, *page.error, *page.caption)
    return " | ".join(element.value for element in elements)


def test_without_a_run_the_page_says_where_to_start_one(root: Path) -> None:
    assert "There is no run yet: start one on the Play page, or import one" in told(open_page())


def test_filters_that_nothing_passes_say_so_and_can_be_taken_away(root: Path) -> None:
    newest, failed = stored_run(root), stored_run(root, status=RunStatus.FAILED)
    runs.set_labels(root, newest, ["paper"])
    page = open_page()
    assert page.dataframe[0].value["run_id"].tolist() == [failed, newest]
    assert "2 runs" in told(page) and "Choose runs at the left edge" in told(page)
    page.multiselect(key="filter_runs_status").select("failed").run()
    assert page.dataframe[0].value["run_id"].tolist() == [failed]
    assert "1 of 2 runs" in told(page)
    page.multiselect(key="filter_runs_tags").select("paper").run()
    assert "None of the 2 runs passes all filters" in told(page) and not page.dataframe
    page.multiselect(key="filter_runs_status").set_value([]).run()
    assert page.dataframe[0].value["run_id"].tolist() == [newest]
    # The tag that is filtered by is gone with its last run.
    runs.delete_runs(root, [newest])
    page.run()
    assert not page.exception and "None of the 1 runs passes" in told(page)


def test_a_store_that_cannot_be_read_is_a_sentence(root: Path) -> None:
    page = open_page()
    (root / "runs.db").write_bytes(b"no database" * 999)
    page.run()
    assert not page.exception and "is damaged or not a run database" in told(page).replace("\\", "")

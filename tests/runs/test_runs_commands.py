from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from stored_runs import held_run, stored_run
from typer.testing import CliRunner

from adadfq_core.__main__ import main
from adadfq_core.errors import InputError
from adadfq_core.runs.labels import set_labels
from adadfq_core.runs.store import RunStore
from adadfq_core.settings import RunSettings
from adadfq_core.shell.runs import runs_commands


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    return tmp_path / "runs"


def call(*words: str, **options: Any) -> Result:
    return CliRunner().invoke(runs_commands, words, catch_exceptions=False, **options)


def output(*words: str, **options: Any) -> str:
    result = call(*words, **options)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_list_in_a_pipe_has_a_line_a_run(root: Path) -> None:
    assert output("list") == ""
    run_id = stored_run(root, RunSettings(weight_bits=3, activation_bits=5))
    set_labels(root, run_id, ["fig 2", "λ"])
    newest = RunStore(root).create_run(RunSettings())
    rows = [line.split("\t") for line in output("list").splitlines()]
    network, of = "fashion-resnet20", f"of {RunSettings().iterations}"
    assert rows == [
        [newest, "starting", f"0 {of}", network, "4w4a", "", "", "", ""],
        [run_id, "stopped", f"6 {of}", network, "3w5a", "66.00 %", "", "fig 2, λ", ""],
    ]


def test_the_list_tells_the_place_of_a_run_that_waits(root: Path) -> None:
    store = RunStore(root)
    held_run(root)
    first, second = (store.enqueue_run(RunSettings()) for _ in range(2))
    states = dict(line.split("\t")[:2] for line in output("list").splitlines())
    assert (states[first], states[second]) == ("queued, 1st", "queued, 2nd")
    rows = {row["run_id"]: row for row in json.loads(output("list", "--json"))}
    assert (rows[second]["status"], rows[second]["place"]) == ("queued", 2)
    assert output("stop", first) == ""
    states = dict(line.split("\t")[:2] for line in output("list").splitlines())
    assert (states[first], states[second]) == ("stopped", "queued, 1st")


def test_the_list_as_json(root: Path) -> None:
    run_id = stored_run(root)
    set_labels(root, run_id, ["a"], "line\nline")
    (row,) = json.loads(output("list", "--json"))
    assert row["run_id"] == run_id and row["tags"] == ["a"] and row["note"] == "line\nline"
    assert (row["top1_p"], row["top1_q_calibrated"], row["top1_q_last"]) == (90.0, 40.0, 66.0)
    assert row["recovered"] == pytest.approx((66 - 40) / (90 - 40))
    assert json.loads(output("list", "--json", "--run-dir", str(root / "none"))) == []


def test_the_list_on_a_terminal_takes_no_text_for_markup(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_labels(root, stored_run(root), ["[red]hot"])
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.setattr("adadfq_core.shell.telling.is_terminal", lambda: True)
    shown = output("list")
    assert "Q, top-1" in shown and "┃" in shown and "[red]hot" in shown


def test_show_tells_all_of_a_run(root: Path) -> None:
    run_id = stored_run(root, RunSettings(seed=5))
    set_labels(root, run_id, note="two\nlines")
    facts = dict(line.split("\t") for line in output("show", run_id).splitlines())
    assert facts["run_id"] == run_id and facts["seed"] == "5" and facts["note"] == "two lines"
    assert facts["recovered"] == "0.52" and facts["disk"] == "0.0 MB"


def test_labels_are_set_in_place_of_what_was(root: Path) -> None:
    run_id = stored_run(root)
    output("tag", run_id, "a", "b", "a")
    output("note", run_id, "words")
    assert RunStore(root).info(run_id).tags == ("a", "b")
    output("tag", run_id)
    assert (RunStore(root).info(run_id).tags, RunStore(root).info(run_id).note) == ((), "words")


def test_compare_prints_what_differs(root: Path) -> None:
    one = stored_run(root, RunSettings(lambda_l=0.1, bit_overrides="first=8"))
    two = stored_run(root, RunSettings(lambda_l=0.2))
    assert output("compare", one, two) == "bit_overrides\tfirst=8\t\nlambda_l\t0.1\t0.2\n"
    assert output("compare", one, one) == ""
    with pytest.raises(InputError, match="One run cannot be compared with itself"):
        call("compare", one)


def test_deletion_asks_at_a_terminal_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = stored_run(root)
    with pytest.raises(InputError, match=r"Nobody can be asked .* say --yes"):
        call("delete", run_id)
    monkeypatch.setattr("adadfq_core.shell.telling.can_ask", lambda: True)
    refused = call("delete", run_id, input="n\n")
    assert refused.exit_code == 1 and run_id in refused.stdout and (root / run_id).is_dir()
    assert output("delete", run_id, input="y\n").endswith("0.0 MB freed\n")
    assert RunStore(root).list_runs() == []


def test_deletion_that_was_agreed_to_before(root: Path) -> None:
    gone = [stored_run(root), stored_run(root)]
    kept = stored_run(root)
    assert output("delete", *gone, "--yes") == "0.1 MB freed\n"
    assert [info.run_id for info in RunStore(root).list_runs()] == [kept]
    assert output("clean").endswith(" MB freed\n")


def test_a_run_goes_out_and_comes_in_elsewhere(root: Path, tmp_path: Path) -> None:
    run_id = stored_run(root)
    file = tmp_path / "x.zip"
    output("export", run_id, "--out", str(file))
    there = tmp_path / "there"
    assert output("import", str(file), "--run-dir", str(there)) == f"{run_id}\n"
    assert RunStore(there).info(run_id).settings == RunStore(root).info(run_id).settings


def test_code_of_ones_own_is_run_only_where_it_is_allowed(root: Path) -> None:
    run_id = stored_run(root, RunSettings(network="own:build", data="none"))
    with pytest.raises(InputError, match="would run the code own:build"):
        call("resume", run_id)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("show", "nope"), 2, "There is no run 'nope'"),
        (("tag", "nope", "a"), 2, "There is no run 'nope'"),
        (("export", "ENDED", "--out", "/nowhere/x.zip"), 1, "could not be written"),
        (("import", "/nowhere/x.zip"), 2, "'x.zip' cannot be read"),
        (("delete", "ACTIVE", "--yes"), 2, "is running and cannot be deleted"),
    ],
)
def test_failures_are_a_sentence_with_an_exit_code(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    ended = stored_run(root)
    with held_run(root) as writer:
        names = {"ENDED": ended, "ACTIVE": writer.run_id}
        spoken = [names.get(word, word) for word in words]
        monkeypatch.setattr(sys, "argv", ["adadfq_core", "runs", *spoken])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == code
    told = capsys.readouterr().err
    assert told.startswith("Error: ") and message in told and told.count("\n") == 1

"""The command that makes a table: what it runs, reuses, resumes and writes."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quick_runs import QuickRuns
from stored_runs import held_run, stored_run
from table_rows import row

from adadfq_core import runs
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.presets import METHODS
from adadfq_core.results import measuring
from adadfq_core.results.cells import Cell, find_table, plan
from adadfq_core.results.files import CSV_COLUMNS, to_csv, to_markdown, write_text
from adadfq_core.results.found import TAG, State, find
from adadfq_core.results.measuring import Claim
from adadfq_core.results.rows import joined, make_rows, settings_mark
from adadfq_core.runs import RunInfo, RunStatus
from adadfq_core.shell.results import results

Make = Callable[..., list[dict[str, str]]]


@pytest.fixture
def make(root: Path, tmp_path: Path) -> Make:
    """Make a table of four runs; returns the rows of its CSV."""

    def call(**changes: Any) -> list[dict[str, str]]:
        options: dict[str, Any] = {
            **{"table": "main", "preset": "quick", "network": ["fashion-resnet20"], "bits": "3"},
            **{"methods": "AdaDFQ,GDFQ", "seeds": "2", "run_dir": root, "out": tmp_path / "out"},
        }
        try:
            results(**{**options, **changes})
        finally:
            written = read(tmp_path / "out" / "main.csv")
        return written

    return call


def one_cell(**changes: Any) -> Cell:
    one: dict[str, Any] = {"networks": ["fashion-resnet20"], "bits": [3], "seeds": [0]}
    (cell,) = plan("main", "quick", changes, methods=["GDFQ"], **one)
    return cell


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_a_table_is_measured_once(quick: QuickRuns, make: Make, root: Path, tmp_path: Path) -> None:
    first, second = make()
    assert (first["network"], first["bits"], first["method"]) == ("fashion-resnet20", "3", "AdaDFQ")
    assert (first["seeds_planned"], first["seeds_measured"], first["seeds_failed"]) == (
        "2",
        "2",
        "0",
    )
    # Seeds 0 and 1 give 30 and 31 of 90.
    assert (first["top1_mean"], first["top1_deviation"], first["loss"]) == (
        "30.50",
        "0.71",
        "59.50",
    )
    assert (first["top1_by_seed"], first["top1_p"]) == ("0:30.00 1:31.00", "90.00")
    assert (first["paper_loss"], second["paper_loss"]) == ("9.00", "18.78")
    assert "torch " in first["versions"] and "adadfq " in first["versions"]
    assert [settings.method for settings in quick.started] == ["adadfq"] * 2 + ["gdfq"] * 2
    assert all(TAG in info.tags for info in runs.list_runs(root))
    text = (tmp_path / "out" / "main.md").read_text(encoding="utf-8")
    assert "| fashion-resnet20 | 3w3a | AdaDFQ | 2 | 30.50 | 0.71 | 90.00 | 59.50 | 9.00 |" in text
    assert "preset quick" in text and "torch " in text and "    python -m adadfq_core" in text
    assert make() == [first, second]
    assert len(quick.started) == 4, "nothing is run twice"
    assert len(make(seeds="3")) == 2
    assert len(quick.started) == 6, "only what was missing"


def test_the_table_is_there_after_every_run(
    quick: QuickRuns, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = measuring.follow

    def broken(*arguments: Any) -> RunInfo:
        if len(quick.started) == 3:
            raise MemoryError
        return follow(*arguments)

    monkeypatch.setattr(measuring, "follow", broken)
    with pytest.raises(MemoryError):
        make()
    measured = [row["seeds_measured"] for row in read(tmp_path / "out" / "main.csv")]
    assert measured == ["2", "0"]


@pytest.mark.parametrize("own", [True, False])
def test_ctrl_c_stops_the_run_that_was_started_and_no_other(
    own: bool, quick: QuickRuns, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    claim, follow = measuring.claim, measuring.follow

    def claimed(*arguments: Any) -> Claim | None:
        found = claim(*arguments)
        return found and found._replace(own=own)

    def interrupted(*arguments: Any) -> RunInfo:
        if not stopped and len(quick.started) == 2:
            raise KeyboardInterrupt
        return follow(*arguments)

    monkeypatch.setattr(measuring, "claim", claimed)
    monkeypatch.setattr(measuring, "follow", interrupted)
    monkeypatch.setattr(runs, "stop", lambda _, run_id: stopped.append(run_id))
    with pytest.raises(RunFailed, match="Stopped at fashion-resnet20 3w3a AdaDFQ, seed 1"):
        make()
    assert len(quick.started) == 2 and len(stopped) == own


def test_what_is_missing_is_told(quick: QuickRuns, make: Make, tmp_path: Path) -> None:
    quick.ends = [RunStatus.FINISHED, RunStatus.FAILED, RunStatus.STOPPED]
    with pytest.raises(
        RunFailed, match=r"2 of 4 runs .* first being .*seed 1, which is failed \(loss_q became nan"
    ):
        make()
    text = (tmp_path / "out" / "main.md").read_text(encoding="utf-8")
    assert "| AdaDFQ | 1 of 2 (1 failed) | 30.00 | – |" in text
    assert "| GDFQ | 1 of 2 (1 missing) | 31.00 | – |" in text


def test_what_was_interrupted_goes_on_and_what_failed_does_not(
    quick: QuickRuns, make: Make, root: Path
) -> None:
    quick.ends = [RunStatus.STOPPED, RunStatus.FAILED]
    with pytest.raises(RunFailed):
        make()
    with pytest.raises(RunFailed, match="1 of 4 runs have not been measured"):
        make()
    assert len(quick.started) == 4 and len(quick.resumed) == 1
    failed = [info.run_id for info in runs.list_runs(root) if info.status is RunStatus.FAILED]
    runs.delete_runs(root, failed)
    first, _ = make()
    assert first["seeds_measured"] == "2" and len(quick.started) == 5


def test_a_run_that_has_no_checkpoint_is_started_anew(
    quick: QuickRuns, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.ends = [RunStatus.LOST]
    with pytest.raises(RunFailed, match="which is interrupted; give the same command again"):
        make()
    make()
    assert len(quick.started) == 5 and not quick.resumed


def test_runs_of_other_settings_or_changed_by_hand_do_not_count(
    quick: QuickRuns, root: Path
) -> None:
    cell = one_cell()
    other = one_cell(beta=0.3)
    for settings in (cell.settings, other.settings):  # its beta was changed to 0.5 on the way
        runs.set_labels(root, stored_run(root, settings, RunStatus.FINISHED), [TAG])
    assert find(root, [cell])[0].state is State.MISSING
    quick.start(root, cell.settings, "quick")
    assert find(root, [cell])[0].state is State.MISSING, (
        "nobody has said that it belongs to a table"
    )
    claimed = measuring.claim(root, cell, "quick")
    assert claimed is not None and claimed.own
    assert find(root, [cell])[0].state is State.MEASURED
    assert measuring.claim(root, cell, "quick") is None


def test_a_cell_that_another_command_runs_is_followed(quick: QuickRuns, root: Path) -> None:
    cell = one_cell()
    with held_run(root, cell.settings) as writer:
        assert find(root, [cell])[0].state is State.GOING
        claimed = measuring.claim(root, cell, "quick")
        assert claimed == (writer.run_id, False) and not quick.started
        writer.set_status(RunStatus.FINISHED)
    assert TAG in runs.info(root, writer.run_id).tags


def test_two_commands_never_start_a_cell_twice(
    quick: QuickRuns, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any, **options: Any) -> str:
        time.sleep(0.3)
        return quick.start(*arguments, **options)

    monkeypatch.setattr(runs, "start", slowly)
    cell = one_cell()
    runs.refresh(root)
    with ThreadPoolExecutor(2) as pool:
        claims = list(pool.map(lambda _: measuring.claim(root, cell, "quick"), range(2)))
    assert len(quick.started) == 1
    assert sorted(claim is None for claim in claims) == [False, True]


def test_a_network_without_data_is_left_out_in_a_sentence(
    quick: QuickRuns, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def reason(settings: Any) -> str | None:
        return "CIFAR10 is not here." if settings.network == "cifar10-resnet20" else None

    monkeypatch.setattr(measuring, "unmeasurable", reason)
    rows = make(network=["cifar10-resnet20", "fashion-resnet20"])
    assert [row["seeds_measured"] for row in rows] == ["0", "0", "2", "2"]
    sentence = "cifar10-resnet20 is left out: CIFAR10 is not here."
    assert " ".join(capsys.readouterr().err.split()).count(sentence) == 1
    text = (tmp_path / "out" / "main.md").read_text(encoding="utf-8")
    assert f"- {sentence}" in text
    assert (
        "| cifar10-resnet20 | 3w3a | AdaDFQ | 0 of 2 (2 missing) | – | – | – | – | 9.00 |" in text
    )


def test_what_cannot_be_measured_here(tmp_path: Path) -> None:
    cell = one_cell()
    assert measuring.unmeasurable(cell.settings) is None
    for changes, told in (
        ({"data": "none"}, "has no images that measure it; name some with --data."),
        ({"data": str(tmp_path / "no.parquet")}, "no.parquet"),
        ({"network": "mine.py:build"}, "mine.py:build has no images"),
    ):
        reason = measuring.unmeasurable(cell.settings.model_copy(update=changes))
        assert reason is not None and told in reason


def test_a_dry_run_starts_and_writes_nothing(
    quick: QuickRuns, root: Path, tmp_path: Path, capsys: Any
) -> None:
    results(preset="quick", bits="3", run_dir=root, out=tmp_path / "out", dry_run=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(METHODS) * 3 and all("\tmissing\t" in line for line in lines)
    assert not quick.started and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": "3;4"}, "--bits 3;4 is not a list"),
        ({"data": ["cifar10"]}, "--data cifar10 would hold for 2 networks; write NETWORK=DATA"),
        ({"methods": ""}, "no method ''"),
        ({"seeds": "none"}, "--seeds none"),
        ({"network": ["nope"]}, "Unknown network 'nope'"),
    ],
)
def test_options_that_are_refused(
    options: dict[str, Any], message: str, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        results(**{"run_dir": root, "out": tmp_path / "out", **options})
    assert not root.exists() and not (tmp_path / "out").exists()


def test_images_of_one_network_among_several(quick: QuickRuns, make: Make) -> None:
    make(network=["cifar10-resnet20", "fashion-resnet20"], data=["cifar10-resnet20=here.parquet"])
    assert {(s.network, s.data) for s in quick.started} == {
        ("cifar10-resnet20", "here.parquet"),
        ("fashion-resnet20", ""),
    }


def test_files_are_refused_before_anything_runs(
    quick: QuickRuns, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "main.csv").write_text("network\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        make(out=tmp_path / "file")
    assert not quick.started


@pytest.mark.parametrize("path", [Path(""), Path("."), Path("/")])
def test_a_folder_is_no_file(path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        write_text(path, "text")


def test_hostile_words_stay_in_their_cell(tmp_path: Path) -> None:
    hostile = replace(row("AdaDFQ", []), network="a|b\n.py:x")
    text = to_markdown(find_table("main"), [hostile], "python '\n# x'", ["a\nb"])
    assert "\n# x" not in text and r"a\|b .py:x | 3w3a" in text
    write_text(tmp_path / "deep" / "a.md", text + "\udcff")
    assert (tmp_path / "deep" / "a.md").read_text(encoding="utf-8").endswith("\\udcff")
    assert to_csv([]) == ",".join(CSV_COLUMNS) + "\n"


def test_an_empty_table_has_no_rows(root: Path) -> None:
    assert make_rows(root, "main", "quick", []) == []


def test_numbers_of_the_table_count_without_their_runs(
    quick: QuickRuns, make: Make, root: Path, tmp_path: Path, capsys: Any
) -> None:
    """A table is made over weeks, on machines that come and go."""
    before = make()
    shutil.rmtree(root)
    assert make() == before
    assert len(quick.started) == 4, "nothing is run twice"
    wider = make(seeds="3", bits="3,4", methods="GDFQ")
    assert len(quick.started) == 4 + 1 + 3
    assert wider[0] == before[0], "what this command does not ask for stays"
    assert [(row["bits"], row["method"]) for row in wider] == [
        ("3", "AdaDFQ"),
        ("3", "GDFQ"),
        ("4", "GDFQ"),
    ]
    assert wider[1]["top1_by_seed"] == "0:30.00 1:31.00 2:32.00"
    capsys.readouterr()
    make(dry_run=True)
    assert capsys.readouterr().out.count("\tmeasured\t") == 4


def test_two_commands_at_once_keep_each_other_s_rows(
    quick: QuickRuns, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one_at_a_time, meanwhile = quick.start, []

    def start(*args: Any, **options: Any) -> str:
        if not meanwhile:  # the first command has begun, and a second one comes and goes
            meanwhile.append(True)
            make(methods="GDFQ", bits="4", run_dir=tmp_path / "other runs")
        return one_at_a_time(*args, **options)

    monkeypatch.setattr(runs, "start", start)
    rows = make(methods="AdaDFQ")
    assert [(row["bits"], row["method"], row["seeds_measured"]) for row in rows] == [
        ("3", "AdaDFQ", "2"),
        ("4", "GDFQ", "2"),
    ]


def test_numbers_of_other_settings_are_not_mixed_in(
    quick: QuickRuns, make: Make, tmp_path: Path
) -> None:
    make()
    started = len(quick.started)
    before = (tmp_path / "out" / "main.csv").read_bytes()
    with pytest.raises(InputError, match=r"3w3a AdaDFQ with other settings .*preset quick"):
        make(assignments=["beta=0.9"])
    assert len(quick.started) == started
    assert (tmp_path / "out" / "main.csv").read_bytes() == before


def test_a_file_that_is_no_table_is_not_written_over(
    quick: QuickRuns, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "main.csv").write_text("mine\n")
    with pytest.raises(InputError, match="is no table of results"):
        make()
    assert not quick.started and (tmp_path / "out" / "main.csv").read_text() == "mine\n"


def test_calibration_alone_is_read_from_adadfq_s_own_runs(quick: QuickRuns, make: Make) -> None:
    trained, calibrated = make(methods="AdaDFQ,calibration only")
    assert len(quick.started) == 2
    assert trained["top1_by_seed"] == "0:30.00 1:31.00"
    assert calibrated["top1_by_seed"] == "0:25.00 1:26.00"


def test_what_another_table_has_measured_is_not_run_again(
    quick: QuickRuns, make: Make, root: Path, tmp_path: Path
) -> None:
    make(methods="AdaDFQ,calibration only", seeds="3")
    started = len(quick.started)
    shutil.rmtree(root)
    make(table="ablation", methods="AdaDFQ,without L_ds")
    assert [settings.alpha_ds for settings in quick.started[started:]] == [0.0, 0.0]
    adadfq, without = read(tmp_path / "out" / "ablation.csv")
    assert (adadfq["method"], adadfq["top1_by_seed"]) == ("AdaDFQ", "0:30.00 1:31.00")
    assert (adadfq["seeds_planned"], adadfq["paper_loss"]) == ("2", "44.04")
    assert "torch " in adadfq["versions"] and without["seeds_measured"] == "2"
    make(table="margins", methods="the paper's margin")
    assert len(quick.started) == started + 2
    (lent,) = read(tmp_path / "out" / "margins.csv")
    assert (lent["method"], lent["top1_by_seed"]) == ("the paper's margin", "0:30.00 1:31.00")


def test_a_damaged_table_lends_nothing(quick: QuickRuns, make: Make, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ablation.csv").write_text("mine\n")
    make(methods="AdaDFQ")
    assert len(quick.started) == 2


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"seed": 7, "threads": 1}, True),
        ({"data": "/elsewhere/test.parquet"}, True),
        ({"data": "/here/train.parquet"}, False),
        ({"beta": 0.9}, False),
        ({"evaluation_images": 100}, False),
    ],
)
def test_settings_are_told_apart_by_what_they_change(changes: dict[str, Any], same: bool) -> None:
    settings = one_cell(data="/here/test.parquet").settings
    other = settings.model_copy(update=changes)
    assert (settings_mark(settings) == settings_mark(other)) is same


def test_a_seed_that_was_played_again_counts_as_it_is_now() -> None:
    (both,) = joined([row("GDFQ", [70.0, 71.0])], [row("GDFQ", [80.0])], [])
    assert [each.q for each in both.measured.values()] == [80.0, 71.0]


def test_rows_that_come_later_stand_where_they_belong() -> None:
    kept = [row("GDFQ", [70.0]), row("GDFQ", [75.0], network="other")]
    new = [row("GDFQ", [80.0], bits=4), row("AdaDFQ", [81.0])]
    found = joined(kept, new, ["AdaDFQ", "GDFQ"])
    assert [each.key for each in found] == [
        ("fashion-resnet20", 3, "AdaDFQ"),
        ("fashion-resnet20", 3, "GDFQ"),
        ("fashion-resnet20", 4, "GDFQ"),
        ("other", 3, "GDFQ"),
    ]

"""Runs in MLflow's stores, read back with its own client.

The stores are folders, and the server that `ADADFQ_MLFLOW_URI` names, if it does.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from logged_runs import info, log_accuracy, log_sheet, log_step, new_run
from stored_runs import held_run

from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs.records import Record, RecordKind, RunStatus
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings_file import from_yaml
from adadfq_core.sinks import follow, mlflow_tracking

pytest.importorskip("mlflow", reason="needs the extra package mlflow-skinny")

from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from adadfq_core.sinks.mlflow import METRICS_A_BATCH, MlflowSink, MlflowTracking, Position, batches


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """The address of a new store in a folder."""
    return (tmp_path / "mlflow").as_uri()


@pytest.fixture(params=["folder", "server"])
def uri(request: pytest.FixtureRequest, folder: str) -> str:
    if request.param == "folder":
        return folder
    if "ADADFQ_MLFLOW_URI" not in os.environ:
        pytest.skip("set ADADFQ_MLFLOW_URI to an MLflow server's address to test against it")
    return os.environ["ADADFQ_MLFLOW_URI"]


@pytest.fixture
def experiment() -> str:
    return f"ablation {secrets.token_hex(4)}"


def write(
    root: Path, writer: RunWriter, tracking: MlflowTracking, parent: str | None = None
) -> MlflowSink:
    """Give what is new in the run to a new sink."""
    sink = tracking.sink(root, info(writer), parent)
    follow(root, {writer.run_id: sink}, until_end=False)
    return sink


def only_run(uri: str, experiment: str) -> Run:
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    return run


def history(uri: str, run_id: str, name: str) -> list[tuple[int, float, int]]:
    """Step, value and milliseconds since 1970 of each point of a metric."""
    points = MlflowClient(uri).get_metric_history(run_id, name)
    return sorted((point.step, point.value, point.timestamp) for point in points)


def test_a_run_is_one_of_the_experiment(
    root: Path, uri: str, experiment: str, tmp_path: Path
) -> None:
    with new_run(root, lambda_l=0.3, image_mean=(0.5, 0.25)) as writer:
        log_step(writer, 1, loss_g=2.5)
        log_step(writer, 2, loss_g=1.25)
        log_accuracy(writer, 2, "q", 88.5)
        log_sheet(writer, 2)
        writer.append(RecordKind.PARAMETERS, 2, {"changes": {"lambda_l": 0.2}})
        writer.set_status(RunStatus.FINISHED)
        write(root, writer, mlflow_tracking(uri, experiment))
        ended = RunStore(root).info(writer.run_id)
    run = only_run(uri, experiment)
    run_id = run.info.run_id
    start = int(ended.created * 1000)
    assert (run.info.run_name, run.info.status) == (ended.run_id, "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (start, int(ended.updated * 1000))
    assert run.data.params["lambda_l"] == "0.3", "as it was at the start"
    assert run.data.params["image_mean"] == "0.5,0.25"
    assert run.data.params["preset"] == "interactive"
    for name, points in {
        "loss/L_G": [(1, 2.5, 1.0), (2, 1.25, 2.0)],
        "accuracy/top1_q": [(2, 88.5, 2.5)],
        "setting/lambda_l": [(2, 0.2, 2.5)],
    }.items():
        logged = history(uri, run_id, name)
        assert [(step, value) for step, value, _ in logged] == [(s, v) for s, v, _ in points]
        for (_, _, milliseconds), (_, _, seconds) in zip(logged, points, strict=True):
            assert milliseconds - start == pytest.approx(1000 * seconds, abs=1)
    client = MlflowClient(uri)
    settings = Path(client.download_artifacts(run_id, "settings.yaml", str(tmp_path)))
    assert from_yaml(settings.read_bytes())["lambda_l"] == 0.3
    picture = Path(client.download_artifacts(run_id, "images/last_sheet.png", str(tmp_path)))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_was_logged_is_not_logged_again(
    root: Path, writer: RunWriter, uri: str, experiment: str
) -> None:
    tracking = mlflow_tracking(uri, experiment)
    sink = tracking.sink(root, info(writer))
    for iteration in (1, 2, 3):
        log_step(writer, iteration)
        writer.flush()
        follow(root, {writer.run_id: sink}, until_end=False)
    log_step(writer, 4)
    for _ in range(2):
        write(root, writer, mlflow_tracking(uri, experiment))
    run = only_run(uri, experiment)
    logged = history(uri, run.info.run_id, "loss/L_Q")
    assert [step for step, _, _ in logged] == [1, 2, 3, 4]
    assert run.info.run_id == sink.mlflow_run_id


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (RunStatus.QUEUED, "SCHEDULED"),
        (RunStatus.STARTING, "SCHEDULED"),
        (RunStatus.RUNNING, "RUNNING"),
        (RunStatus.PAUSED, "RUNNING"),
        (RunStatus.FINISHED, "FINISHED"),
        (RunStatus.STOPPED, "KILLED"),
        (RunStatus.FAILED, "FAILED"),
        (RunStatus.LOST, "FAILED"),
    ],
)
def test_the_state_is_told_in_their_words(
    root: Path, writer: RunWriter, folder: str, status: RunStatus, shown: str
) -> None:
    writer.set_status(status, "It diverged." if status == RunStatus.FAILED else "")
    with held_run(root):  # it takes the place in which one that waits would start
        write(root, writer, mlflow_tracking(folder, "x"))
    run = only_run(folder, "x")
    assert run.info.status == shown
    assert run.data.tags["adadfq.status"] == status
    assert run.data.tags["adadfq.reason"] == ("It diverged." if status == RunStatus.FAILED else "")


def test_a_run_that_is_resumed_goes_on(root: Path, writer: RunWriter, folder: str) -> None:
    tracking = mlflow_tracking(folder, "x")
    log_step(writer, 1)
    writer.set_status(RunStatus.STOPPED)
    write(root, writer, tracking)
    assert only_run(folder, "x").info.status == "KILLED"
    RunStore(root).reclaim(writer.run_id, 1, max_active=9)
    with RunWriter(root, writer.run_id) as resumed:
        log_step(resumed, 2)
        resumed.set_status(RunStatus.RUNNING)
        write(root, resumed, tracking)
        assert only_run(folder, "x").info.status == "RUNNING"
        resumed.set_status(RunStatus.FINISHED)
        write(root, resumed, tracking)
    run = only_run(folder, "x")
    assert run.info.status == "FINISHED"
    assert [step for step, _, _ in history(folder, run.info.run_id, "loss/L_G")] == [1, 2]


def test_labels_and_note_are_tags(root: Path, writer: RunWriter, folder: str) -> None:
    sink = mlflow_tracking(folder, "x").sink(root, info(writer))
    sink.settle(replace(info(writer), tags=("figure 3", "keep"), note="The *best* margin."))
    tags = only_run(folder, "x").data.tags
    assert tags["mlflow.note.content"] == "The *best* margin."
    assert tags["adadfq.tags"] == "figure 3, keep"


def test_runs_of_a_sweep_are_nested(root: Path, uri: str, experiment: str) -> None:
    tracking = mlflow_tracking(uri, experiment)
    with new_run(root) as first, new_run(root) as second:
        write(root, first, tracking)
        parent = tracking.parent("lambda surface", 1e9)
        for writer in (first, second):
            write(root, writer, tracking, parent)
        assert mlflow_tracking(uri, experiment).parent("lambda surface", 2e9) == parent
        tracking.settle_parent(parent, ended=True)
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(experiment)
        assert found is not None
        below = client.search_runs([found.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
        assert {run.info.run_name for run in below} == {first.run_id, second.run_id}
    above = client.get_run(parent).info
    assert (above.run_name, above.start_time) == ("lambda surface", 10**12)
    assert above.status == "FINISHED"
    tracking.settle_parent(parent, ended=False)
    assert client.get_run(parent).info.status == "RUNNING"


@pytest.mark.parametrize("name", ["", "it's", 'a"b', "a`b"])
def test_a_sweep_has_a_plain_name(folder: str, name: str) -> None:
    with pytest.raises(InputError, match=r"The sweep's name .* is not allowed; use letters"):
        mlflow_tracking(folder, "x").parent(name, 0.0)


def test_a_missing_sheet_does_not_matter(root: Path, writer: RunWriter, folder: str) -> None:
    log_sheet(writer, 1)
    writer.set_status(RunStatus.FINISHED)
    sheet = RunStore(root).latest(writer.run_id, RecordKind.IMAGES)
    assert sheet is not None
    RunStore(root).path(sheet).unlink()
    sink = write(root, writer, mlflow_tracking(folder, "x"))
    assert only_run(folder, "x").info.status == "FINISHED"
    files = MlflowClient(folder).list_artifacts(sink.mlflow_run_id)
    assert [file.path for file in files] == ["settings.yaml"]


def steps(count: int, numbers: int = 0) -> list[Record]:
    """Records of which the last has `numbers` metrics and each other one has one."""
    ones = [Record(seq, seq, RecordKind.VALUE, {"before": 0.5}, None) for seq in range(1, count)]
    many = {f"m{index}": 0.5 for index in range(numbers)}
    return [*ones, Record(count, count, RecordKind.VALUE, many, None)]


@pytest.mark.parametrize(
    ("records", "sizes", "cursors"),
    [
        ([], [], []),
        (steps(1), [0], [1]),
        (steps(METRICS_A_BATCH, 1), [METRICS_A_BATCH], [METRICS_A_BATCH]),
        (
            steps(METRICS_A_BATCH, 2),
            [METRICS_A_BATCH - 1, 2],
            [METRICS_A_BATCH - 1, METRICS_A_BATCH],
        ),
    ],
)
def test_requests_are_small_and_part_no_record(
    records: list[Record], sizes: list[int], cursors: list[int]
) -> None:
    made = list(batches(records, 100.0, Position(0, 3.0)))
    assert [len(metrics) for metrics, _ in made] == sizes
    assert [position.cursor for _, position in made] == cursors
    for metrics, _ in made:
        assert all(isinstance(m, Metric) and m.timestamp == 103_000 for m in metrics)


def test_a_long_log_is_taken_whole(root: Path, writer: RunWriter, folder: str) -> None:
    """12 numbers an iteration make more than one request."""
    for iteration in range(1, 101):
        log_step(writer, iteration)
    sink = write(root, writer, mlflow_tracking(folder, "x"))
    for name in ("loss/L_G", "speed/ms_per_iteration"):
        logged = [step for step, _, _ in history(folder, sink.mlflow_run_id, name)]
        assert logged == list(range(1, 101))


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nothing listens, held so that nothing else does."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_server_that_is_down_is_told_soon_and_without_the_password(closed_port: int) -> None:
    began = time.monotonic()
    where = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(RunFailed, match=f"The MLflow server at {where} does not answer") as caught:
        mlflow_tracking(f"http://me:secret@127.0.0.1:{closed_port}", "x")
    assert time.monotonic() - began < 30
    assert "secret" not in str(caught.value)


def test_a_server_that_is_silent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(RunFailed, match="does not answer"):
            mlflow_tracking(f"http://127.0.0.1:{silent.getsockname()[1]}", "x")


class _OtherServer(BaseHTTPRequestHandler):
    """Answers 200 with a page to each request whose path's experiment is `page`, else 401."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path.endswith("=page") else 401)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.mark.parametrize(("experiment", "reason"), [("page", "JSON"), ("locked", "401")])
def test_a_server_that_refuses_is_quoted(experiment: str, reason: str) -> None:
    with HTTPServer(("127.0.0.1", 0), _OtherServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(RunFailed, match=f"did not take what was sent .*{reason}"):
                mlflow_tracking(f"http://127.0.0.1:{server.server_port}", experiment)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("uri", ["http://[", "htp://localhost:5000"])
def test_what_is_no_address_is_told(uri: str) -> None:
    with pytest.raises(InputError, match=r"MLflow refuses the tracking URI 'ht.* address of a"):
        mlflow_tracking(uri, "x")


def test_an_experiment_needs_a_name(folder: str) -> None:
    with pytest.raises(InputError, match="Invalid experiment name"):
        mlflow_tracking(folder, "")


def test_a_folder_that_mlflow_no_longer_wants_is_told(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "false")
    with pytest.raises(InputError, match=r"maintenance mode .*; give the address of a server"):
        mlflow_tracking(folder, "x")


def test_the_users_environment_wins(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")
    mlflow_tracking(folder, "x")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"

"""`export` and `eval FILE` as a shell's user types them, on a real run with a real checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from played_runs import finished_run
from shells import shell

from adadfq_core.export.accuracy import accuracy
from adadfq_core.export.preparing import logits_of
from adadfq_core.export.taking import take


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder of runs with one of a few iterations at 5 bits, and its name."""
    root = tmp_path_factory.mktemp("runs")
    run_id, _ = finished_run(root, weight_bits=5, activation_bits=5, evaluation_images=200)
    return root, run_id


def _told(text):
    return dict(line.split("\t", 1) for line in text.splitlines() if "\t" in line)


@pytest.mark.parametrize(
    ("format", "suffix"),
    [
        ("onnx", ".onnx"),
        ("torch", ".safetensors"),
        pytest.param("packed", ".safetensors", marks=pytest.mark.slow),
        pytest.param("program", ".pt2", marks=pytest.mark.slow),
    ],
)
def test_each_format_is_written_measured_and_evaluated(run, tmp_path, format, suffix):
    root, run_id = run
    out = tmp_path / f"q{suffix}"
    words = ("export", run_id, "--format", format, "--out", str(out), "--run-dir", str(root))
    written = shell(*words)
    assert written.returncode == 0, written.stderr
    told = _told(written.stdout)
    assert float(told["same_predictions"]) >= 99.5
    assert told["q_top1"] == told["file_top1"]
    evaluated = shell("eval", str(out), "--set", "evaluation_images=200")
    assert evaluated.returncode == 0, evaluated.stderr
    again = _told(evaluated.stdout)
    assert again["top1"] == told["file_top1"] and again["images"] == "200"
    taken = take(root, run_id)
    expected = accuracy(logits_of(taken.q, taken.real.images), taken.real.labels)
    assert again["top1"] == f"{expected.top1:.2f}"


@pytest.mark.slow
def test_the_report_of_a_real_run_carries_the_network(tmp_path):
    root, out = str(tmp_path / "runs"), tmp_path / "report.html"
    few = ("epochs=3", "warmup_epochs=1", "iterations_per_epoch=10", "evaluation_images=200")
    changes = [word for change in few for word in ("--set", change)]
    played = shell("train", "--preset", "quick", "--json", *changes, "--run-dir", root)
    assert played.returncode == 0, played.stderr
    run_id = json.loads(played.stdout)["run_id"]
    written = shell("export", run_id, "--format", "report", "--out", str(out), "--run-dir", root)
    assert written.returncode == 0, written.stderr
    evaluated = shell("eval", str(out), "--set", "evaluation_images=200")
    assert evaluated.returncode == 0, evaluated.stderr
    told = _told(evaluated.stdout)
    assert told["images"] == "200" and f"{told['top1']} %" in out.read_text(encoding="utf-8")


def _refusals(root, run_id, folder):
    out = str(folder / "q.onnx")
    yield ("export", "no-such-run", "--format", "onnx", "--out", out), "There is no run"
    yield ("export", run_id, "--format", "onnx", "--out", str(folder / "q.bin")), "end in .onnx"
    yield (
        ("export", run_id, "--format", "onnx", "--out", str(folder / "none" / "q.onnx")),
        "There is no folder",
    )
    yield (
        ("export", run_id, "--format", "onnx", "--out", out, "--variant", "fast"),
        "choose one of bit-true, runtime",
    )
    yield (
        (
            *("export", run_id, "--format", "torch", "--variant", "runtime"),
            *("--out", str(folder / "q.safetensors")),
        ),
        "for onnx alone",
    )
    yield ("export", run_id, "--format", "tflite", "--out", out), "tflite"


def test_bad_input_is_told_in_a_sentence_with_exit_code_2(run, tmp_path):
    root, run_id = run
    for words, expected in _refusals(root, run_id, tmp_path):
        refused = shell(*words, "--run-dir", str(root))
        assert refused.returncode == 2, (words, refused.stderr)
        assert expected in refused.stderr and "Traceback" not in refused.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_files_that_cannot_be_evaluated(tmp_path):
    cases = {"none.onnx": None, "q.onnx": b"hello", "q.pt2": b"PK", "q.html": b"<p>no network</p>"}
    cases |= {"q.safetensors": b"", "q.txt": b"text"}
    for name, content in cases.items():
        path = Path(tmp_path / name)
        if content is not None:
            path.write_bytes(content)
        refused = shell("eval", str(path))
        assert refused.returncode == 2, (name, refused.stderr)
        assert name in refused.stderr and "Traceback" not in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr

"""Command lines that nobody means well with: exit code 0, 1 or 2, no traceback, nothing lost.

The commands and their options are found in the program itself, so a new one is tried as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from command_line import FILES, RUN, SWEEP, Shell
from hostile import Hunt, Place, texts
from hypothesis import strategies as st

from adadfq_core.__main__ import application

EXAMPLES = 10

NETWORKS = ("fashion-resnet20", "cifar10-resnet20", "torchvision/nope", "FILES/noise:build")
SETTINGS = ("lambda_l=0.2", "seed=3", "epochs=2", "evaluation_images=10", "image_shape=1,28,28")
NAMES = [
    *("settings.yaml", "points.csv", "weights.pth", "weights.safetensors", "pictures.parquet"),
    *("empty.pth", "noise.pth", "noise.onnx", "noise.safetensors", "noise.pt2", "noise.html"),
    *("noise.yaml", "noise.csv", "noise.zip", "noise.parquet", "noise", "idx", "pictures"),
    *("run.adadfq.zip", "nothing", "nothing.pth", "x" * 300, "pictures/cat/1.png"),
]
PATHS = tuple(f"{FILES}/{name}" for name in NAMES)
OUT = ("q.onnx", "q.safetensors", "q.pt2", "q.html", "r.zip", "no/such/q.onnx", "", ".", "..", "d/")
# What a command is likely to take, by the name of its parameter; others take texts and numbers.
TAKEN: dict[str, tuple[str, ...]] = {
    "run_id": (f"{RUN}0", f"{RUN}1", f"{RUN}2", SWEEP),
    "run_ids": (f"{RUN}0", f"{RUN}1", f"{RUN}2"),
    "sweep_id": (SWEEP, f"{RUN}0"),
    "sweep": (SWEEP,),
    "resume": (SWEEP,),
    "network": NETWORKS,
    "weights": PATHS,
    "data": ("none", "cifar10", "fashion-mnist", *PATHS),
    "train_data": PATHS,
    "test_data": PATHS,
    "file": PATHS,
    "config": PATHS,
    "points": PATHS,
    "assignments": SETTINGS,
    "over": ("lambda_l=0:0.4:3", "bits=3,4", "beta=0.1:1", "preset=quick", "image_mean=1"),
    "bits": ("3,3", "3", "9,9", "a,b"),
    "table": ("main", "ablation"),
    "methods": ("AdaDFQ", "GDFQ,real data", "AdaDFQ + adaptive BatchNorm"),
    "preset": ("quick", "interactive", "Quick"),
    "design": ("grid", "random", "latin"),
    "format": ("onnx", "torch", "packed", "program", "report"),
    "form": ("csv", "markdown", "latex"),
    "variant": ("bit-true", "runtime"),
    "rows": ("lambda_l", "beta", "seed"),
    "columns": ("beta", "lambda_l"),
    "value": ("top1_q_last", "top1_p", "seconds"),
    "out": OUT,
    "work_folder": ("work", FILES),
    "run_dir": ("other", f"{FILES}/noise", FILES, "/dev/null/x"),
    "tracking_uri": ("http://localhost:1", "file:tracked", "nope://x", "http://", "ftp://a/b"),
    "experiment": ("mine",),
}
NUMBERS = ("0", "1", "2", "-1", "-5", "7", "257", "10001", "99999999999999999999", "1.5", "x", "")
# Where hostile texts could reach beyond the folders of a test.
HARMLESS = frozenset({"out", "work_folder", "run_dir", "tracking_uri", "network", "data"})


class Command(NamedTuple):
    """A command of the program, by the words that lead to it."""

    words: tuple[str, ...]
    parameters: tuple[Any, ...]


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[Command]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _commands(inner, (*words, name))
    else:
        yield Command(words, tuple(command.params))


COMMANDS = {" ".join(each.words): each for each in _commands(typer.main.get_command(application))}


def _values(parameter: Any) -> st.SearchStrategy[str]:
    taken = TAKEN.get(parameter.name)
    if taken is None:
        return st.sampled_from(NUMBERS) | texts()
    likely = st.sampled_from(taken)
    if parameter.name not in HARMLESS:
        return likely | texts()
    # A text that leads out of the folder that the test stands in could be written to.
    return likely | texts().filter(lambda text: not text.startswith(("/", "..", "~/", "FILES")))


@st.composite
def command_lines(draw: st.DrawFn, command: Command) -> list[str]:
    """Arguments for a command, most of which it knows."""
    line: list[str] = []
    for parameter in command.parameters:
        value = _values(parameter)
        if parameter.param_type_name == "argument":
            most = 3 if parameter.nargs == -1 else 1
            least = 1 if parameter.required and draw(st.integers(0, 9)) else 0
            line += draw(st.lists(value, min_size=least, max_size=most))
        elif draw(st.integers(0, 9)) < (9 if parameter.required else 3):
            option = draw(st.sampled_from([*parameter.opts, *parameter.secondary_opts]))
            line += [option] if parameter.is_flag else [option, draw(value)]
    if not draw(st.integers(0, 7)):
        line.insert(draw(st.integers(0, len(line))), draw(texts()))
    return line


def check(shell: Shell, line: list[str]) -> int:
    """Try a command line; what refuses it has to leave everything as it was."""
    try:
        code, printed, told = shell(*line)
    except BaseException:
        shell.place.restore()  # what follows is tried on a whole store
        raise
    assert code in (0, 1, 2), (line, code)
    assert "Traceback" not in printed + told, (line, printed, told)
    if code:
        assert (told or printed).strip(), line
    if code == 2:
        assert shell.place.unchanged(), line
    elif not shell.place.unchanged():
        shell.place.restore()
    return code


@pytest.mark.parametrize("name", COMMANDS)
def test_any_command_line(name: str, shell: Shell, hunt: Hunt) -> None:
    command = COMMANDS[name]
    lines = command_lines(command).map(lambda line: [*command.words, *line])
    hunt(lambda line: check(shell, line), lines, EXAMPLES)


def test_any_words(shell: Shell, hunt: Hunt) -> None:
    words = st.sampled_from([word for each in COMMANDS.values() for word in each.words])
    options = st.sampled_from(
        [text for each in COMMANDS.values() for p in each.parameters for text in p.opts]
    )
    lines = st.lists(words | options | texts() | st.sampled_from(NUMBERS), max_size=6)

    def harmless(line: list[str]) -> bool:
        return not any(word.startswith(("/", "..", "~/")) for word in line)

    hunt(lambda line: check(shell, line), lines.filter(harmless), 60)


NOBODY, LONG_NAME, NO_TEXT = "~nobody-of-this-name", "x" * 300, "a\udcff"
OVER = ("ablate", "--over", "beta=0.1,0.2")
ONNX = ("export", f"{RUN}0", "--format", "onnx", "--out")
REFUSED = [
    # A `~` of nobody, and a name that is longer than a file system takes.
    *(
        ("train", option, f"{name}.pth")
        for option in ("--weights", "--config")
        for name in (NOBODY, LONG_NAME)
    ),
    *(("eval", f"{name}.onnx") for name in (NOBODY, LONG_NAME)),
    *((*ONNX, f"{name}/q.onnx") for name in (NOBODY, LONG_NAME)),
    *(("eval", "--data", name) for name in (NOBODY, LONG_NAME)),
    *((*OVER, "--points", name) for name in (NOBODY, LONG_NAME)),
    # What was to be a file is a folder, or nothing at all.
    *(("runs", "export", f"{RUN}0", "--out", name) for name in ("", ".", "..", FILES)),
    # Numbers that are too large, or none.
    (*OVER, "--seeds", "999999999999"),
    (*OVER, "--seeds", "9" * 5000),
    (*OVER, "--halving", "99"),
    (*OVER, "--halving", "-1"),
    (*OVER, "--workers", "-5"),
    (*OVER, "--workers", "100000", "--seeds", "3000"),
    (*OVER, "--threads", "0"),
    (*ONNX, "q.onnx", "--iteration", "9" * 20),
    ("train", "--set", "bit_overrides=first=" + "9" * 5000),
    ("train", "--seed", "9" * 4000),
    # Bytes of an argument that are no text.
    *(("runs", command, NO_TEXT) for command in ("show", "stop", "resume", "settings", "tag")),
    ("runs", "note", f"{RUN}0", NO_TEXT),
    ("sweeps", "table", NO_TEXT),
    ("sweeps", "stop", NO_TEXT),
    ("ablate", "--resume", NO_TEXT),
    (*OVER, "--name", NO_TEXT),
    ("train", "--set", f"data={NO_TEXT}"),
    ("train", "--network", NO_TEXT),
    ("results", "--table", NO_TEXT),
    ("results", "--network", NO_TEXT),
    ("results", "--seeds", "9" * 5000),
    ("results", "--bits", "9" * 5000),
    ("results", "--data", NO_TEXT),
    ("results", "--set", "seed=3"),
    *(("results", "--dry-run", "--methods", name) for name in ("", NO_TEXT, "AdaDFQ,")),
]


@pytest.mark.parametrize("line", REFUSED, ids=range(len(REFUSED)))
def test_lines_that_are_refused(line: tuple[str, ...], shell: Shell) -> None:
    assert check(shell, list(line)) == 2


def test_what_is_printed_need_not_be_text(shell: Shell) -> None:
    """Where a name goes to the standard output, whatever that can write."""
    assert check(shell, ["zoo", "coverage", "fashion-resnet20", "--bits", f"{NO_TEXT}=8"]) in (0, 2)
    assert check(shell, ["train", "--run-dir", f"{NOBODY}/runs"]) == 1


def test_a_sheet_without_labels_is_no_fault(shell: Shell) -> None:
    """As a run may have it that was imported."""
    assert check(shell, ["runs", "tensorboard", f"{RUN}0", "--out", "events"]) in (0, 1)


@pytest.mark.parametrize(
    "line",
    [
        ("train", "--weights", f"{NOBODY}/a.pth"),
        ("runs", "show", b"a\xff"),
        ("sweeps", "table", "x" * 5000),
    ],
)
def test_real_processes(line: tuple[Any, ...], place: Place) -> None:
    """As a shell starts them."""
    done = subprocess.run(
        [sys.executable, "-m", "adadfq_core", *line],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        timeout=300,
        check=False,
    )
    assert done.returncode == 2 and done.stderr and b"Traceback" not in done.stderr + done.stdout
    assert place.unchanged()

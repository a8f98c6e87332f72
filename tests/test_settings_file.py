from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from settings_samples import valid_settings
from typer.testing import CliRunner

from adadfq_core import runs
from adadfq_core.__main__ import main
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.presets import PRESETS, preset_settings
from adadfq_core.runs.records import RecordKind
from adadfq_core.runs.store import RunStore
from adadfq_core.runs.writer import RunWriter
from adadfq_core.settings import RunSettings, make_settings
from adadfq_core.settings_file import MOST_BYTES, from_yaml, read_settings, to_yaml
from adadfq_core.shell.runs import runs_commands

TEXTS = {name: st.text(max_size=30) for name in ("network", "weights", "data", "code_folder")}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_round_trip(preset: str) -> None:
    chosen = preset_settings(preset)
    read = from_yaml(to_yaml(chosen, preset))
    assert list(read) == list(RunSettings.model_fields) and make_settings(read) == chosen
    # A whole file holds over any preset, also where it equals a default.
    assert preset_settings("interactive", read) == chosen


@settings(max_examples=60, deadline=None)
@given(valid_settings(**TEXTS))
@example(make_settings({"network": "no", "weights": "~", "data": " a: b # c ", "lr_g": 1e-5}))
@example(make_settings({"weights": "a\x85\u2028\n\n b\t", "data": "*x", "code_folder": "null"}))
@example(make_settings({"weights": "/tmp/Größe 1:30.pt", "data": "2024-01-01", "network": "010"}))
def test_any_settings_round_trip(chosen: RunSettings) -> None:
    text = to_yaml(chosen)
    assert make_settings(from_yaml(text)) == chosen
    assert make_settings(from_yaml(text.encode())) == chosen
    assert make_settings(from_yaml(text.replace("\n", "\r\n").encode("utf-8-sig"))) == chosen


def test_the_file_is_for_people_and_of_plain_types() -> None:
    changes = {"image_shape": (3, 32, 32), "image_mean": (0.5, 0.25, 0.1), "data": "/Bilder/für"}
    chosen = preset_settings("interactive", changes)
    text = to_yaml(chosen, "interactive")
    lines = text.splitlines()
    assert lines[0] == "# Settings of a run of AdaDFQ Playground, made from preset interactive."
    assert any("python -m adadfq_core train --config FILE" in line for line in lines)
    assert max(map(len, lines)) <= 100 and text.endswith("threads: 2\n")
    assert "image_shape: [3, 32, 32]" in lines and "image_mean: [0.5, 0.25, 0.1]" in lines
    assert "data: /Bilder/für" in lines and "image_std: null" in lines
    at = lines.index("lambda_l: 0.1")
    assert lines[at - 1].startswith("# Lower boundary of H'") and lines[at - 2] == ""
    plain = yaml.safe_load(text)
    assert list(plain) == list(RunSettings.model_fields)
    listed = {
        name: list(v) if isinstance(v, tuple) else v for name, v in chosen.model_dump().items()
    }
    assert plain == listed


def test_a_heading_stays_a_comment() -> None:
    assert make_settings(from_yaml(to_yaml(RunSettings(), "a\nbatch: 1\x85seed: 9"))).seed == 0


def test_some_settings_as_people_write_them() -> None:
    text = "lr_q: 1e-5\n'seed': 7 # lucky\nclass_shift: yes\nimage_mean: 0.5, 0.25\nimage_shape:\n"
    read = {"lr_q": 1e-5, "seed": 7, "class_shift": True, "image_mean": (0.5, 0.25)}
    assert from_yaml(text) == {**read, "image_shape": None}
    assert from_yaml("{lambda_u: .95, lambda_l: .9}") == {"lambda_l": 0.9, "lambda_u": 0.95}
    assert from_yaml("image_std:\n- 0.5\n- 1\n") == {"image_std": (0.5, 1.0)}


BOMB = "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n"
BAD: list[tuple[str | bytes, str]] = [
    ("", r"holds nothing in place of settings; .*for example lambda_l: 0\.2"),
    ("# only a comment\n", "holds nothing in place of settings"),
    ("- seed\n- 3\n", "holds a list in place of settings"),
    ("hello", "holds a text in place of settings"),
    ("null", "holds a text in place of settings"),
    ("seed: 1\nbatch: [1, 2\n", r"^Line 3 .* is not YAML \(expected ',' or '\]'"),
    ("seed: 1\nbatch: 4: 5\n", r"^Line 2 .* is not YAML \(mapping values are not allowed here\)"),
    ("seed: 1\n\tbatch: 3\n", "^Line 2 .* is not YAML"),
    ("seed: 1\n---\nseed: 2\n", "^Line 2 .* is not YAML"),
    ("seed: 1\ndata: \x00\n", r"^Line 2 .* is not YAML \(a character that cannot be printed\)"),
    ("seed: 1\ndata: \ud800\n", r"^Line 2 .* is not YAML \(a character that cannot be printed\)"),
    (b"seed: 1\ndata: \xff\n", "^Line 2 .* is not UTF-8 text; save the file as UTF-8"),
    (BOMB, "^Line 1 .* has an anchor, an alias or a tag"),
    ("seed: 1\nbatch: &b 4\n", "^Line 2 .* has an anchor, an alias or a tag"),
    ("data: *somewhere\n", "^Line 1 .* in quotes if it begins so"),
    ("network: !!python/object/apply:os.system [id]\n", "^Line 1 .* has an anchor, an alias or a"),
    ("!!map {seed: 1}\n", "has an anchor, an alias or a tag"),
    ("[" * 20_000, "^Line 1 .* nests too deep for a setting"),
    ("seed: 1\nimage_shape: [[3, 32, 32]]\n", "^Line 2 .* nests too deep for a setting"),
    ("seed:\n  batch: 3\n", "^Line 2 .* gives seed settings of its own; give it one value"),
    ("[seed]: 3\n", "^Line 1 .* does not begin with a setting's name"),
    ("seed: 1\nbatch: 4\nseed: 2\n", "^Line 3 .* names seed a second time; keep one of the two"),
    ("seed: 1\nlamda_l: 1\n", r"^Line 2 .* unknown setting 'lamda_l' \(perhaps lambda_l or lambda"),
    ("zz: 1\n", r"unknown setting 'zz'; correct or delete it, or update .* if a newer one wrote"),
    ("<<: {seed: 1}\n", "unknown setting '<<'; "),
    ("batch: 1\n", "^batch = '1' is not allowed; it must be a whole number from 2 to 1024"),
    ("weights:\n", "^weights = None is not allowed; it must be a text"),
    ("lambda_l: .nan\n", "^lambda_l = '.nan' is not allowed; it must be a number from 0 to 1"),
    ("seed: 1:30\n", "^seed = '1:30' is not allowed"),
    ("image_shape: [3, 32]\n", "^image_shape = .* is not allowed"),
    ("lambda_l: 0.9\n", r"lambda_l = 0\.9 must be below lambda_u = 0\.8"),
    (f"seed: {'9' * 5000}\n", "^Line 1 .* gives seed a value that is too long; at most 4096"),
    (f"image_mean: [{'0,' * 5000}]\n", "gives image_mean a value that is too long"),
    (f"seed: {'9' * 4096}\n", "^seed = '9+' is not allowed; it must be a whole number"),
    ("# " + "x" * MOST_BYTES, "too large; at most 64 KiB are allowed"),
    (b"\xff" * (MOST_BYTES + 1), "too large; at most 64 KiB are allowed"),
]


@pytest.mark.parametrize(("text", "words"), BAD, ids=range(len(BAD)))
def test_a_bad_file_is_refused_in_one_sentence(text: str | bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        from_yaml(text)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "piece", ["[", "{", "- ", "? ", "'", "a\n", "&a ", "\t", "seed: 1\n", "%", "a: {a: "]
)
def test_no_file_costs_much_time(piece: str) -> None:
    begin = time.process_time()
    with pytest.raises(InputError):
        from_yaml((piece * MOST_BYTES)[:MOST_BYTES])
    assert time.process_time() - begin < 10


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("seed: batch1.5-[]{}'\"#&*!|>%@`,?\n \tλ")) | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        make_settings(from_yaml(text))
    except InputError as error:
        assert "\n" not in str(error)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"settings file .*no\.yaml cannot be read \(No such file"):
        read_settings(tmp_path / "no.yaml")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\); check its path"):
        read_settings(tmp_path)
    file = tmp_path / "bad.yaml"
    file.write_text("batch: 1\n")
    with pytest.raises(InputError, match=r"bad\.yaml: batch = '1' is not allowed"):
        read_settings(file)


class Shell:
    """The command line in this process, up to where a run would start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        self.started: tuple[RunSettings, str] | None = None
        monkeypatch.setattr(runs, "start", self.start)

    def start(self, root: Path, chosen: RunSettings, preset: str, *, own_code: bool) -> str:
        self.started = (chosen, preset)
        raise RunFailed("not in this test.")

    def __call__(self, *arguments: Any) -> tuple[int, str]:
        """Exit code and what stands on stderr."""
        words = ["adadfq_core", "train", *map(str, arguments)]
        self.monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), self.capsys.readouterr().err


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


def test_train_with_a_file(shell: Shell, tmp_path: Path) -> None:
    whole = tmp_path / "whole.yaml"
    chosen = preset_settings("paper-imagenet", {"seed": 3, "lambda_l": 0.3})
    whole.write_text(to_yaml(chosen, "paper-imagenet"))
    assert shell("--config", whole)[0] == 1
    assert shell.started == (chosen, "")
    assert shell("--config", whole, "--preset", "interactive")[0] == 1
    assert shell.started == (chosen, "interactive")
    shell(
        "--config", whole, "--set", "lambda_l=0.2", "--set", "seed=4", "--seed", 5, "--bits", "3,2"
    )
    changes = {"lambda_l": 0.2, "seed": 5, "weight_bits": 3, "activation_bits": 2}
    assert shell.started == (make_settings(changes, chosen), "")


def test_what_a_file_leaves_out(shell: Shell, tmp_path: Path) -> None:
    part = tmp_path / "part.yaml"
    part.write_text("lambda_l: 0.3\n")
    shell("--config", part)
    assert shell.started == (make_settings({"lambda_l": 0.3}), "")
    shell("--config", part, "--preset", "interactive")
    assert shell.started == (preset_settings("interactive", {"lambda_l": 0.3}), "interactive")
    shell()
    assert shell.started == (preset_settings("interactive"), "interactive")


def test_weights_that_a_file_names(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "own.yaml"
    config.write_text("weights: p.pt\n")
    code, message = shell("--config", config)
    assert code == 2 and f"There is no weights file {tmp_path / 'p.pt'}" in message
    (tmp_path / "p.pt").touch()
    shell("--config", config)
    assert shell.started is not None and shell.started[0].weights == str(tmp_path / "p.pt")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"settings file .*a\.yaml cannot be read (No such file or directory); check"),
        ("seed: [", "a.yaml: Line 1 of the settings file is not YAML"),
        ("seeds: 1", "a.yaml: Line 1 of the settings file names an unknown setting 'seeds'"),
        ("batch: 1", "a.yaml: batch = '1' is not allowed"),
        ("network: nope", "Unknown network 'nope'"),
    ],
)
def test_bad_files_in_the_shell(shell: Shell, tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "a.yaml"
    if text is not None:
        file.write_text(text)
    code, message = shell("--config", file)
    assert code == 2 and message.startswith("Error: ") and message.count("\n") == 1
    for part in words.split(".*"):
        assert part.replace("\\", "") in message
    assert shell.started is None


def test_the_real_command_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(to_yaml(make_settings({"network": "nope"})))
    command = [sys.executable, "-m", "adadfq_core", "train", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("Error: Unknown network 'nope'")


def test_the_settings_of_a_run(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    chosen = preset_settings("interactive", {"seed": 9, "weights": "/w.pt"})
    run_id = store.create_run(chosen, "interactive")

    def printed(name: str) -> str:
        words = ["settings", name, "--run-dir", str(tmp_path)]
        return CliRunner().invoke(runs_commands, words, catch_exceptions=False).stdout

    assert "made from preset interactive" in printed(run_id)
    assert make_settings(from_yaml(printed(run_id))) == chosen
    with RunWriter(tmp_path, run_id) as writer:
        process = psutil.Process()
        writer.attach(process.pid, process.create_time())
        writer.append(RecordKind.PARAMETERS, 5, {"changes": {"lambda_l": 0.3}})
    assert make_settings(from_yaml(printed(run_id))) == make_settings({"lambda_l": 0.3}, chosen)
    with pytest.raises(InputError, match="There is no run 'nope'"):
        printed("nope")

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from adadfq_core.__main__ import main
from adadfq_core.errors import InputError
from adadfq_core.shell.zoo import zoo_commands
from adadfq_core.zoo.registry import names


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADADFQ_HOME", str(tmp_path))
    # No test is to reach the internet: nothing listens there.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)


def output(*arguments: str) -> str:
    result = CliRunner().invoke(zoo_commands, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_in_a_pipe() -> None:
    rows = [line.split("\t") for line in output("list").splitlines()]
    assert [row[0] for row in rows] == list(names()) and {len(row) for row in rows} == {8}
    fashion, *_ = rows
    assert fashion[1:] == [
        "Fashion-MNIST",
        "1x28x28",
        "10",
        "94.78 %",
        "MIT",
        "trained by this project",
        "here",
    ]
    (resnet,) = [row for row in rows if row[0] == "torchvision/resnet18"]
    assert resnet[2:6] == ["3x224x224", "1000", "69.76 %", "BSD-3-Clause"]
    assert resnet[7] == "not here"


def test_the_list_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("adadfq_core.shell.zoo.is_terminal", lambda: True)
    shown = output("list")
    assert "data set" in shown and "┃" in shown and "torchvision/NAME takes any" in shown


def test_show() -> None:
    facts = dict(line.split("\t") for line in output("show", "torchvision/resnet18").splitlines())
    assert facts["name"] == "torchvision/resnet18" and facts["mean"] == "0.4850, 0.4560, 0.4060"
    assert facts["shorter side before the crop"] == "256 pixels, bilinear"
    assert facts["class names"].startswith("tench, goldfish,")
    assert facts["class names"].endswith(", ...")
    assert facts["weights"] == "not here" and facts["described at"].startswith("https://")
    facts = dict(line.split("\t") for line in output("show", "fashion-resnet20").splitlines())
    assert facts["class names"].endswith("Bag, Ankle boot") and facts["weights"] == "here"
    assert facts["measured on"] == "fashion-mnist"


def test_fetching_what_is_here() -> None:
    assert output("fetch", "fashion-resnet20").strip().endswith("fashion-resnet20.safetensors")


def test_unknown_names_are_refused() -> None:
    for command in ("show", "fetch"):
        with pytest.raises(InputError, match="Unknown network 'nope'"):
            output(command, "nope")
    with pytest.raises(InputError, match="'nope' is not a network that this project trains"):
        output("train", "nope")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "fashion-resnet20"), 0, ""),
        (("fetch", "torchvision/resnet18"), 1, "put resnet18-f37072fd.pth into"),
        (("fetch", "nope"), 2, "Error: Unknown network 'nope'"),
    ],
)
def test_exit_codes(
    arguments: tuple[str, ...],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["adadfq_core", "zoo", *arguments])
    with pytest.raises(SystemExit) as exit_code:
        main()
    assert (exit_code.value.code or 0) == code
    assert words in capfd.readouterr().err.replace("\n", " ")


def test_coverage_tells_what_stays_in_float() -> None:
    lines = output("coverage", "fashion-resnet20", "--bits", "first=8,head=7").splitlines()
    rows = {(name, part): told for name, _, part, told in (line.split("\t") for line in lines)}
    assert rows["stem.0", "weights"] == "8 bits"
    assert rows["head", "weights"] == "7 bits"
    assert rows["stages.2.2.relu2", "activation"] == "4 bits"
    assert rows["stem.0", "input"] == "it reads the images, which stay in float"

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from adadfq_core.errors import InputError
from adadfq_core.zoo.custom import import_network

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def imports_undone() -> Iterator[None]:
    """Forget what a test imports, so that the next may use the same names."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        if name.startswith(("adadfq_user_", "own_")):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a Python file below the current folder, which is a temporary one."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, code: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        return path

    return make


GOOD = """
    from torch import nn

    CLASSES = 3
    ready = nn.Linear(2, 3)

    def build():
        return nn.Linear(2, CLASSES)

    def build_wide(width, depth=2, *, bias):
        return nn.Linear(2, width)

    def build_number():
        return 3

    def build_class():
        return nn.Linear

    def build_lazy():
        return nn.Sequential(nn.LazyLinear(3))

    class Net(nn.Module):
        pass
"""


def refusal(target: str) -> str:
    with pytest.raises(InputError) as caught:
        import_network(target)
    text = str(caught.value)
    assert "\n" not in text and text[-1] in ".?"
    return text


def test_a_module_of_the_current_folder(write: Write) -> None:
    write("own_net.py", GOOD)
    network = import_network("own_net:build")
    assert isinstance(network, nn.Linear) and network.out_features == 3
    assert type(import_network("own_net:Net")).__name__ == "Net"


def test_a_module_in_a_package(write: Write) -> None:
    write("own_package/__init__.py", "")
    write("own_package/nets.py", GOOD)
    assert isinstance(import_network("own_package.nets:build"), nn.Linear)


def test_an_installed_module() -> None:
    assert isinstance(import_network("torch.nn:Identity"), nn.Identity)


def test_the_current_folder_comes_first(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = write("elsewhere/own_net.py", "raise RuntimeError('the wrong one')").parent
    here = write("own_net.py", GOOD).parent
    monkeypatch.setattr(sys, "path", [str(elsewhere), *sys.path, str(here)])
    assert isinstance(import_network("own_net:build"), nn.Linear)


@pytest.mark.parametrize("absolute", [True, False])
def test_a_file(write: Write, absolute: bool) -> None:
    path = write("a folder/json.py", "from own_parts import width\n" + textwrap.dedent(GOOD))
    write("a folder/own_parts.py", "width = 3")
    where = str(path) if absolute else "a folder/json.py"
    assert isinstance(import_network(f"{where}:build"), nn.Linear)
    assert not hasattr(sys.modules["json"], "build")


def test_a_changed_file_is_read_again(write: Write) -> None:
    write("own_net.py", GOOD)
    import_network("own_net.py:build")
    path = write("own_net.py", GOOD.replace("CLASSES = 3", "CLASSES = 12"))
    network = import_network(f"{path}:build")
    assert isinstance(network, nn.Linear) and network.out_features == 12


def test_the_functional_resnet_of_these_tests() -> None:
    network = import_network(f"{Path(__file__).parent / 'functional_resnet.py'}:resnet20")
    assert network.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    "target", ["", ":", "own_net", "own_net:", ":build", "own_net:a.b", "own_net:build()"]
)
def test_targets_of_another_form(target: str) -> None:
    assert f"'{target}' is not of the form module:function, for example" in refusal(target)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("own_nett:build", "There is no module own_nett in the current folder or among the"),
        ("own_net.more:build", "There is no module own_net.more in"),
        ("no.such.own:build", "There is no module no.such.own in"),
        (".own_net:build", "'.own_net' is not the name of a module"),
        ("folder/own_net:build", "The file in 'folder/own_net' must end in .py"),
        ("folder/own_net.py:build", "There is no file folder/own_net.py; check the path"),
        (f"{'a' * 300}.py:build", "aaa.py; check the path"),
        ("own_net:biuld", "own_net has no function biuld; did you mean build"),
        ("own_net:xyz", "own_net has no function xyz; did you mean build or build_wide or"),
        ("own_empty:build", "own_empty has no function build; it defines no function at all."),
        ("own_net:CLASSES", "own_net:CLASSES is not a function but an object of type int"),
        ("own_net:ready", "own_net:ready is a network that is built already"),
        ("own_net:build_wide", "own_net:build_wide needs the arguments width, bias but"),
        ("own_net:build_number", "returned an object of type int, not a torch.nn.Module"),
        ("own_net.py:build_class", "returned an object of type type, not a torch.nn.Module"),
        ("own_net:build_lazy", "own_net:build_lazy returned a network whose 0.weight has no shape"),
    ],
)
def test_what_cannot_be_imported_is_named(write: Write, target: str, words: str) -> None:
    write("own_net.py", GOOD)
    write("own_empty.py", "")
    assert words in refusal(target)


@pytest.mark.parametrize(
    ("code", "place", "reason"),
    [
        ("x = 1\nimport own_absent\n", 2, "ModuleNotFoundError: No module named 'own_absent'"),
        ("\n\ndef build(:\n", 3, "SyntaxError: invalid syntax"),
        ("\nx = 1 / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("import sys\n\nsys.exit('bye')\n", 3, "SystemExit: bye"),
        ("import torch\ntorch.zeros(\n  -1)\n", 2, "with RuntimeError: "),
        ("def build():\n    raise ValueError\n", 2, "with ValueError."),
        ("def build():\n    raise ValueError('two\\nlines.')\n", 2, "ValueError: two lines."),
        (
            "from torch import nn\ndef build():\n    return nn.Conv2d(3, 4, 3, groups=2)\n",
            3,
            "ValueError: in_channels must be divisible by groups",
        ),
        ("def __getattr__(name):\n    raise OSError('no disk')\n", 2, "OSError: no disk."),
        ("import json\ndef build():\n    json.loads('{')\n", 3, "JSONDecodeError: Expecting"),
    ],
)
@pytest.mark.parametrize("where", ["own_net", "own_net.py"])
def test_errors_inside_name_file_and_line(
    write: Write, where: str, code: str, place: int, reason: str
) -> None:
    path = write("own_net.py", code)
    text = refusal(f"{where}:build")
    assert f"failed in {path}, line {place} with " in text
    assert reason in text
    begin = f"{where}:build failed" if "def build()" in code else f"Importing {where} failed"
    assert text.startswith(begin)


def test_an_error_in_a_module_that_the_users_file_imports(write: Write) -> None:
    write("own_net.py", "import own_parts\n")
    parts = write("own_parts.py", "\nraise OSError('no disk')\n")
    assert f"failed in {parts}, line 2 with OSError: no disk." in refusal("own_net:build")


def test_a_failed_file_leaves_nothing_behind(write: Write) -> None:
    write("own_net.py", "1 / 0")
    refusal("own_net.py:build")
    assert "adadfq_user_own_net" not in sys.modules
    write("own_net.py", GOOD)
    assert isinstance(import_network("own_net.py:build"), nn.Linear)

"""What the sources may not do, looked up in their syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for part in ("adadfq_core", "app") for path in (ROOT / part).rglob("*.py"))

# Pickle runs code of whoever wrote it, so each use says why nobody else writes what it reads.
OWN_CHILD = "a pipe to a process that this program starts itself; no file, no socket"
MAY_UNPICKLE = {
    "adadfq_core/inspection/service.py": OWN_CHILD,
    "adadfq_core/inspection/serving.py": OWN_CHILD,
    "adadfq_core/embedding/service.py": OWN_CHILD,
    "adadfq_core/embedding/worker.py": OWN_CHILD,
    "adadfq_core/embedding/child.py": OWN_CHILD,
    "adadfq_core/zoo/weight_files.py": "names pickle's error alone; reads by weights_only=True",
}
RUNS_CODE = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"),
    "jsonpickle",
}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
MAY_IMPORT = {
    "adadfq_core/zoo/custom.py": "a user's own network, from the shell alone",
    "adadfq_core/shell/export.py": "names that stand in the source",
    "app/lessons/__init__.py": "names that stand in the source",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Dotted name of what is called, and the call."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> object:
    values = [word.value for word in call.keywords if word.arg == name]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_only_pipes_to_own_processes_carry_pickles() -> None:
    users = {name_of(path) for path in SOURCES if imported(path) & RUNS_CODE}
    assert users == set(MAY_UNPICKLE), "say in MAY_UNPICKLE why nobody else writes what is read"


def faults(path: Path) -> Iterator[str]:
    """Calls that can run what a file holds."""
    for name, call in calls(path):
        where = f"{path.name}:{call.lineno}: {name}"
        if name == "torch.load" and keyword(call, "weights_only") is not True:
            yield f"{where} without weights_only=True"
        if name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") is not False:
            yield f"{where} without allow_pickle=False"
        if name.startswith("yaml.") and name.endswith(("load", "load_all", "full_load")):
            loader = ast.unparse(call.args[1]) if len(call.args) > 1 else ""
            loader += "".join(ast.unparse(w.value) for w in call.keywords if w.arg == "Loader")
            if "safe" not in name and "Safe" not in loader and not _own_loader(path, loader):
                yield f"{where} without a safe loader"
        if name.split(".")[-1] in ("read_pickle", "to_pickle", "load_reduce"):
            yield where
        if name in UNSAFE_CALLS or name.startswith(("os.system", "os.popen", "torch.jit.load")):
            yield where
        if keyword(call, "shell") is True:
            yield f"{where} with a shell"


def _own_loader(path: Path, loader: str) -> bool:
    """Whether `loader` is a class of this file that is made from yaml.SafeLoader."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == loader:
            return any("SafeLoader" in ast.unparse(base) for base in node.bases)
    return False


def test_nothing_that_is_read_can_run_code() -> None:
    assert [fault for path in SOURCES for fault in faults(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, yaml.Loader)",
        "yaml.full_load(text)",
        "pd.read_pickle(path)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_the_audit_finds_what_it_looks_for(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(line)
    assert len(list(faults(path))) == 1


def test_modules_by_name_are_imported_where_it_is_allowed() -> None:
    found = {
        name_of(path)
        for path in SOURCES
        for name, _ in calls(path)
        if name.split(".")[-1] in ("import_module", "spec_from_file_location", "exec_module")
    }
    assert found == set(MAY_IMPORT)


CHANGES = {
    "runs": {
        *("start", "pause", "resume", "step", "step_half", "stop", "set_parameters"),
        *("set_labels", "delete_runs", "import_run", "clean"),
    },
    "control": {"start", "resume", "stop", "delete"},
}


# What takes the machine for minutes.
WORK = {"start_preparing", "probe"}


def test_pages_change_runs_and_work_through_access_alone() -> None:
    around = [
        f"{name_of(path)}:{call.lineno}: {name}"
        for path in SOURCES
        if name_of(path).startswith("app/") and name_of(path) != "app/access.py"
        for name, call in calls(path)
        if name.partition(".")[2] in CHANGES.get(name.partition(".")[0], ())
        or name.split(".")[-1] in WORK
    ]
    assert around == []


SHOWS_MARKDOWN = {
    *("error", "warning", "info", "success", "caption", "markdown", "toast", "write"),
    *("subheader", "header", "title", "badge", "metric"),
}


def test_texts_of_errors_are_no_markdown() -> None:
    """An error names what a user typed, or what a file holds that came from anyone."""
    live = [
        f"{name_of(path)}:{call.lineno}"
        for path in SOURCES
        if name_of(path).startswith("app/")
        for name, call in calls(path)
        if name.split(".")[-1] in SHOWS_MARKDOWN
        and call.args
        and ast.unparse(call.args[0]) in ("str(error)", "info.reason", "problem", "notice")
    ]
    assert live == []


def test_no_markdown_may_hold_html() -> None:
    found = [
        name_of(path)
        for path in SOURCES
        for _, call in calls(path)
        if keyword(call, "unsafe_allow_html") or keyword(call, "unsafe_allow_javascript")
    ]
    assert found == []

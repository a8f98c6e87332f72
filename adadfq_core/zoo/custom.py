"""A user's own architecture: a function in a module or file of theirs that builds a network.

Importing runs the user's code with all rights of the user. That is right for a target that its
user types into a shell, as `python` itself would run it, and for nothing else: never pass a
target that came from a web page, a stored run of somebody else or any other outside source.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from torch import nn
from torch.nn.parameter import is_lazy

from adadfq_core.errors import InputError
from adadfq_core.files import expanded

_EXAMPLE = "for example my_networks:resnet20 or path/to/my_networks.py:resnet20"

# Places of code that is not the user's: what they wrote themselves is the line to show them.
_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD_LIBRARY = Path(inspect.getfile(inspect)).parent

_Result = TypeVar("_Result")


def import_network(target: str) -> nn.Module:
    """The network that `module:function` or `path/to/file.py:function` builds.

    The function is called without arguments. Modules of the current folder are found before
    installed ones; a file's own folder is searched for what the file imports. Runs the user's
    code: see the module's docstring for who may call this.

    Raises:
        InputError: nothing can be imported under that name, it fails, or it builds no network.
    """
    where, separator, name = target.rpartition(":")
    if not separator or not where or not name.isidentifier():
        raise InputError(f"'{target}' is not of the form module:function, {_EXAMPLE}.")
    module = _import_file(where) if where.endswith(".py") else _import_module(where)
    build = _function(module, where, name)
    network = _run(f"{where}:{name}", build)
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{where}:{name} returned an object of type {type(network).__name__}, not a "
            "torch.nn.Module; let it return the network."
        )
    lazy = [layer for layer, parameter in network.named_parameters() if is_lazy(parameter)]
    if lazy:
        raise InputError(
            f"{where}:{name} returned a network whose {lazy[0]} has no shape "
            "yet (a lazy layer); run it once on an image before returning it."
        )
    return network


def _search_first(folder: Path) -> None:
    # Stays there: a network may import more of its own modules when it runs.
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _import_module(where: str) -> ModuleType:
    if "/" in where or "\\" in where:
        raise InputError(f"The file in '{where}' must end in .py, {_EXAMPLE}.")
    if not all(where.split(".")):
        raise InputError(f"'{where}' is not the name of a module, {_EXAMPLE}.")
    _search_first(Path.cwd())
    try:
        return _run(f"Importing {where}", lambda: importlib.import_module(where))
    except InputError as error:
        cause = error.__cause__
        absent = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if absent and f"{where}.".startswith(f"{absent}."):
            raise InputError(
                f"There is no module {where} in the current folder or among the installed ones; "
                f"check its name, or give a file, {_EXAMPLE}."
            ) from cause
        raise


def _import_file(where: str) -> ModuleType:
    path = expanded(where).absolute()
    if not os.path.isfile(path):  # where Path.is_file fails on a name that is too long
        raise InputError(f"There is no file {where}; check the path, {_EXAMPLE}.")
    _search_first(path.parent)
    # The prefix keeps a user's json.py from taking the place of Python's own module.
    name = f"adadfq_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader = spec.loader
    try:
        _run(f"Importing {where}", lambda: loader.exec_module(module))
    except InputError:
        del sys.modules[name]
        raise
    return module


def _function(module: ModuleType, where: str, name: str) -> Callable[[], object]:
    """The function `name` of `module`, which can be called without arguments."""
    # A module may answer for its names with code of its own.
    if not _run(f"Importing {where}", lambda: hasattr(module, name)):
        functions = [
            public
            for public, value in vars(module).items()
            if public[0] != "_" and callable(value) and not isinstance(value, nn.Module)
        ]
        near = difflib.get_close_matches(name, functions) or functions[:5]
        hint = f"did you mean {' or '.join(near)}?" if near else "it defines no function at all."
        raise InputError(f"{where} has no function {name}; {hint}")
    found = getattr(module, name)
    if isinstance(found, nn.Module):
        raise InputError(
            f"{where}:{name} is a network that is built already; name a function that builds it."
        )
    if not callable(found):
        raise InputError(
            f"{where}:{name} is not a function but an object of type {type(found).__name__}; name "
            "a function that builds the network."
        )
    try:
        parameters = dict(inspect.signature(found).parameters)
    except (TypeError, ValueError):  # a function in C does not tell
        parameters = {}
    needed = [
        p.name
        for p in parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if needed:
        raise InputError(
            f"{where}:{name} needs the arguments {', '.join(needed)} but is called without any; "
            "name a function that needs none."
        )
    build: Callable[[], object] = found
    return build


def _run(what: str, action: Callable[[], _Result]) -> _Result:
    """Do `action`, the user's code; whatever it raises becomes one sentence with its place."""
    try:
        return action()
    except (Exception, SystemExit) as error:  # a script may end the program while it is imported
        reason = " ".join(str(error).split()).rstrip(".")
        text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise InputError(f"{what} failed{_place(error)} with {text}.") from error


def _place(error: BaseException) -> str:
    """` in file, line n`: the last line of the user's own that led to `error`."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" in {error.filename}, line {error.lineno}"
    lines = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and _is_users(Path(frame.filename))
    ]
    return f" in {lines[-1].filename}, line {lines[-1].lineno}" if lines else ""


def _is_users(source: Path) -> bool:
    installed = source.is_relative_to(_STANDARD_LIBRARY) or _INSTALLED & set(source.parts)
    return source.is_file() and not installed

"""A run's settings as a YAML file that people read, edit and load again.

Values are read as the shell reads `--set key=value`: as text that the settings model converts. So
YAML's own guesses (`no` is false, `1:30` is 90, `1e-4` is a text) never change a setting.
"""

from __future__ import annotations

import difflib
import math
import textwrap
from pathlib import Path
from typing import Any

import yaml

from adadfq_core.errors import InputError
from adadfq_core.files import read_start
from adadfq_core.settings import RunSettings, field, make_settings

MOST_BYTES = 64 * 1024
MOST_CHARACTERS = 4096
"""Longest value of one setting as it is written: that of the longest path."""

_WIDTH = 100
_DEEPEST = 2
"""A mapping of settings, and a list as the value of one."""
_NULL = "tag:yaml.org,2002:null"
_EXAMPLE = "write each setting on a line of its own, for example lambda_l: 0.2"
_USE = (
    "From a shell: python -m adadfq_core train --config FILE; on the page: load the file in the "
    "sidebar. A setting that is left out takes its default."
)


def to_yaml(settings: RunSettings, preset: str | None = None) -> str:
    """Every setting in the model's order, each below its description; ends with a line break.

    `preset` names where the settings came from, in the heading.
    """
    origin = f", made from preset {preset}" if preset else ""
    lines = [_comment(f"Settings of a run of AdaDFQ Playground{origin}."), _comment(_USE)]
    for name in RunSettings.model_fields:
        lines += ["", _comment(str(field(name).description)), _entry(name, getattr(settings, name))]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return "\n".join(f"# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH - 2))


def _entry(name: str, value: Any) -> str:
    is_list = isinstance(value, tuple)
    text: str = yaml.safe_dump(
        {name: list(value) if is_list else value},
        default_flow_style=None if is_list else False,
        width=math.inf,
        # Beyond what can be printed lie line breaks that YAML reads as plain ones.
        allow_unicode=str(value).isprintable(),
    )
    return text.rstrip("\n")


def read_settings(path: Path) -> dict[str, Any]:
    """What the settings file `path` changes; see `from_yaml`.

    Raises:
        InputError: it cannot be read, or as `from_yaml` says; the sentence names the file.
    """
    content = read_start(path, MOST_BYTES, f"The settings file {path}")
    try:
        return from_yaml(content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def from_yaml(text: str | bytes) -> dict[str, Any]:
    """The settings that a file's content names, by name, with values as `RunSettings` holds them.

    They are valid over the model's defaults. All that the file names is in the result, also what
    equals a default, so that it holds over a preset.

    Raises:
        InputError: too large, not UTF-8, not YAML, not a mapping, with anchors, aliases or tags, a
            setting named twice or unknown, or a value that is not allowed.
    """
    document = _decoded(text)
    try:
        _check_events(document)
        root = yaml.compose(document, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise InputError(_not_yaml(error, document)) from None
    if not isinstance(root, yaml.MappingNode):
        kind = {type(None): "nothing", yaml.SequenceNode: "a list"}.get(type(root), "a text")
        raise InputError(f"The settings file holds {kind} in place of settings; {_EXAMPLE}.")
    values: dict[str, Any] = {}
    for key, value in root.value:
        name = _name(key)
        if name in values:
            raise InputError(f"{_line(key)} names {name} a second time; keep one of the two lines.")
        values[name] = _value(name, value)
    settings = make_settings(values)
    return {name: getattr(settings, name) for name in values}


def _decoded(text: str | bytes) -> str:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(content) > MOST_BYTES:
        raise InputError(
            f"The settings file is too large; at most {MOST_BYTES // 1024} KiB are allowed, "
            "delete what is not a setting."
        )
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"Line {line} of the settings file is not UTF-8 text; save the file as UTF-8."
        ) from None


def _check_events(document: str) -> None:
    """Refuse what settings do not need, before anything is built from it or nests too deep."""
    depth = 0
    for event in yaml.parse(document, Loader=yaml.SafeLoader):
        marked = getattr(event, "anchor", None) or getattr(event, "tag", None)
        if marked is not None or isinstance(event, yaml.AliasEvent):
            raise InputError(
                f"{_line(event)} has an anchor, an alias or a tag (&, * or !), which settings do "
                "not need; write the value itself, in quotes if it begins so."
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise InputError(f"{_line(event)} nests too deep for a setting; {_EXAMPLE}.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _not_yaml(error: yaml.YAMLError, document: str) -> str:
    line, problem = 1, "it cannot be read"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else line
        problem = str(error.problem or error.context)
    elif isinstance(error, yaml.reader.ReaderError):
        line = document.count("\n", 0, error.position) + 1
        problem = "a character that cannot be printed"
    return f"Line {line} of the settings file is not YAML ({problem}); {_EXAMPLE}."


def _line(place: yaml.Node | yaml.Event) -> str:
    mark = place.start_mark
    assert mark is not None  # only nodes and events that a program makes have none
    return f"Line {mark.line + 1} of the settings file"


def _name(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode):
        raise InputError(f"{_line(key)} does not begin with a setting's name; {_EXAMPLE}.")
    name = str(key.value)
    if name not in RunSettings.model_fields:
        close = difflib.get_close_matches(name, RunSettings.model_fields, n=2)
        guess = f" (perhaps {' or '.join(close)}?)" if close else ""
        raise InputError(
            f"{_line(key)} names an unknown setting {name[:60]!r}{guess}; correct or delete it, or "
            "update this version of the program if a newer one wrote the file."
        )
    return name


def _value(name: str, node: yaml.Node) -> Any:
    if node.end_mark.index - node.start_mark.index > MOST_CHARACTERS:
        raise InputError(
            f"{_line(node)} gives {name} a value that is too long; at most {MOST_CHARACTERS} "
            "characters are allowed."
        )
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == _NULL else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_value(name, item) for item in node.value]
    raise InputError(
        f"{_line(node)} gives {name} settings of its own; give it one value or a list."
    )

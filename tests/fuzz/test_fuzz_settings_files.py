"""Settings files, tables of points and descriptions that nobody means well with."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Shell
from damage import damaged
from hostile import Hunt, Place, refusal, texts
from hypothesis import strategies as st
from samples import POINTS, SETTINGS
from settings_samples import valid_settings

from adadfq_core.ablation.designs import from_csv, listed, read_points
from adadfq_core.ablation.plan import MOST_CELLS
from adadfq_core.errors import InputError
from adadfq_core.export.description import describe
from adadfq_core.export.description import from_yaml as description_from_yaml
from adadfq_core.settings import RunSettings, bounds, make_settings
from adadfq_core.settings_file import MOST_BYTES, from_yaml, read_settings, to_yaml
from adadfq_core.zoo.registry import find

FIELDS = tuple(RunSettings.model_fields)
PIECES = (
    *("&a ", "*a", "!!python/object/apply:os.system [id]", "!!timestamp x", "!!int ''", "!!bool x"),
    *(
        "!!binary '?'",
        "!!set {a}",
        "!!omap [a: 1]",
        "!x y",
        "<<: ",
        "{<<: *a}",
        "? ",
        "- ",
        "[",
        "]",
    ),
    *(
        "{",
        "}",
        ": ",
        "'",
        '"',
        "|\n  ",
        ">-\n  ",
        "\t",
        "\n",
        "---\n",
        "...\n",
        "%YAML 9.9\n",
        "# ",
    ),
    *("2024-99-99", "2001-12-14t21:59:43.10-05:00", "0o17", "0x_", "0b_", "1:30", ".inf", "-.nan"),
    *(
        "~",
        "null",
        "yes",
        "=",
        "@",
        "`",
        "\\ud800",
        '"\\ud800"',
        '"\\x00"',
        "\u2028",
        "\x85",
        "\ufeff",
    ),
    *("9" * 5000, "1e999", "-", "_", "[" * 300, "{a: " * 300, "a: " * 50),
)
yaml_text = st.lists(
    st.sampled_from(PIECES) | st.sampled_from(FIELDS).map("{}: ".format) | texts(8), max_size=12
).map("".join)

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip(string.ascii_lowercase[:20], string.ascii_lowercase[1:21], strict=True)
)
MERGED_LAUGHS = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n"
    for old, new in zip(string.ascii_lowercase[:20], string.ascii_lowercase[1:21], strict=True)
)

values: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts(20)
    | st.dates().map(str)
    | st.lists(st.integers() | st.floats() | texts(5), max_size=4)
)


def files() -> st.SearchStrategy[bytes]:
    """Any bytes, any YAML, and valid files of which something is another."""
    other = st.dictionaries(st.sampled_from(FIELDS) | st.integers() | st.none(), values, max_size=4)
    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
    written = yaml_text.map(lambda text: text.encode("utf-8", "surrogateescape"))
    return (
        st.binary(max_size=200)
        | written
        | damaged(SETTINGS)
        | other.map(lambda each: yaml.dump(each, allow_unicode=True).encode("utf-8", "replace"))
        | st.tuples(valid_settings(), encodings).map(
            lambda pair: to_yaml(pair[0]).encode(pair[1], "replace")
        )
        | st.tuples(st.sampled_from(FIELDS), values).map(_with_one_field)
    )


def _with_one_field(changed: tuple[str, Any]) -> bytes:
    name, value = changed
    whole = yaml.safe_load(SETTINGS)
    return yaml.dump({**whole, name: value}, allow_unicode=True).encode("utf-8", "replace")


NAMED = [
    b"",
    b"\0",
    b"\xff\xfe",
    "seed: 1".encode("utf-16"),
    LAUGHS.encode(),
    MERGED_LAUGHS.encode(),
    b"seed: " + b"9" * 4096,
    b"bit_overrides: first=" + b"9" * 4090,
    b'weights: "\\ud800"',
    b'weights: "a\\0b"',
    b"? [seed]\n: 1",
    b"seed: &a 1\nbatch: *a",
    b"x" * MOST_BYTES,
]


def check_file(content: bytes, path: Path) -> None:
    """A settings file is refused in one sentence, or its settings come back from a file."""
    found: list[dict[str, Any]] = []
    told = refusal(lambda: found.append(from_yaml(content)))
    path.write_bytes(content)
    from_path = refusal(lambda: read_settings(path))
    if told is not None:
        assert "\n" not in told, told
        assert from_path == f"{path}: {told}"
        return
    chosen = make_settings(found[0])
    assert from_path is None
    assert make_settings(from_yaml(to_yaml(chosen))) == chosen


def test_any_settings_file(tmp_path: Path, hunt: Hunt) -> None:
    hunt(lambda content: check_file(content, tmp_path / "a.yaml"), files(), 300, NAMED)


def test_one_field_of_a_valid_file_is_refused_by_its_name(hunt: Hunt) -> None:
    def check(changed: tuple[str, Any]) -> None:
        name, value = changed
        told = refusal(lambda: make_settings(from_yaml(_with_one_field(changed))))
        if told is None:
            return
        partners = ("lambda_l", "lambda_u", "epochs", "warmup_epochs")
        assert name in told or any(other in told for other in partners) or "YAML" in told, told
        low, high = bounds(name)
        if isinstance(value, int) and low is not None and high is not None and abs(value) > 10**10:
            assert f"{low:g}" in told or str(low) in told

    hunt(check, st.tuples(st.sampled_from(FIELDS), values), 150, [("seed", "9" * 5000)])
    told = refusal(lambda: make_settings({"seed": 10**5000}))
    assert told is not None and told.startswith("seed = a value (int) too long to show")


@pytest.mark.parametrize("command", ["train", "ablate"])
def test_any_settings_file_of_a_command(command: str, shell: Shell, hunt: Hunt) -> None:
    """Through the command line, up to where a process would start."""
    file = shell.place.home / "files" / "any.yaml"
    over = ["--over", "beta=0.1,0.2"] if command == "ablate" else []

    def check(content: bytes) -> None:
        file.write_bytes(content)
        shell.place.stored["files/any.yaml"] = content
        code, printed, told = shell(command, "--config", str(file), *over)
        assert code in (1, 2) and told and "Traceback" not in printed + told
        if code == 2:
            assert shell.place.unchanged()
        else:
            shell.place.restore()

    hunt(check, files(), 25, NAMED)


TABLES = [
    "",
    "lambda_l",
    "lambda_l\n0.1\n0.1",
    "lambda_l,lambda_l\n1,2",
    'lambda_l\n"0.1',
    "a\0b\n1",
    "seed\n1",
    "epochs\n" + "9" * 5000,
    "epochs;batch\n2;3",
    "beta\n" + "0.1\n" * (MOST_CELLS + 1),
    "bits\n3\n٣",
    "preset,what_if\nquick,GDFQ",
]


def test_any_table_of_points(tmp_path: Path, hunt: Hunt) -> None:
    cell = st.sampled_from([*FIELDS, "bits", "preset", "what_if", "0.1", "3"]) | texts(8)
    rows = st.lists(st.lists(cell, min_size=1, max_size=3).map(",".join), max_size=4)
    path = tmp_path / "points.csv"

    def check(text: str) -> None:
        for read in (from_csv, listed):
            refusal(lambda read=read: read(text))  # type: ignore[misc]
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        refusal(lambda: read_points(path))

    damaged_points = damaged(POINTS).map(lambda content: content.decode("utf-8", "surrogateescape"))
    hunt(check, rows.map("\n".join) | yaml_text | damaged_points, 200, TABLES)


def test_any_description_of_a_network(hunt: Hunt) -> None:
    entry = find("fashion-resnet20")
    whole = describe(RunSettings(), entry.images, None, "a-run", 7).to_yaml()
    texts_ = damaged(whole.encode()).map(lambda content: content.decode("utf-8", "replace"))

    def check(text: str) -> None:
        refusal(lambda: description_from_yaml(text, "q.onnx"))

    named = [LAUGHS, MERGED_LAUGHS, *(f"network: {piece}" for piece in PIECES), "a: " * 20_000]
    hunt(check, yaml_text | texts_, 150, named)


def test_files_of_the_command_line_that_are_none(place: Place, hunt: Hunt) -> None:
    def check(name: str) -> None:
        for read in (read_settings, read_points):
            with pytest.raises(InputError):
                read(Path(name))

    hunt(check, texts(), 60, ["\0", "a\0b", "\ud800", "x" * 300])

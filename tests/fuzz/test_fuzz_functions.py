"""Public functions with arguments of any value: they answer, or refuse as their docstring says."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import start_nothing
from hostile import Hunt, Place, texts
from hypothesis import strategies as st
from public_functions import ELSEWHERE, EXCUSED, PublicFunction, public_functions
from settings_samples import valid_settings

from adadfq_core import runs
from adadfq_core.ablation import control as sweeps
from adadfq_core.ablation.axes import parse_axis
from adadfq_core.ablation.plan import Plan
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.runs import RecordKind

EXAMPLES = 12
RUNS, SWEEP = ("RUN0", "RUN1", "RUN2"), "SWEEP"

WHOLE = st.sampled_from([-1, 0, 1, 2, 3, 8, 9, 255, 2**63, -(2**63) - 1, 10**20])
REAL = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1e308, float("nan"), float("inf")])
TEXT = texts() | st.sampled_from(["\0", "a\0b", "\ud800", *RUNS, SWEEP, "lambda_l", "quick"])
SIMPLE = st.none() | st.booleans() | WHOLE | REAL | TEXT
ANY = st.recursive(
    SIMPLE, lambda one: st.lists(one, max_size=3) | st.dictionaries(TEXT, one), max_leaves=5
)
SETTINGS = st.sampled_from(
    ["lambda_l", "lambda_u", "seed", "epochs", "image_shape", "bit_overrides", "method", "lr_q"]
)
CHANGES = st.dictionaries(SETTINGS | TEXT, ANY, max_size=3)
HERE = ("", ".", "new", "new/er", "noise", "x" * 300, "~nobody-of-this-name")


class Within:
    """A path that is known only when a function is tried: below the home folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<home>/{self.name}"


PATHS = st.sampled_from(HERE).map(Path) | st.sampled_from(
    [
        *(
            "runs",
            "files",
            "files/noise",
            "files/noise.pth",
            "files/noise.onnx",
            "files/idx",
            "none",
        ),
        *("files/pictures", "files/weights.pth", "files/weights.safetensors", "files/points.csv"),
        *("files/pictures.parquet", "files/run.adadfq.zip", "runs/runs.db", "files/noise.parquet"),
    ]
).map(Within)
ROOTS = st.just(Within("runs")) | PATHS
PLANS = st.builds(
    Plan,
    preset=st.sampled_from(["quick", "nope", "\0"]),
    changes=CHANGES,
    axes=st.just(("lambda_l",)),
    points=st.lists(st.dictionaries(SETTINGS | TEXT, ANY, max_size=2), max_size=2).map(tuple),
    seeds=st.lists(st.integers(), max_size=2).map(tuple),
)

BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXT,
    "int": WHOLE,
    "float": REAL,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=50),
    "Path": PATHS,
    "object": ANY,
    "Any": ANY,
    "RunSettings": valid_settings(),
    "Plan": PLANS,
    "Iterable[str]": st.lists(TEXT, max_size=4),
    "Sequence[str]": st.lists(TEXT, max_size=4),
    "tuple[str, ...]": st.lists(TEXT, max_size=4).map(tuple),
    "Sequence[float]": st.lists(REAL, max_size=5),
    "Iterable[float]": st.lists(REAL, max_size=5),
    "Sequence[int]": st.lists(WHOLE, max_size=5),
    "Sequence[RunSettings]": st.lists(valid_settings(), max_size=3),
    "dict[str, Any]": CHANGES,
    "Mapping[str, Any]": CHANGES,
    "Iterable[RecordKind] | None": st.none() | st.lists(st.sampled_from(list(RecordKind))),
    "RecordKind": st.sampled_from(list(RecordKind)),
}
BY_TYPE |= {
    f"{kind} | None": st.none() | BY_TYPE[kind]
    for kind in ("str", "int", "float", "dict[str, Any]", "Mapping[str, Any]", "Iterable[str]")
}
BY_TYPE |= {
    "RunSettings | None": st.none() | valid_settings(),
    "str | Path": TEXT | PATHS,
    "str | os.PathLike[str]": TEXT | PATHS,
    "str | bytes": TEXT | st.binary(max_size=50),
}
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "root": ROOTS,
    "run_id": st.sampled_from(RUNS) | TEXT,
    "sweep_id": st.just(SWEEP) | TEXT,
    # What would run code or listen is not what is tried here.
    "worker": st.just("nothing"),
}


def unknown_types(function: PublicFunction) -> list[str]:
    """Types of the function's parameters for which nothing can be drawn."""
    return [
        kind
        for name, kind in function.parameters.items()
        if kind not in BY_TYPE and name not in BY_NAME
    ]


# Arguments that go together, or that only some values make sense of.


def _tensors(*shape: int) -> st.SearchStrategy[torch.Tensor]:
    """Tensors of any values, often the same one, sometimes NaN or infinite."""
    count = int(np.prod(shape))
    numbers = st.lists(st.floats(width=32), min_size=count, max_size=count) | st.floats(
        width=32
    ).map(lambda value: [value] * count)
    return numbers.map(lambda values: torch.tensor(values, dtype=torch.float32).reshape(shape))


@st.composite
def games(draw: st.DrawFn, *, labels: bool = True, more: int = 0) -> tuple[Any, ...]:
    """Logits of P and Q, labels among their classes, and `more` numbers."""
    batch, classes = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    pair = [draw(_tensors(batch, classes)) for _ in range(2)]
    among = st.lists(st.integers(0, classes - 1), min_size=batch, max_size=batch)
    given = [torch.tensor(draw(among))] if labels else []
    return (*pair, *given, *[draw(st.floats(0, 1)) for _ in range(more)])


@st.composite
def quantized(draw: st.DrawFn) -> tuple[Any, ...]:
    x = draw(_tensors(draw(st.integers(0, 4)), 3))
    low, high = (draw(_tensors()) for _ in range(2))
    return x, draw(st.integers(2, 8)), low, high


@st.composite
def packed(draw: st.DrawFn) -> tuple[Any, ...]:
    bits, count = draw(st.integers(1, 8)), draw(st.integers(0, 40))
    codes = draw(st.lists(st.integers(0, 2**bits - 1), min_size=count, max_size=count))
    return np.array(codes, np.uint8), bits


@st.composite
def answers(draw: st.DrawFn) -> tuple[Any, ...]:
    batch, classes = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    among = st.lists(st.integers(0, classes - 1), min_size=batch, max_size=batch)
    return draw(_tensors(batch, classes)), torch.tensor(draw(among))


@st.composite
def rows(draw: st.DrawFn, count: int) -> tuple[Any, ...]:
    width = draw(st.integers(1, 3))
    return tuple(
        draw(_tensors(draw(st.integers(0, 6)), width)).double().numpy() for _ in range(count)
    )


def _strange_labels() -> st.SearchStrategy[Any]:
    return st.lists(st.integers(-(2**40), 2**40), max_size=5).map(
        lambda values: torch.tensor(values, dtype=torch.int64)
    )


def _axes() -> st.SearchStrategy[Any]:
    written = ["lambda_l=0:1:3", "lr_q=1e-300:1:3:log", "bits=3,4", "what_if=GDFQ", "epochs=2:9"]
    return st.lists(
        st.sampled_from([*written, "epochs=2:9:log", "beta=0:1"]).map(parse_axis), max_size=3
    )


def _states() -> st.SearchStrategy[Any]:
    return st.dictionaries(
        st.sampled_from(["a.weight", "module.a.weight", "a.num_batches_tracked", "b", ""]) | TEXT,
        _tensors(2),
        max_size=4,
    )


small = st.integers(-2, 9)
BY_HAND: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "game.objectives.entropy": games(labels=False).map(lambda g: g[:1]),
    "game.objectives.normalised_entropy": games(labels=False).map(lambda g: g[:1]),
    "game.objectives.adaptability": games(labels=False),
    "game.objectives.disagreement_loss": games(),
    "game.objectives.agreement_loss": games(),
    "game.objectives.response_loss": answers(),
    "game.objectives.margin_penalty": st.tuples(_tensors(3), st.floats(0, 1), st.floats(0, 1)),
    "game.objectives.margin_loss": games(labels=False, more=2),
    "game.objectives.quantized_network_loss": games(labels=False, more=1).map(
        lambda g: (g[0], g[1], max(g[2], 0.1))
    ),
    "game.methods.distillation_loss": games(more=1).map(lambda g: (*g[:3], max(g[3], 0.1))),
    "game.methods.loss_of_q": st.tuples(games(), valid_settings()).map(
        lambda drawn: (*drawn[0], drawn[1])
    ),
    "game.methods.losses": st.tuples(games(), _tensors(), valid_settings()).map(
        lambda drawn: (*drawn[0], *drawn[1:])
    ),
    "game.pushes.h_prime_push": games(more=4),
    "game.pushes.h_prime_push_gdfq": games(),
    "game.batchnorm_loss.channel_moments": _tensors(2, 3, 2, 2).map(lambda x: (x,)),
    "quant.fake_quant.fake_quantize": quantized(),
    "quant.fake_quant.broadcast_range": quantized().map(lambda q: (q[0], *q[2:], None)),
    "quant.range_shares.fake_quantize_clipping": quantized(),
    "quant.range_shares.range_errors": quantized(),
    "quant.fake_quant.widen_to_zero": quantized().map(lambda q: q[2:]),
    "quant.fake_quant.scale_and_zero_point": quantized().map(lambda q: (*q[2:], q[1])),
    "quant.ranges.weight_range": _tensors(3, 2).map(lambda w: (w,)),
    "export.packing.pack": packed(),
    "export.packing.unpack": packed().map(lambda p: (p[0], p[1], len(p[0]) * 8 // p[1])),
    "export.accuracy.accuracy": answers(),
    "export.accuracy.agreement": answers().map(lambda a: (a[0], a[0].flip(0))),
    # Of finite rows, one at least: `feature_table` sees to that.
    "embedding.pca.fit_pca": st.tuples(
        st.lists(
            st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3), min_size=1, max_size=5
        ).map(np.array),
        st.sampled_from([2, 3]),
    ),
    "embedding.projection.feature_table": rows(1),
    "inspection.fidelity.fidelity": st.tuples(rows(2), st.integers(-1, 4)).map(
        lambda drawn: (
            drawn[0][0],
            np.arange(len(drawn[0][0])) % 2,
            drawn[0][1],
            np.arange(len(drawn[0][1])) % 3,
            drawn[1],
        )
    ),
    "inspection.sample_table.region_codes": st.tuples(
        _tensors(3).map(lambda x: x.numpy()), valid_settings()
    ),
    "zoo.weights.fit_names": st.tuples(_states(), st.lists(TEXT, max_size=3)),
    "zoo.data.labels.check_labels": st.tuples(
        TEXT, _strange_labels(), *[st.lists(TEXT, max_size=3).map(tuple)] * 2
    ),
    "ablation.designs.grid": _axes().map(lambda axes: (axes,)),
    "ablation.designs.random": st.tuples(_axes(), small, WHOLE),
    "ablation.designs.latin": st.tuples(_axes(), small, WHOLE),
    "ablation.halving.hopeless": st.tuples(
        st.floats(allow_nan=False),
        st.lists(st.floats(allow_nan=False), max_size=5),
        st.integers(2, 9),
    ),
    "ablation.estimate.makespan": st.tuples(
        st.lists(st.floats(0, 1e9), max_size=5), st.integers(1, 9)
    ),
    "ablation.estimate.in_words": st.floats(0, 1e300).map(lambda s: (s,)),
    "ablation.space.in_bytes": st.integers(0, 2**80).map(lambda size: (size,)),
    "inspection.selection.page_count": st.tuples(st.integers(0, 10**9), st.integers(1, 999)),
    "lessons.logits.judge": st.tuples(_tensors(3), _tensors(3)).map(
        lambda pair: (pair[0].tolist(), pair[1].tolist())
    ),
    "lessons.numbers.round_number": st.tuples(REAL, st.integers(2, 8), REAL, REAL),
    "runs.retention.checkpoints_to_drop": st.tuples(
        st.lists(st.integers(0, 999), max_size=9),
        st.integers(1, 3),
        st.integers(1, 3),
        st.none() | small,
    ),
    "sinks.summaries.histogram_summary": st.lists(st.integers(0, 9), min_size=20, max_size=20).map(
        lambda counts: (counts,)
    ),
}


KNOWN = public_functions()
_LISTED = {name for names in (*ELSEWHERE.values(), *EXCUSED.values()) for name in names}
BY_TYPES = [name for name in KNOWN if name not in _LISTED and name not in BY_HAND]


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(f"adadfq_core.{module}"), function)
    return found


def stated_errors(docstring: str) -> tuple[type[Exception], ...]:
    """The kinds of error that a docstring names after `Raises:`, and the project's own two."""
    section = docstring.partition("Raises:")[2]
    named = re.findall(r"^\s*(\w+Error): ", section, re.MULTILINE)
    known = {"ValueError": ValueError, "TypeError": TypeError, "KeyError": KeyError}
    return (InputError, RunFailed, *(known[name] for name in named if name in known))


def attempt(name: str, /, *arguments: Any, **named: Any) -> None:
    """Call a function; errors that its docstring does not name come through."""
    errors = stated_errors(KNOWN[name].docstring)
    try:
        _function(name)(*arguments, **named)
    except errors as error:
        assert str(error).strip(), f"{type(error).__name__} without a word"


@pytest.mark.parametrize("name", BY_TYPES)
def test_arguments_of_any_value(
    name: str, place: Place, hunt: Hunt, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_nothing(monkeypatch)
    infos = sorted(runs.list_runs(place.root), key=lambda info: info.created)
    (sweep,) = sweeps.list_sweeps(place.root)
    known = {**{f"RUN{i}": info.run_id for i, info in enumerate(infos)}, SWEEP: sweep.sweep_id}

    def found(value: Any) -> Any:
        if isinstance(value, Within):
            return place.home / value.name
        if isinstance(value, list):
            return [found(each) for each in value]
        return known.get(value, value) if isinstance(value, str) else value

    def check(drawn: dict[str, Any]) -> None:
        try:
            attempt(name, **{parameter: found(value) for parameter, value in drawn.items()})
        finally:
            place.restore()

    parameters = KNOWN[name].parameters.items()
    inputs = {each: BY_NAME.get(each, BY_TYPE.get(kind)) for each, kind in parameters}
    hunt(check, st.fixed_dictionaries(inputs), EXAMPLES if inputs else 1)


@pytest.mark.parametrize("name", BY_HAND)
def test_arguments_that_go_together(name: str, hunt: Hunt) -> None:
    hunt(lambda drawn: attempt(name, *drawn), BY_HAND[name], 2 * EXAMPLES)


@pytest.mark.parametrize("name", ["ADADFQ_HOME", "ADADFQ_MAX_ACTIVE", "ADADFQ_DATA_ROOTS"])
def test_any_environment(
    name: str, place: Place, hunt: Hunt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(text: str) -> None:
        monkeypatch.setenv(name, text)
        for function in ("home.home", "server_options.max_active", "server_options.data_roots"):
            attempt(function)
        attempt("server_options.check_readable", "a.png")

    hunt(check, texts(), 40, ["9" * 5000, "~nobody-of-this-name", "/", "relative", ":::", "٣"])

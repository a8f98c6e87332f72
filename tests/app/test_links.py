from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from settings_samples import valid_settings

from adadfq_core.presets import DEFAULT_PRESET, PRESETS, preset_settings
from adadfq_core.settings import LIVE_SETTINGS, RunSettings, make_settings
from app.links import MOST_CHARACTERS, ViewState, changes_from, from_query, to_query

RUN = "20261125-101112-3w3a-k7"
OTHER = "20261125-101213-4w4a-p2"
RUN_IDS = st.none() | st.from_regex(r"[0-9]{8}-[0-9]{6}-[2-8]w[2-8]a-[a-z2-9]{2}", fullmatch=True)
SETTINGS = valid_settings(
    network=st.sampled_from(["fashion-resnet20", "cifar10-resnet20"]),
    data=st.sampled_from(["", "none", "cifar10", "fashion-mnist"]),
)


@settings(max_examples=60, deadline=None)
@given(
    RUN_IDS, RUN_IDS, st.none() | st.integers(0, 10**9), st.sampled_from(list(PRESETS)), SETTINGS
)
def test_a_view_comes_back_from_its_link(
    run_id: str | None, beside: str | None, moment: int | None, preset: str, chosen: RunSettings
) -> None:
    beside = None if beside == run_id else beside
    view = ViewState(run_id, beside, moment, preset, changes_from(chosen, preset))
    # Through the text of a real address, as a browser hands it back.
    query = dict(parse_qsl(urlencode(to_query(view)), keep_blank_values=True))
    assert from_query(query) == view
    assert from_query(query).settings() == chosen


def test_a_link_is_short() -> None:
    assert to_query(ViewState()) == {} and from_query({}) == ViewState()
    view = ViewState(RUN, None, 300, "paper-cifar", {"lambda_l": 0.2, "lr_q": 1e-5, "beta": 5.0})
    assert to_query(view) == {
        "run": RUN,
        "at": "300",
        "preset": "paper-cifar",
        "s.lambda_l": "0.2",
        "s.beta": "5",
        "s.lr_q": "1e-05",
    }
    unchanged = {"lambda_l": 0.1, "class_shift": True}
    assert to_query(ViewState(changes=unchanged)) == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_length_of_links(preset: str) -> None:
    shares = {name: 0.123456789012345678 for name in LIVE_SETTINGS}
    many = {
        **shares,
        "lambda_u": 0.987654321098765432,
        "temperature": 12.34567890123456,
        "slow_motion": 500,
    }
    named = {
        "network": "pytorchcv/resnet20_cifar10",
        "data": "cifar10",
        "image_shape": (3, 224, 224),
    }
    overrides = {"bit_overrides": ",".join(f"layer{i}.*.conv{i}=4" for i in range(20))}
    chosen = preset_settings(preset, {**many, **named, **overrides, "seed": 2**31 - 1})
    view = ViewState(RUN, OTHER, 10**9, preset, changes_from(chosen, preset))
    query = to_query(view)
    assert len(query) >= 16 and len(urlencode(query)) < 2000 - 100


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"run": "../../etc"}, "The link's 'run' is not the name of a run and was left out"),
        ({"run": ""}, "The link's 'run' is not the name of a run"),
        ({"beside": "x" * 65}, "The link's 'beside' is not the name of a run"),
        ({"at": "-1"}, "The link's 'at' is not the number of an iteration"),
        ({"at": "12345678901"}, "The link's 'at' is not the number of an iteration"),
        ({"at": "٣"}, "The link's 'at' is not the number of an iteration"),
        (
            {"preset": "fast"},
            "preset is unknown; interactive stands in for it, choose one of inter",
        ),
        (
            {"s.lambda_l": "2"},
            "Left out of the link: lambda_l = '2' is not allowed; it must be a nu",
        ),
        ({"s.lambda_l": "nan"}, "Left out of the link: lambda_l = 'nan' is not allowed"),
        ({"s.seed": ""}, "Left out of the link: seed = '' is not allowed"),
        (
            {"s.lambda_l": "0.9"},
            "Left out of the link: lambda_l = 0.9 must be below lambda_u = 0.8",
        ),
        ({"s.bit_overrides": "first"}, "pattern=bits with bits from 2 to 8"),
        ({"s.image_shape": "3,32"}, "Left out of the link: image_shape = "),
        ({"s.zz": "1"}, "names settings that this version does not have (zz); they were left out"),
        ({"s.[x](y)": "1"}, "does not have (one with an odd name)"),
        ({"s.": "1"}, "does not have (one with an odd name)"),
        ({"s.network": "resnet9"}, "Left out of the link: Unknown network 'resnet9'"),
        (
            {"s.network": "os:system"},
            "code of someone's own, which a page never runs, and was left",
        ),
        ({"s.weights": "/etc/passwd"}, "The link's 'weights' is a file or folder of some machine"),
        ({"s.weights": ""}, "The link's 'weights' is a file or folder of some machine"),
        ({"s.code_folder": "/tmp"}, "The link's 'code_folder' is a file or folder of some machine"),
        ({"s.data": "/home"}, "The link's 'data' is a file or folder of some machine"),
        ({"s.data": r"\\host\share"}, "The link's 'data' is a file or folder of some machine"),
        ({"s.bit_overrides": "[a](b)=4"}, "'bit_overrides' is longer than 500 characters or has"),
        ({"s.bit_overrides": "<b>=4"}, "'bit_overrides' is longer than 500 characters or has"),
        ({"s.seed": "1" * (MOST_CHARACTERS + 1)}, "'seed' is longer than 500 characters or has"),
    ],
)
def test_what_is_bad_is_left_out_and_told(query: dict[str, str], words: str) -> None:
    good = {"s.beta": "0.5", "s.generator_width": "32"}
    view = from_query({**query, **good})
    assert replace(view, problems=()) == ViewState(changes={"beta": 0.5, "generator_width": 32})
    (problem,) = view.problems
    assert words in problem and problem.endswith(".") and "\n" not in problem
    assert view.settings() == preset_settings(DEFAULT_PRESET, {"beta": 0.5, "generator_width": 32})


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["run", "beside", "at", "preset", "embed", "s.nope"])
        | st.sampled_from([f"s.{name}" for name in RunSettings.model_fields if name != "network"])
        | st.text(max_size=5),
        st.text(max_size=9) | st.sampled_from(["0.9", "1", "3,32,32", "true", "first=8", "None"]),
        max_size=8,
    )
)
def test_any_link_gives_a_view(query: dict[str, str]) -> None:
    view = from_query(query)
    assert not view.settings().names_own_code
    assert all(problem.endswith(".") and "\n" not in problem for problem in view.problems)
    # Nothing that Markdown would take for a link, a picture, HTML or a formula.
    assert not any(set("<>`$|") & set(problem) or "](" in problem for problem in view.problems)
    again = from_query(to_query(view))
    assert again == replace(view, problems=())


def test_settings_that_need_each_other_in_any_order() -> None:
    high, low = {"s.lambda_u": "0.95"}, {"s.lambda_l": "0.9"}
    both = {"lambda_l": 0.9, "lambda_u": 0.95}
    for query in ({**high, **low}, {**low, **high}):
        assert from_query(query) == ViewState(changes=both)
    long = {"s.warmup_epochs": "40", "s.epochs": "50"}
    assert from_query(long).settings().warmup_epochs == 40
    bad = from_query({"s.lambda_l": "0.9", "s.lambda_u": "0.5", "s.seed": "1"})
    assert bad.changes == {"lambda_u": 0.5, "seed": 1} and len(bad.problems) == 1


def test_a_run_over_itself() -> None:
    view = from_query({"run": RUN, "beside": RUN})
    assert (view.run_id, view.beside) == (RUN, None)
    assert "lays run" in view.problems[0] and RUN in view.problems[0]


def test_no_link_is_made_to_code_or_files() -> None:
    secret = {"network": "mine.py:net", "weights": "/w.pt", "code_folder": "/c", "data": "/d"}
    chosen = make_settings({**secret, "seed": 4}, preset_settings(DEFAULT_PRESET))
    view = ViewState(RUN, changes=changes_from(chosen, DEFAULT_PRESET))
    assert to_query(view) == {"run": RUN, "s.seed": "4"}


def test_parameters_of_others_are_ignored() -> None:
    assert from_query({"embed": "true", "utm_source": "x", "seed": "3"}) == ViewState()

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from stored_sheets import CLASSES, sheet

from adadfq_core.game.methods import losses
from adadfq_core.inspection.sample_table import COLUMNS, NO_ANSWER, sample_table, sheet_columns
from adadfq_core.settings import RunSettings


def table_of(arrays: dict[str, Any], iteration: int = 10, **settings: Any) -> pd.DataFrame:
    return sample_table([sheet_columns(iteration, arrays, RunSettings(**settings))], CLASSES)


def test_a_sample_worked_out_by_hand() -> None:
    """P says 1 to 2 odds for its class; p - q and p + q are logarithms of whole numbers too."""
    p, q = np.log([[2.0, 1.0, 1.0]]), np.log([[1.0, 4.0, 1.0]])
    arrays = sheet(0, 1, labels=np.array([0]), h_prime=np.array([0.25], np.float32))
    row = table_of(arrays | {"p_logits": p, "q_logits": q}, temperature=1.0).iloc[0]
    assert list(row[["iteration", "place", "class_index", "class_name"]]) == [10, 0, 0, "bag"]
    assert (row["h_prime"], row["adaptability"], row["region"]) == (0.25, 0.75, "inside")
    assert (row["p_class"], row["p_right"], row["q_class"], row["agree"]) == (0, True, 1, False)
    assert row["p_confidence"] == pytest.approx(1 / 2)
    assert row["q_confidence"] == pytest.approx(2 / 3)
    # softmax(p - q) is proportional to (2, 1/4, 1), softmax(p + q) to (2, 4, 1).
    assert row["loss_ds"] == pytest.approx(math.log(13 / 8))
    assert row["loss_as"] == pytest.approx(math.log(7 / 2))
    shares = [8 / 13, 1 / 13, 4 / 13]
    assert row["loss_q"] == pytest.approx(sum(share * math.log(share) for share in shares))


@pytest.mark.parametrize("method", ["adadfq", "gdfq"])
@pytest.mark.parametrize("temperature", [1.5, 20.0])
def test_the_mean_over_a_batch_is_the_loss_of_the_game(method: str, temperature: float) -> None:
    settings = RunSettings(method=method, temperature=temperature)
    arrays = sheet(3, 32)
    table = sample_table([sheet_columns(1, arrays, settings)], CLASSES)
    p, q, labels = (torch.from_numpy(arrays[k]) for k in ("p_logits", "q_logits", "labels"))
    expected = losses(p.double(), q.double(), labels, torch.zeros(()), settings)
    for name, loss in (
        ("loss_ds", expected.ds),
        ("loss_as", expected.agreement),
        ("loss_q", expected.q),
    ):
        assert table[name].mean() == pytest.approx(float(loss), rel=1e-5)


def test_the_ends_of_the_margin_are_inside() -> None:
    h_prime = np.array([0.0999, 0.1, 0.5, 0.8, 0.8001], np.float32)
    table = table_of(sheet(0, 5, h_prime=h_prime), lambda_l=0.1, lambda_u=0.8)
    assert table["region"].tolist() == ["under", "inside", "inside", "inside", "over"]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_answer_nothing(wrong: float) -> None:
    arrays = sheet(0, 3, labels=np.array([0, 1, 2]))
    arrays["p_logits"][1, 1] = arrays["q_logits"][1, 1] = wrong
    arrays["q_logits"][2, 0] = wrong
    table, sound = table_of(arrays), table_of(sheet(0, 3, labels=np.array([0, 1, 2])))
    assert table["p_class"].tolist() == [sound["p_class"][0], NO_ANSWER, sound["p_class"][2]]
    assert table["q_class"].tolist() == [sound["q_class"][0], NO_ANSWER, NO_ANSWER]
    assert table["p_confidence"].isna().tolist() == [False, True, False]
    assert table["q_confidence"].isna().tolist() == [False, True, True]
    assert not table["p_right"][1] and not table["agree"][1:].any()
    assert table["loss_q"].isna().tolist() == [False, True, True]
    # The samples beside it are as they would be without it.
    pd.testing.assert_frame_equal(table[:1], sound[:1])


def test_h_prime_that_is_not_a_number_lies_in_no_region() -> None:
    table = table_of(sheet(0, 2, h_prime=np.array([np.nan, 0.5], np.float32)))
    assert table["region"].isna().tolist() == [True, False]
    assert table["adaptability"].isna().tolist() == [True, False]


def test_sheets_of_different_sizes_follow_each_other() -> None:
    parts = [sheet_columns(i, sheet(i, n), RunSettings()) for i, n in ((1, 3), (2, 1), (3, 2))]
    table = sample_table(parts, CLASSES)
    assert table["iteration"].tolist() == [1, 1, 1, 2, 3, 3]
    assert table["place"].tolist() == [0, 1, 2, 0, 0, 1]
    assert table["class_name"].tolist() == [CLASSES[index] for index in table["class_index"]]


def test_an_empty_table_has_the_columns_and_types_of_a_full_one() -> None:
    empty = sample_table([], ())
    assert len(empty) == 0 and list(empty) == list(COLUMNS)
    assert empty.dtypes.to_dict() == table_of(sheet(0)).dtypes.to_dict()


def test_a_network_of_one_class() -> None:
    arrays = sheet(0, 2, classes=1, h_prime=np.zeros(2, np.float32))
    table = sample_table([sheet_columns(1, arrays, RunSettings())], ["all"])
    assert table["p_confidence"].tolist() == [1, 1] and table["agree"].all()
    assert table[["loss_ds", "loss_as", "loss_q"]].to_numpy().tolist() == [[0, 0, 0]] * 2


def test_classes_of_the_same_name_are_told_apart_by_their_index() -> None:
    arrays = sheet(0, 3, labels=np.array([0, 1, 2]))
    table = sample_table([sheet_columns(1, arrays, RunSettings())], ["crane", "crane", "coat"])
    assert table["class_name"].tolist() == ["crane", "crane", "coat"]
    assert table["class_index"].tolist() == [0, 1, 2]

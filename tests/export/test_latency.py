from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from adadfq_core.cores import cores
from adadfq_core.errors import InputError, RunFailed
from adadfq_core.export.latency import LatencyRow, measure_latency, remark, speed_up

IMAGE = (1, 4, 4)


def model(width: int, inputs: int = 1, fails_above: int | None = None) -> bytes:
    """Two matrix products through `width` numbers; it refuses batches above `fails_above`."""
    weights = {
        "wide": np.full((16, width), 1 / 16, np.float32),
        "narrow": np.full((width, 2), 1 / width, np.float32),
        "shape": np.array([-1, 16], np.int64),
    }
    nodes = [
        helper.make_node("Reshape", ["images", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "wide"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "narrow"], ["logits"]),
    ]
    if fails_above is not None:
        weights["shape"] = np.array([fails_above, 16], np.int64)
    names = ["images", "more"][:inputs]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *IMAGE]) for n in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = helper.make_opsetid("", 21)
    made: onnx.ModelProto = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    content: bytes = made.SerializeToString()
    return content


def test_the_model_with_more_work_is_slower_and_every_setting_has_its_row(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(model(2))
    models = {"large model": model(20_000), "small model": path}
    rows = measure_latency(models, IMAGE, batches=(2, 32), threads=(1,), repetitions=11)
    assert [(row.name, row.batch, row.threads) for row in rows] == [
        ("large model", 2, 1),
        ("small model", 2, 1),
        ("large model", 32, 1),
        ("small model", 32, 1),
    ]
    assert all(0 < row.low <= row.milliseconds <= row.high for row in rows)
    assert speed_up(rows, "large model", "small model") > 2
    assert speed_up(rows, "small model", "large model") < 0.5
    assert "The small model is faster than the large model" in remark(rows, "large model")


def test_threads_that_the_machine_has_not_are_left_out() -> None:
    threads = (1, cores(), cores() + 1)
    rows = measure_latency({"model": model(2)}, IMAGE, (1,), threads, repetitions=1)
    assert [row.threads for row in rows] == [1, cores()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batches": (0,)}, "batch size is 0; give whole numbers of at least 1"),
        ({"batches": ()}, "batch size is none"),
        ({"threads": (1, -2)}, "number of threads is -2"),
        ({"threads": (100_000,)}, r"100000 threads are more .* measure with 1 to \d+ threads"),
        ({"repetitions": 0}, "number of repetitions is 0"),
        ({"image_shape": (3, 4, 4)}, r"takes \['batch', 1, 4, 4\], not images of \[1, 3, 4, 4\]"),
        ({"models": {"model": b"no model"}}, "The model is no ONNX model"),
        ({"models": {"model": model(2, inputs=2)}}, "give a model of one input"),
        ({"models": {"model": Path("nowhere.onnx")}}, "There is no file nowhere.onnx"),
    ],
)
def test_what_cannot_be_measured_is_told_in_a_sentence(
    changes: dict[str, Any], message: str
) -> None:
    valid: dict[str, Any] = {
        "models": {"model": model(2)},
        "image_shape": IMAGE,
        "batches": (1,),
        "threads": (1,),
        "repetitions": 1,
    }
    with pytest.raises(InputError, match=message) as caught:
        measure_latency(**{**valid, **changes})
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("notes", encoding="utf-8")
    with pytest.raises(InputError, match=r"notes\.onnx is no ONNX model .* export it again"):
        measure_latency({"model": path}, IMAGE, (1,), (1,), repetitions=1)


def test_a_batch_that_the_model_cannot_compute_is_a_failure() -> None:
    models = {"odd model": model(2, fails_above=1)}
    assert len(measure_latency(models, IMAGE, (1,), (1,), repetitions=1)) == 1
    with pytest.raises(RunFailed, match=r"cannot compute the odd model for 8 images at once"):
        measure_latency(models, IMAGE, (8,), (1,), repetitions=1)


def rows_of(**milliseconds: Sequence[float]) -> list[LatencyRow]:
    """One row for each number, of batch sizes 1, 2, ..."""
    return [
        LatencyRow(name.replace("_", " "), batch, 1, time, time, time)
        for name, times in milliseconds.items()
        for batch, time in enumerate(times, 1)
    ]


def test_the_speed_up_is_the_geometric_mean_of_the_ratios() -> None:
    rows = rows_of(float_network=[4, 1], file=[1, 1])
    assert speed_up(rows, "float network", "file") == pytest.approx(2)
    assert speed_up(rows, "file", "float network") == pytest.approx(0.5)


def test_only_rows_of_equal_batch_and_threads_are_compared() -> None:
    base = LatencyRow("base", 1, 1, 4, 4, 4)
    rows = [base, LatencyRow("file", 1, 1, 2, 2, 2), LatencyRow("file", 1, 2, 1, 1, 1)]
    assert speed_up(rows, "base", "file") == pytest.approx(2)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            rows_of(float_network=[2], file=[5]),
            "The file is slower than the float network (0.4 times as fast): few bits bring size, "
            "not speed, since no kernel here computes below 8 bits.",
        ),
        (
            rows_of(float_network=[3], file=[2]),
            "The file is faster than the float network (1.5 times as fast): fewer than 8 bits make "
            "smaller files, not faster ones, since no kernel here computes below 8 bits.",
        ),
        (
            rows_of(float_network=[100, 100], file=[96, 104]),
            "The file is about as fast as the float network: few bits bring size, not speed, since "
            "no kernel here computes below 8 bits.",
        ),
        (
            rows_of(float_network=[2, 2], file=[4, 1]),
            "The file is slower or faster than the float network (0.5 to 2 times as fast): fewer "
            "than 8 bits make smaller files, not faster ones, since no kernel here computes below "
            "8 bits.",
        ),
        (
            rows_of(float_network=[2], bit_true_file=[4], runtime_file=[1]),
            "The bit true file is slower than the float network (0.5 times as fast) and the "
            "runtime file is faster than the float network (2 times as fast): fewer than 8 bits "
            "make smaller files, not faster ones, since no kernel here computes below 8 bits.",
        ),
    ],
)
def test_the_remark_is_right_in_either_direction(rows: list[LatencyRow], expected: str) -> None:
    assert remark(rows, "float network") == expected


def test_the_order_of_the_rows_does_not_turn_the_remark_round() -> None:
    rows = rows_of(float_network=[2], file=[5])
    assert remark(rows[::-1], "float network") == remark(rows, "float network")


@pytest.mark.parametrize("base", ["float network", "unknown"])
def test_nothing_to_compare_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        remark(rows_of(float_network=[1]), base)

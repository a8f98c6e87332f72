from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adadfq_core.ablation import designs
from adadfq_core.ablation.axes import parse_axis
from adadfq_core.ablation.plan import MOST_CELLS, Plan
from adadfq_core.errors import InputError


def axes(*texts: str) -> list[Any]:
    return [parse_axis(text) for text in texts]


MARGIN = ("lambda_l=0:0.4:5", "lambda_u=0.5:0.9:5")


def test_the_last_axis_of_a_grid_is_the_fastest() -> None:
    assert designs.grid(axes("bits=3,4", "method=gdfq,real", "beta=1")) == (
        {"bits": 3, "method": "gdfq", "beta": 1.0},
        {"bits": 3, "method": "real", "beta": 1.0},
        {"bits": 4, "method": "gdfq", "beta": 1.0},
        {"bits": 4, "method": "real", "beta": 1.0},
    )
    assert len(designs.grid(axes(*MARGIN))) == 25


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ((), "There is no axis; name at least one"),
        (("beta=1", "bits=3", "beta=2"), "The axis beta is named twice"),
        (("bits=3,4", "weight_bits=4"), "bits and weight_bits both decide weight_bits; keep one"),
        (("what_if=AdaDFQ,GDFQ", "method=gdfq"), "what_if and method both decide method"),
        (("alpha_ds=0,1", "what_if=without L_ds"), "alpha_ds and what_if both decide alpha_ds"),
    ],
)
def test_axes_that_do_not_go_together(texts: tuple[str, ...], sentence: str) -> None:
    for design in (
        designs.grid,
        lambda found: designs.random(found, 1, 0),
        lambda found: designs.latin(found, 1, 0),
    ):
        with pytest.raises(InputError, match=sentence):
            design(axes(*texts))


def test_a_grid_needs_counts_and_has_a_largest_size() -> None:
    with pytest.raises(InputError, match=r"number of values of beta; write beta=0:2:5"):
        designs.grid(axes("beta=0:2"))
    whole = ("lambda_l=0:0.4:100", "lambda_u=0.5:0.9:100")
    assert len(designs.grid(axes(*whole))) == MOST_CELLS
    with pytest.raises(InputError, match="A design of 20000 points is not allowed; ask for 1 to"):
        designs.grid(axes(*whole, "bits=3,4"))


@pytest.mark.parametrize("draw", [designs.random, designs.latin])
@pytest.mark.parametrize("count", [0, -1, MOST_CELLS + 1])
def test_counts_that_are_not_allowed(draw: Any, count: int) -> None:
    with pytest.raises(InputError, match=f"A design of {count} points is not allowed"):
        draw(axes("beta=0:2"), count, 0)
    with pytest.raises(InputError, match="seed -1 is not allowed"):
        draw(axes("beta=0:2"), 3, -1)


@pytest.mark.parametrize("draw", [designs.random, designs.latin])
def test_drawn_points_depend_on_the_seed_alone_and_lie_in_their_ranges(draw: Any) -> None:
    found = axes("lambda_l=0:0.4:5", "lr_q=1e-5:1e-3:log", "bits=3:5", "method=adadfq,gdfq")
    points = draw(found, 40, 7)
    assert points == draw(found, 40, 7)
    assert points != draw(found, 40, 8)
    assert len(points) == 40
    for point in points:
        assert list(point) == ["lambda_l", "lr_q", "bits", "method"]
        assert 0 <= point["lambda_l"] <= 0.4 and 1e-5 <= point["lr_q"] <= 1e-3
        assert point["bits"] in (3, 4, 5) and point["method"] in ("adadfq", "gdfq")
    # Half of a logarithmic range lies below its geometric mean: far from the arithmetic one.
    below = sum(point["lr_q"] < 1e-4 for point in points)
    assert 10 <= below <= 30


def test_random_points_are_different_ones() -> None:
    found = axes("bits=3:6", "method=adadfq,gdfq")
    points = designs.random(found, 8, 0)
    assert {tuple(point.values()) for point in points} == {
        (bits, method) for bits in (3, 4, 5, 6) for method in ("adadfq", "gdfq")
    }
    with pytest.raises(InputError, match="too few different points for 9 random ones"):
        designs.random(found, 9, 0)


def test_a_latin_hypercube_meets_every_part_of_every_axis_once() -> None:
    points = designs.latin(axes("lambda_l=0:1", "lr_q=1e-4:1:log", "bits=3,4,5,6"), 20, 3)
    parts = sorted(int(20 * point["lambda_l"]) for point in points)
    assert parts == list(range(20))
    log_parts = sorted(int(5 * (np.log10(point["lr_q"]) + 4)) for point in points)
    assert log_parts == list(range(20))
    assert set(collections.Counter(point["bits"] for point in points).values()) == {5}


def test_points_of_a_latin_hypercube_that_fall_together_are_kept_once() -> None:
    points = designs.latin(axes("bits=3,4", "method=adadfq,gdfq"), 30, 0)
    assert len(points) == 4
    assert len({tuple(point.values()) for point in points}) == 4


LISTED = ({"lambda_l": 0.1, "bits": 3}, {"lambda_l": 0.2, "bits": 4})


@pytest.mark.parametrize(
    "text",
    [
        "lambda_l=0.1,bits=3;lambda_l=0.2,bits=4",
        "\n lambda_l = 0.1 , bits = 3 \n\n lambda_l=0.2,bits=4 ;\n",
        "lambda_l=0.1,bits=3\r\nbits=4,lambda_l=0.2",
    ],
)
def test_points_that_are_written_out(text: str) -> None:
    assert designs.listed(text) == LISTED


@pytest.mark.parametrize(
    "text",
    [
        "lambda_l,bits\n0.1,3\n0.2,4\n",
        "\ufefflambda_l;bits\r\n0.1;3\r\n\r\n0.2;4",
        '"lambda_l", bits\n"0.1",3.0\n0.2, 4.0\n',
    ],
)
def test_points_of_a_table(text: str, tmp_path: Path) -> None:
    assert designs.from_csv(text) == LISTED
    (tmp_path / "points.csv").write_bytes(text.encode())
    assert designs.read_points(tmp_path / "points.csv") == LISTED


def test_points_that_pandas_has_written(tmp_path: Path) -> None:
    points = designs.grid(axes("bit_overrides=;first=8,last=8", "class_shift=true,false", "beta=1"))
    table = pd.DataFrame(points)
    table.to_csv(tmp_path / "points.csv", index=False)
    assert designs.read_points(tmp_path / "points.csv") == points
    with pytest.raises(InputError, match="A column of the table of points has no name"):
        designs.from_csv(table.to_csv())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There are no points; name at least one, for example lambda_l=0.1,lambda_u=0.8"),
        (" ; \n", "There are no points"),
        ("0.1", "^The point '0.1' is not of the form"),
        ("beta=1;gamma=2", "^Point 2 names gamma, but the first names beta; name the same"),
        ("beta=1;beta=2,bits=3", "^Point 2 names beta, bits, but the first names beta"),
        ("beta=1,beta=2", "The axis beta is named twice"),
        ("beta=1;beta=200", "^Point 2: beta = '200' is not allowed; it must be a number from 0"),
        ("beta=1;beta=1.0", "^Point 2 is the same as point 1; name each point once"),
        ("seed=1", "The seed is not an axis"),
        ("bits=3,weight_bits=4", "bits and weight_bits both decide weight_bits"),
    ],
)
def test_written_points_that_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        designs.listed(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There are no points"),
        ("beta\n", "There are no points"),
        ("beta,gamma\n1\n", "^Line 2 of the table of points has 1 values for 2 columns"),
        ("beta,gamma\n1,2,3\n", "^Line 2 of the table of points has 3 values for 2 columns"),
        ("beta,gamma\n1,\n", "^Line 2: gamma = '' is not allowed; it must be a number"),
        ("beta\n\n1\n2e9\n", "^Line 4: beta = '2e9' is not allowed"),
        ("beta,beta\n1,2\n", "The axis beta is named twice"),
        ("beta,beata\n1,2\n", "Unknown setting 'beata'"),
        ('beta\n"1\n', "cannot be read .*; write it as CSV with a header"),
        ("beta\n" + "1\n" * (MOST_CELLS + 1), f"design of {MOST_CELLS + 1} points is not allowed"),
    ],
)
def test_tables_of_points_that_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        designs.from_csv(text)


def test_files_of_points_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.csv' cannot be read \(No such file"):
        designs.read_points(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        designs.read_points(tmp_path)
    (tmp_path / "latin1.csv").write_bytes("beta\n1 # größe".encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8 text; save it as CSV in UTF-8"):
        designs.read_points(tmp_path / "latin1.csv")
    (tmp_path / "huge.csv").write_bytes(b"\n" * ((16 << 20) + 1))
    with pytest.raises(InputError, match="is larger than 16 MiB; a sweep has at most 10000"):
        designs.read_points(tmp_path / "huge.csv")


def plan_of(*texts: str, **others: Any) -> Plan:
    found = axes(*texts)
    names = tuple(axis.name for axis in found)
    return Plan(axes=names, points=designs.grid(found), **others)


def test_cells_in_the_triangle_are_refused_with_the_reason() -> None:
    plan = plan_of("lambda_l=0.2,0.6", "lambda_u=0.4,0.6", seeds=(0, 1))
    going, refused = designs.feasible(plan)
    assert [(cell.index, cell.point["lambda_l"], cell.seed) for cell in going] == [
        (0, 0.2, 0),
        (1, 0.2, 0),
        (4, 0.2, 1),
        (5, 0.2, 1),
    ]
    assert [cell.index for cell, _ in refused] == [2, 3, 6, 7]
    assert refused[0][1] == (
        "lambda_l = 0.6 must be below lambda_u = 0.4; lower lambda_l or raise lambda_u."
    )


def test_seeds_count_towards_the_largest_size() -> None:
    plan = plan_of("lambda_l=0:0.4:100", "lambda_u=0.5:0.9:100", seeds=(0, 1))
    with pytest.raises(InputError, match=r"10000 points with 2 seed\(s\) make 20000 runs; at most"):
        designs.feasible(plan)

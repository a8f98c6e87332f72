"""What the live chart sends: only what changed, and enough to survive lost messages."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from app.components.live_chart.delta import Channel, plan_update
from app.components.live_chart.snapshot import pack, take_snapshot


def curve(points: int, *, name: str = "loss", **style: Any) -> go.Scatter:
    steps = np.arange(points)
    return go.Scatter(x=steps, y=np.sqrt(steps), name=name, **style)


class Sender:
    """The Python side of one chart; each complete figure gets the next base name."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.bases = 0

    def send(self, *traces: Any, revision: str = "run-1", **layout: Any) -> dict[str, Any]:
        self.bases += 1
        figure = go.Figure(list(traces), layout=layout)
        self.channel, message = plan_update(
            self.channel, take_snapshot(figure, revision), new_base=f"base-{self.bases}"
        )
        # The wire is JSON as browsers read it, which know neither NaN nor Infinity.
        return json.loads(json.dumps(message, allow_nan=False))


class Receiver:
    """What the browser's script does with the messages, in Python."""

    def __init__(self) -> None:
        self.base: str | None = None
        self.seq = 0
        self.layout: dict[str, Any] = {}
        self.traces: list[dict[str, Any]] = []

    def receive(self, message: dict[str, Any]) -> bool:
        """Apply a message; False means that the complete figure has to be asked for."""
        if message["kind"] == "full":
            self.base, self.seq = message["base"], message["seq"]
            self.layout, self.traces = message["layout"], unpack(message["traces"])
            return True
        if message["base"] != self.base or not message["since"] <= self.seq <= message["seq"]:
            return False
        for tail in message["tails"]:
            *parents, last = tail["path"].split(".")
            place: Any = self.traces[tail["trace"]]
            for parent in parents:
                place = place[int(parent)] if isinstance(place, list) else place[parent]
            place[last] = place[last] + unpack(tail["values"])[len(place[last]) - tail["start"] :]
        self.layout = message["layout"] or self.layout
        self.seq = message["seq"]
        return True


def unpack(value: Any) -> Any:
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "bdata" not in value:
        return {name: unpack(item) for name, item in value.items()}
    numbers = np.frombuffer(base64.b64decode(value["bdata"]), dtype=f"<{value['dtype']}")
    cells = numbers.astype(float).reshape(value["shape"]).astype(object)
    cells[cells != cells] = None
    return cells.tolist()


@pytest.fixture
def sender() -> Sender:
    return Sender()


def test_the_first_message_is_the_complete_figure(sender: Sender) -> None:
    message = sender.send(curve(3), xaxis_title="Iteration")
    assert message["kind"] == "full"
    assert message["revision"] == "run-1"
    assert message["layout"] == {"xaxis": {"title": {"text": "Iteration"}}}
    assert message["traces"][0]["x"] == [0, 1, 2]


def test_growth_sends_the_tail_alone(sender: Sender) -> None:
    sender.send(curve(100))
    message = sender.send(curve(103))
    assert (message["kind"], message["since"], message["seq"]) == ("delta", 0, 1)
    assert message["layout"] is None
    assert [(t["path"], t["start"]) for t in message["tails"]] == [("x", 100), ("y", 100)]
    assert message["tails"][0]["values"] == [100, 101, 102]
    assert len(json.dumps(message)) < 400


def test_an_unchanged_figure_sends_nothing(sender: Sender) -> None:
    sender.send(curve(100), xaxis_title="Iteration")
    message = sender.send(curve(100), xaxis_title="Iteration")
    assert message["tails"] == []
    assert message["layout"] is None
    assert (message["since"], message["seq"]) == (0, 0)


def test_a_repeated_figure_repeats_the_message(sender: Sender) -> None:
    sender.send(curve(100))
    assert sender.send(curve(101)) == sender.send(curve(101))


def test_a_new_layout_goes_without_data(sender: Sender) -> None:
    sender.send(curve(100), title_text="Losses, iteration 1")
    message = sender.send(curve(100), title_text="Losses, iteration 2")
    assert message["kind"] == "delta"
    assert message["tails"] == []
    assert message["layout"] == {"title": {"text": "Losses, iteration 2"}}


@pytest.mark.parametrize(
    "after",
    [
        pytest.param([curve(5, line_dash="dot")], id="style"),
        pytest.param([curve(5, name="other")], id="name"),
        pytest.param([curve(4)], id="shrunk"),
        pytest.param([go.Scatter(x=[0, 1, 2, 3, 9], y=np.sqrt(np.arange(5)))], id="edited"),
        pytest.param([curve(5), curve(5, name="second")], id="trace added"),
        pytest.param([], id="trace removed"),
        pytest.param([curve(5, text=list("abcde"))], id="array added"),
        pytest.param([go.Bar(x=[1], y=[1])], id="type"),
    ],
)
def test_other_changes_send_the_complete_figure(sender: Sender, after: list[Any]) -> None:
    before = sender.send(curve(5))
    message = sender.send(*after)
    assert message["kind"] == "full"
    assert message["base"] != before["base"]
    assert len(message["traces"]) == len(after)


def test_a_new_revision_sends_the_complete_figure(sender: Sender) -> None:
    sender.send(curve(5))
    message = sender.send(curve(5), revision="run-2")
    assert (message["kind"], message["revision"]) == ("full", "run-2")


@pytest.mark.parametrize("points", [4, 200])
def test_gaps_are_null_or_nan_and_count_as_unchanged(sender: Sender, points: int) -> None:
    losses = np.linspace(0, 1, points)
    losses[1] = np.nan
    receiver = Receiver()
    receiver.receive(sender.send(go.Scatter(y=losses)))
    assert receiver.traces[0]["y"][:3:2] == pytest.approx(losses[:3:2])
    assert receiver.traces[0]["y"][1] is None
    message = sender.send(go.Scatter(y=[*losses, np.nan, np.inf, 5.0]))
    assert message["tails"][0]["values"] == [None, None, 5.0]


def test_nested_arrays_grow_too(sender: Sender) -> None:
    def figure(points: int) -> go.Scatter:
        return curve(
            points,
            marker_size=list(range(points)),
            customdata=[[f"id{i}", i] for i in range(points)],
        )

    receiver = Receiver()
    receiver.receive(sender.send(figure(3)))
    message = sender.send(figure(5))
    assert {tail["path"] for tail in message["tails"]} == {"x", "y", "marker.size", "customdata"}
    assert receiver.receive(message)
    assert receiver.traces[0]["marker"]["size"] == [0, 1, 2, 3, 4]
    assert receiver.traces[0]["customdata"][-1] == ["id4", 4]


def test_a_chart_in_space_grows_and_keeps_its_ids_exact(sender: Sender) -> None:
    def cloud(points: int) -> go.Scatter3d:
        places = np.linspace(-1, 1, 200)[:points]
        ids = [2**40 + number for number in range(points)]
        return go.Scatter3d(x=places, y=places**2, z=-places, customdata=ids, mode="markers")

    receiver = Receiver()
    receiver.receive(sender.send(cloud(100), scene={"xaxis": {"title": {"text": "first"}}}))
    message = sender.send(cloud(103), scene={"xaxis": {"title": {"text": "first"}}})
    assert [(tail["path"], tail["start"]) for tail in message["tails"]] == [
        (path, 100) for path in ("customdata", "x", "y", "z")
    ]
    assert receiver.receive(message)
    (trace,) = receiver.traces
    assert trace["customdata"] == [2**40 + number for number in range(103)]
    assert trace["z"] == pytest.approx(-np.linspace(-1, 1, 200)[:103], abs=1e-5)
    assert receiver.layout == {"scene": {"xaxis": {"title": {"text": "first"}}}}


def test_an_emptied_chart_can_start_from_nothing(sender: Sender) -> None:
    receiver = Receiver()
    for points in (0, 1, 70):
        assert receiver.receive(sender.send(curve(points)))
    assert receiver.traces[0]["x"] == list(range(70))


@pytest.mark.parametrize("seed", range(5))
def test_lost_and_repeated_messages_do_no_harm(sender: Sender, seed: int) -> None:
    random = np.random.default_rng(seed)
    receiver = Receiver()
    receiver.receive(sender.send(curve(0), title_text="0"))
    points = 0
    for number in range(1, 60):
        points += int(random.integers(0, 40))
        title = str(number // 7)
        message = sender.send(curve(points), title_text=title)
        lost = random.random() < 0.5 and number < 59
        if lost or not receiver.receive(message):
            continue
        receiver.receive(message)
        assert receiver.traces[0]["x"] == list(range(points))
        assert receiver.traces[0]["y"] == pytest.approx(np.sqrt(np.arange(points)), rel=1e-5)
        assert receiver.layout == {"title": {"text": title}}


def test_a_long_gap_is_noticed_and_healed(sender: Sender) -> None:
    receiver = Receiver()
    receiver.receive(sender.send(curve(0)))
    for points in range(1, 20):
        message = sender.send(curve(points))
    assert not receiver.receive(message)
    assert not Receiver().receive(message), "a remounted chart holds nothing"
    sender.channel = None  # what the browser's request for the complete figure does
    assert receiver.receive(sender.send(curve(20)))
    assert receiver.traces[0]["x"] == list(range(20))


def test_an_update_stays_small_when_much_is_appended(sender: Sender) -> None:
    sender.send(curve(0))
    for number in range(1, 9):
        message = sender.send(curve(3000 * number))
    assert message["tails"][0]["start"] == 21_000


def test_arrays_are_packed_tightly_but_well_enough_for_drawing() -> None:
    assert pack(np.arange(200.0))["dtype"] == "u1"  # type: ignore[index, call-overload]
    assert pack(np.arange(70_000.0))["dtype"] == "i4"  # type: ignore[index, call-overload]
    assert pack(np.linspace(0, 1, 100))["dtype"] == "f4"  # type: ignore[index, call-overload]
    almost_equal = 1e6 + np.linspace(0, 1, 100)
    assert pack(almost_equal)["dtype"] == "f8"  # type: ignore[index, call-overload]


def test_page_owned_layout_is_left_out() -> None:
    figure = go.Figure(layout={"template": "plotly_dark", "width": 300, "uirevision": 1})
    assert take_snapshot(figure, "run-1").layout == {}


def test_values_of_every_kind_can_be_sent(sender: Sender) -> None:
    dates = np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[ns]")
    message = sender.send(
        go.Scatter(x=dates, y=(1, None), meta={"n": np.int64(3)}),
        go.Heatmap(z=np.eye(10)),
        go.Bar(x=["a", "b"], y=np.array([True, False])),
    )
    scatter, heatmap, bar = message["traces"]
    assert scatter["x"][0].startswith("2024-01-01")
    assert scatter["y"] == [1, None]
    assert heatmap["z"]["shape"] == [10, 10]
    assert bar["x"] == ["a", "b"]

"""TensorBoard's summaries of what a run logged, in the conventions of its plugins."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence

from PIL import Image
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb

from adadfq_core.runs.records import RunInfo, RunStatus
from adadfq_core.settings_file import to_yaml
from adadfq_core.sinks.readings import H_PRIME_ENDS, hyperparameters

BINS = 20
"""Bins of equal width of the histogram of H', over [0, 1]."""

_SESSION_ENDS = {
    RunStatus.FINISHED: api_pb2.STATUS_SUCCESS,
    RunStatus.FAILED: api_pb2.STATUS_FAILURE,
}


def scalar_summary(values: Mapping[str, float]) -> Summary:
    """Numbers by tag."""
    return Summary(value=[Summary.Value(tag=tag, simple_value=n) for tag, n in values.items()])


def text_summary(tag: str, text: str) -> Summary:
    """A text, which is shown as Markdown."""
    return text_pb(tag, text)


def opening_summaries(info: RunInfo) -> list[Summary]:
    """What stands before the first iteration: the session, the settings, and how to read H'.

    That is a text of its own, as TensorBoard's usual reader drops descriptions of tags.
    """
    settings = textwrap.indent(to_yaml(info.settings, info.preset), "    ")
    return [
        session_start_summary(info),
        text_summary("settings", settings),
        text_summary("about", H_PRIME_ENDS),
    ]


def histogram_summary(counts: Sequence[int]) -> Summary:
    """The histogram of H': how many of the samples lie in each of the `BINS` bins."""
    middles = [(bin + 0.5) / BINS for bin in range(BINS)]
    filled = [bin for bin, n in enumerate(counts) if n] or [0, BINS - 1]
    histogram = HistogramProto(
        # TensorBoard draws the outermost bins that hold something as far as these.
        min=filled[0] / BINS,
        max=(filled[-1] + 1) / BINS,
        num=sum(counts),
        sum=sum(n * middle for n, middle in zip(counts, middles, strict=True)),
        sum_squares=sum(n * middle**2 for n, middle in zip(counts, middles, strict=True)),
        bucket_limit=[(bin + 1) / BINS for bin in range(BINS)],
        bucket=counts,
    )
    return Summary(value=[Summary.Value(tag="h_prime", histo=histogram)])


def image_summary(png: bytes) -> Summary:
    """A sheet of images, one picture as it is."""
    picture = Image.open(io.BytesIO(png))
    shown = Summary.Image(
        height=picture.height,
        width=picture.width,
        colorspace=len(picture.getbands()),
        encoded_image_string=png,
    )
    return Summary(value=[Summary.Value(tag="images/sheet", image=shown)])


def session_start_summary(info: RunInfo) -> Summary:
    """The run as a session of the HParams plugin, with its hyper-parameters.

    There is no summary of the experiment beside it: without one, TensorBoard finds out from all
    runs of a folder what differs and over which range, and takes every scalar as a metric.
    """
    return hparams_pb(hyperparameters(info.settings), info.run_id, info.created)


def session_end_summary(info: RunInfo) -> Summary | None:
    """The end of the session; `None` for a run that is going or may well go on.

    TensorBoard reads the first end alone: if a failed run is resumed, it stays a failure there.
    """
    status = _SESSION_ENDS.get(info.status)
    if status is None:
        return None
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=info.updated)
    about = hparams_metadata.create_summary_metadata(
        plugin_data_pb2.HParamsPluginData(session_end_info=end)
    )
    value = Summary.Value(
        tag=hparams_metadata.SESSION_END_INFO_TAG,
        metadata=about,
        tensor=hparams_metadata.NULL_TENSOR,
    )
    return Summary(value=[value])

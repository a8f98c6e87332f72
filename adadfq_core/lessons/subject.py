"""The bundled network and the real images that the lessons measure it with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import fx

from adadfq_core.quant.capture import capture
from adadfq_core.quant.convert import quantize_graph
from adadfq_core.training.evaluation import top1
from adadfq_core.zoo.evaluation_data import EvaluationData, load_evaluation_data
from adadfq_core.zoo.registry import find

NETWORK = "fashion-resnet20"
# Half of them set ranges, half measure: a second for each number of bits on one core.
IMAGES = 1000
CALIBRATION_BATCHES = 10


@dataclass(frozen=True)
class Subject:
    """P with two sets of real images that have none in common.

    Attributes:
        graph: P as `quant.capture` captures it; shared, so nothing may hang hooks on it.
        known: images that set the activation ranges and make the real batches.
        measured: images that accuracy is measured on.
    """

    graph: fx.GraphModule
    known: EvaluationData
    measured: EvaluationData

    @cached_property
    def top1(self) -> float:
        """P's accuracy on `measured` in percent."""
        return top1(self.graph, self.measured.images, self.measured.labels)

    def quantized_top1(self, bits: int) -> float:
        """Accuracy on `measured` in percent with all weights and activations at `bits` bits.

        The activation ranges are those of the real images in `known`; nothing is trained.

        Raises:
            ValueError: `bits` outside 2..8.
        """
        q = quantize_graph(self.graph, bits, bits)
        with torch.inference_mode(), q.observing_ranges():
            for part in self.known.spread(len(self.known.labels)).chunk(CALIBRATION_BATCHES):
                q(self.known.images[part])
        return top1(q, self.measured.images, self.measured.labels)


def load_subject() -> Subject:
    """The bundled network and its real test images.

    Raises:
        InputError: the bundled files are missing or damaged.
    """
    entry = find(NETWORK)
    assert entry.data is not None
    known, measured = load_evaluation_data(entry.data, entry.images, IMAGES).halves()
    return Subject(capture(entry.load(), measured.images[:2]), known, measured)

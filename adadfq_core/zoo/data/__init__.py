"""Labelled pictures that measure a network: opening a user's own or a named data set."""

from adadfq_core.zoo.data.opening import KINDS, open_data
from adadfq_core.zoo.data.pixels import LabelledPixels

__all__ = ["KINDS", "LabelledPixels", "open_data"]

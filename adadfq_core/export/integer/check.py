"""The integer computation beside the fake-quantized network, activation by activation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from adadfq_core.errors import InputError
from adadfq_core.export.accuracy import Accuracy, Agreement, accuracy, agreement
from adadfq_core.export.frozen import ActivationCoder, FrozenNetwork
from adadfq_core.export.integer.arithmetic import Integers
from adadfq_core.export.integer.compiler import compile_graph
from adadfq_core.export.integer.formats import Format
from adadfq_core.export.integer.inference import AtSite
from adadfq_core.export.integer.model import read_graph

LARGEST_HONEST_DIFFERENCE = 1
"""In codes: float round-off may lead a value past the middle between two codes, no further."""


class ImageSource(Protocol):
    """Normalised images, floats `(n, C, H, W)` when taken out."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice, /) -> Tensor: ...


@dataclass(frozen=True)
class SiteComparison:
    """Codes of one activation in both networks, over all images.

    Attributes:
        name: in the file.
        equal: codes that are the same.
        codes: all.
        largest: the largest difference, in codes.
    """

    name: str
    equal: int
    codes: int
    largest: int

    @property
    def percent(self) -> float:
        """Equal codes in percent."""
        return 100 * self.equal / self.codes


@dataclass(frozen=True)
class IntegerCheck:
    """What an exported network computes with integers alone, beside the fake-quantized network.

    Attributes:
        images: compared.
        site_by_site: each activation computed from the other network's codes of those before, so
            that differences cannot add up.
        end_to_end: each computed from the integer network's own codes.
        agreement: of the logits, end to end.
        integer, fake_quantized: top-1 of either network; `None` without labels.
    """

    images: int
    site_by_site: tuple[SiteComparison, ...]
    end_to_end: tuple[SiteComparison, ...]
    agreement: Agreement
    integer: Accuracy | None
    fake_quantized: Accuracy | None

    @property
    def holds(self) -> bool:
        """Whether no code differs by more than 1 site by site.

        A small error in the file may stay within that: the share of equal codes tells it, which
        is far above 99 % where float round-off alone makes the difference.
        """
        return all(site.largest <= LARGEST_HONEST_DIFFERENCE for site in self.site_by_site)


def check_integers(
    model: Path | onnx.ModelProto,
    network: FrozenNetwork,
    images: ImageSource,
    labels: Tensor | None = None,
    batch: int = 64,
) -> IntegerCheck:
    """Run an exported network with integers alone and compare it with `network`, its origin.

    Args:
        images: at least one.
        labels: classes `(n,)`.
        batch: images at a time, which bounds the memory.

    Raises:
        InputError: no such file, a damaged one, one of another network, an operation without an
            integer form, or images that are not normalised as the file says.
        RunFailed: a sum could leave 32 bits.
    """
    program = compile_graph(read_graph(model))
    coders = {
        n: m for n, m in network.graph_module.named_modules() if isinstance(m, ActivationCoder)
    }
    if different := set(program.sites).symmetric_difference(coders):
        raise InputError(
            f"The file and the network do not have the same activations ({min(different)} is in "
            "one of them alone); give both of one export."
        )
    alone, together = _Comparison(program.sites), _Comparison(program.sites)
    logits: list[Tensor] = []
    expected: list[Tensor] = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        integers = _integers(part, program.image_format)
        with _codes_of(coders) as codes, torch.no_grad():
            expected.append(network(part))
        program.run(integers, alone.beside(codes, go_on_with_theirs=True))
        results = program.run(integers, together.beside(codes, go_on_with_theirs=False))
        # For people: one step for all classes, so that the order stays.
        logits.append(torch.from_numpy(results * program.logit_format.step[0]))
    ours, theirs = torch.cat(logits), torch.cat(expected)
    return IntegerCheck(
        images=len(ours),
        site_by_site=alone.sites(),
        end_to_end=together.sites(),
        agreement=agreement(ours, theirs),
        integer=None if labels is None else accuracy(ours, labels),
        fake_quantized=None if labels is None else accuracy(theirs, labels),
    )


class _Comparison:
    """Counts equal codes and the largest difference of each activation."""

    def __init__(self, sites: tuple[str, ...]) -> None:
        self._found = {name: SiteComparison(name, 0, 0, 0) for name in sites}

    def beside(self, theirs: dict[str, Integers], go_on_with_theirs: bool) -> AtSite:
        """Compares the codes of a run with `theirs`, with which it goes on or does not."""

        def compare(name: str, codes: Integers) -> Integers:
            so_far, expected = self._found[name], theirs[name]
            difference = np.abs(codes.astype(np.int16) - expected.astype(np.int16))
            self._found[name] = SiteComparison(
                name,
                so_far.equal + int(np.count_nonzero(difference == 0)),
                so_far.codes + difference.size,
                max(so_far.largest, int(difference.max())),
            )
            return expected if go_on_with_theirs else codes

        return compare

    def sites(self) -> tuple[SiteComparison, ...]:
        return tuple(self._found.values())


@contextmanager
def _codes_of(coders: dict[str, ActivationCoder]) -> Iterator[dict[str, Integers]]:
    """Filled with the codes of every coder by the forward passes inside."""
    codes: dict[str, Integers] = {}

    def keep(name: str, coder: nn.Module, _: object, values: Tensor) -> None:
        assert isinstance(coder, ActivationCoder)
        exact = torch.round(values / coder.step) + coder.zero_point
        codes[name] = exact.to(coder.zero_point.dtype).numpy()

    handles = [coder.register_forward_hook(partial(keep, name)) for name, coder in coders.items()]
    try:
        yield codes
    finally:
        for handle in handles:
            handle.remove()


def _integers(images: Tensor, image_format: Format) -> Integers:
    """Images as the integers that a program takes, rounded half to even."""
    step, limit = float(image_format.step[0]), int(image_format.high[0])
    integers = np.rint(images.numpy().astype(np.float64) / step)
    # Written so that NaN is refused as well.
    if not np.abs(integers).max() <= limit:
        raise InputError(
            f"The images hold values outside {-limit * step:.4g} to {limit * step:.4g}; normalise "
            "them with the mean and std that the file names."
        )
    return integers.astype(np.int32)

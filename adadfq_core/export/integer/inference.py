"""Running a network that has become a list of integer steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from adadfq_core.export.integer.arithmetic import Integers
from adadfq_core.export.integer.formats import Format

AtSite = Callable[[str, Integers], Integers]
"""Takes an activation's name in the file and its codes; what it returns is computed with."""


@dataclass(frozen=True)
class Step:
    """One integer operation.

    Attributes:
        compute: maps the arrays of `inputs` to that of `output`; it makes no float of them.
        site: the activation whose codes it makes, "" for none.
        last_use: the values that no later step reads.
    """

    output: str
    inputs: tuple[str, ...]
    compute: Callable[..., Integers]
    site: str = ""
    last_use: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A network that computes with integers: int32 values, 64-bit products where it rescales.

    Attributes:
        image_format: of the images, 16 bits with one step for all.
        logit_format: of the logits, 30 bits with one step for all.
    """

    steps: tuple[Step, ...]
    images: str
    logits: str
    image_format: Format
    logit_format: Format

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the activations, in the order of computation."""
        return tuple(step.site for step in self.steps if step.site)

    def run(self, images: Integers, at_site: AtSite) -> Integers:
        """Logits `(B, classes)` of images `(B, C, H, W)`, integers both.

        Args:
            at_site: is called with the codes of every activation, in the order of `sites`.
        """
        values = {self.images: images}
        for step in self.steps:
            value = step.compute(*(values[name] for name in step.inputs))
            values[step.output] = at_site(step.site, value) if step.site else value
            for name in step.last_use:
                del values[name]
        return values[self.logits]

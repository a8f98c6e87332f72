"""What a file of a quantized network says of itself, as YAML within the file."""

from __future__ import annotations

import platform
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adadfq_core.bit_overrides import HIGHEST, LOWEST
from adadfq_core.errors import InputError
from adadfq_core.own_version import own_version
from adadfq_core.settings import RunSettings
from adadfq_core.zoo.formats import ImageFormat, Interpolation

KEY = "adadfq"
"""Under this name every kind of file keeps the text."""

MOST_BYTES = 2**20

Variant = Literal["bit-true", "runtime"]
"""`bit-true` computes what training computed; `runtime` has what runtimes have quick code for."""

Bits = Annotated[int, Field(ge=LOWEST, le=HIGHEST)]
Side = Annotated[int, Field(ge=1, le=4096)]
Text = Annotated[str, Field(max_length=4096)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Images(_Part):
    """The images that the network takes; see `zoo.formats.ImageFormat`."""

    shape: tuple[Side, Side, Side]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]
    resize: Side | None = None
    interpolation: Interpolation = "bilinear"
    classes: tuple[Text, ...] = Field(min_length=1, max_length=100_000)

    @model_validator(mode="after")
    def _one_number_a_channel(self) -> Self:
        if not len(self.mean) == len(self.std) == self.shape[0]:
            raise ValueError(f"mean and std need {self.shape[0]} numbers each")
        return self

    def format(self) -> ImageFormat:
        """The same for the rest of the program."""
        return ImageFormat(**dict(self))


class Origin(_Part):
    """The run that made the network; `iteration` is the checkpoint's."""

    run_id: Text
    iteration: int
    seed: int
    method: Text


class Description(_Part):
    """Everything but the numbers of the network.

    Attributes:
        network: the name of P in the zoo, or `module:function` of its user.
        bit_overrides: see `adadfq_core.bit_overrides`.
        packed: whether weight codes lie at their true bits (see `export.packing`).
        data: the labelled images that measured the run, as its user named them; "" for none.
        versions: of the programs that made the file.
    """

    format: Literal[1] = 1
    network: Text
    weight_bits: Bits
    activation_bits: Bits
    bit_overrides: Text = ""
    variant: Variant = "bit-true"
    packed: bool = False
    images: Images
    data: Text = ""
    origin: Origin
    versions: dict[str, Text]

    def to_yaml(self) -> str:
        """As text, for `from_yaml`."""
        text: str = yaml.safe_dump(
            self.model_dump(mode="json"), sort_keys=False, allow_unicode=True
        )
        return text


def describe(
    settings: RunSettings, images: ImageFormat, data: str | None, run_id: str, iteration: int
) -> Description:
    """The description of Q of a run's checkpoint, in its plain form."""
    return Description(
        network=settings.network,
        weight_bits=settings.weight_bits,
        activation_bits=settings.activation_bits,
        bit_overrides=settings.bit_overrides,
        images=Images(**vars(images)),
        data=data or "",
        origin=Origin(
            run_id=run_id, iteration=iteration, seed=settings.seed, method=settings.method
        ),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Of this program and of those that its numbers depend on."""
    import torch

    return {
        "adadfq-playground": own_version(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def from_yaml(text: str, path: object) -> Description:
    """The description that the file `path` holds.

    Raises:
        InputError: it is none.
    """
    try:
        if len(text) > MOST_BYTES:
            raise ValueError("too long")
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            # `to_yaml` writes neither; tags call what is not made for any text, and aliases make
            # a short text as large as one likes.
            if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
                raise ValueError("it has an alias or a tag")
        return Description.model_validate(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            reason = f"{where}: {first['msg']}"
        else:
            reason = " ".join(str(error).split())
        raise InputError(
            f"{path} does not say in a way this version knows what it holds ({reason}); export it "
            "again with this version."
        ) from error


def missing(path: object) -> InputError:
    """The error of a file without a description."""
    return InputError(
        f"{path} was not exported by this program; give a file that 'python -m adadfq_core export' "
        "has written."
    )

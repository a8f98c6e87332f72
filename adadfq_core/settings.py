"""Every setting of a run, its default, range and meaning: the one source for page and shell.

Fields that are steered by hand have a `title` in a few words and metadata (`json_schema_extra`):
`symbol` as the paper writes it, in LaTeX, `live` for what may change while the run trains, `log`
for values that are chosen on a logarithmic scale.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from adadfq_core.bit_overrides import parse_bit_overrides
from adadfq_core.errors import InputError

NO_DATA = "none"
"""The value of `data` that measures no accuracy."""

REAL_IMAGES_MISSING = (
    "method = real learns from real images, and the run has none; name a data set with data, or "
    "choose adadfq or gdfq."
)

Method = Literal["adadfq", "gdfq", "real"]
Schedule = Literal["constant", "steps", "cosine"]
Ranges = Literal["minmax", "searched", "learned"]


def _live(symbol: str, *, log: bool = False) -> dict[str, Any]:
    return {"symbol": symbol, "live": True, "log": log}


class RunSettings(BaseModel):
    """Settings of one run; the defaults are the paper's CIFAR protocol (section 4.1).

    Learning rates are per iteration; losses are in nats; sizes are in images or iterations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = Field(
        "fashion-resnet20",
        description="The full-precision network P: a name of the zoo or, from a shell only, "
        "module:function of your own.",
    )
    weights: str = Field(
        "", description="File with P's weights; empty takes those that the zoo names."
    )
    data: str = Field(
        "",
        description="Labelled real images that measure accuracy: a .parquet file, a folder of "
        "IDX files or of class folders, cifar10, cifar100 or fashion-mnist; empty takes those "
        "that the zoo names, none measures nothing. With the method real one half of them "
        "teaches Q and the other half alone measures accuracy.",
    )
    evaluation_images: int = Field(
        10_000,
        ge=10,
        le=1_000_000,
        description="Most real images that are read to measure accuracy on.",
    )
    image_shape: tuple[int, int, int] | None = Field(
        None, description="Channels, height, width of P's images where the zoo does not know them."
    )
    image_mean: tuple[float, ...] | None = Field(
        None, description="Mean of each channel that P's images are normalised with, within 0..1."
    )
    image_std: tuple[float, ...] | None = Field(
        None, description="Deviation of each channel that P's images are normalised with."
    )
    code_folder: str = Field(
        "", description="Folder from which a network of your own is imported; set by the shell."
    )
    method: Method = Field(
        "adadfq",
        description="What the players minimise: adadfq (the paper's game), gdfq (its baseline: "
        "G follows P alone, Q distils P) or real (the ceiling: Q learns from real images and "
        "there is no move of G).",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of every random number of the run.")

    weight_bits: int = Field(
        4,
        ge=2,
        le=8,
        title="bits of weights",
        description="Bits of each weight code.",
        json_schema_extra={"symbol": "k_w"},
    )
    activation_bits: int = Field(
        4,
        ge=2,
        le=8,
        title="bits of activations",
        description="Bits of each activation code.",
        json_schema_extra={"symbol": "k_a"},
    )
    bit_overrides: str = Field(
        "",
        description="Bits of single layers by name pattern, e.g. first=8,last=8,layer3.*=4; the "
        "last pattern that fits holds.",
    )

    epochs: int = Field(400, ge=1, le=10_000, description="Epochs, warm-up included.")
    iterations_per_epoch: int = Field(200, ge=1, le=100_000, description="Iterations per epoch.")
    warmup_epochs: int = Field(
        4,
        ge=1,
        le=1_000,
        description="First epochs, in which G alone learns and Q's activation ranges are set.",
    )
    bias_correction: bool = Field(
        False,
        description="At the end of the warm-up, take the mean shift that rounding a layer's "
        "weights causes on G's images out of the layer's bias (the paper does not). It helps where "
        "8 bits, or the calibrated Q itself, are to be used, as with depthwise convolutions.",
    )
    activation_clipping: bool = Field(
        False,
        description="In the warm-up, G also learns to make P answer the asked class with large "
        "logits, so that Q's activation ranges hold what images of a class reach.",
    )
    adaptive_batchnorm: bool = Field(
        False,
        description="At the end of the warm-up, measure the statistics of Q's BatchNorm layers "
        "anew in Q itself, on G's images; otherwise they stay those of P.",
    )
    ranges: Ranges = Field(
        "minmax",
        description="Between what Q's codes are spread: minmax (smallest and largest weight and "
        "activation, as in the paper), searched (at the end of the warm-up narrowed to those with "
        "the least squared error on weights and G's images) or learned (from there on with Q's "
        "weights).",
    )
    replay: int = Field(
        0,
        ge=0,
        le=1024,
        description="Images of earlier iterations that Q learns from besides in each of its moves, "
        "at the cost of a pass of Q over them; the paper has none.",
    )
    feature_weight: float = Field(
        0.0,
        ge=0,
        le=10_000,
        description="Weight, in what Q minimises, of the squared distance between what its and P's "
        "BatchNorm layers put out, in units of the variance; the paper has none.",
    )
    batch: int = Field(16, ge=2, le=1024, description="Images per iteration.")

    latent_dim: int = Field(100, ge=1, le=4096, description="Length of the generator's noise z.")
    generator_width: int = Field(
        128, ge=4, le=1024, multiple_of=2, description="Channels of the generator's first maps."
    )
    class_shift: bool = Field(
        False,
        description="Give the generator a vector of the class that is added to the noise, beside "
        "the paper's that multiplies it: it learns the classes many times sooner.",
    )

    lambda_l: float = Field(
        0.1,
        ge=0,
        le=1,
        title="lower boundary",
        description="Lower boundary of H': below it a sample disagrees too much for Q to fit.",
        json_schema_extra=_live(r"\lambda_l"),
    )
    lambda_u: float = Field(
        0.8,
        ge=0,
        le=1,
        title="upper boundary",
        description="Upper boundary of H': above it a sample agrees and teaches Q nothing.",
        json_schema_extra=_live(r"\lambda_u"),
    )
    alpha_ds: float = Field(
        0.2,
        ge=0,
        le=100,
        title="weight of disagreement",
        description="Weight of the disagreement loss L_ds within L_bal.",
        json_schema_extra=_live(r"\alpha_{ds}"),
    )
    alpha_as: float = Field(
        0.1,
        ge=0,
        le=100,
        title="weight of agreement",
        description="Weight of the agreement loss L_as within L_bal.",
        json_schema_extra=_live(r"\alpha_{as}"),
    )
    beta: float = Field(
        1.0,
        ge=0,
        le=100,
        title="weight of the balance",
        description="Weight of L_bal in the generator's loss.",
        json_schema_extra=_live(r"\beta"),
    )
    gamma: float = Field(
        1.0,
        ge=0,
        le=100,
        title="weight of BatchNorm statistics",
        description="Weight of the BatchNorm-statistics loss L_BNS in the generator's loss.",
        json_schema_extra=_live(r"\gamma"),
    )
    temperature: float = Field(
        20.0,
        ge=0.1,
        le=1000,
        title="temperature of Q's loss",
        description="Temperature of Q's loss.",
        json_schema_extra=_live("T", log=True),
    )
    lr_g: float = Field(
        1e-3,
        ge=0,
        le=1,
        title="learning rate of G",
        description="Learning rate of G (Adam), before the schedule's factor.",
        json_schema_extra=_live(r"\eta_G", log=True),
    )
    lr_q: float = Field(
        1e-4,
        ge=0,
        le=1,
        title="learning rate of Q",
        description="Learning rate of Q (SGD), before the schedule's factor.",
        json_schema_extra=_live(r"\eta_Q", log=True),
    )

    slow_motion: int = Field(
        0,
        ge=0,
        le=5_000,
        title="pause between iterations",
        description="Milliseconds to wait before each iteration, to watch the game; every "
        "iteration's images are then stored.",
        json_schema_extra=_live(""),
    )

    adam_beta1: float = Field(0.5, ge=0, lt=1, description="First moment's decay of G's Adam.")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="Second moment's decay of G's Adam.")
    q_momentum: float = Field(0.9, ge=0, lt=1, description="Nesterov momentum of Q's SGD.")
    q_weight_decay: float = Field(1e-4, ge=0, le=1, description="Weight decay of Q's SGD.")
    schedule: Schedule = Field(
        "steps",
        description="Factor on both learning rates: steps (x0.1 at 1/4, 1/2 and 3/4 of the "
        "epochs), cosine (to 0 at the end) or constant.",
    )
    q_average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay of the moving average of Q's weights that is evaluated and exported; "
        "0 evaluates Q's own weights.",
    )

    evaluate_every: int = Field(
        200, ge=1, le=1_000_000, description="Iterations between two evaluations of Q."
    )
    value_every: int = Field(
        50,
        ge=1,
        le=1_000_000,
        description="Iterations between two of which it is measured what each player's half move "
        "does to the game's value.",
    )
    snapshot_every: int = Field(
        50, ge=1, le=1_000_000, description="Iterations between two stored sheets of images."
    )
    embed_every: int = Field(
        400,
        ge=0,
        le=1_000_000,
        description="Iterations between two embeddings of synthetic data; 0 makes no map.",
    )
    checkpoint_every: int = Field(
        200, ge=1, le=1_000_000, description="Iterations between two checkpoints."
    )
    threads: int = Field(2, ge=1, le=256, description="CPU threads of the training process.")

    @field_validator("image_shape", "image_mean", "image_std", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Numbers as a shell writes them: separated by commas."""
        return value.split(",") if isinstance(value, str) else value

    @field_validator("network", "weights", "data", "bit_overrides", "code_folder")
    @classmethod
    def _check_text(cls, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:  # an argument of a shell, or a file's name, may be any bytes
            raise ValueError("it has bytes that are no text; rename the file or folder.") from None
        return text

    @field_validator("image_shape")
    @classmethod
    def _check_shape(cls, shape: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        if shape is not None and not all(1 <= size <= 4096 for size in shape):
            raise ValueError("channels, height and width must be from 1 to 4096.")
        return shape

    @field_validator("image_std")
    @classmethod
    def _check_deviation(cls, std: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if std is not None and not all(value > 0 for value in std):
            raise ValueError("every channel's deviation must be above 0.")
        return std

    @field_validator("bit_overrides")
    @classmethod
    def _check_bit_overrides(cls, text: str) -> str:
        parse_bit_overrides(text)
        return text

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if self.lambda_l >= self.lambda_u:
            raise ValueError(
                f"lambda_l = {self.lambda_l:g} must be below lambda_u = {self.lambda_u:g}; "
                "lower lambda_l or raise lambda_u."
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs = {self.warmup_epochs} must be below epochs = {self.epochs}; "
                "train for more epochs or shorten the warm-up."
            )
        return self

    @property
    def names_own_code(self) -> bool:
        """Whether the network is `module:function`, whose loading runs code of the user's."""
        return ":" in self.network

    @property
    def has_generator(self) -> bool:
        """Whether G makes the images; otherwise they are real and G stays as it is."""
        return self.method != "real"

    @property
    def iterations(self) -> int:
        """Iterations of the whole run."""
        return self.epochs * self.iterations_per_epoch

    @property
    def warmup_iterations(self) -> int:
        """Iterations of the warm-up."""
        return self.warmup_epochs * self.iterations_per_epoch


def field(name: str) -> FieldInfo:
    """The declaration of setting `name`.

    Raises:
        InputError: there is no such setting.
    """
    try:
        return RunSettings.model_fields[name]
    except KeyError:
        known = ", ".join(RunSettings.model_fields)
        raise InputError(f"Unknown setting '{name}'; known settings are {known}.") from None


def metadata(name: str) -> dict[str, Any]:
    """Symbol and flags of setting `name` (see the module's docstring)."""
    extra = field(name).json_schema_extra
    return extra if isinstance(extra, dict) else {}


LIVE_SETTINGS = tuple(name for name in RunSettings.model_fields if metadata(name).get("live"))


def bounds(name: str) -> tuple[float | None, float | None]:
    """Smallest and largest value that setting `name` allows; `None` where it has no such bound."""
    return limits(field(name))


def limits(info: FieldInfo) -> tuple[float | None, float | None]:
    """As `bounds`, of a field of any settings model."""
    low: float | None = None
    high: float | None = None
    for constraint in info.metadata:
        low = getattr(constraint, "ge", low)
        high = getattr(constraint, "le", getattr(constraint, "lt", high))
    return low, high


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _range_text(name: str) -> str:
    info = field(name)
    low, high = bounds(name)
    kind = "a whole number" if info.annotation is int else "a number"
    strict = any(hasattr(c, "lt") for c in info.metadata)
    if info.annotation is bool:
        return "true or false"
    if info.annotation is str:
        return "a text"
    if low is None or high is None:
        return "numbers separated by commas, as its help says"
    return f"{kind} from {_plain(low)} to {'below ' if strict else ''}{_plain(high)}"


def _shown(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # what Python itself cannot write
        return f"a value ({type(value).__name__}) too long to show"


def _sentence(error: ValidationError, values: dict[str, Any]) -> str:
    """The first problem of `error`, found in `values`: name, value, allowed range."""
    problem = error.errors()[0]
    if not problem["loc"]:
        return str(problem["ctx"]["error"]) if "ctx" in problem else str(problem["msg"])
    name = str(problem["loc"][0])
    field(name)
    refused = f"{name} = {_shown(values[name])}"
    if problem["type"] == "value_error":
        return f"{refused} is not allowed: {problem['ctx']['error']}"
    if problem["type"] == "literal_error":
        return f"{refused} is not allowed; use {problem['ctx']['expected']}."
    if problem["type"] == "multiple_of":
        factor = problem["ctx"]["multiple_of"]
        return f"{refused} must be a multiple of {factor}."
    return f"{refused} is not allowed; it must be {_range_text(name)}."


def make_settings(values: dict[str, Any], base: RunSettings | None = None) -> RunSettings:
    """`base` (default: the model's defaults) with `values` put over it, validated.

    Raises:
        InputError: one sentence that names the setting, its value and what is allowed.
    """
    merged = {**(base.model_dump() if base else {}), **values}
    try:
        return RunSettings.model_validate(merged)
    except ValidationError as error:
        raise InputError(_sentence(error, merged)) from None


def change_live(settings: RunSettings, changes: dict[str, Any]) -> RunSettings:
    """`settings` with `changes` applied, as allowed while a run trains.

    Raises:
        InputError: a setting that cannot change during a run, or a value out of range.
    """
    for name in changes:
        field(name)
        if name not in LIVE_SETTINGS:
            raise InputError(
                f"{name} cannot change while a run trains; stop it and start a run with the new "
                f"value (changeable: {', '.join(LIVE_SETTINGS)})."
            )
    return make_settings(changes, settings)


def parse_assignment(text: str) -> tuple[str, str]:
    """Split `key=value` of the shell; the value is validated with the model.

    Raises:
        InputError: no `=` in it, or an unknown key.
    """
    name, separator, value = text.partition("=")
    if not separator:
        raise InputError(f"'{text}' is not of the form key=value, for example lambda_l=0.2.")
    field(name.strip())
    return name.strip(), value.strip()

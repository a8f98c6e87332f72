"""What each player minimises: LaTeX in DESIGN's symbols, and the same with the moment's numbers.

The numbers are plain text: they change with every refresh, and LaTeX takes a browser longer to set
than all else that it does then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from adadfq_core.settings import RunSettings

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _number(value: float) -> str:
    """Three significant digits, without an exponent where the number is of everyday size."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        # The last iteration of a run that diverged.
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if 1e-3 <= abs(value) < 1e4:
        decimals = 2 - math.floor(math.log10(abs(value)))
        return f"{value:.{max(decimals, 0)}f}".replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(_RAISED)}".replace("-", "−")


def generator_loss(step: Mapping[str, float], settings: RunSettings) -> tuple[str, ...]:
    """`L_G` in symbols, and with the values of `step` (as the run's log names them) as text.

    Nothing where there is no generator.
    """
    if not settings.has_generator:
        return ()
    total, bns = _number(step["loss_g"]), _number(step["loss_bns"])
    if settings.method == "gdfq":
        entropy = step["loss_g"] - settings.gamma * step["loss_bns"]
        return (
            r"L_G = \mathrm{CE}(\mathrm{softmax}(p), y) + \gamma L_{BNS}",
            f"{_number(entropy)} + {_number(settings.gamma)} · {bns} = {total}",
        )
    symbols = (
        r"L_G = L_{margin} + \beta\,(\alpha_{ds} L_{ds} + \alpha_{as} L_{as}) + \gamma L_{BNS}"
    )
    numbers = (
        f"{_number(step['loss_margin'])} + {_number(settings.beta)} ("
        f"{_number(settings.alpha_ds)} · {_number(step['loss_ds'])} + "
        f"{_number(settings.alpha_as)} · {_number(step['loss_as'])}) + "
        f"{_number(settings.gamma)} · {bns} = {total}"
    )
    return symbols, numbers


def quantized_loss(step: Mapping[str, float], settings: RunSettings) -> tuple[str, str]:
    """`L_Q` in symbols, and its value."""
    temperature = _number(settings.temperature)
    if settings.method == "gdfq":
        symbols = (
            r"L_Q = \mathrm{CE}(\mathrm{softmax}(q), y) + T^2\, \mathrm{KL}(\mathrm{softmax}(p/T)"
            r"\,\|\,\mathrm{softmax}(q/T))"
        )
    else:
        symbols = r"L_Q = -T^2\, \overline{H(\mathrm{softmax}((p - q)/T))}"
    return symbols, f"{_number(step['loss_q'])} with T = {temperature}"


def game_value(step: Mapping[str, float], settings: RunSettings) -> tuple[str, str]:
    """The game's value, which G raises or lowers into the margin and Q raises, and its number."""
    players = r"\theta_g, \theta_q" if settings.has_generator else r"\theta_q"
    return rf"H({players}) = \overline{{H'}}", _number(step["h_prime_mean"])

from __future__ import annotations

import pytest

from adadfq_core.settings import make_settings
from app.formulas import _number, game_value, generator_loss, quantized_loss

STEP = {
    "loss_g": 0.92,
    "loss_margin": 0.02,
    "loss_ds": 2.0,
    "loss_as": 3.0,
    "loss_bns": 0.04,
    "loss_q": -57.123,
    "h_prime_mean": 0.5,
}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.500"),
        (2.0, "2.00"),
        (-57.123, "−57.1"),
        (1234.5, "1234"),
        (-0.000123, "−1.2·10⁻⁴"),
        (98765.0, "9.9·10⁴"),
        (float("nan"), "NaN"),
        (float("inf"), "∞"),
        (-float("inf"), "−∞"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert _number(value) == text


def test_the_numbers_add_up_as_the_symbols_say() -> None:
    settings = make_settings({"beta": 1.0, "alpha_ds": 0.2, "alpha_as": 0.1, "gamma": 5.0})
    symbols, numbers = generator_loss(STEP, settings)
    assert r"L_{margin} + \beta" in symbols and r"\gamma L_{BNS}" in symbols
    terms, total = numbers.split(" = ")
    assert eval(terms.replace(" · ", "*").replace(" (", "*(")) == pytest.approx(float(total))


def test_each_method_shows_its_own_losses() -> None:
    gdfq = make_settings({"method": "gdfq", "gamma": 5.0})
    symbols, numbers = generator_loss(STEP, gdfq)
    assert "CE" in symbols and "margin" not in symbols
    assert numbers == "0.720 + 5.00 · 0.0400 = 0.920"
    assert "KL" in quantized_loss(STEP, gdfq)[0]
    game = quantized_loss(STEP, make_settings({}))
    assert "KL" not in game[0] and game[1] == "−57.1 with T = 20.0"
    assert game_value(STEP, gdfq) == (r"H(\theta_g, \theta_q) = \overline{H'}", "0.500")


def test_without_a_generator_nothing_is_said_of_it() -> None:
    real = make_settings({"method": "real"})
    assert generator_loss({**STEP, "loss_g": 0.0, "loss_bns": 0.0}, real) == ()
    assert quantized_loss(STEP, real) == quantized_loss(STEP, make_settings({}))
    assert game_value(STEP, real) == (r"H(\theta_q) = \overline{H'}", "0.500")

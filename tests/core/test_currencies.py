"""What the backend says about its currencies: asked seldom, believed with care, and never in a reader's way."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from core.script import Json, Script
from taler_paywall.answers import CurrencySpecification
from taler_paywall.currencies import KEPT, RETRIED, Currencies
from taler_paywall.drive import run
from taler_paywall.errors import BackendUnreachable

NOW = 1_795_000_000
KUDOS: Json = {
    "name": "Kudos",
    "num_fractional_input_digits": 2,
    "num_fractional_normal_digits": 2,
    "num_fractional_trailing_zero_digits": 2,
    "alt_unit_names": {"0": "KUDOS"},
}


def config(**specifications: Any) -> tuple[str, Any]:
    """Return the question and the backend's answer."""
    version = {"name": "taler-merchant", "version": "26:0:14", "currency": "KUDOS"}
    return "GET config", (200, version | {"currencies": specifications})


def learn(currencies: Currencies, now: int, *steps: tuple[str, Any]) -> None:
    """Learn at a time, and demand that exactly these questions were asked."""
    script = Script(list(steps))
    run(currencies.learn("KUDOS", now), script)
    assert not script.steps


def test_asked_once_an_hour() -> None:
    """The first price asks; the next question comes an hour later, and a newer answer counts."""
    currencies = Currencies()
    assert currencies.specification("KUDOS") is None
    learn(currencies, NOW, config(KUDOS=KUDOS))
    assert currencies.specification("KUDOS") == CurrencySpecification(2, 2, {"0": "KUDOS"})
    learn(currencies, NOW)
    learn(currencies, NOW + KEPT - 1)
    learn(currencies, NOW + KEPT, config(KUDOS=KUDOS | {"alt_unit_names": {"0": "ク"}}))
    assert currencies.specification("KUDOS") == CurrencySpecification(2, 2, {"0": "ク"})
    assert currencies.specification("EUR") is None


@pytest.mark.parametrize("failure", [BackendUnreachable("down"), (503, {"code": 1}), (200, {"name": "another"})])
def test_a_failure_is_logged_and_tried_again_in_a_minute(failure: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What was known stays known; one line in the log for each failure."""
    caplog.set_level(logging.INFO, "taler_paywall")
    currencies = Currencies()
    learn(currencies, NOW, config(KUDOS=KUDOS))
    learn(currencies, NOW + KEPT, ("GET config", failure))
    learn(currencies, NOW + KEPT + RETRIED - 1)
    learn(currencies, NOW + KEPT + RETRIED, ("GET config", failure))
    assert currencies.specification("KUDOS")
    assert [(line.levelname, "prices in KUDOS may be" in line.message) for line in caplog.records] == [
        ("INFO", True)
    ] * 2


def test_others_do_not_ask_meanwhile() -> None:
    """While one request waits for the backend, and after it was given up, the others go on without."""
    currencies = Currencies()
    waiting = currencies.learn("KUDOS", NOW)
    next(waiting)
    learn(currencies, NOW)
    waiting.close()
    learn(currencies, NOW + 1)
    learn(currencies, NOW + RETRIED, config(KUDOS=KUDOS))


def test_a_clock_that_was_set_back() -> None:
    """A time of the future does not keep the backend from being asked until then."""
    currencies = Currencies()
    learn(currencies, NOW + 10**8, config())
    learn(currencies, NOW, config(KUDOS=KUDOS))
    assert currencies.specification("KUDOS")


def units(**names: Any) -> Json:
    """Return a specification with other units; their powers of ten are written _0 and _minus_3."""
    return KUDOS | {"alt_unit_names": {key[1:].replace("minus_", "-"): name for key, name in names.items()}}


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        "KUDOS",
        [],
        {},
        {key: value for key, value in KUDOS.items() if key != "alt_unit_names"},
        KUDOS | {"num_fractional_normal_digits": 10**9},
        KUDOS | {"num_fractional_normal_digits": 9},
        KUDOS | {"num_fractional_normal_digits": -1},
        KUDOS | {"num_fractional_trailing_zero_digits": 10**30},
        KUDOS | {"num_fractional_trailing_zero_digits": -1},
        KUDOS | {"num_fractional_trailing_zero_digits": True},
        KUDOS | {"num_fractional_normal_digits": "2"},
        units(),
        units(_minus_3="mKUDOS"),
        units(_0=None),
        units(_0="KUDOS", _x="x"),
        units(_0="KUDOS", _minus_100="x"),
        units(_0="KUDOS", _minus_0="x"),
        *[
            units(_0="KUDOS", _minus_3=name)
            for name in ("", " ", "KUDOS ", "K\n", "\x00", "\u202eSODUK", "\ud800", "8")
        ],
        units(_0="K" * 33),
        units(_0="K" * 2**20),
        units(_0="500"),
        KUDOS | {"\ud800": 1},
    ],
    ids=lambda value: ascii(value)[-60:],
)
def test_what_cannot_be_shown_is_not_known(hostile: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A specification that would hide or change a price counts as none, and spoils no other."""
    caplog.set_level(logging.INFO, "taler_paywall")
    currencies = Currencies()
    learn(currencies, NOW, config(KUDOS=hostile, EUR=KUDOS))
    assert currencies.specification("KUDOS") is None
    assert currencies.specification("EUR") == CurrencySpecification(2, 2, {"0": "KUDOS"})
    assert [line.getMessage() for line in caplog.records] == [
        "prices in KUDOS are written plainly: the backend does not say how to"
    ]


def test_what_can_be_shown_is_known() -> None:
    """The widest that is taken: eight decimals, names of 32 characters, units from far away."""
    specification = units(_0="K" * 32, _99="€", _minus_99="µ KUDOS", _3="كودوس")
    currencies = Currencies()
    learn(currencies, NOW, config(KUDOS=specification | {"num_fractional_normal_digits": 8}))
    assert currencies.specification("KUDOS")

"""What a paywalled site answers while its backend is in trouble, fault by fault, from Python."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from running import TLS

from taler_paywall.testing.client import OpenClient, PaywalledClient
from taler_paywall.testing.process import SandboxError
from taler_paywall.testing.sandbox import TalerSandbox
from taler_paywall.testing.wallet import TalerWallet, WalletError

from .site import paywalled

#: Faults after which nobody knows whether a page is paid.
UNKNOWN = (
    *("refuse", "error-html", "error-json", "unavailable", "truncated", "broken", "wrong-types"),
    *("unauthorized", "redirect", "hang", "slow", "not-found"),
)


@pytest.fixture
def reader(taler_sandbox: TalerSandbox, paywalled_client: OpenClient) -> PaywalledClient:
    return paywalled_client(paywalled(**taler_sandbox.options))


@pytest.mark.parametrize("fault", UNKNOWN)
def test_nothing_is_sold_and_nothing_is_given_away(
    fault: str, reader: PaywalledClient, taler_sandbox: TalerSandbox
) -> None:
    """A reader who has not paid is asked to come back, free pages go on, and afterwards all is well."""
    with taler_sandbox.fault(fault):
        refused = reader.get("/articles/bees")
        assert refused.status_code == 503
        assert "All about bees" not in refused.text
        assert refused.headers["retry-after"]
        assert reader.get("/").status_code == 200
    assert reader.buy("/articles/bees").text == "All about bees"


@pytest.mark.parametrize("fault", ["refuse", "error-json", "wrong-types", "unauthorized"])
def test_who_has_paid_is_not_asked_to_pay_again(
    fault: str, reader: PaywalledClient, taler_sandbox: TalerSandbox
) -> None:
    """A payment that cannot be looked up now is unknown, not missing; it opens the page again afterwards."""
    reader.buy("/articles/bees")
    with taler_sandbox.fault(fault):
        assert reader.get("/articles/bees").status_code == 503
    assert reader.get("/articles/bees").status_code == 200
    assert len(taler_sandbox.orders()) == 1


@pytest.mark.parametrize("fault", ["refuse", "error-json"])
def test_a_remembered_payment_needs_no_backend(
    fault: str, taler_sandbox: TalerSandbox, paywalled_client: OpenClient
) -> None:
    """By default a reader who has paid reads on while the backend is away."""
    reader = paywalled_client(paywalled(**taler_sandbox.options, recheck_after=60))
    reader.buy("/articles/bees")
    with taler_sandbox.fault(fault):
        assert reader.get("/articles/bees").text == "All about bees"


def test_orders_that_are_not_found_are_replaced_once(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """Where the backend knows no order it has just made, the reader may try again."""
    with taler_sandbox.fault("not-found", only="private/orders", method="GET"):
        answer = reader.get("/articles/bees")
    assert (answer.status_code, "Try again" in answer.text) == (402, True)
    assert len(taler_sandbox.orders()) == 2


def test_claimed_orders_are_replaced_once(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """Where a stranger is always faster, the reader may try again, and buys when the stranger has gone."""
    with taler_sandbox.fault("claimed"):
        answer = reader.get("/articles/bees")
        assert (answer.status_code, "Try again" in answer.text) == (402, True)
    assert reader.buy("/articles/bees").status_code == 200


def test_refunded_orders_close_the_page(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """A payment that was given back opens nothing any more."""
    reader.buy("/articles/bees")
    with taler_sandbox.fault("refunded"):
        answer = reader.get("/articles/bees")
    assert (answer.status_code, "Buy again" in answer.text) == (402, True)


def test_a_fault_can_be_limited(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """A fault strikes as often as it was told to, and what it was told to, and tells how often it has."""
    with taler_sandbox.fault("error-json", times=2, only="private/orders", method="POST"):
        assert taler_sandbox.state["fault"]["hits"] == 0
        assert reader.get("/articles/bees").status_code == 503
        assert reader.get("/articles/bees").status_code == 302
        assert taler_sandbox.state["fault"]["hits"] == 2
    assert taler_sandbox.state["fault"] is None


def test_a_fault_ends_with_its_block(taler_sandbox: TalerSandbox, reader: PaywalledClient) -> None:
    """A fault is lifted when its block is left by an exception, too."""
    with pytest.raises(ZeroDivisionError), taler_sandbox.fault("refuse"):
        raise ZeroDivisionError
    assert reader.get("/articles/bees").status_code == 302


def test_one_fault_at_a_time(taler_sandbox: TalerSandbox, reader: PaywalledClient) -> None:
    """A block inside another cannot switch the outer fault off unnoticed: it is refused."""
    with taler_sandbox.fault("error-json", times=2):
        with pytest.raises(SandboxError, match="error-json is on already"), taler_sandbox.fault("refuse"):
            raise AssertionError
        assert reader.get("/articles/bees").status_code == 503
        with pytest.raises(SandboxError, match="error-json is on already"), taler_sandbox.fault("refuse"):
            raise AssertionError
    with taler_sandbox.fault("refuse"):
        assert reader.get("/articles/bees").status_code == 503


def test_clocks_within_clocks(taler_sandbox: TalerSandbox) -> None:
    """Whoever shifts the clock leaves it as it was found."""
    with taler_sandbox.clock_shift(60):
        with taler_sandbox.clock_shift(timedelta(hours=1)):
            assert taler_sandbox.state["clock_shift"] == 3600
        assert taler_sandbox.state["clock_shift"] == 60
    assert taler_sandbox.state["clock_shift"] == 0


def test_the_payment_itself_can_fail(reader: PaywalledClient, taler_sandbox: TalerSandbox) -> None:
    """The wallet is told what happened, and the page stays closed."""
    with taler_sandbox.fault("error-json", only="/pay"), pytest.raises(WalletError, match="500"):
        reader.buy("/articles/bees")
    assert reader.get("/articles/bees").status_code != 200


def test_the_clock(reader: PaywalledClient, taler_sandbox: TalerSandbox, taler_wallet: TalerWallet) -> None:
    """An order that is older than its pay deadline at the backend is not taken any more; then the clock is right."""
    order_page = reader.get("/articles/bees").headers["location"]
    with taler_sandbox.clock_shift(timedelta(days=40)):
        assert taler_sandbox.state["clock_shift"] == 40 * 86_400
        with pytest.raises(WalletError, match="410"):
            taler_wallet.pay(order_page)
    assert taler_sandbox.state["clock_shift"] == 0
    assert taler_wallet.pay(order_page).how == "paid"


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_begins_without_faults(turn: int, taler_sandbox: TalerSandbox) -> None:
    """What one test leaves behind, the next does not find."""
    assert (taler_sandbox.state["fault"], taler_sandbox.state["clock_shift"]) == (None, 0)
    assert taler_sandbox.orders() == []
    for switch in ("fault/refuse", "clock?shift=60"):
        assert httpx.put(taler_sandbox.control_url + switch, trust_env=False, verify=TLS).status_code == 200


def test_unknown_faults_are_refused(taler_sandbox: TalerSandbox) -> None:
    """A misspelt fault is an error, and none is switched on."""
    with pytest.raises(SandboxError, match="404"), taler_sandbox.fault("nonsense"):
        pass
    with pytest.raises(SandboxError, match=r"400 .*must be one of"), taler_sandbox.fault("hang", method="PSOT"):
        pass
    assert taler_sandbox.state["fault"] is None

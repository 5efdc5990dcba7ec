"""The options of a paywall, as they are given and as they are once they have been checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypedDict

from taler_paywall.addresses import Networks
from taler_paywall.events import Subscriber
from taler_paywall.http import Request
from taler_paywall.look import Look
from taler_paywall.resource import Price, Rule

RuleList = Sequence[Rule] | Mapping[str, Price]
Seconds = float | timedelta


class Options(TypedDict, total=False):
    """The keywords of ``PaywallMiddleware``; `resolve` knows their defaults and the README explains them."""

    backend: str | None
    token: str | None
    secret_key: str | bytes | Sequence[str | bytes] | None
    public_url: str | None
    backend_public_url: str | None
    refund_delay: Seconds
    cookie_max_age: Seconds
    recheck_after: Seconds
    unpaid: Literal["redirect", "page"]
    partial_refund: Literal["revoke", "keep"]
    price_policy: Literal["honour", "current"]
    cors_origins: str | Sequence[str]
    exempt: Callable[[Request], bool] | None
    merchant_pub: str | None
    prefix: str
    enabled: bool
    strict: bool
    allow_play_money: bool
    site_name: str
    logo: str
    colours: Mapping[str, str]
    templates: str | Path | None
    max_polls: int
    max_backend_calls: int | None
    serve_known_for: Seconds
    cache: str | None
    max_orders: int | None
    max_orders_per_client: int | None
    trusted_proxies: str | Sequence[str]
    on_event: Subscriber | Sequence[Subscriber] | None


@dataclass(frozen=True)
class Settings:
    """Everything that was configured, checked.

    Args:
        rules: in order.
        backend: base URL of the merchant instance, with a slash at the end.
        backend_public_url: the same instance as wallets see it.
        token: access token, None with the sandbox, which has its own.
        secret_keys: oldest first; empty with the sandbox, which has its own.
        public_url: of the site, no slash at the end; None: the sandbox's site on loopback, known when it is asked.
        sandbox_port: port of the play backend, None with a real one.
        refund_delay: in seconds.
        cookie_max_age: in seconds.
        recheck_after: in seconds.
        unpaid: what browsers get where the rule does not say: the backend's page, or one of the paywall's own.
        partial_refund: whether a refund of a part takes the purchase back.
        price_policy: whether an order keeps the price that was asked for.
        cors_origins: which origins may read the paywall's own answers.
        exempt: requests for which nothing is asked.
        merchant_pub: key of the instance.
        prefix: of the reserved paths, no slash at the end.
        enabled: whether anything is asked at all.
        strict: whether a rule that matches no route is a mistake.
        look: of the paywall's own pages.
        max_polls: how many pages of one process may wait for their payment at once.
        max_backend_calls: how many calls to the backend one process may have on their way, None for what suits it.
        serve_known_for: in seconds.
        cache: address of the shared session-payment-cache, None for one in this process.
        max_orders: new orders a minute, None for any number.
        max_orders_per_client: those of one client's address.
        trusted_proxies: whose word counts for who the client is.
        on_event: who is told what happens.
    """

    rules: tuple[Rule, ...]
    backend: str
    backend_public_url: str
    token: str | None
    secret_keys: tuple[bytes, ...]
    public_url: str | None
    sandbox_port: int | None
    refund_delay: int
    cookie_max_age: int
    recheck_after: float
    unpaid: Literal["redirect", "page"]
    partial_refund: Literal["revoke", "keep"]
    price_policy: Literal["honour", "current"]
    cors_origins: frozenset[str]
    exempt: Callable[[Request], bool] | None
    merchant_pub: str | None
    prefix: str
    enabled: bool
    strict: bool
    look: Look
    max_polls: int
    max_backend_calls: int | None
    serve_known_for: float
    cache: str | None
    max_orders: int | None
    max_orders_per_client: int | None
    trusted_proxies: Networks
    on_event: tuple[Subscriber, ...]

    def __repr__(self) -> str:
        """Never show the token and the keys."""
        return f"<Settings of {self.public_url} at {self.backend}, {len(self.rules)} rules>"

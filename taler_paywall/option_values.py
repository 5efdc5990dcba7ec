"""Reading options one after another: each kind of value, and what is wrong with one that is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from inspect import iscoroutinefunction, signature
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from taler_paywall.events import Event, Subscriber

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Values:
    """Options, and the mistakes in them.

    Args:
        options: the keywords that were given.
        environ: where some of them are looked for otherwise.
    """

    def __init__(self, options: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.options = options
        self.environ = environ
        self.problems: list[str] = []

    def given(self, name: str) -> Any:
        """Return an option, from the environment if it was not given as a keyword."""
        value = self.options.get(name)
        return (self.environ.get(f"TALER_PAYWALL_{name.upper()}") or None) if value is None else value

    def url(self, name: str, *, slash: bool) -> str | None:
        """Return a URL that was given, or stands in the environment; None if there is none."""
        value = self.given(name)
        return None if value is None else self.checked_url(name, value, slash=slash) or None

    def checked_url(self, name: str, value: Any, *, slash: bool) -> str:
        """Return an http(s) URL in one spelling, with or without a slash at the end; empty if it is none."""
        url = _plain_url(value)
        if url is None:
            self.problems.append(f"{name} is no plain http or https URL (no user name, query or fragment)")
            return ""
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        port = "" if url.port in {None, _DEFAULT_PORTS[url.scheme]} else f":{url.port}"
        return f"{url.scheme}://{host}{port}{url.path.rstrip('/')}{'/' if slash else ''}"

    def seconds(self, name: str, default: float, *, least: float) -> float:
        """Return a time in seconds."""
        return self.number(name, default, least=least, unit=" of seconds or a timedelta")

    def number(self, name: str, default: float, *, least: float, unit: str = "") -> float:
        """Return a number that is not too small, and fits into 31 bits."""
        value = self.options.get(name, default)
        number = value.total_seconds() if unit and isinstance(value, timedelta) else value
        if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number < 2**31:
            self.problems.append(f"{name} is a number{unit}, at least {least:g}")
            return default
        return number

    def bound(self, name: str, default: int | None) -> int | None:
        """Return a number of at least one, None for no bound."""
        return None if self.options.get(name, default) is None else int(self.number(name, default or 1, least=1))

    def one_of(self, name: str, *choices: str) -> Any:
        """Return one of a few words; the first of them is the default."""
        value = self.options.get(name, choices[0])
        if value not in choices:
            self.problems.append(f"{name} is {' or '.join(map(repr, choices))}, not {value!r}")
        return value

    def origins(self, given: Any) -> Iterable[str]:
        """Return origins in one spelling."""
        given = [given] if isinstance(given, str) else given
        if not isinstance(given, list | tuple | set | frozenset):
            self.problems.append("cors_origins is a list of origins such as 'https://app.example'")
            return
        for origin in given:
            url = self.checked_url("cors_origins", origin, slash=False)
            if urlsplit(url).path:
                self.problems.append(f"cors_origins: {origin!r} is no origin such as 'https://app.example'")
            yield url

    def networks(self) -> Iterable[IPv4Network | IPv6Network]:
        """Return the networks of the proxies that are trusted."""
        given = self.options.get("trusted_proxies", ())
        given = [given] if isinstance(given, str) else given
        for text in given if isinstance(given, list | tuple | set | frozenset) else [given]:
            try:
                # A number would be an address of IPv4.
                yield ip_network(str(text))
            except ValueError:
                self.problems.append(f"trusted_proxies: {text!r} is no address or network such as '10.0.0.0/8'")

    def subscribers(self) -> Iterable[Subscriber]:
        """Return who is told what happens."""
        given: Any = self.options.get("on_event") or ()
        for subscriber in given if isinstance(given, list | tuple) else [given]:
            if not callable(subscriber) or iscoroutinefunction(subscriber):
                self.problems.append("on_event is a plain callable of the event, no coroutine function, or a list")
            elif not _takes_an_event(subscriber):
                self.problems.append(f"on_event: {subscriber!r} takes no event alone; perhaps () is missing behind it")
            else:
                yield subscriber


def _takes_an_event(subscriber: Subscriber) -> bool:
    try:
        signature(subscriber).bind(Event("order"))
    except TypeError:
        return False
    except ValueError:  # nobody knows
        return True
    return True


def _plain_url(value: Any) -> SplitResult | None:
    """Return the parts of an http(s) URL that nobody reads in two ways, None if it is none."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or set(value) & set(' \\"<>'):
        return None
    try:
        url = urlsplit(value)
        usable = url.scheme in _DEFAULT_PORTS and bool(url.hostname) and url.port != 0
    except ValueError:
        return None
    return url if usable and "@" not in url.netloc and not url.query and not url.fragment else None

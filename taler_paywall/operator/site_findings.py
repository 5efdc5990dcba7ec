"""Whether readers can come back to the site, keep its cookies, and whether its workers find what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from taler_paywall.config import LOOPBACK
from taler_paywall.operator.finding import Finding
from taler_paywall.operator.target import Target
from taler_paywall.settings import Settings

#: For an answer of Redis, in seconds: there is no hurry here.
REDIS_SECONDS = 5.0


def findings(target: Target, asked_at: str) -> Iterator[Finding]:
    """Look at what is configured about the site.

    Args:
        target: the paywall.
        asked_at: URL that requests are sent to instead of the application, empty for none.
    """
    settings = target.settings
    if not settings.enabled:
        yield Finding("warning", "paywall", "it is switched off: everything is free", "leave enabled out")
    if settings.sandbox_port is not None:
        fix = "name your merchant instance in option backend before you sell"
        yield Finding("warning", "backend", "it is the sandbox: readers pay with play money", fix)
    if settings.public_url is None:
        yield Finding("ok", "public_url", "none is needed for play money: the address on this machine is taken")
    else:
        url = urlsplit(settings.public_url)
        yield _public_url(url, is_play=settings.sandbox_port is not None)
        yield _cookies(url.scheme, urlsplit(asked_at).scheme or url.scheme)
    if settings.cache:
        yield from _redis(settings.cache)
    yield from _known(settings)


def _public_url(url: SplitResult, *, is_play: bool) -> Finding:
    host, shown = url.hostname or "", url.geturl()
    fix = "option public_url is where readers find the site, such as https://news.example"
    if host in LOOPBACK:
        if is_play:
            return Finding("ok", "public_url", f"{shown} is this machine's, for play money")
        return Finding("warning", "public_url", f"{shown} is this machine's: nobody else finds the site there", fix)
    if url.scheme == "http":
        fix = "serve the site over https, and say so in option public_url"
        return Finding("error", "public_url", f"{shown} is plain http: whoever listens reads the cookies", fix)
    if _is_private(host):
        return Finding("warning", "public_url", f"{shown} is in a private network: others do not find it", fix)
    return Finding("ok", "public_url", shown)


def _is_private(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan"))


def _cookies(public: str, asked: str) -> Finding:
    """Tell whether browsers keep the cookies that the public URL's scheme calls for."""
    flags = "Secure and named __Host-" if public == "https" else "neither Secure nor named __Host-"
    text = f"for {public} they are {flags}"
    if public == asked:
        return Finding("ok", "cookies", text)
    if public == "https":
        fix = "ask at the https address, or give option public_url the scheme that browsers see"
        return Finding("error", "cookies", f"{text}; browsers that come over {asked} do not keep them", fix)
    fix = "give option public_url the scheme that browsers see: https"
    return Finding("error", "cookies", f"{text}; but browsers come over {asked}, and could keep them safe", fix)


def _redis(address: str) -> Iterator[Finding]:
    try:
        import redis  # noqa: PLC0415 - an extra
    except ImportError:
        yield Finding("error", "cache", "the client of Redis is missing", 'pip install "taler-paywall[redis]"')
        return
    shown = "the address of option cache"
    fix = "see that it runs; until then every worker asks the backend by itself"
    try:
        # The rest of the address may hold a password.
        shown = urlsplit(address).hostname or urlsplit(address).path or shown
        with redis.Redis.from_url(
            address, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
        ) as connection:
            connection.ping()
            yield Finding("ok", "cache", f"Redis at {shown} answers")
            # Not everybody may ask for this.
            with suppress(redis.ResponseError):
                yield from _memory(shown, connection.config_get("maxmemory*"))
                yield from _disk(shown, connection.config_get("save"), connection.config_get("appendonly"))
    except Exception as error:  # noqa: BLE001 - whatever an address leads to; the text of a failure may hold it
        yield Finding("error", "cache", f"Redis at {shown} does not answer ({type(error).__name__})", fix)


def _memory(shown: str, told: Mapping[str, str]) -> Iterator[Finding]:
    """Say what happens when Redis is full."""
    if told.get("maxmemory") == "0":
        text, fix = "may take all memory of its machine", "set maxmemory, such as 100mb, and a maxmemory-policy"
    elif told.get("maxmemory-policy") == "noeviction":
        text, fix = "takes nothing more once it is full", "set another maxmemory-policy, such as allkeys-lru"
    else:
        return
    yield Finding("warning", "cache", f"Redis at {shown} {text}", fix)


def _disk(shown: str, *told: Mapping[str, str]) -> Iterator[Finding]:
    """Say what a restart brings back."""
    kept = {name: value for settings in told for name, value in settings.items()}
    if kept.get("save") and kept.get("appendonly") == "no":
        text = f"Redis at {shown} comes back from a restart as it was a while ago, without the refunds since"
        yield Finding("warning", "cache", text, 'set save ""; nothing is lost by that')


def _known(settings: Settings) -> Iterator[Finding]:
    """Say what the settings promise about refunds."""
    text = f"a refund takes effect within {settings.recheck_after:g} s"
    if settings.serve_known_for:
        # Who is believed without asking is believed so during an outage, too.
        longest = max(settings.serve_known_for, settings.recheck_after)
        text += f", and within {longest:g} s while the backend is down"
    yield Finding("ok", "refunds", text)

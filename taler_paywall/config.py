"""The paywall's options: checked at construction, all at once, each mistake with its fix. Nothing here does I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from inspect import iscoroutinefunction
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from taler_paywall import crockford
from taler_paywall.errors import CodecError, ConfigError
from taler_paywall.http import Request
from taler_paywall.look import Look, look_of
from taler_paywall.resource import Rule
from taler_paywall.rulecheck import problems_of, rules_of
from taler_paywall.settings import Options, RuleList, Settings
from taler_paywall.templating import environment, problems_of_templates
from taler_paywall.texts import Languages

DEFAULT_SANDBOX_PORT = 9966
#: Each takes two sockets, and many systems let a process open 1024 files.
DEFAULT_MAX_POLLS = 400
MIN_KEY_BYTES = 32
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_SANDBOX = re.compile(r"sandbox:(\d{0,5})\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"secret-token:[!-~]+\Z")


def resolve(rules: RuleList, options: Options, environ: Mapping[str, str] = os.environ) -> Settings:
    """Check the options and fill in the environment and the defaults (design, section 3).

    Args:
        rules: a list of rules, or ``{pattern: price}``.
        options: the keywords that were given.
        environ: where ``TALER_PAYWALL_BACKEND``, ``_TOKEN``, ``_SECRET_KEY`` and ``_PUBLIC_URL`` are looked for.

    Raises:
        ConfigError: every mistake, each with its fix.
    """
    return _Resolver(options, environ).settings(rules_of(rules))


class _Resolver:
    """Collects mistakes while it reads one option after another."""

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        self.options: Mapping[str, Any] = options
        self.environ = environ
        self.problems: list[str] = []

    def settings(self, rules: list[Rule]) -> Settings:
        enabled = bool(self.options.get("enabled", True))
        unknown = sorted(self.options.keys() - Options.__annotations__.keys())
        self.problems += [
            f"{name} is no option; the options are {', '.join(Options.__annotations__)}" for name in unknown
        ]
        if enabled:
            self.problems += problems_of(rules)
        backend, sandbox_port = self.backend()
        backend_public_url = self.url("backend_public_url", slash=True) or backend
        if not urlsplit(backend_public_url).path.endswith(urlsplit(backend).path):
            path = urlsplit(backend).path
            self.problems.append(f"backend_public_url must end with the path of backend ({path}), after any prefix")
        real = sandbox_port is None
        settings = Settings(
            rules=tuple(rules),
            backend=backend,
            backend_public_url=backend_public_url,
            token=self.token() if real else None,
            secret_keys=self.secret_keys(required=real),
            public_url=self.public_url(required=real),
            sandbox_port=sandbox_port,
            refund_delay=int(self.seconds("refund_delay", 3600, least=0)),
            cookie_max_age=int(self.seconds("cookie_max_age", 400 * 86_400, least=60)),
            recheck_after=self.seconds("recheck_after", 60, least=0),
            unpaid=self.one_of("unpaid", "redirect", "page"),
            partial_refund=self.one_of("partial_refund", "revoke", "keep"),
            price_policy=self.one_of("price_policy", "honour", "current"),
            cors_origins=frozenset(self.origins(self.options.get("cors_origins", ()))),
            exempt=self.exempt(),
            merchant_pub=self.merchant_pub(),
            prefix=self.prefix(),
            enabled=enabled,
            strict=bool(self.options.get("strict")),
            look=self.look(rules),
            max_polls=int(self.number("max_polls", DEFAULT_MAX_POLLS, least=0)),
        )
        if self.problems and enabled:
            raise ConfigError(self.problems)
        return settings

    def given(self, name: str) -> Any:
        """Return an option, from the environment if it was not given as a keyword."""
        value = self.options.get(name)
        return (self.environ.get(f"TALER_PAYWALL_{name.upper()}") or None) if value is None else value

    def backend(self) -> tuple[str, int | None]:
        backend = self.given("backend")
        if backend is None:
            self.problems.append(
                "backend is missing: the base URL of your merchant instance, or 'sandbox:' to try with play money "
                "(environment: TALER_PAYWALL_BACKEND)"
            )
            return "", None
        if match := _SANDBOX.match(str(backend)):
            port = int(match[1] or DEFAULT_SANDBOX_PORT)
            if not 0 < port < 65_536:  # noqa: PLR2004 - the range of ports
                self.problems.append(f"backend: {port} is no port")
            return f"http://127.0.0.1:{port}/", port
        return self.checked_url("backend", backend, slash=True), None

    def token(self) -> str | None:
        token = self.given("token")
        if token is None:
            self.problems.append(
                "token is missing: the access token of the instance (environment: TALER_PAYWALL_TOKEN)"
            )
        elif not isinstance(token, str) or not _TOKEN.match(token):
            # The value itself is a secret.
            self.problems.append("token begins with 'secret-token:' (without 'Bearer') and has no blanks")
        return None if token is None else str(token)

    def secret_keys(self, *, required: bool) -> tuple[bytes, ...]:
        given = self.given("secret_key")
        if given is None:
            if required:
                self.problems.append(
                    "secret_key is missing: 32 random bytes or more, the same in all workers, for example from python "
                    "-c 'import secrets; print(secrets.token_urlsafe(32))' (environment: TALER_PAYWALL_SECRET_KEY)"
                )
            return ()
        from_environment = self.options.get("secret_key") is None
        listed: Iterable[Any] = given.split() if from_environment else given
        if isinstance(listed, str | bytes):
            listed = [listed]
        if not isinstance(listed, list | tuple) or not all(isinstance(key, str | bytes) for key in listed):
            self.problems.append("secret_key is a text or bytes, or a list of them; None is none")
            return ()
        keys = tuple(key.encode() if isinstance(key, str) else bytes(key) for key in listed)
        if not keys or any(len(key) < MIN_KEY_BYTES or len(set(key)) < MIN_KEY_BYTES // 4 for key in keys):
            self.problems.append("secret_key: every key is at least 32 random bytes; one is too short or too uniform")
        return keys

    def public_url(self, *, required: bool) -> str | None:
        url = self.url("public_url", slash=False)
        if self.given("public_url") is None and required:
            self.problems.append(
                "public_url is missing: where readers find this site, for example https://news.example "
                "(environment: TALER_PAYWALL_PUBLIC_URL)"
            )
        play_money = not required and not self.options.get("allow_play_money")
        if url and play_money and urlsplit(url).hostname not in LOOPBACK:
            self.problems.append(
                f"public_url {url} with backend='sandbox:' would sell for play money; configure a real backend, or set "
                "allow_play_money=True"
            )
        return url

    def url(self, name: str, *, slash: bool) -> str | None:
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
        return self.number(name, default, least=least, unit=" of seconds or a timedelta")

    def number(self, name: str, default: float, *, least: float, unit: str = "") -> float:
        value = self.options.get(name, default)
        number = value.total_seconds() if unit and isinstance(value, timedelta) else value
        if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number < 2**31:
            self.problems.append(f"{name} is a number{unit}, at least {least:g}")
            return default
        return number

    def look(self, rules: list[Rule]) -> Look:
        given = {name: self.options.get(name) for name in ("site_name", "logo", "colours", "templates")}
        look, problems = look_of(**given)
        self.problems += problems
        if look.templates:
            self.problems += problems_of_templates(look, look.templates)
            try:
                Languages(look.templates)
            except ConfigError as error:
                self.problems += error.problems
        teasers = {name for rule in rules if isinstance(name := getattr(rule, "teaser", None), str)}
        missing = teasers.difference(environment(look.templates).list_templates()) if teasers else ()
        self.problems += [f"there is no template {name!r}: option templates names a directory" for name in missing]
        return look

    def one_of(self, name: str, *choices: str) -> Any:
        value = self.options.get(name, choices[0])
        if value not in choices:
            self.problems.append(f"{name} is {' or '.join(map(repr, choices))}, not {value!r}")
        return value

    def origins(self, given: Any) -> Iterable[str]:
        given = [given] if isinstance(given, str) else given
        if not isinstance(given, list | tuple | set | frozenset):
            self.problems.append("cors_origins is a list of origins such as 'https://app.example'")
            return
        for origin in given:
            url = self.checked_url("cors_origins", origin, slash=False)
            if urlsplit(url).path:
                self.problems.append(f"cors_origins: {origin!r} is no origin such as 'https://app.example'")
            yield url

    def exempt(self) -> Callable[[Request], bool] | None:
        exempt: Any = self.options.get("exempt")
        if exempt is not None and (not callable(exempt) or iscoroutinefunction(exempt)):
            self.problems.append("exempt is a plain callable of the request, no coroutine function")
            return None
        return cast("Callable[[Request], bool] | None", exempt)

    def merchant_pub(self) -> str | None:
        value: str | None = self.options.get("merchant_pub")
        if value is not None:
            try:
                return crockford.encode(crockford.decode(str(value), 32))
            except CodecError as exc:
                self.problems.append(f"merchant_pub is no public key: {exc}")
        return value

    def prefix(self) -> str:
        prefix = str(self.options.get("prefix", "/.well-known/taler-paywall")).rstrip("/")
        if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+", prefix):
            self.problems.append("prefix is a path of plain segments, such as /.well-known/taler-paywall")
        return prefix


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

"""The paywall's options: checked at construction, all at once, each mistake with its fix. Nothing here does I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from typing import Any, cast
from urllib.parse import urlsplit

from taler_paywall import crockford
from taler_paywall.errors import CodecError, ConfigError
from taler_paywall.http import Request
from taler_paywall.look import Look, look_of
from taler_paywall.option_values import Values
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

_CACHE = re.compile(r"(rediss?|unix)://\S+\Z").match
_SANDBOX = re.compile(r"sandbox:(\d{0,5})\Z")
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


class _Resolver(Values):
    """Reads what each option means to a paywall."""

    #: Whether nobody finds the site but from this machine, where everybody has the same address.
    local = True

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
            **self.load(),
        )
        if self.problems and enabled:
            raise ConfigError(self.problems)
        return settings

    def load(self) -> dict[str, Any]:
        """Return how much may happen at once, and what helps when it is too much or too little."""
        cache, networks = self.options.get("cache"), tuple(self.networks())
        if cache is not None and not _is_redis(cache):
            self.problems.append("cache is an address of Redis: redis://HOST:PORT/0, rediss://…, unix:///PATH; or None")
        if cache is not None and self.given("public_url") is None:
            self.problems.append("cache needs public_url: what is shared has to be told from what other sites share")
        return {
            "max_polls": int(self.number("max_polls", DEFAULT_MAX_POLLS, least=0)),
            "max_backend_calls": self.bound("max_backend_calls", None),
            "max_orders": self.bound("max_orders", None if self.local else 600),
            "max_orders_per_client": self.bound("max_orders_per_client", None if self.local else 60),
            "serve_known_for": self.seconds("serve_known_for", 3600, least=0),
            "cache": cache,
            "trusted_proxies": networks,
            "on_event": tuple(self.subscribers()),
        }

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
        self.local = url is None or urlsplit(url).hostname in LOOPBACK
        play_money = not required and not self.options.get("allow_play_money")
        if url and play_money and not self.local:
            self.problems.append(
                f"public_url {url} with backend='sandbox:' would sell for play money; configure a real backend, or set "
                "allow_play_money=True"
            )
        return url

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


def _is_redis(cache: Any) -> bool:
    """Tell whether an address of Redis can be read; what is wrong with one is not told, for it may hold a password."""
    try:
        return isinstance(cache, str) and bool(_CACHE(cache)) and (urlsplit(cache).port or 0) >= 0
    except ValueError:
        return False

"""Options: resolved with their defaults, and every mistake reported at once, without a secret in any text."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from taler_paywall import ConfigError, Rule
from taler_paywall.config import resolve
from taler_paywall.resource import Resource
from taler_paywall.settings import Options, Settings

KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
NEWER_KEY = "zyxwvutsrqponmlkjihgfedcba9876543210"
TOKEN = "secret-token:do-not-tell"
RULES = {"/articles/{slug}": "KUDOS:0.5"}
REAL: dict[str, Any] = {
    "backend": "https://backend.demo.taler.net/instances/sandbox/",
    "token": TOKEN,
    "secret_key": KEY,
    "public_url": "https://news.example",
}


def price_of_article(resource: Resource) -> str | None:
    return "KUDOS:1" if resource.parts["slug"] == "one" else None


def resolved(rules: Any = RULES, environ: dict[str, str] | None = None, **options: Any) -> Settings:
    """Resolve options, of which None means: not given."""
    given = {name: value for name, value in options.items() if value is not None}
    return resolve(rules, cast("Options", given), environ or {})


def problems(rules: Any = RULES, environ: dict[str, str] | None = None, **options: Any) -> tuple[str, ...]:
    """Return what is wrong with options; whatever is wrong, no secret is told."""
    with pytest.raises(ConfigError) as caught:
        resolved(rules, environ, **options)
    for text in (str(caught.value), repr(caught.value), *map(str, caught.value.args)):
        assert "do-not-tell" not in text
        assert KEY not in text
        assert NEWER_KEY not in text
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_the_short_example() -> None:
    """The two lines of the design are enough to begin with."""
    settings = resolved(RULES, backend="sandbox:")

    assert settings.rules == (Rule("/articles/{slug}", "KUDOS:0.5"),)
    assert settings.sandbox_port == 9966
    assert settings.backend == settings.backend_public_url == "http://127.0.0.1:9966/"
    assert (settings.token, settings.secret_keys, settings.public_url) == (None, (), None)


def test_the_long_example() -> None:
    """The design's long example is accepted, and what it leaves out has the documented defaults."""
    rules = [
        Rule("/articles/sample", price=None),
        Rule("/articles/{slug}/*", price=price_of_article, summary="Article {slug}"),
        Rule("POST /api/v1/translate", price="KUDOS:0.1", page="/pricing"),
    ]
    settings = resolved(rules, **REAL | {"secret_key": [KEY, NEWER_KEY]})

    assert settings.rules == tuple(rules)
    assert settings.backend == settings.backend_public_url == REAL["backend"]
    assert settings.sandbox_port is None
    assert settings.token == TOKEN
    assert settings.secret_keys == (KEY.encode(), NEWER_KEY.encode())
    assert settings.public_url == "https://news.example"
    assert settings.refund_delay == 3600
    assert settings.cookie_max_age == 400 * 86_400
    assert settings.recheck_after == 60
    assert settings.price_policy == "honour"
    assert settings.cors_origins == frozenset()
    assert settings.exempt is None
    assert settings.merchant_pub is None
    assert settings.prefix == "/.well-known/taler-paywall"
    assert settings.enabled is True


def test_the_environment_fills_in() -> None:
    """What is not given as a keyword comes from the environment; a keyword goes before it."""
    environ = {
        "TALER_PAYWALL_BACKEND": "https://backend.example",
        "TALER_PAYWALL_TOKEN": TOKEN,
        "TALER_PAYWALL_SECRET_KEY": f"{KEY} {NEWER_KEY}",
        "TALER_PAYWALL_PUBLIC_URL": "https://news.example/",
    }
    settings = resolved(environ=environ)

    assert settings.backend == "https://backend.example/"
    assert settings.token == TOKEN
    assert settings.secret_keys == (KEY.encode(), NEWER_KEY.encode())
    assert settings.public_url == "https://news.example"
    assert resolved(environ=environ, public_url="https://other.example").public_url == "https://other.example"
    assert resolved(environ=environ, secret_key=[KEY]).secret_keys == (KEY.encode(),)


def test_an_empty_environment_is_none() -> None:
    """A variable that is set to nothing is not set."""
    environ = dict.fromkeys((f"TALER_PAYWALL_{n}" for n in ("BACKEND", "TOKEN", "SECRET_KEY", "PUBLIC_URL")), "")

    assert len(problems(environ=environ)) == 4


def test_the_real_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping the process's own environment counts."""
    monkeypatch.setenv("TALER_PAYWALL_BACKEND", "sandbox:1234")

    assert resolve(RULES, {}).sandbox_port == 1234


def test_everything_missing_is_reported_at_once() -> None:
    """Each missing option is named, with its environment variable and what to write."""
    found = problems()

    assert [problem.split()[0] for problem in found] == ["backend", "token", "secret_key", "public_url"]
    for problem, name in zip(found, ("BACKEND", "TOKEN", "SECRET_KEY", "PUBLIC_URL"), strict=True):
        assert f"TALER_PAYWALL_{name}" in problem
    assert "sandbox:" in found[0]
    assert "secrets.token_urlsafe(32)" in found[2]


def test_all_kinds_of_mistakes_are_reported_at_once() -> None:
    """Mistakes in rules and in options of all kinds stand in one error, in one reading."""
    found = problems(
        [Rule("articles", "KUDOS:0")],
        backend="ftp://x",
        token="Bearer secret-token:do-not-tell",
        secret_key="short",
        public_url="news.example",
        backend_public_url="https://user@backend.example/",
        refund_delay=-1,
        cookie_max_age="long",
        recheck_after=True,
        price_policy="dear",
        unpaid="page?",
        cors_origins=["app.example"],
        merchant_pub="U",
        prefix="/a b",
    )

    named = [problem.split()[0].rstrip(":") for problem in found]
    assert named == [
        "rule",
        "rule",
        "backend",
        "backend_public_url",
        "token",
        "secret_key",
        "public_url",
        "refund_delay",
        "cookie_max_age",
        "recheck_after",
        "unpaid",
        "price_policy",
        "cors_origins",
        "merchant_pub",
        "prefix",
    ]


@pytest.mark.parametrize("missing", ["token", "secret_key", "public_url"])
def test_a_real_backend_needs_them(missing: str) -> None:
    """With a real backend nothing is guessed: token, keys and address must be given."""
    (found,) = problems(**REAL | {missing: None})

    assert found.startswith(f"{missing} is missing")


@pytest.mark.parametrize(
    "key",
    [
        "",
        b"",
        [],
        "x" * 31,
        "x" * 64,
        b"\x00" * 64,
        "ab" * 32,
        [KEY, "short"],
        ["short", KEY],
        [KEY, "ab" * 32],
        [KEY, b""],
    ],
)
def test_weak_keys_are_refused(key: Any) -> None:
    """Every key has 32 bytes or more that are not all the same, with a real backend and with the sandbox."""
    (found,) = problems(**REAL | {"secret_key": key})
    assert found.startswith("secret_key")

    (found,) = problems(backend="sandbox:", secret_key=key)
    assert found.startswith("secret_key")


@pytest.mark.parametrize("key", [5, [KEY, None], [None, KEY], [KEY, 5], {KEY: 1, "x": 2}])
def test_keys_of_another_type_are_refused(key: Any) -> None:
    """A key that is none, such as a variable that is not set, is never passed over: another one would sign."""
    assert any(problem.startswith("secret_key") for problem in problems(**REAL | {"secret_key": key}))


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        (KEY, (KEY.encode(),)),
        (KEY.encode(), (KEY.encode(),)),
        (bytes(range(32)), (bytes(range(32)),)),
        ((KEY, NEWER_KEY.encode()), (KEY.encode(), NEWER_KEY.encode())),
        ("blanks are fine in a keyword " + KEY, (b"blanks are fine in a keyword " + KEY.encode(),)),
    ],
)
def test_good_keys(key: Any, keys: tuple[bytes, ...]) -> None:
    """Texts and bytes, one or several, in their order."""
    assert resolved(**REAL | {"secret_key": key}).secret_keys == keys


@pytest.mark.parametrize(
    "token", ["sandbox", "Bearer secret-token:x", "secret-token:", "secret-token:a b", "", 5, b"x"]
)
def test_wrong_tokens_are_refused(token: Any) -> None:
    """A token is what the merchant API calls one."""
    assert any(problem.startswith("token") for problem in problems(**REAL | {"token": token}))


WRONG_URLS = [
    "",
    "news.example",
    "//news.example",
    "ftp://news.example",
    "https://",
    "https:///x",
    "https://user@news.example",
    "https://user:pass@news.example",
    "https://news.example?x=1",
    "https://news.example#x",
    "https://news.example:0",
    "https://news.example:99999",
    "https://news.example:x",
    "https://[::1",
    "https://bücher.example",
    "https://news.example\n",
    "https://news .example",
    "https://news.example/a b",
    'https://news.example/"',
    "https://news.example\\x",
    5,
]


@pytest.mark.parametrize("name", ["backend", "public_url", "backend_public_url"])
@pytest.mark.parametrize("url", WRONG_URLS)
def test_wrong_urls_are_refused(name: str, url: Any) -> None:
    """An address is a plain http or https URL."""
    assert any(problem.startswith(name) for problem in problems(**REAL | {name: url}))


@pytest.mark.parametrize("url", WRONG_URLS)
def test_wrong_urls_are_refused_with_play_money_too(url: Any) -> None:
    """With the sandbox, too, a wrong address is one of the problems, and its password is not told."""
    found = problems(backend="sandbox:", public_url=url)

    assert any(problem.startswith("public_url") for problem in found)
    assert not any("pass" in problem for problem in found)


@pytest.mark.parametrize(
    ("url", "slash", "bare"),
    [
        ("https://news.example", "https://news.example/", "https://news.example"),
        ("https://news.example/", "https://news.example/", "https://news.example"),
        ("HTTPS://News.Example:8443/", "https://news.example:8443/", "https://news.example:8443"),
        ("http://127.0.0.1:9966/Base//", "http://127.0.0.1:9966/Base/", "http://127.0.0.1:9966/Base"),
        ("https://[::1]:8443", "https://[::1]:8443/", "https://[::1]:8443"),
        ("https://news.example:443", "https://news.example/", "https://news.example"),
        ("http://news.example:80/", "http://news.example/", "http://news.example"),
    ],
)
def test_urls_have_one_spelling(url: str, slash: str, bare: str) -> None:
    """A backend ends with a slash and a site does not; hosts are lower case, default ports are left out."""
    settings = resolved(**REAL | {"backend": url, "public_url": url})

    assert settings.backend == settings.backend_public_url == slash
    assert settings.public_url == bare


def test_the_backend_as_wallets_see_it() -> None:
    """The backend may have another address for the world."""
    settings = resolved(**REAL | {"backend": "http://10.0.0.5:8080", "backend_public_url": "https://pay.example/shop"})

    assert settings.backend == "http://10.0.0.5:8080/"
    assert settings.backend_public_url == "https://pay.example/shop/"


@pytest.mark.parametrize(
    ("backend", "port"), [("sandbox:", 9966), ("sandbox:1", 1), ("sandbox:8000", 8000), ("sandbox:65535", 65535)]
)
def test_sandbox_ports(backend: str, port: int) -> None:
    """The sandbox's port may be chosen."""
    settings = resolved(backend=backend)

    assert settings.sandbox_port == port
    assert settings.backend == f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("backend", ["sandbox", "sandbox:0", "sandbox:65536", "sandbox:x", "sandbox:-1", "Sandbox:"])
def test_wrong_sandboxes_are_refused(backend: str) -> None:
    """What is no port, and what is nearly the word, is a mistake."""
    assert any(problem.startswith("backend") for problem in problems(**REAL | {"backend": backend}))


LOOPBACK = ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:8000", "https://localhost"]
ABROAD = ["https://news.example", "http://10.0.0.1", "http://localhost.example", "http://127.0.0.1.example"]


@pytest.mark.parametrize("url", LOOPBACK)
def test_play_money_on_loopback(url: str) -> None:
    """On loopback the sandbox needs no further word."""
    assert resolved(backend="sandbox:", public_url=url).public_url == url


@pytest.mark.parametrize("url", ABROAD)
def test_nobody_sells_for_play_money_by_mistake(url: str) -> None:
    """A site that the world can see sells for play money only if that is said, wherever the address comes from."""
    for found in (
        problems(backend="sandbox:", public_url=url),
        problems(environ={"TALER_PAYWALL_BACKEND": "sandbox:", "TALER_PAYWALL_PUBLIC_URL": url}),
    ):
        assert len(found) == 1
        assert "allow_play_money=True" in found[0]
    assert resolved(backend="sandbox:", public_url=url, allow_play_money=True).public_url == url


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(timedelta(minutes=2), 120), (120, 120), (120.5, 120.5), (timedelta(days=1), 86_400)],
)
def test_durations(given: Any, seconds: float) -> None:
    """A duration is a number of seconds or a timedelta."""
    settings = resolved(**REAL, refund_delay=given, cookie_max_age=given, recheck_after=given)

    assert settings.recheck_after == seconds
    assert settings.refund_delay == settings.cookie_max_age == int(seconds)
    assert type(settings.refund_delay) is type(settings.cookie_max_age) is int


@pytest.mark.parametrize("name", ["refund_delay", "cookie_max_age", "recheck_after"])
@pytest.mark.parametrize("wrong", [-1, timedelta(seconds=-1), float("nan"), float("inf"), 2**31, "60", True, [60]])
def test_wrong_durations_are_refused(name: str, wrong: Any) -> None:
    """What is no time, or no sensible one, is a mistake."""
    (found,) = problems(**REAL | {name: wrong})

    assert found.startswith(name)


def test_durations_may_be_zero() -> None:
    """No refund and no cache are choices; a cookie that ends at once is not."""
    settings = resolved(**REAL, refund_delay=0, recheck_after=timedelta(0))

    assert settings.refund_delay == settings.recheck_after == 0
    assert problems(**REAL, cookie_max_age=0)[0].startswith("cookie_max_age")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("price_policy", "dear"),
        ("price_policy", ["honour"]),
        ("unpaid", "ask"),
        ("merchant_pub", "short"),
        ("merchant_pub", 5),
        ("merchant_pub", b"8GSJZ649T2PXMKZC01Y4ANNBE7MF14QVK9SQEC4E46ZHKCVG8AS0"),
        ("prefix", ""),
        ("prefix", "taler"),
        ("prefix", "/a//b"),
        ("prefix", "/a b"),
        ("prefix", "/"),
        ("cors_origins", "app.example"),
        ("cors_origins", ["https://app.example/path"]),
        ("cors_origins", ["https://app.example#x"]),
        ("cors_origins", ["https://["]),
        ("cors_origins", ["*"]),
        ("cors_origins", [5]),
        ("cors_origins", 5),
        ("exempt", "staff"),
        ("exempt", True),
    ],
)
def test_other_wrong_options_are_refused(name: str, wrong: Any) -> None:
    """Every option is checked at construction, whatever its type."""
    (found,) = problems(**REAL | {name: wrong})

    assert name in found.split(":")[0]


@pytest.mark.parametrize("name", ["secretkey", "refund_dealy", "price_polcy", "exmpt", "backendurl"])
def test_unknown_options_are_refused(name: str) -> None:
    """A keyword that is misspelt is a mistake like any other, and never silently without effect."""
    with pytest.raises((ConfigError, TypeError), match=name):
        resolved(**REAL | {name: 1})


@pytest.mark.parametrize("rules", [[], {}, "/articles", [None], [("/a", "KUDOS:1")]])
def test_wrong_rules_are_refused(rules: Any) -> None:
    """What is no list of rules is reported like the rest."""
    assert problems(rules, **REAL)


def test_values_of_other_options() -> None:
    """Further options arrive as they were given."""
    pub = "8GSJZ649T2PXMKZC01Y4ANNBE7MF14QVK9SQEC4E46ZHKCVG8AS0"
    settings = resolved(
        **REAL,
        cors_origins=["https://app.example", "http://localhost:3000"],
        exempt=callable,
        merchant_pub=pub.lower(),
        prefix="/pay/",
        price_policy="current",
    )

    assert settings.cors_origins == {"https://app.example", "http://localhost:3000"}
    assert settings.exempt is callable
    assert settings.merchant_pub == pub
    assert settings.prefix == "/pay"
    assert settings.price_policy == "current"
    assert resolved(**REAL, cors_origins="https://app.example").cors_origins == {"https://app.example"}


def test_secrets_are_in_no_text() -> None:
    """Neither token nor key is shown by the settings."""
    settings = resolved(**REAL | {"secret_key": [KEY, NEWER_KEY]})

    for text in (repr(settings), str(settings), f"{settings}", "%s %r" % (settings, [settings])):  # noqa: UP031
        assert "do-not-tell" not in text
        assert KEY not in text
        assert NEWER_KEY not in text
        assert "news.example" in text


def test_a_paywall_that_is_switched_off_needs_nothing() -> None:
    """With enabled=False the site runs, whatever else is missing or wrong."""
    assert resolved([], enabled=False).enabled is False
    assert resolved(RULES, enabled=False, backend="nonsense", secret_key="short").enabled is False


QUIET = """
import sys, threading

events = []
watched = ("socket.", "subprocess.", "os.fork", "os.posix_spawn", "os.exec", "urllib.", "http.client.", "_thread.start")
sys.addaudithook(lambda name, args: events.append(name) if name.startswith(watched) else None)

import taler_paywall
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall import Rule


async def app(scope, receive, send):
    raise AssertionError


for options in (
    {"backend": "sandbox:"},
    {"backend": "sandbox:", "public_url": "http://localhost:8000"},
    {"backend": "https://backend.example/", "token": "secret-token:x", "public_url": "https://news.example",
     "secret_key": "0123456789abcdefghijklmnopqrstuvwxyz", "backend_public_url": "https://pay.example/"},
):
    PaywallMiddleware(app, [Rule("/articles/{slug}/*", price="KUDOS:1")], **options)
# platform asks for the name of the machine at import: that is a look at the kernel, nothing is opened.
print(sorted(set(events) - {"socket.gethostname"}), threading.active_count())
"""


def test_construction_is_quiet(tmp_path: Path) -> None:
    """Import and construction open no socket, start no process and no thread."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TALER_PAYWALL")}
    done = subprocess.run(
        [sys.executable, "-c", QUIET],
        env=environ | {"XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout.strip()) == (0, "[] 1"), done.stderr

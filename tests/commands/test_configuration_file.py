"""A configuration file says what the keywords say, and says what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from taler_paywall import ConfigError, Paywall, Rule
from taler_paywall.settings import Options
from taler_paywall.testing.client import OpenClient
from taler_paywall.testing.sandbox import TalerSandbox

from . import shop

KEY = "a-key-of-these-tests-that-opens-nothing-else"
TOKEN = "secret-token:of-these-tests"
HERE = "commands.shop"

#: Every option and every member of a rule, with another value than its default.
EVERYTHING = f"""
backend = "https://backend.example/instances/news/"
token = "{TOKEN}"
secret_key = ["{KEY}", "{KEY[::-1]}"]
public_url = "https://news.example"
backend_public_url = "https://pay.example/instances/news/"
refund_delay = 7200
cookie_max_age = 864000
recheck_after = 2.5
unpaid = "page"
partial_refund = "keep"
price_policy = "current"
cors_origins = ["https://app.example"]
exempt = "{HERE}:is_staff"
merchant_pub = "{"0" * 52}"
prefix = "/pay"
enabled = true
strict = true
allow_play_money = true
site_name = "The News"
logo = "/static/logo.svg"
colours = {{ accent = "#8c2f1d" }}
templates = "templates"
max_polls = 7
max_backend_calls = 5
serve_known_for = 60
cache = "redis://127.0.0.1/3"
max_orders = 5
max_orders_per_client = false
trusted_proxies = ["10.0.0.0/8"]
on_event = ["{HERE}:teller()", "{HERE}:told.append"]

[[rules]]
pattern = "/articles/sample"
price = false

[[rules]]
pattern = "/articles/{{slug}}/*"
price = "{HERE}:Desk.price_of"
summary = "{HERE}:title_of"
unpaid = "redirect"
teaser = "{HERE}:teaser_of"
refundable = true

[[rules]]
regex = "/books/(?P<isbn>[0-9]+)"
price = "KUDOS:0.5"
summary = "Book: number {{isbn}}"
page = "/books/{{isbn}}/about"
query = ["chapter"]
teaser = "teaser.html"
"""
KEYWORDS: Options = {
    "backend": "https://backend.example/instances/news/",
    "token": TOKEN,
    "secret_key": [KEY, KEY[::-1]],
    "public_url": "https://news.example",
    "backend_public_url": "https://pay.example/instances/news/",
    "refund_delay": 7200,
    "cookie_max_age": 864_000,
    "recheck_after": 2.5,
    "unpaid": "page",
    "partial_refund": "keep",
    "price_policy": "current",
    "cors_origins": ["https://app.example"],
    "exempt": shop.is_staff,
    "merchant_pub": "0" * 52,
    "prefix": "/pay",
    "enabled": True,
    "strict": True,
    "allow_play_money": True,
    "site_name": "The News",
    "logo": "/static/logo.svg",
    "colours": {"accent": "#8c2f1d"},
    "max_polls": 7,
    "max_backend_calls": 5,
    "serve_known_for": 60,
    "cache": "redis://127.0.0.1/3",
    "max_orders": 5,
    "max_orders_per_client": None,
    "trusted_proxies": ["10.0.0.0/8"],
    "on_event": [shop.told.append, shop.told.append],
}
RULES = [
    Rule("/articles/sample", None),
    Rule(
        "/articles/{slug}/*",
        shop.Desk.price_of,
        shop.title_of,
        unpaid="redirect",
        teaser=shop.teaser_of,
        refundable=True,
    ),
    Rule(
        re.compile("/books/(?P<isbn>[0-9]+)"),
        "KUDOS:0.5",
        "Book: number {isbn}",
        "/books/{isbn}/about",
        ["chapter"],
        teaser="teaser.html",
    ),
]
#: What a file needs besides what is tried.
LEAST = f"""
backend = "https://backend.example/"
token = "{TOKEN}"
secret_key = "{KEY}"
public_url = "https://news.example"
"""
SOLD = '[[rules]]\npattern = "/articles/{slug}"\nprice = "KUDOS:0.5"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    return tmp_path / "paywall.toml"


def problems_of(file: Path, text: str) -> list[str]:
    """Return what is wrong with a file, without the file's name, which every problem begins with."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Paywall.from_file(file)
    assert all(problem.startswith(f"{file}: ") for problem in caught.value.problems)
    return [problem.removeprefix(f"{file}: ") for problem in caught.value.problems]


def test_a_file_says_what_the_keywords_say(file: Path) -> None:
    """Each option and each member of a rule is the same in a file and as a keyword."""
    file.write_text(EVERYTHING)
    keywords: Options = {**KEYWORDS, "templates": file.parent / "templates"}
    assert Paywall.from_file(file).settings == Paywall(RULES, **keywords).settings


def test_nothing_is_left_out() -> None:
    """The test before this one tries every option, and every member of a rule, with another value than its default."""
    assert KEYWORDS.keys() | {"templates"} == Options.__annotations__.keys()
    for name in Options.__annotations__:
        assert re.search(rf"^{name} = ", EVERYTHING, re.M), name
    for member in fields(Rule):
        assert re.search(rf"^{member.name} = ", EVERYTHING, re.M), member.name
        assert any(getattr(rule, member.name) != member.default for rule in RULES), member.name


def test_rules_may_be_a_table_of_prices(file: Path) -> None:
    """Who only has patterns and prices writes them one a line."""
    file.write_text(f'{LEAST}[rules]\n"/free" = false\n"/articles/{{slug}}" = "KUDOS:0.5"\n')
    assert Paywall.from_file(file).settings.rules == (Rule("/free", None), Rule("/articles/{slug}", "KUDOS:0.5"))


def test_secrets_may_stay_in_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file leaves out comes from the environment, as with keywords."""
    monkeypatch.setenv("TALER_PAYWALL_TOKEN", "secret-token:from-the-environment")
    monkeypatch.setenv("TALER_PAYWALL_SECRET_KEY", KEY[::-1])
    file.write_text('backend = "https://backend.example/"\npublic_url = "https://news.example"\n' + SOLD)
    settings = Paywall.from_file(file).settings
    assert (settings.token, settings.secret_keys) == ("secret-token:from-the-environment", (KEY[::-1].encode(),))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("backend = [", "is no TOML: "),
        ("rules = 5", "rules are tables [[rules]], or one table [rules] of patterns and prices"),
        (SOLD + "prize = 5", "rule 1 ('/articles/{slug}'): there is no prize; a rule has pattern, price, "),
        ('[[rules]]\nprice = "KUDOS:1"', "rule 1: give it a pattern or, in its place, a regex"),
        (SOLD + 'regex = "/x"', "rule 1 ('/articles/{slug}'): give it a pattern or, in its place, a regex"),
        ('[[rules]]\npattern = "/x"', "rule 1 ('/x'): give it a price, such as "),
        ('[[rules]]\nregex = "/(x"\nprice = "KUDOS:1"', "rule 1 ('/(x'): the regex cannot be compiled: "),
        ('[[rules]]\npattern = "/x"\nprice = "shop"', "rule '/x': the price is no amount such as 'KUDOS:0.5'"),
        (
            f'[[rules]]\npattern = "/x"\nprice = "{HERE}:nowhere"',
            f"rule 1 ('/x'): price: '{HERE}:nowhere' cannot be imported: AttributeError: ",
        ),
        (
            '[[rules]]\npattern = "/x"\nprice = "no.such.shop:price"',
            "rule 1 ('/x'): price: 'no.such.shop:price' cannot be imported: ModuleNotFoundError: ",
        ),
        ('[[rules]]\npattern = "/x"\nprice = 5', "rule 1 ('/x'): price is a text or false"),
        (SOLD + "refundable = 1", "rule 1 ('/articles/{slug}'): refundable is true or false"),
        (SOLD + "page = ['/x']", "rule 1 ('/articles/{slug}'): page is a text"),
        (SOLD + 'query = "id"', "rule 1 ('/articles/{slug}'): query is a list"),
        ("fancy = 1\n" + SOLD, "fancy is no option; the options are backend, token, "),
        ('strict = "yes"\n' + SOLD, "strict is true or false"),
        ('recheck_after = "soon"\n' + SOLD, "recheck_after is a number"),
        ("recheck_after = true\n" + SOLD, "recheck_after is a number"),
        ("recheck_after = -1\n" + SOLD, "recheck_after is a number of seconds or a timedelta, at least 0"),
        ("colours = 'red'\n" + SOLD, "colours is a table"),
        ("max_orders = 'many'\n" + SOLD, "max_orders is a number or false"),
        ("exempt = true\n" + SOLD, "exempt is module:name or false"),
        ("exempt = 'staff'\n" + SOLD, "exempt: 'staff' is no module:name, such as 'shop.prices:price_of'"),
        ("on_event = [5]\n" + SOLD, "on_event: '5' is no module:name, such as "),
        ('on_event = "taler_paywall.prometheus:subscriber"\n' + SOLD, "on_event: <function subscriber"),
        (f"exempt = '{HERE}:misconfigured()'\n" + SOLD, f"exempt: '{HERE}:misconfigured()': name the shop"),
        (f"exempt = '{HERE}:nobody'\n" + SOLD, f"exempt: '{HERE}:nobody' cannot be imported: AttributeError: "),
    ],
)
def test_every_mistake_is_named(text: str, problem: str, file: Path) -> None:
    """A mistake is the only one that is named, with what to write instead."""
    if problem.startswith("is no TOML"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=re.escape(f"{file} {problem}")):
            Paywall.from_file(file)
        return
    found = problems_of(file, LEAST + text)
    assert len(found) == 1, found
    assert found[0].startswith(problem)


def test_all_mistakes_are_named_at_once(file: Path) -> None:
    """Whoever mends a file mends it once; what follows from a mistake is not a second one."""
    text = f'token = 5\nsecret_key = "{KEY}"\nunpaid = "never"\nfancy = 1\n[[rules]]\npattern = "/x"\n'
    found = problems_of(file, text)
    assert [problem.split(" ")[0] for problem in found] == ["rule", "token", "fancy", "backend", "public_url", "unpaid"]


def test_texts_in_place_of_lists_of_one(file: Path) -> None:
    """As the keywords have it; and the file may begin with the mark that some editors write."""
    found = []
    for start, left, right in (("", "[", "]"), ("\ufeff", "", "")):
        said = f"trusted_proxies = {left}'10.0.0.0/8'{right}\ncors_origins = {left}'https://a.example'{right}\n"
        file.write_text(start + said + LEAST + SOLD)
        found.append(Paywall.from_file(file).settings)
    assert found[0] == found[1]


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{file} cannot be read: No such file")):
        Paywall.from_file(file)


def test_no_secret_is_shown(file: Path) -> None:
    """Neither what is wrong with a secret nor the paywall itself shows it."""
    wrong = problems_of(file, f'token = ["{TOKEN}"]\nsecret_key = "short-{KEY[:5]}"\n' + SOLD)
    file.write_text(LEAST + SOLD)
    made = Paywall.from_file(file)
    for shown in (str(wrong), repr(made), repr(made.settings)):
        assert TOKEN not in shown
        assert KEY[:5] not in shown


def test_a_file_goes_around_both_kinds_of_applications(
    file: Path, taler_sandbox: TalerSandbox, paywalled_client: OpenClient
) -> None:
    """The paywall of a file sells an ASGI and a WSGI site."""
    text = "".join(f'{name} = "{value}"\n' for name, value in taler_sandbox.options.items())
    file.write_text(text + SOLD)
    paywall = Paywall.from_file(file)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"All about bees"})

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"All about bees"]

    for site in (paywall.asgi(asgi), paywall.wsgi(wsgi)):
        reader = paywalled_client(site)
        assert reader.get("/articles/bees").status_code == 302
        assert reader.buy("/articles/bees").text == "All about bees"

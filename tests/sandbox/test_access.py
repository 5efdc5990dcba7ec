"""Who may do what: bearer tokens, login tokens and their scopes (merchant API, section 1.2)."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from taler_paywall.sandbox.backend import Backend
from taler_paywall.sandbox.server import create_app
from taler_paywall.sandbox.state.database import Database

from .shop import REFUNDABLE, TOKEN, Process, Shop, fresh_url
from .traffic import answered, empty, refused

PASSWORD = TOKEN.removeprefix("secret-token:")
DAY = 24 * 3600 * 1_000_000


def basic(name: str = "default", password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def bearer(made: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {made['access_token']}"}


def post_token(shop: Shop, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return shop.http.post("private/token", json=body, headers=headers or basic())


def login(shop: Shop, scope: str, **body: Any) -> dict[str, Any]:
    return answered(post_token(shop, scope=scope, **body), 200, access_token=str, refreshable=bool)


@pytest.fixture(scope="module")
def bought(shop: Shop) -> dict[str, Any]:
    return shop.bought(body=REFUNDABLE)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """An instance that is not the default one."""
    process = Process("--port", "0", "--instance", f"other={TOKEN}2", state_home=tmp_path_factory.mktemp("state"))
    opened = Shop(process.url, "instances/other/", f"{TOKEN}2")
    yield opened
    opened.http.close()
    assert process.stop() == 0


@pytest.mark.parametrize("blanks", [" ", "  ", " " * 50])
def test_blanks_after_bearer_are_tolerated(shop: Shop, bought: dict[str, Any], blanks: str) -> None:
    """However many blanks are before the token, it is the token (fact 34)."""
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme}{blanks}{TOKEN}"}
        answered(shop.http.get(f"private/orders/{bought['order_id']}", headers=headers), 200, order_status="paid")


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"Bearer", b"foo bar", b"foo bar-baz", TOKEN.encode(), b"Bearer sandbox"),
        *(b"Bearer secret-token:other", b"Bearer secret-token:sandbox x", b"Bearer secret-token:", b"Bearer \xff\xfe"),
        *(b"\xff", b"Basic", b"Basic !", b"Basic \xff", basic()["Authorization"].encode(), b"Bearer" + TOKEN.encode()),
    ],
)
def test_anything_but_the_token_is_refused(shop: Shop, bought: dict[str, Any], value: bytes) -> None:
    """Missing, wrong and malformed credentials, whatever their bytes, get 401."""
    headers = httpx.Headers([(b"Authorization", value)])
    refused(shop.http.get(f"private/orders/{bought['order_id']}", headers=headers), 401, 40)
    refused(shop.http.post("private/orders", json={}, headers=headers), 401, 40)
    if value != basic()["Authorization"].encode():
        refused(shop.http.post("private/token", json={"scope": "all"}, headers=headers), 401, 40)


def test_other_headers_of_any_bytes_are_harmless(shop: Shop) -> None:
    """Bytes beyond ASCII in the headers that addresses are made of are refused, not stumbled over."""
    order = {"order": {"summary": "s", "amount": "KUDOS:1"}}
    for name in ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix"):
        headers = httpx.Headers([*shop.owner.items(), (name, "\u00ff\u00fe")], encoding="latin-1")
        answer = shop.http.post("private/orders", json=order, headers=headers)
        assert answer.status_code in (200, 400), answer.text


def test_a_login_token_opens_what_the_password_opens(shop: Shop, bought: dict[str, Any]) -> None:
    """Name and password get a token of the form, scope and duration that was asked for."""
    body: dict[str, Any] = {"scope": "all", "duration": {"d_us": DAY}, "description": "of a test"}
    made = answered(post_token(shop, **body), 200, scope="all", refreshable=False)
    assert made["access_token"].startswith("secret-token:")
    assert made["token"] == made["access_token"]
    assert abs(made["expiration"]["t_s"] - time.time() - 86400) < 10
    found = shop.http.get(f"private/orders/{bought['order_id']}", headers=bearer(made))
    answered(found, 200, order_status="paid")
    assert post_token(shop, basic("admin"), scope="readonly").status_code == 200
    assert post_token(shop, shop.owner, scope="readonly").status_code == 200


def test_durations_have_a_default_and_no_end(shop: Shop) -> None:
    """A token is good for a day, or for as long as wanted."""
    assert abs(login(shop, "all")["expiration"]["t_s"] - time.time() - 86400) < 10
    assert login(shop, "all", duration={"d_us": "forever"})["expiration"] == {"t_s": "never"}
    assert login(shop, "all", duration={"d_us": 2**53 - 1})["expiration"]["t_s"] > 9 * 10**9


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 25),
        ({"scope": None}, 25),
        ({"scope": "everything"}, 26),
        ({"scope": ":refreshable"}, 26),
        ({"scope": "all:refreshable:refreshable"}, 26),
        ({"scope": 1}, 26),
        ({"scope": "all", "duration": 5}, 26),
        ({"scope": "all", "duration": {"d_us": -1}}, 26),
        ({"scope": "all", "refreshable": "yes"}, 26),
        ({"scope": "all", "description": 1}, 26),
    ],
)
def test_malformed_token_requests_are_refused(shop: Shop, body: dict[str, Any], code: int) -> None:
    """Each mistake in a token request has its code."""
    refused(post_token(shop, **body), 400, code)


def test_wrong_passwords_are_refused(shop: Shop, other: Shop) -> None:
    """Name and password must be those of the instance that is asked, and asked for a token only."""
    for headers in (basic("other"), basic(""), basic(password="x"), basic(password=TOKEN), basic("default:")):
        refused(post_token(shop, headers, scope="all"), 401, 40)
    refused(post_token(other, basic(), scope="all"), 401, 40)
    refused(post_token(other, basic("admin"), scope="all"), 401, 40)
    assert post_token(other, basic("other", f"{PASSWORD}2"), scope="all").status_code == 200
    refused(shop.http.post("instances/nobody/private/token", json={"scope": "all"}, headers=basic()), 404, 2000)
    refused(shop.http.post("private/token", content=b" " * 1_100_000, headers=basic()), 413, 32)


def test_login_tokens_are_good_for_their_own_instance_only(other: Shop) -> None:
    """A login token of one instance is nothing to another."""
    made = answered(post_token(other, basic("other", f"{PASSWORD}2"), scope="all"), 200, access_token=str)
    assert other.http.get("private/tokens", headers=bearer(made)).status_code == 200
    refused(other.http.get(f"{other.url}private/tokens", headers=bearer(made)), 401, 40)


READS = {"read orders", "list orders", "list webhooks", "list templates", "list tokens"}
ALL = READS | {"make orders", "delete orders", "refund", "make webhooks", "make templates", "delete tokens"}
SELLS = {"read orders", "list orders", "make orders", "delete orders"}


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("readonly", READS),
        ("write", ALL),
        ("all", ALL),
        ("order-simple", SELLS),
        ("order-pos", SELLS),
        ("order-mgmt", SELLS | {"refund"}),
        ("order-full", SELLS | {"refund"}),
    ],
)
def test_scopes(shop: Shop, bought: dict[str, Any], scope: str, allowed: set[str]) -> None:
    """A login token allows what its scope includes, and nothing else (403, code 16)."""
    path = f"private/orders/{bought['order_id']}"
    requests: dict[str, tuple[str, str]] = {
        "read orders": ("GET", path),
        "list orders": ("GET", "private/orders"),
        "make orders": ("POST", "private/orders"),
        "delete orders": ("DELETE", "private/orders/none"),
        "refund": ("POST", f"{path}/refund"),
        "list webhooks": ("GET", "private/webhooks"),
        "make webhooks": ("POST", "private/webhooks"),
        "list templates": ("GET", "private/templates"),
        "make templates": ("POST", "private/templates"),
        "list tokens": ("GET", "private/tokens"),
        "delete tokens": ("DELETE", "private/tokens/999999"),
    }
    headers = bearer(login(shop, scope))
    for name, (method, url) in requests.items():
        answer = shop.http.request(method, url, headers=headers, content="{}" if method == "POST" else None)
        if name in allowed:
            assert answer.status_code in (200, 400, 404), (name, answer.text)
        else:
            refused(answer, 403, 16)


def test_tokens_are_refreshed_within_their_scope(shop: Shop) -> None:
    """A refreshable token gets another that is not stronger, and one that is not gets none."""
    refreshable = login(shop, "order-mgmt:refreshable")
    assert (refreshable["scope"], refreshable["refreshable"]) == ("order-mgmt", True)
    again = answered(post_token(shop, bearer(refreshable), scope="order-simple"), 200, scope="order-simple")
    for stronger in ("all", "readonly", "write"):
        refused(post_token(shop, bearer(refreshable), scope=stronger), 403, 16)
    refused(post_token(shop, bearer(again), scope="order-simple"), 403, 16)
    old_style = login(shop, "all", refreshable=True)
    assert answered(post_token(shop, bearer(old_style), scope="write"), 200, scope="write")["refreshable"] is False


def test_deleted_tokens_are_void(shop: Shop) -> None:
    """A token can end itself, and only once; the instance's own token stays."""
    headers = bearer(login(shop, "order-simple"))
    empty(shop.http.delete("private/token", headers=headers), 204)
    refused(shop.http.get("private/orders", headers=headers), 401, 40)
    refused(shop.http.delete("private/token", headers=headers), 401, 40)
    refused(shop.http.delete("private/token", headers=shop.owner), 403, 16)
    refused(shop.http.delete("instances/nobody/private/token", headers=headers), 404, 2000)


def test_tokens_are_listed_and_deleted_by_serial(shop: Shop) -> None:
    """The owner sees what tokens there are, never the tokens themselves, and can end each."""
    made = login(shop, "readonly:refreshable", description="to be deleted", duration={"d_us": "forever"})
    answer = shop.http.get("private/tokens", headers=shop.owner)
    newest = answered(answer, 200, tokens=list)["tokens"][0]
    assert newest["description"] == "to be deleted"
    assert (newest["scope"], newest["refreshable"], newest["expiration"]) == ("readonly", True, {"t_s": "never"})
    assert abs(newest["creation_time"]["t_s"] - time.time()) < 10
    assert made["access_token"].removeprefix("secret-token:") not in answer.text
    path = f"private/tokens/{newest['serial']}"
    refused(shop.http.delete(path, headers=bearer(made)), 403, 16)
    empty(shop.http.delete(path, headers=shop.owner), 204)
    refused(shop.http.delete(path, headers=shop.owner), 404, 41)
    refused(shop.http.get("private/tokens", headers=bearer(made)), 401, 40)
    refused(shop.http.delete(path), 401, 40)
    for malformed in ("x", "-1", "9" * 30, "٣"):
        refused(shop.http.delete(f"private/tokens/{malformed}", headers=shop.owner), 400, 26)
    refused(shop.http.get("instances/nobody/private/tokens", headers=shop.owner), 404, 2000)
    refused(shop.http.delete("instances/nobody/private/tokens/1", headers=shop.owner), 404, 2000)


def test_expired_tokens_say_so() -> None:
    """After its time a token gets code 42, to the second."""
    database = Database(None)
    backend = Backend(database, currency="KUDOS", tokens={"default": TOKEN})

    async def talk() -> None:
        inside = httpx.ASGITransport(create_app(backend))
        async with httpx.AsyncClient(transport=inside, base_url="http://shop.example/") as client:
            body = {"scope": "all:refreshable", "duration": {"d_us": 3600_000_000}}
            made = (await client.post("private/token", json=body, headers=basic())).json()
            backend.clock_shift = 3590
            assert (await client.get("private/orders", headers=bearer(made))).status_code == 200
            backend.clock_shift = 3600
            refused(await client.get("private/orders", headers=bearer(made)), 401, 42)
            refused(await client.post("private/token", json=body, headers=bearer(made)), 401, 42)

    asyncio.run(talk())
    database.close()


def test_only_hashes_of_tokens_are_kept(processes: Any, tmp_path: Path) -> None:
    """The state file has no login token in it, and they are good after a restart."""
    state = tmp_path / "state.sqlite"
    process = processes("--port", "0", "--state", str(state))
    shop = Shop(process.url)
    made = login(shop, "all")
    shop.http.close()
    process.kill()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("state.sqlite*"))
    assert made["access_token"].removeprefix("secret-token:").encode() not in kept
    again = Shop(processes("--port", "0", "--state", str(state)).url)
    assert again.http.get("private/tokens", headers=bearer(made)).status_code == 200
    again.http.close()


def test_tokens_are_never_echoed(shop: Shop) -> None:
    """No answer repeats the token or the password that the request was sent with (fact 34)."""
    made = shop.order(fulfillment_url=fresh_url())
    private = f"private/orders/{made['order_id']}"
    answers = [
        shop.http.get(private, headers=shop.owner),
        shop.http.get("private/orders", headers=shop.owner),
        shop.http.get("private/tokens", headers=shop.owner),
        shop.http.get("private/nothing", headers=shop.owner),
        shop.http.post("private/orders", content=b"{", headers=shop.owner),
        shop.http.get("instances/default/private/orders", headers=shop.owner),
        shop.http.get(private, headers={"Authorization": f"Bearer {TOKEN} x"}),
        post_token(shop, scope="all"),
        post_token(shop, shop.owner, scope="all"),
        shop.http.get("config"),
    ]
    for answer in answers:
        assert TOKEN not in answer.text
        assert TOKEN not in str(answer.headers)

"""A walk for each published and fixed advisory whose class of fault could be ours; they stay for ever.

Left out, because there is nothing here that they could be about:

* CVE-2022-31692: dispatching within an application never passes a middleware again, whatever the middleware.
* CVE-2026-27588: no rule matches a host name.
* CVE-2025-43859, CVE-2024-1135, CVE-2024-6827: where a request ends is the server's business.
* CVE-2025-54121: no upload is written to a file.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from conformance.wsgi_calls import asked, call
from reader import Reader
from running import SECRET_KEY, TOKEN

from taler_paywall import Rule
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.async_transport import AsyncHttpBackend
from taler_paywall.blocking_transport import HttpBackend
from taler_paywall.breaker import Breaker
from taler_paywall.errors import BackendNonsense, ConfigError
from taler_paywall.operations import BackendRequest
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywallMiddleware

from .asking import AHEAD, DEAD, FORM, NAVIGATION, OWN, Site, assert_sound, name, site
from .parrot import Parrot, answer

__all__ = ["name", "site"]

PLAIN: Final = {"Accept": "text/plain"}


def assert_shut(site: Site, *targets: str, **headers: str) -> None:
    """What is sold opens to nobody at any of these addresses, and a free page does."""
    for target in targets:
        refused = site.ask("GET", target, AHEAD | PLAIN | headers)
        assert refused.status in {400, 402}, refused
        assert b"content" not in refused.body, refused
    assert site.ask("GET", "/free", AHEAD | PLAIN).body == b"content"


def assert_shut_in_process(rules: dict[str, str] | list[Rule], path: str, root: str = "") -> None:
    """The same, where the address says what no client can: a mount, or rules of another kind."""
    options: Any = {"backend": DEAD, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": "http://127.0.0.1:8000"}

    async def reached(*_: Any) -> None:
        raise AssertionError(f"{path} has reached the application")

    def wsgi_reached(*_: Any) -> Any:
        raise AssertionError(f"{path} has reached the application")

    async def send(message: Any) -> None:
        assert message.get("status", 402) in {400, 402}

    headers = [(b"sec-purpose", b"prefetch")]
    scope = {"type": "http", "method": "GET", "path": root + path, "root_path": root, "headers": headers}
    asyncio.run(PaywallMiddleware(reached, rules, **options)(scope, None, send))
    environ = asked(path.encode().decode("latin-1"), SCRIPT_NAME=root, HTTP_SEC_PURPOSE="prefetch")
    assert call(WsgiPaywallMiddleware(wsgi_reached, rules, **options), environ).status in {400, 402}


@pytest.fixture
def reader(site: Site) -> Iterator[Reader]:
    """Open a browser."""
    with Reader(site.url) as opened:
        yield opened


def bought(site: Site, reader: Reader, path: str) -> dict[str, str]:
    """Buy a page, and return the cookies of its order."""
    site.purse.pay(reader.visit(path).headers["location"])
    assert reader.visit(path).text == "content"
    return reader.cookies("_order_")


def order_cookie(site: Site, path: str) -> str:
    """Return the name of the cookie that an order for a page is kept in, without the part that names the session."""
    with Reader(site.url) as other:
        assert other.visit(path).status_code == 302
        (found,) = other.cookies("_order_")
    return found.rpartition("_")[0]


def test_cve_2026_48710_the_host_header_moves_no_path(site: Site) -> None:
    """The path that is judged is the one that is served, whatever path, query or fragment a Host header holds."""
    host = site.url.partition("//")[2]
    for spoilt in (f"{host}/free?", f"{host}/free#", "x/free?y=", "free", f"user@{host}", f"{host}\\free"):
        assert_shut(site, "/paid/x", Host=spoilt)


def test_ghsa_7rh7_c77v_6434_queries_match_nothing(site: Site) -> None:
    """What stands in the query has no part in what is sold and what is free."""
    assert_shut(site, "/paid/x?/free", "/paid/x?next=/free", "/paid/x?path=/free/", "/paid/x?/../../free")


def test_cve_2026_41059_fragments_hide_nothing(site: Site) -> None:
    """A fragment that comes over the wire, escaped or not, does not make a sold page look like a free one."""
    assert_shut(site, "/paid/x#/free", "/paid/x%23/free", "/paid/x%23.css", "/paid/x%2523/free")


def test_cve_2021_32779_a_fragment_is_no_part_of_a_path(site: Site) -> None:
    """Before a fragment as behind it, a path is read in every way that somebody behind us might read it."""
    assert_shut(site, "/free%23/../paid/x", "/paid/x#", "/paid%23/../paid/x")


@pytest.mark.parametrize("agent", ["GoogleHC/1.0", "kube-probe/1.31", "ELB-HealthChecker/2.0", "Googlebot/2.1"])
def test_ghsa_5hvv_m4w4_gf6v_no_user_agent_opens(site: Site, agent: str) -> None:
    """Nobody reads for nothing by saying who they are."""
    assert_shut(site, "/paid/x", **{"User-Agent": agent})


def test_cve_2025_64484_no_spelling_of_a_header_says_who_has_paid(site: Site) -> None:
    """What the middleware tells the application, and what it reads, cannot be forged by headers in other spellings."""
    for key in ("taler_paywall", "Taler-Paywall", "Taler_Paywall_Payment", "X_Forwarded_User", "taler_paywall.payment"):
        assert_shut(site, "/paid/x", **{key: "paid"})


def test_ghsa_f24x_5g9q_753f_no_session_is_adopted(site: Site, reader: Reader) -> None:
    """A session that somebody made up, in a cookie or an address, is not taken over: readers get one of their own."""
    reader.visit("/paid/x")
    (session,) = reader.cookies("_session")
    for value in ("x" * 22, "WyJ4IiwxXQ.x", ""):
        given = site.ask("GET", "/paid/y?session_id=x", NAVIGATION | {"Cookie": f"{session}={value}"})
        (fresh,) = (line for line in given.values("set-cookie") if line.startswith(session))
        assert not value or value not in fresh


def test_cve_2025_29927_no_marker_opens(site: Site) -> None:
    """No header makes a request look as if it had been judged already."""
    for value in ("middleware", "middleware:middleware:middleware:middleware:middleware", "src/middleware", "1"):
        for key in ("x-middleware-subrequest", "X-Taler-Paywall", "X-Original-URL", "X-Rewrite-URL"):
            assert_shut(site, "/paid/x", **{key: value})


def test_cve_2019_9901_dot_segments_lead_nowhere(site: Site) -> None:
    """A path is judged with its dot segments resolved, too."""
    assert_shut(site, "/free/../paid/x", "/./paid/x", "/paid/./x", "/free/a/../../paid/x")


def test_cve_2021_29492_escaped_slashes_are_slashes(site: Site) -> None:
    """A slash or backslash that is escaped counts as one, as it does for those who decode later."""
    assert_shut(site, "/paid%2fx", "/paid%2Fx", "/%2fpaid/x", "/paid%5cx", "/paid%5Cx", "/free%2f..%2fpaid%2fx")


def test_cve_2021_31920_slashes_are_merged(site: Site) -> None:
    """However many slashes there are between two segments, they are judged as one."""
    assert_shut(site, "//paid/x", "/paid//x", "///paid///x", "/paid/%2fx")


def test_cve_2025_71399_empty_segments_match(site: Site) -> None:
    """Empty segments at the beginning, in the middle and at the end make no other page of a page."""
    assert_shut(site, "////paid/x", "/paid////x", "/paid/x//", "/paid/x/")


def test_cve_2025_32431_no_way_around_by_the_parent(site: Site) -> None:
    """Beginning at a free page and going up leads to nothing that is sold."""
    assert_shut(site, "/free/../paid/x", "/free/../free/../paid/x", "/static/../paid/x")


def test_cve_2025_47952_nor_by_an_escaped_one(site: Site) -> None:
    """Nor does going up in escapes, in either case, or half of it."""
    assert_shut(site, "/free/%2e%2e/paid/x", "/free/%2E./paid/x", "/free/.%2e/paid/x", "/free/%252e%252e/paid/x")


@pytest.mark.parametrize("escape", ["%2f", "%5c", "%00", "%3b", "%3f", "%23"])
def test_cve_2025_66490_escaped_separators(site: Site, escape: str) -> None:
    """A separator in escapes is judged as the separator and as the letter."""
    assert_shut(site, f"/paid/x{escape}", f"/paid{escape}/../paid/x", f"/free{escape}/../../paid/x")


@pytest.mark.parametrize("path", ["/../paid/x", "/free/../../paid/x", "/%2e%2e/paid/x", "/./paid/x", "//paid/x"])
def test_cve_2026_48020_a_prefix_is_cut_off_before_the_path_is_judged(path: str) -> None:
    """Where a prefix is cut off in front of the application, the path is judged as it is without and with it."""
    assert_shut_in_process({"/paid/{name}": "KUDOS:1"}, path, "/shop")


def test_cve_2026_22753_rules_mean_the_path_with_its_mount_and_without() -> None:
    """A rule that names the mount and one that does not both apply to a mounted application."""
    for pattern in ("/paid/{name}", "/shop/paid/{name}"):
        assert_shut_in_process({pattern: "KUDOS:1"}, "/paid/x", "/shop")


def test_cve_2026_27587_case_hides_nothing(site: Site) -> None:
    """Paths are compared whatever the case of their letters, escaped or not."""
    assert_shut(site, "/PAID/x", "/Paid/x", "/%50AID/x", "/%70%41%49%44/x", "/PAID%2fx")


def test_cve_2016_5007_blanks_hide_nothing(site: Site) -> None:
    """Blanks and tabs at the edges of a segment make no other page of a page."""
    assert_shut(
        site, "/paid/x%20", "/paid%20/x", "/%20paid/x", "/paid/%20x", "/paid/x%09", "/paid%09/x", "/paid/x%c2%a0"
    )


@pytest.mark.parametrize("path", ["/paid/x\n", "/paid/x\ny", "/paid/\nx", "/paid\n/x"])
def test_cve_2022_22978_line_ends_match(path: str) -> None:
    """The dot of a regular expression means line ends, too, and its end is the end of the path."""
    assert_shut_in_process([Rule(re.compile("/paid/.*"), "KUDOS:1", page="/paid")], path)


@pytest.mark.parametrize("pattern", ["**", "paid/**", "*", "paid/x", "", "/paid**", "/**/x"])
def test_cve_2023_20860_patterns_that_match_nothing_are_no_rules(pattern: str) -> None:
    """A pattern that could never match, for it is spelled as others spell theirs, is refused at the start."""
    options: Any = {"backend": DEAD, "token": TOKEN, "secret_key": SECRET_KEY, "public_url": "http://127.0.0.1:8000"}
    nothing: Any = None
    for kind in (PaywallMiddleware, WsgiPaywallMiddleware):
        with pytest.raises(ConfigError):
            kind(nothing, {pattern: "KUDOS:1"}, **options)


def test_ghsa_68wm_pfjf_wqp6_what_cannot_be_read_is_refused(site: Site) -> None:
    """An address that is malformed is not let through because nobody can read it."""
    assert_shut(site, "/paid/x%", "/paid/x%zz", "/paid/%c0%af", "/paid/x%ff%fe", "/paid/x%u0041", "/paid/%e2%28%a1")


def test_cve_2026_2890_a_small_payment_opens_nothing_dear(site: Site, reader: Reader, name: str) -> None:
    """The order of a cheap page, under the name of a dear one, is no payment for that."""
    cookies = bought(site, reader, f"/paid/{name}")
    dear = order_cookie(site, f"/dear/{name}")
    lines = "; ".join(f"{key}={value}; {dear}_x={value}" for key, value in cookies.items())
    assert site.ask("GET", f"/paid/{name}", PLAIN | {"Cookie": lines}).body == b"content"
    assert site.ask("GET", f"/dear/{name}", AHEAD | PLAIN | {"Cookie": lines}).status == 402


def test_cve_2026_9189_one_payment_counts_once(site: Site, reader: Reader, name: str) -> None:
    """A genuine payment is for what it was made for, however else it is shown."""
    cookies = bought(site, reader, f"/paid/{name}")
    (order,) = site.till.orders_for(name)
    other = order_cookie(site, f"/paid/{name}-other")
    lines = "; ".join(f"{other}_{n}={value}" for n, value in enumerate(cookies.values()))
    query = f"order_id={order.order_id}&session_id={order.session_id}"
    assert_shut(site, f"/paid/{name}-other?{query}", f"/paid/{name}?{query}", Cookie=lines)


@pytest.mark.parametrize("path", [f"{OWN}/webhook", f"{OWN}/orders/ID/paid", f"{OWN}/notify", "/free", "/paid/NAME"])
def test_cve_2026_0656_nobody_is_told_that_it_was_paid(site: Site, reader: Reader, name: str, path: str) -> None:
    """A message that says that an order is paid changes nothing, whoever sends it and wherever."""
    order_id = reader.visit(f"/paid/{name}").headers["location"].partition("?")[0].rpartition("/")[2]
    told = {"order_id": order_id, "order_status": "paid", "status": "success", "amount": "KUDOS:0.5"}
    target = path.replace("ID", order_id).replace("NAME", name)
    sent: Any
    for sent in ({"data": told}, {"json": told}, {"params": told}):
        assert reader.http.post(target, **sent, headers={"Origin": site.url}).status_code in {200, 400, 402, 403, 404}
    assert reader.visit(f"/paid/{name}").status_code == 302


def test_cve_2025_14078_status_in_an_address_is_no_status(site: Site, reader: Reader, name: str) -> None:
    """What a browser brings back from the place where it was to pay is not believed."""
    reader.visit(f"/paid/{name}")
    for query in ("status=paid", "order_status=paid&refunded=false", "success=1", "h_contract=0&token=0"):
        assert reader.visit(f"/paid/{name}?{query}", site="cross-site").status_code == 302


def test_cve_2023_23934_cookies_without_a_name(site: Site, reader: Reader, name: str) -> None:
    """A cookie without a name whose value looks like another cookie is not that cookie."""
    ((key, value),) = bought(site, reader, f"/paid/{name}").items()
    assert site.ask("GET", f"/paid/{name}", PLAIN | {"Cookie": f"{key}={value}"}).body == b"content"
    for line in (f"={key}={value}", f"x={key}={value}", f"==; {key}; ={value}", f'x="; {key}', f"\u00a0{key}={value}"):
        assert_shut(site, f"/paid/{name}", Cookie=line)


def test_cve_2025_24369_the_terms_are_the_sites(site: Site, name: str) -> None:
    """Nothing that a client sends has a part in what is asked of it."""
    terms = "price=KUDOS:0&amount=KUDOS:0.01&difficulty=0"
    headers = {"Accept": "application/json", "Cookie": terms.replace("&", "; "), "X-Price": "KUDOS:0"}
    assert b'"amount": "KUDOS:0.5"' in site.ask("GET", f"/paid/{name}?{terms}", headers).body
    assert b"KUDOS:0.5" in site.ask("POST", f"/paid/{name}", headers | FORM | PLAIN, terms).body


def test_cve_2023_30861_paid_answers_are_told_apart_by_cookie(site: Site, reader: Reader, name: str) -> None:
    """An answer that a cookie has opened is for nobody else, whether or not it sets one."""
    bought(site, reader, f"/paid/{name}")
    again = reader.visit(f"/paid/{name}")
    assert (again.headers["vary"], again.headers["cache-control"]) == ("Cookie", "private")
    assert "set-cookie" not in again.headers


def test_cve_2026_27205_so_are_refusals(site: Site, name: str) -> None:
    """An answer for which cookies were only looked for says so, with a cookie and without."""
    for headers in (NAVIGATION, AHEAD, AHEAD | {"Cookie": "x=y"}, AHEAD | {"Accept": "text/html"}):
        refused = site.ask("GET", f"/paid/{name}", headers)
        assert ("Cookie" in refused.values("vary")[0], refused.values("cache-control")) == (True, ["no-store"])


def test_cve_2020_7694_addresses_write_no_log_lines(site: Site) -> None:
    """Line ends and control characters of an address stand in the log in escapes."""
    for escape in ("%0a", "%0d%0a", "%1b[31m", "%c2%85", "%e2%80%a8"):
        assert_shut(site, f"/paid/x{escape}FORGED")
    assert "reason=ambiguous-path resource='/paid/x" in site.process.output
    lines = re.split("[\n\r\x85\u2028]", site.process.output)
    assert not [line for line in lines if line.startswith("FORGED")]
    assert "\x1b[31mFORGED" not in site.process.output


def test_cve_2020_7695_addresses_write_no_headers(site: Site) -> None:
    """Line ends of an address end no line of an answer."""
    for escape in ("%0d%0aevil:1", "%0aevil:1", "%c4%8devil:1", "%e5%98%8aevil:1"):
        for target in (f"/paid/x?{escape}", f"/paid/x{escape}", f"{OWN}/{escape}"):
            said = site.ask("GET", target, NAVIGATION)
            assert_sound(said)
            assert said.values("evil") == []


def test_cve_2025_62727_ranges_are_judged_first(site: Site) -> None:
    """Whatever ranges and conditions a request has, the application works for it only once it is paid."""
    for headers in ({"Range": "bytes=" + ",".join(["0-"] * 500)}, {"If-None-Match": "*"}, {"If-Range": '"x"'}):
        assert_shut(site, "/paid/x", **headers)


def test_cve_2024_47874_forms_are_short(site: Site) -> None:
    """A form that goes on and on is not collected, whatever it is made of."""
    part = '--x\r\nContent-Disposition: form-data; name="page"\r\n\r\n' + "/" * 5000
    headers = FORM | {"Content-Type": "multipart/form-data; boundary=x"}
    assert site.ask("POST", f"{OWN}/reorder", headers, part).status == 413


def test_ghsa_jhjj_2g64_px7c_no_form_leads_to_a_script(site: Site) -> None:
    """Where a form leads to is a page of this site, never a script."""
    for page in ("javascript:alert(1)", "/javascript:alert(1)", "JaVaScRiPt://%0aalert(1)", "data:text/html,x"):
        said = site.reorder(page=page)
        assert (said.status in {400, 404}, said.values("location")) == (True, []), said


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip"])
def test_ghsa_5x59_6wvc_88hg_nothing_is_inflated(coding: bytes) -> None:
    """A backend's answer that is compressed is refused unread, for it may be of any size."""
    assert_refused(gzip.compress(b"\0" * 1_000_000), b"Content-Encoding: " + coding)


def test_cve_2026_44432_nor_read_without_end() -> None:
    """Nor is an answer read that is longer than any order, in one piece or in chunks."""
    assert_refused(b" " * 1_100_000)


def assert_refused(body: bytes, *headers: bytes) -> None:
    """Both clients of the backend refuse an answer."""
    request = BackendRequest("GET", "config")
    with Parrot(0) as parrot:
        parrot.mood = lambda _, head, __: answer(body, *headers) if b"identity" in head else b""
        about = (parrot.url, parrot.url, TOKEN, Breaker(lambda: False))
        blocking, awaiting = HttpBackend(*about), AsyncHttpBackend(*about)
        with pytest.raises(BackendNonsense):
            blocking.send(request)
        blocking.close()

        async def ask() -> None:
            try:
                await awaiting.send(request)
            finally:
                await awaiting.aclose()

        with pytest.raises(BackendNonsense):
            asyncio.run(ask())

"""Whose request it is: told by the server, and by nobody else who is not trusted."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from taler_paywall.addresses import client_of, from_proxy, proxy_problem
from taler_paywall.http import Request

PROXIES = tuple(map(ip_network, ("10.0.0.0/8", "127.0.0.1", "fd00::/8")))


def asked(peer: str, *forwarded: str, **headers: str) -> Request:
    """Return a request with a line of X-Forwarded-For for each of some texts."""
    lines = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    others = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request("GET", "/", b"/", "", b"", (*others, *lines), peer=peer)


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::/64"),
        ("", ""),
        # What servers and test clients say of who has no address.
        ("localhost", ""),
        ("testclient", ""),
    ],
)
@pytest.mark.parametrize("forwarded", [(), ("198.51.100.7",), ("198.51.100.7, 203.0.113.9", "10.0.0.1")])
def test_who_asks_directly(peer: str, client: str, forwarded: tuple[str, ...]) -> None:
    """Where no proxy is trusted, X-Forwarded-For says nothing, whatever it says."""
    assert client_of(asked(peer, *forwarded), ()) == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # Told by one proxy, by two, and by two in headers of their own.
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", ["192.0.2.1,10.0.0.2 ,\t127.0.0.1"], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("fd00::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        # What the client itself has written stands further left, and is not read.
        ("10.0.0.1", ["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7", "203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["10.0.0.9, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
        # With ports, as some proxies have it.
        ("10.0.0.1", ["192.0.2.1:5678"], "192.0.2.1"),
        ("10.0.0.1", ["[2001:db8::1]:80"], "2001:db8::/64"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::/64"),
        ("10.0.0.1", ["192.0.2.1, [fd00::7]:443, 10.0.0.2:1"], "192.0.2.1"),
        # Who cannot be read is nobody, and the proxy that told so is counted.
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1:99999999"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.256"], "10.0.0.1"),
        ("10.0.0.1", ["[192.0.2.1"], "10.0.0.1"),
        ("10.0.0.1", ["[]:80"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1\xff"], "10.0.0.1"),
        ("10.0.0.1", ["for=192.0.2.1"], "10.0.0.1"),
        # Where everybody is trusted, the first one counts.
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # Without an address only a proxy on this machine comes.
        ("", ["192.0.2.1"], "192.0.2.1"),
        ("localhost", ["192.0.2.1"], "192.0.2.1"),
        ("", [], ""),
        ("", ["unknown"], ""),
        # Who is no proxy is not believed.
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("192.0.2.1", ["10.0.0.1"], "192.0.2.1"),
    ],
)
def test_who_comes_through_a_proxy(peer: str, forwarded: list[str], client: str) -> None:
    """From the right, the first whom no trusted proxy is: nobody chooses an address of their own."""
    assert client_of(asked(peer, *forwarded), PROXIES) == client


def test_only_x_forwarded_for_counts() -> None:
    """Other headers that proxies know are of clients as soon as the proxy does not set them."""
    told = asked("10.0.0.1", forwarded="for=192.0.2.1", x_real_ip="192.0.2.1", x_client_ip="192.0.2.1")
    assert client_of(told, PROXIES) == "10.0.0.1"


def test_a_long_list_is_not_read_to_its_end() -> None:
    """Who writes thousands of proxies in front of them is counted by one of these, and costs no more than others."""
    assert client_of(asked("10.0.0.1", "192.0.2.1" + ", 10.0.0.5" * 19), PROXIES) == "192.0.2.1"
    assert client_of(asked("10.0.0.1", "192.0.2.1" + ", 10.0.0.5" * 20), PROXIES) == "192.0.2.1"
    assert client_of(asked("10.0.0.1", "192.0.2.1" + ", 10.0.0.5" * 5000), PROXIES) == "10.0.0.5"


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [("10.1.2.3", True), ("127.0.0.1", True), ("fd00::1", True), ("", True), ("localhost", True), ("192.0.2.1", False)],
)
def test_who_is_a_proxy(peer: str, trusted: bool) -> None:  # noqa: FBT001 - a table
    """Who has an address in one of the networks, or comes through a socket file; nobody where none is named."""
    assert from_proxy(asked(peer), PROXIES) is trusted
    assert not from_proxy(asked(peer), ())


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (asked("172.16.0.1", "192.0.2.1"), "172.16.0.1"),
        (asked("2001:db8::1", "192.0.2.1, 198.51.100.7:80"), "2001:db8::1"),
        # Nothing says that there is a proxy.
        (asked("192.0.2.1"), ""),
        (asked("192.0.2.1", ""), ""),
        (asked("192.0.2.1", "unknown"), ""),
        # The server has read the header itself.
        (asked("192.0.2.1", "192.0.2.1"), ""),
        (asked("192.0.2.1", "198.51.100.7, ::ffff:192.0.2.1, 10.0.0.1"), ""),
        # It is known.
        (asked("10.0.0.1", "192.0.2.1"), ""),
        (asked("", "192.0.2.1"), ""),
    ],
)
def test_a_proxy_that_nobody_has_named_is_noticed(request_: Request, problem: str) -> None:
    """It names clients whom nobody counts; the operator can be told what to do."""
    said = proxy_problem(request_, PROXIES)
    assert problem in said
    assert bool(problem) is said.endswith("name it in trusted_proxies")


def test_a_socket_file_is_noticed_where_no_proxy_is_named() -> None:
    """Clients are then not told apart at all."""
    assert "all come from a socket file" in proxy_problem(asked("", "192.0.2.1"), ())
    assert proxy_problem(asked(""), ()) == ""

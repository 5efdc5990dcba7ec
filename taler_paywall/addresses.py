"""Whose request it is: the address that budgets are kept by, never taken on the word of somebody unknown."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from taler_paywall.http import Request

Networks = tuple[IPv4Network | IPv6Network, ...]

#: Whoever has an address of IPv6 has, as a rule, all that begin with as many bits.
_IPV6_BITS = 64
#: No request comes through more proxies; what is told beyond is not read.
_MAX_HOPS = 20
# As some proxies write it: 192.0.2.1:443 or [2001:db8::1]:443.
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}").fullmatch


def client_of(request: Request, trusted_proxies: Networks) -> str:
    """Return the client's address, for IPv6 its network; empty if nobody trustworthy tells.

    Args:
        request: any.
        trusted_proxies: who is believed when they tell, in ``X-Forwarded-For``, whom they have a request from.
    """
    client, hops = _address(request.peer), _told(request)
    while hops and _is_trusted(client, trusted_proxies):
        told = _address(hops.pop())
        if told is None:
            break
        client = told
    return _household(client) if client else ""


def from_proxy(request: Request, trusted_proxies: Networks) -> bool:
    """Tell whether a request comes from a proxy that is believed.

    Args:
        request: any.
        trusted_proxies: who is believed.
    """
    return _is_trusted(_address(request.peer), trusted_proxies)


def proxy_problem(request: Request, trusted_proxies: Networks) -> str:
    """Say what to do if clients are counted by the address of a proxy that nobody has named; empty if nothing is wrong.

    Args:
        request: of a client that was told to wait.
        trusted_proxies: who is believed.
    """
    told = [address for hop in _told(request) if (address := _address(hop))]
    # Some servers have read the header themselves, and name the client as their peer.
    if not told or from_proxy(request, trusted_proxies) or _address(request.peer) in told:
        return ""
    return (
        f"orders are counted per client, and all come from {request.peer or 'a socket file'}: if that is your proxy, "
        "name it in trusted_proxies"
    )


def _told(request: Request) -> list[str]:
    return request.header(b"x-forwarded-for").decode("latin-1").rsplit(",", _MAX_HOPS)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip()
    match = _WITH_PORT(text)
    try:
        address = ip_address(match[1] or match[2] if match else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_trusted(address: IPv4Address | IPv6Address | None, trusted_proxies: Networks) -> bool:
    # Who has no address came through a socket file, so it is on this machine, and a proxy where there are any.
    return any(address is None or address in network for network in trusted_proxies)


def _household(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _IPV6_BITS), strict=False))

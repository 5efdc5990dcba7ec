"""Whether browsers reach the site by the scheme of its public URL, by which the paywall's cookies are made."""

from __future__ import annotations

from typing import Literal

from taler_paywall.addresses import Networks, from_proxy
from taler_paywall.http import Request, belongs


def scheme_problem(request: Request, public_url: str, trusted_proxies: Networks) -> str:
    """Say what to do if a browser does not come by the scheme of the public URL; empty if it seems to.

    Args:
        request: of who has not paid.
        public_url: of the site.
        trusted_proxies: whose ``X-Forwarded-Proto`` is believed.
    """
    match other_scheme(request, public_url, trusted_proxies):
        case "http":
            return (
                "a browser came by plain http, where it keeps no cookie of a site whose public_url is "
                f"{public_url}: redirect http to https"
            )
        case "https":
            return (
                f"a browser came by https, and public_url is {public_url}, so that its cookies go by plain http as "
                f"well: set public_url to https{public_url.removeprefix('http')}"
            )
        case _:
            return ""


def other_scheme(request: Request, public_url: str, trusted_proxies: Networks) -> Literal["http", "https", ""]:
    """Return the scheme that a browser comes by if it is not that of the public URL; empty if nothing says so.

    Args:
        request: any.
        public_url: of the site.
        trusted_proxies: whose ``X-Forwarded-Proto`` is believed.
    """
    configured, _, rest = public_url.partition(":")
    other: Literal["http", "https"] = "http" if configured == "https" else "https"
    # Browsers send this only where nobody can listen: by https, and to their own machine. A proxy behind another one
    # tells how that one has come, and a page that was plain may link to one that is not.
    if other == "http" and request.header(b"sec-fetch-mode"):
        return ""
    told = request.header(b"x-forwarded-proto").lower() == other.encode() and from_proxy(request, trusted_proxies)
    likely = [url for name in (b"origin", b"referer") if (url := request.header(name)).startswith(other.encode())]
    own = any(belongs(url.decode("latin-1"), f"{other}:{rest}") for url in likely)
    return other if told or own else ""

"""What an application's headers become on a paid page: nobody's but this reader's, and otherwise its own."""

from __future__ import annotations

import pytest

from taler_paywall.http import granted_headers

OWN = (b"X-Own", b"kept")


@pytest.mark.parametrize(
    ("given", "directives"),
    [
        ([], b"private"),
        ([b""], b"private"),
        ([b"PUBLIC, Max-Age=60"], b"private, Max-Age=60"),
        ([b"Private"], b"private"),
        ([b"public", b"no-transform , S-MaxAge=5,, proxy-revalidate"], b"private, no-transform"),
        ([b'no-cache="set-cookie, x-a", max-age=1'], b'private, no-cache="set-cookie, x-a", max-age=1'),
        ([b'private="set-cookie, x-a", max-age=1'], b"private, max-age=1"),
        ([b'max-age=60", public, s-maxage=9'], b'private, max-age=60"'),
        ([b'private="a, max-age=3'], b"private, max-age=3"),
    ],
)
def test_what_caches_are_told(given: list[bytes], directives: bytes) -> None:
    """What would share the page goes, in any case and quoted or not; all else is kept, behind `private`."""
    headers = granted_headers([(b"Cache-Control", value) for value in given], ())
    assert headers == [(b"cache-control", directives), (b"vary", b"Cookie")]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([], b"Cookie"),
        ([b""], b"Cookie"),
        ([b" , "], b"Cookie"),
        ([b"*"], b"*"),
        ([b"Accept", b"*"], b"Accept, *"),
        ([b"Accept,Origin"], b"Accept, Origin, Cookie"),
        ([b"COOKIE"], b"COOKIE"),
    ],
)
def test_what_an_answer_varies_with(given: list[bytes], names: bytes) -> None:
    """Every answer varies with the cookie, said once, and with whatever the application says."""
    headers = granted_headers([(b"Vary", value) for value in given], ())
    assert headers == [(b"cache-control", b"private"), (b"vary", names)]


@pytest.mark.parametrize(
    "name",
    [
        b"CDN-Cache-Control",
        b"Netlify-CDN-Cache-Control",
        b"Vercel-CDN-Cache-Control",
        b"cloudflare-cdn-cache-control",
        b"Edge-Control",
        b"Surrogate-Control",
        b"X-LiteSpeed-Cache-Control",
        b"X-Accel-Expires",
    ],
)
@pytest.mark.parametrize("spelled", [bytes, bytes.lower, bytes.upper])
def test_what_other_caches_believe_goes(name: bytes, spelled: type[bytes]) -> None:
    """Headers that caches in front of a site believe rather than Cache-Control are not on a paid page."""
    headers = granted_headers([(spelled(name), b"max-age=600"), OWN], ())
    assert headers == [OWN, (b"cache-control", b"private"), (b"vary", b"Cookie")]

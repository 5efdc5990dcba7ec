"""Whatever cookies a browser holds from earlier settings, it reads or pays, and is never led in a circle."""

from __future__ import annotations

import pytest
from running import SECRET_KEY

from .wild import OTHER_HOST, PAGE, PAY, Settings, Wild

OTHER_KEY = "another-secret-key-in-the-place-of-the-first-one-12345"
BRING_BACK = "Bring it back with GNU Taler"
NOW = Settings()
TLS = Settings("https")
HOUR = 3600


@pytest.mark.parametrize(
    ("steps", "paid"),
    [
        # The purchase is of an address; at another one it is sold anew, and the old one is not forgotten.
        pytest.param([(NOW, [PAY]), (TLS, [PAY]), (NOW, []), (TLS, [])], [2, 0], id="to https, back, and again"),
        pytest.param([(NOW, [PAY]), (Settings(host=OTHER_HOST), [PAY]), (NOW, [])], [2, 0], id="to another host"),
        pytest.param([(NOW, [PAY]), (Settings(backend=1), [PAY]), (NOW, [])], [1, 1], id="to another backend"),
        # With another key the cookies are nobody's. The wallet proves what it has paid, and nothing is paid twice.
        pytest.param(
            [(NOW, [PAY]), (Settings(key=OTHER_KEY), [PAY]), (NOW, [BRING_BACK, PAY])], [1, 0], id="to another key"
        ),
        pytest.param(
            [(NOW, [PAY]), (Settings(key=f"{SECRET_KEY} {OTHER_KEY}"), []), (Settings(key=OTHER_KEY), [])],
            [1, 0],
            id="a rotation of keys",
        ),
        pytest.param(
            [(Settings(clock=-HOUR), [PAY]), (Settings(options={"cookie_max_age": HOUR / 2}), [PAY])],
            [1, 0],
            id="cookies that have become too old",
        ),
    ],
)
def test_settings_change(wild: Wild, steps: list[tuple[Settings, list[str]]], paid: list[int]) -> None:
    """After every change the page opens, in two redirects at the most at a time, and then without any."""
    for settings, pressed in steps:
        wild.serve(settings)
        url = wild.url(settings) + PAGE
        assert wild.read(url) == pressed, settings
        assert wild.reads_at_once(url), settings
        assert wild.reads_at_once(f"{url}?ref=newsletter"), settings
    assert wild.paid == paid


def test_old_and_new_cookies_at_once(wild: Wild) -> None:
    """The cookies of http go to the site by https as well, and are in nobody's way there."""
    for settings in (NOW, TLS):
        wild.serve(settings)
        wild.read(wild.url(settings) + PAGE)
    sent = wild.cookies(wild.url(TLS))
    assert len({name for name in sent if name.startswith("__Host-taler_")}) == 2
    assert len({name for name in sent if name.startswith("taler_")}) == 2
    assert wild.cookies(wild.url(NOW)) == {name for name in sent if name.startswith("taler_")}
    assert wild.reads_at_once(wild.url(TLS) + PAGE)


def test_cookies_of_two_keys_at_once(wild: Wild) -> None:
    """Those that nobody can read any more stay beside those of today, which count."""
    for key in (SECRET_KEY, OTHER_KEY):
        wild.serve(Settings(key=key))
        wild.read(wild.url(NOW) + PAGE)
    assert len({name for name in wild.cookies(wild.url(NOW)) if "_order_" in name}) == 2
    assert wild.reads_at_once(wild.url(NOW) + PAGE)


def test_cookies_of_two_backends_at_once(wild: Wild) -> None:
    """T50: their names differ, so that none is written over, and the session of each goes on where it was."""
    first, second = NOW, Settings(backend=1)
    for settings in (first, second):
        wild.serve(settings)
        wild.read(wild.url(NOW) + PAGE)
    sessions = {name for name in wild.cookies(wild.url(NOW)) if name.endswith("_session")}
    assert (len(sessions), len(wild.cookies(wild.url(NOW)))) == (2, 4)
    wild.serve(first)
    assert wild.read(f"{wild.url(NOW)}/articles/wasps") == [PAY]
    assert {name for name in wild.cookies(wild.url(NOW)) if name.endswith("_session")} == sessions

"""The newspaper's sites, named by their ASGI application, and how both protocols serve them."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from running import SECRET_KEY, TOKEN, Site
from servers import BY_NAME, Protocol, serve

NEWSPAPER: Final = "examples.newspaper.site:app"
QUICK: Final = "tests.site.newspaper.quick:app"
BARE: Final = "examples.newspaper.pages:site"
#: How many requests the site can be busy with under WSGI.
THREADS: Final = 8

_WSGI: Final = {
    NEWSPAPER: "tests.site.newspaper.wsgi:newspaper()",
    QUICK: "tests.site.newspaper.wsgi:quick()",
    BARE: "tests.site.newspaper.wsgi:bare()",
}


class ThreadedSite(Site):
    """A site under gunicorn, whose worker has `THREADS` threads."""

    def __init__(self, home: Path, backend: str, app: str = NEWSPAPER, **settings: str) -> None:
        self.home = home
        defaults = {
            "TALER_PAYWALL_BACKEND": backend,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
        }
        self.process, self.url = serve(
            BY_NAME["gunicorn threads"], home, _WSGI[app], "--threads", str(THREADS), **defaults | settings
        )
        self.port = urlsplit(self.url).port or 0


SITES: Final[dict[Protocol, type[Site]]] = {"asgi": Site, "wsgi": ThreadedSite}

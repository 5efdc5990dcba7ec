"""The examples, each under the servers it is started with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: The origin whose scripts may buy from the examples that have CORS, and read.
FRIEND: Final = "https://app.news.example"


@dataclass(frozen=True)
class Case:
    """One example under one server.

    Args:
        server: as `servers` names it.
        app: ``module:name``.
        slash: whether the site's own links to articles end with a slash.
        api: what programs pay for: the headlines (GET) or a count of words (POST).
        session: cookie of the framework's own session, or of the site.
        cors: whether the site lets scripts of `FRIEND` buy and read.
    """

    server: str
    app: str
    slash: bool
    api: Literal["headlines", "words"]
    session: str
    cors: bool

    @property
    def module(self) -> str:
        return self.app.partition(":")[0]

    @property
    def id(self) -> str:
        """Name it for the tests."""
        return f"{self.app.removeprefix('examples.')} under {self.server}"

    def article(self, slug: str) -> str:
        """Return the path of an article as the site spells it."""
        return f"/articles/{slug}{'/' if self.slash else ''}"

    def other_spelling(self, slug: str) -> str:
        """Return it with the slash at the end that the site has not, or without the one that it has."""
        return f"/articles/{slug}{'' if self.slash else '/'}"


STARLETTE: Final = ("examples.starlette_site:app", False, "headlines", "session", True)
FASTAPI: Final = ("examples.fastapi_site:app", False, "words", "session", True)
DJANGO_ASGI: Final = ("examples.django_site:asgi", True, "headlines", "sessionid", False)
DJANGO_WSGI: Final = ("examples.django_site:wsgi", True, "headlines", "sessionid", False)
FLASK: Final = ("examples.flask_site:app", False, "words", "session", True)
QUART: Final = ("examples.quart_site:app", False, "words", "session", True)
LITESTAR: Final = ("examples.litestar_site:app", False, "words", "session", True)
PLAIN: Final = ("examples.wsgi_site:app", False, "headlines", "last", False)


def fetch(site: Literal["same-site", "cross-site"], origin: str = FRIEND) -> dict[str, str]:
    """Return what browsers send with a script's request to another origin."""
    return {"Origin": origin, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


CASES: Final = (
    Case("uvicorn", *STARLETTE),
    Case("uvicorn h11", *FASTAPI),
    Case("uvicorn", *DJANGO_ASGI),
    Case("hypercorn", *DJANGO_ASGI),
    Case("gunicorn sync", *DJANGO_WSGI),
    Case("gunicorn threads", *FLASK),
    Case("waitress", *FLASK),
    Case("hypercorn", *QUART),
    Case("granian", *LITESTAR),
    Case("gunicorn sync", *PLAIN),
)

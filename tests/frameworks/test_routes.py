"""A rule that matches no route of a real application is named when the site starts; a strict site does not start."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
from a2wsgi import WSGIMiddleware
from fastapi import APIRouter, FastAPI
from flask import Flask
from litestar import Litestar, asgi, get
from quart import Quart
from running import ROOT, eventually, free_port
from servers import BY_NAME
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.shared_data import SharedDataMiddleware

from taler_paywall import ConfigError
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.settings import Options
from taler_paywall.testing.client import SiteError, serving
from taler_paywall.testing.process import PUBLIC_URL
from taler_paywall.wsgi import PaywallMiddleware as WsgiPaywall

#: Nothing is bought here: no backend is asked.
OPTIONS: Final[Options] = {
    "backend": "http://127.0.0.1:9/",
    "token": "secret-token:none",
    "secret_key": "0123456789abcdefghijklmnopqrstuvwxyz",
    "public_url": PUBLIC_URL,
}
RIGHT, WRONG = "/articles/{slug}", "/artciles/{slug}"
STATIC = str(ROOT / "examples" / "static")

LOOK = """
import importlib, json, logging, sys
from taler_paywall.asgi import PaywallMiddleware as Asgi
from taler_paywall.testing.client import serving
from taler_paywall.wsgi import PaywallMiddleware as Wsgi
import httpx

said = []
class Listener(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger("taler_paywall").addHandler(Listener())

def start(app):
    said.clear()
    with serving(app) as transport, httpx.Client(transport=transport, base_url="http://127.0.0.1:8000") as client:
        client.get("/")
    return [line for line in said if "route" in line]

found = {}
for name in sys.argv[1:]:
    module, _, attribute = name.partition(":")
    app = getattr(importlib.import_module(module), attribute)
    paywall = Wsgi if hasattr(app, "wsgi_app") or isinstance(app, Wsgi) else Asgi
    found[name] = start(app), start(paywall(app, {"/artciles/{slug}": "KUDOS:1"}, backend="sandbox:"))
print(json.dumps(found))
"""
EXAMPLES: Final = (
    *(f"examples.{name}_site:app" for name in ("starlette", "fastapi", "flask", "quart", "litestar")),
    *("examples.django_site:asgi", "examples.django_site:wsgi", "examples.newspaper.site:app"),
)


@pytest.fixture(scope="module")
def said() -> dict[str, tuple[list[str], list[str]]]:
    """Start every example in a process of their own: with its own rules, and with a wrong one."""
    command = [sys.executable, "-c", LOOK, *EXAMPLES, "examples.wsgi_site:app"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[list[str], list[str]]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples(example: str, said: dict[str, tuple[list[str], list[str]]]) -> None:
    """No example is warned of its own rules; of a slip of the pen each is, with the route that is meant."""
    own, wrong = said[example]
    assert own == []
    [line] = wrong
    assert f"rule {WRONG!r} matches no route" in line
    assert "is '/articles/" in line


def test_nothing_is_said_of_an_unknown_application(said: dict[str, tuple[list[str], list[str]]]) -> None:
    """Plain WSGI has no routes to look at."""
    own, wrong = said["examples.wsgi_site:app"]
    assert (own, wrong) == ([], [])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for name, level, line in caplog.record_tuples if (name, level) == ("taler_paywall", logging.WARNING)]


def paywalled(app: Any, *rules: str, **options: Any) -> Any:
    paywall: Any = PaywallMiddleware if isinstance(app, Starlette | Litestar | Quart | CORSMiddleware) else WsgiPaywall
    return paywall(app, dict.fromkeys(rules, "KUDOS:0.5"), **{**OPTIONS, **options})


def visit(app: Any, path: str = "/") -> int:
    with serving(app) as transport, httpx.Client(transport=transport, base_url=PUBLIC_URL) as client:
        return client.head(path).status_code


async def page(_: Any) -> PlainTextResponse:
    return PlainTextResponse("A page")


def page_of_flask(**_: str) -> str:
    return "A page"


def starlette(*routes: BaseRoute) -> Starlette:
    return Starlette(routes=[Route("/", page), *routes])


def flask() -> Flask:
    site = Flask("site", static_folder=None)
    site.add_url_rule("/", "front", page_of_flask)
    site.add_url_rule("/articles/<slug>", "article", page_of_flask)
    return site


def included() -> FastAPI:
    inner, outer, site = APIRouter(prefix="/articles"), APIRouter(), FastAPI()
    inner.add_api_route("/{slug}", page)
    outer.include_router(inner, prefix="/v1")
    site.include_router(outer, prefix="/api")
    return site


def frontend() -> FastAPI:
    site = FastAPI()
    site.frontend("/app", directory=STATIC)
    return site


def flask_in_starlette() -> Starlette:
    bridge: Any = WSGIMiddleware(cast("Any", flask()))
    return starlette(Mount("/o", bridge))


def litestar() -> Litestar:
    @get("/articles/{slug:str}")
    async def article() -> None: ...

    @asgi("/mounted", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None: ...

    return Litestar([article, mounted], logging_config=None)


ARTICLE = Route("/articles/{slug}", page)
FILES = StaticFiles(directory=STATIC)


#: How an application is made, which rules its routes serve, and which they do not.
READ: Final[dict[str, tuple[Callable[[], Any], list[str], list[str]]]] = {
    "a mount": (lambda: starlette(Mount("/shop", starlette(ARTICLE))), ["/shop" + RIGHT], [RIGHT, "/shop" + WRONG]),
    "a mount of routes": (lambda: starlette(Mount("/shop", routes=[ARTICLE])), ["/shop" + RIGHT], [RIGHT]),
    "files": (lambda: starlette(Mount("/static", FILES)), ["/static/a/b", "/static/*"], ["/sttaic/a"]),
    "files at the root": (lambda: starlette(Mount("/", FILES)), ["/anything/{at}/all"], []),
    "a host": (lambda: starlette(Host("shop.example", Router([ARTICLE]))), [RIGHT], [WRONG]),
    "files by default": (lambda: starlette(Mount("/a", Router(default=FILES))), ["/a/b/c"], ["/b"]),
    "middleware": (lambda: CORSMiddleware(CORSMiddleware(starlette(ARTICLE))), [RIGHT], [WRONG]),
    "FastAPI's routers": (included, ["/api/v1" + RIGHT, "/docs"], ["/api" + RIGHT, "/v1" + RIGHT]),
    "FastAPI's frontends": (frontend, ["/app", "/app/a/b"], ["/apps/a"]),
    "Flask in Starlette": (flask_in_starlette, ["/o" + RIGHT], ["/o" + WRONG]),
    "Litestar": (litestar, [RIGHT, "/mounted/a/b"], [WRONG, "/muonted/a"]),
    "Flask": (flask, [RIGHT, "/"], [WRONG]),
    "Flask's own method": (lambda: flask().wsgi_app, [RIGHT], [WRONG]),
    "a dispatcher": (lambda: DispatcherMiddleware(flask(), {"/shop": flask()}), [RIGHT, "/shop" + RIGHT], [WRONG]),
    "a file server": (lambda: SharedDataMiddleware(flask(), {"/static": STATIC}), [RIGHT, "/static/*"], ["/sttaic/*"]),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The rules that no route serves are named, each once, when the site starts or is first asked; and no other."""
    make, right, wrong = READ[name]
    site = paywalled(make(), *right, *wrong)
    assert warnings(caplog) == []
    visit(site)
    visit(site)
    assert [line.split("'")[1] for line in warnings(caplog)] == wrong


DJANGO = """
from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.core.asgi import get_asgi_application
from django.urls import include, path, re_path
from django.utils.translation import gettext_lazy
from taler_paywall import Rule
from taler_paywall.routes import routes_of, unserved

settings.configure(ROOT_URLCONF=__name__, STATIC_URL="/files/")
app = get_asgi_application()
inner = [path("<slug:slug>/", print), re_path(r"^(?P<year>[0-9]{4})/$", print), re_path("^feed$", print)]
urlpatterns = [path("articles/", include(inner)), re_path("^old/", include(inner)), re_path(r"^page/$", print)]
urlpatterns.append(re_path("^open/", print))

def look():
    print([rule.path for rule in unserved([Rule(pattern, "KUDOS:1") for pattern in PATTERNS], routes_of(app))])

look()
for doubtful in (path(gettext_lazy("wares/"), print), *i18n_patterns(path("fr", print)), re_path("where$", print)):
    urlpatterns.append(doubtful)
    look()
    urlpatterns.pop()
look()
"""


def test_django() -> None:
    """URLconfs are read through what they include; where they depend on the language, anything may be served."""
    right = ["/articles/{slug}", "/articles/feed", "/old/{slug}", "/page", "/files/style.css", "/open/a/b"]
    wrong = ["/artciles/{slug}", "/odl/{slug}", "/pages"]
    code = DJANGO.replace("PATTERNS", repr([*right, *wrong]))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == [repr(wrong), "[]", "[]", "[]", repr(wrong)], done.stderr


def test_routes_of_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """What an application registers after it was wrapped, or while it starts, counts too."""

    @asynccontextmanager
    async def lifespan(site: Starlette) -> AsyncIterator[None]:
        site.router.routes.append(ARTICLE)
        yield

    visit(paywalled(Starlette(lifespan=lifespan), RIGHT))
    late = Flask("late")
    site = paywalled(late, RIGHT)
    late.add_url_rule("/articles/<slug>", view_func=page_of_flask)
    visit(site)
    assert warnings(caplog) == []


def test_an_application_that_knows_no_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    """Then, as with Django, the rules are checked all the same, before anything is asked."""

    class NoLifespan(CORSMiddleware):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise ValueError(scope["type"])

    with serving(paywalled(NoLifespan(starlette(ARTICLE)), WRONG)):
        assert len(warnings(caplog)) == 1
    with pytest.raises(SiteError), serving(paywalled(NoLifespan(starlette(ARTICLE)), WRONG, strict=True)):
        pass


@pytest.mark.parametrize("make", [starlette, flask])
def test_a_site_that_is_switched_off(make: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Without the paywall nothing is looked at, not even in strict mode."""
    visit(paywalled(make(), WRONG, enabled=False, strict=True))
    assert [line for line in warnings(caplog) if "rule" in line] == []


def test_threads_that_come_first(caplog: pytest.LogCaptureFixture) -> None:
    """Under WSGI the first requests may come together; the rule is named once."""
    site = paywalled(flask(), WRONG)
    with ThreadPoolExecutor(8) as threads, serving(site) as transport:
        client = httpx.Client(transport=transport, base_url=PUBLIC_URL)
        answers = [answer.status_code for answer in threads.map(client.head, ["/"] * 64)]
    assert answers == [200] * 64
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("mounted", [True, False])
def test_mounts(*, mounted: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Where a paywall is mounted, rules are written with the path of the mount or without, and others never match."""
    public_url = PUBLIC_URL + ("" if mounted else "/shop")
    shop = paywalled(starlette(ARTICLE), RIGHT, "/shop" + RIGHT, "/blog" + RIGHT, public_url=public_url)
    visit(Starlette(routes=[Mount("/shop", shop)]) if mounted else shop, "/shop/")
    assert [line.split("'")[1] for line in warnings(caplog)] == ["/blog" + RIGHT]


def test_strict_wsgi() -> None:
    """In strict mode the middleware is not made around an application that lacks a route, or shows none."""
    with pytest.raises(ConfigError, match=r"matches no route.*\n.*strict=True"):
        paywalled(flask(), RIGHT, WRONG, strict=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        paywalled(lambda *_: [], RIGHT, strict=True)
    assert visit(paywalled(flask(), RIGHT, strict=True)) == 200


def test_strict_asgi() -> None:
    """In strict mode the start fails; where nobody runs a lifespan, as in mounts, no request passes."""
    with pytest.raises(SiteError), serving(paywalled(starlette(ARTICLE), WRONG, strict=True)):
        pass
    mounted = starlette(Mount("/shop", paywalled(starlette(ARTICLE), WRONG, strict=True)))
    with serving(mounted) as transport, httpx.Client(transport=transport, base_url=PUBLIC_URL) as client:
        for path in ("/shop/articles/bees", "/shop/", "/shop/articles/bees"):
            with pytest.raises(ConfigError):
                client.get(path)
        assert client.get("/").status_code == 200
    assert visit(paywalled(starlette(ARTICLE), RIGHT, strict=True)) == 200


SITES: Final = {
    "starlette": """
from starlette.applications import Starlette
from starlette.routing import Route
from taler_paywall.asgi import PaywallMiddleware

app = Starlette(routes=[Route("/articles/{slug}", print)])
app.add_middleware(PaywallMiddleware, rules={"/artciles/{slug}": "KUDOS:1"}, backend="sandbox:", strict=True)
""",
    "flask": """
from flask import Flask
from taler_paywall.wsgi import PaywallMiddleware

app = Flask(__name__)
app.add_url_rule("/articles/<slug>", view_func=print)
app.wsgi_app = PaywallMiddleware(app.wsgi_app, {"/artciles/{slug}": "KUDOS:1"}, backend="sandbox:", strict=True)
""",
}
SERVED: Final = (("uvicorn", "starlette", 3), ("hypercorn", "starlette", 0), ("gunicorn sync", "flask", 3))


@pytest.mark.parametrize(("server", "site", "status"), SERVED)
def test_a_strict_site_does_not_start(server: str, site: str, status: int, tmp_path: Path) -> None:
    """A real server names the rule and ends, with the status that it gives whenever a site fails to start."""
    (tmp_path / "site_of_an_owner.py").write_text(SITES[site])
    process = BY_NAME[server].start(tmp_path, "site_of_an_owner:app", free_port(), PYTHONPATH=str(tmp_path))
    try:
        eventually(lambda: process.popen.poll() is not None, "the end")
    finally:
        ended = process.end()
    assert (ended, f"rule {WRONG!r} matches no route" in process.output) == (status, True), process.output


def test_an_application_that_mounts_itself_unseen() -> None:
    """Around FastAPI(root_path=...) pages would be sold under one address and free under the other; inside it, not."""
    app = FastAPI()
    app.root_path = "/shop"
    with pytest.raises(ConfigError, match="mounts itself at '/shop'"):
        PaywallMiddleware(app, {RIGHT: "KUDOS:1"}, **OPTIONS)
    PaywallMiddleware(app, {RIGHT: "KUDOS:1"}, enabled=False)
    app.add_api_route("/articles/{slug}", lambda slug: f"content of {slug}")
    app.add_middleware(cast(Any, PaywallMiddleware), rules={RIGHT: "KUDOS:1"}, **cast(Any, OPTIONS))
    with serving(app) as transport, httpx.Client(transport=transport, base_url=PUBLIC_URL) as client:
        for path in ("/articles/one", "/shop/articles/one"):
            assert client.head(path).status_code == 402


def test_django_that_mounts_itself_unseen(tmp_path: Path) -> None:
    """The same for Django's setting."""
    code = (
        "from django.conf import settings\n"
        "settings.configure(FORCE_SCRIPT_NAME='/shop', ROOT_URLCONF='x', SECRET_KEY='x')\n"
        "from django.core.asgi import get_asgi_application\n"
        "from taler_paywall.asgi import PaywallMiddleware\n"
        f"PaywallMiddleware(get_asgi_application(), {{{RIGHT!r}: 'KUDOS:1'}}, **{OPTIONS!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "the application mounts itself at '/shop'" in done.stderr

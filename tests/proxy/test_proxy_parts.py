"""What sites have beside pages, through nginx: events, websockets, uploads, files that nginx sends, long headers."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from reader import Reader
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from taler_paywall.testing.wallet import TalerWallet

from .setups import EVENTS, FILES, ROOT_GUNICORN, ROOT_UVICORN, UPLOADS, WEBSOCKETS, Proxied, Proxies, Setup
from .walk import buy, pay

MIB = 1 << 20


@pytest.fixture(params=[ROOT_UVICORN, ROOT_GUNICORN], ids=["uvicorn", "gunicorn"])
def setup(request: pytest.FixtureRequest) -> Setup:
    chosen: Setup = request.param
    return chosen


def listen(reader: Reader, path: str, patience: float = 30) -> list[str]:
    """Return the events of a stream whose second event waits until the first was heard."""
    heard = []
    with reader.http.stream("GET", path, timeout=patience) as stream:
        assert stream.status_code == 200
        for line in stream.iter_lines():
            if line:
                heard.append(line)
                assert reader.http.post("/hear").text == "heard"
    return heard


def test_events_arrive_at_once(setup: Setup, proxies: Proxies, wallet: TalerWallet) -> None:
    """A paid event arrives while the stream goes on; without the setting it does not, unless the application asks."""
    site, bare = proxies.get(setup, EVENTS), proxies.get(setup)
    with site.reader() as reader:
        pay(reader, wallet, "/events/a")
        assert listen(reader, "/events/a") == ["data: first", "data: second"]
    with bare.reader() as reader:
        pay(reader, wallet, "/events/b")
        assert listen(reader, "/events/b?X-Accel-Buffering=no") == ["data: first", "data: second"]
        with pytest.raises(httpx.ReadTimeout):
            listen(reader, "/events/b", patience=1)
        reader.http.post("/hear")


def test_websocket(proxies: Proxies, wallet: TalerWallet) -> None:
    """A stranger's handshake gets 402, a reader's is granted."""
    site = proxies.get(ROOT_UVICORN, WEBSOCKETS)

    async def talk(cookies: dict[str, str]) -> str | bytes:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        url = f"wss{site.url.removeprefix('https')}/rooms/a"
        async with connect(url, ssl=site.certificates.trusting, additional_headers=headers, proxy=None) as socket:
            await socket.send("hello")
            return await socket.recv()

    with site.reader() as reader:
        with pytest.raises(InvalidStatus) as refused:
            asyncio.run(talk({}))
        assert refused.value.response.status_code == 402
        pay(reader, wallet, "/rooms/a")
        assert asyncio.run(talk(reader.cookies())) == "you said hello"


def test_files_that_nginx_sends(setup: Setup, proxies: Proxies, wallet: TalerWallet) -> None:
    """nginx sends a file once the paywall has granted it, private and with its cookies; its own location is closed."""
    site = proxies.get(setup, FILES)
    paid = site.nginx.home / "paid-files"
    paid.mkdir(exist_ok=True)
    (paid / "a.txt").write_text("0123456789")
    with site.reader() as reader, site.reader() as stranger:
        buy(reader, wallet, "/files/a.txt")
        got = reader.visit("/files/a.txt")
        assert (got.status_code, got.text) == (200, "0123456789")
        assert ("private" in got.headers["cache-control"], "vary" in got.headers) == (True, False)
        reader.drop("_o")
        assert "taler_" in reader.visit("/files/a.txt").headers["set-cookie"], "who lost the order is given it again"
        part = reader.http.get("/files/a.txt", headers={"Range": "bytes=2-3"})
        assert (part.status_code, part.text) == (206, "23")
        assert reader.http.get("/files/a.txt", headers={"If-None-Match": got.headers["etag"]}).status_code == 304
        assert stranger.visit("/files/a.txt").status_code == 302
        for path in ("/paid-files/a.txt", "//paid-files/a.txt", "/files/../paid-files/a.txt", "/paid-files%2Fa.txt"):
            assert stranger.http.get(path, headers={"X-Accel-Redirect": path}).status_code in {400, 404}, path


def test_uploads(setup: Setup, proxies: Proxies, wallet: TalerWallet) -> None:
    """A paid upload arrives; a stranger's is refused however long it is."""
    site, bare = proxies.get(setup, UPLOADS), proxies.get(setup)
    body = b"x" * (20 * MIB)
    with site.reader() as reader:
        assert reader.http.post("/uploads/a", content=b"short").status_code == 402
        # 502: nginx was still writing when the server had answered and closed the connection.
        assert reader.http.post("/uploads/a", content=body).status_code in {402, 502}
        reader.drop()
        buy(reader, wallet, "/uploads/a")
        assert reader.http.post("/uploads/a", content=body).json() == len(body)
    with bare.reader() as reader:
        assert reader.http.post("/uploads/a", content=body).status_code == 413, "nginx takes 1 MiB by default"


def test_long_headers(setup: Setup, proxies: Proxies, wallet: TalerWallet) -> None:
    """The application's long headers and all the cookies of a busy reader pass in both directions."""
    site = proxies.get(setup)
    with site.reader() as reader:
        for number in range(14):
            page = f"/letters/{number}?{'x' * 230}"
            asked = reader.visit(page)
            assert asked.status_code == 302
        fulfillment_url = wallet.pay(asked.headers["location"]).fulfillment_url
        assert reader.come_back(fulfillment_url or "").status_code == 303
        read = reader.visit(page)
        assert (read.text, len(read.headers["x-long"])) == ("a letter", 3500)
        sent = read.request.headers["cookie"]
        assert 3000 < len(sent) < 4200


def test_crumbs(setup: Setup, proxies: Proxies, wallet: TalerWallet) -> None:
    """Over HTTP/2, where browsers send each cookie by itself, the reader is still known."""
    site = proxies.get(setup)
    with site.reader(http2=True) as reader:
        buy(reader, wallet)
        crumbs = [("Cookie", f"{name}={value}") for name, value in {"first": "1", **reader.cookies()}.items()]
        reader.drop()
        read = reader.http.get("/articles/bees", headers=crumbs)
        assert (read.http_version, read.status_code) == ("HTTP/2", 200)
        seen = reader.http.get("/seen", headers=crumbs).json()["headers"]
        assert [value.count(";") for name, value in seen if name == "cookie"] == [len(crumbs) - 1]


def test_headers_with_underscores_are_dropped(setup: Setup, proxies: Proxies) -> None:
    """A client cannot hand SCRIPT_NAME or PATH_INFO to a server that believes its proxy."""
    site = proxies.get(setup)
    with site.reader() as reader:
        headers = {"SCRIPT_NAME": "/articles", "PATH_INFO": "/", "X-Kept": "1"}
        seen = reader.http.get("/seen", headers=headers).json()
        names = {name.replace("_", "-") for name, _ in seen["headers"]}
        assert ("x-kept" in names, names & {"script-name", "path-info"}) == (True, set())


def test_the_bare_site_is_the_documents_first_block(proxies: Proxies) -> None:
    """The site without further blocks is really behind nginx: it says so."""
    site: Proxied = proxies.get(ROOT_UVICORN)
    with site.reader() as reader:
        assert reader.visit("/").headers["server"].startswith("nginx/")

"""Forms that do not arrive whole buy nothing, and are nobody's bug."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from running import SECRET_KEY, TOKEN, Process
from servers import BY_NAME, serve

from .raw import exchange
from .till import Till
from .wsgi_calls import REORDER, asked, behind, call, hello

BODY = b"page=/paid/wsgi&method=GET"
OWN_SITE = {"HTTP_SEC_FETCH_SITE": "same-origin", "CONTENT_TYPE": "application/x-www-form-urlencoded"}


class Broken(io.BytesIO):
    """A body that a server cannot read to its end."""

    def read(self, _: int | None = -1) -> bytes:
        raise OSError("the client has gone")


@pytest.mark.parametrize(
    "cut",
    [
        {"CONTENT_LENGTH": str(len(BODY) + 1)},
        {"CONTENT_LENGTH": "999999999999"},
        {"wsgi.input": Broken()},
        {"wsgi.input": Broken(), "CONTENT_LENGTH": "", "wsgi.input_terminated": True},
    ],
    ids=["one byte short", "far too short", "broken", "broken chunks"],
)
def test_what_is_cut_off_buys_nothing(sandbox: Till, cut: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    """A form shorter than its length, or one that cannot be read, is 413: no order, and no traceback in the log."""
    before = len(sandbox.orders())
    with caplog.at_level(logging.INFO, "taler_paywall"):
        answer = call(behind(hello, sandbox.url), asked(REORDER, "POST", BODY, **OWN_SITE) | cut)
    assert (answer.status, len(sandbox.orders())) == (413, before)
    assert "internal-error" not in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO"]


@pytest.mark.parametrize("name", ["gunicorn sync", "gunicorn threads", "gunicorn gevent"])
def test_broken_chunks(name: str, sandbox: Till, tmp_path: Path, processes: list[Process]) -> None:
    """A form whose chunks are broken is the reader's mistake: no 503, nothing bought, no traceback in the log."""
    settings = {
        "TALER_PAYWALL_BACKEND": sandbox.url,
        "TALER_PAYWALL_TOKEN": TOKEN,
        "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
    }
    process, url = serve(BY_NAME[name], tmp_path, "tests.conformance.wsgi_served:app", **settings)
    processes.append(process)
    before = len(sandbox.orders())
    head = (
        f"POST {REORDER} HTTP/1.1\r\nHost: {url[7:]}\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    for chunks in (b"zz\r\n", b"%x\r\n%s\r\nzz\r\n" % (len(BODY), BODY)):
        assert exchange(url, head + chunks).split(b" ")[1] in {b"400", b"413"}
    assert len(sandbox.orders()) == before
    assert "Traceback" not in process.output
    assert "internal-error" not in process.output

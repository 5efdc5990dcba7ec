"""Loaded before the fork, and before gevent replaces the standard library: nothing of that time may be left."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
import trustme
from running import SECRET_KEY, TLS, TOKEN, Process, eventually, free_port
from servers import BY_NAME, serve

READERS = 8


class Refusal(BaseHTTPRequestHandler):
    """A backend that is there, and does not know the token."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        answer = b'{"code": 40, "hint": "unauthorized"}'
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def under_tls(authority: trustme.CA) -> Iterator[str]:
    """Run that backend under https, and return its base URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            serving.join()


def ask(url: str) -> list[httpx.Response]:
    """Ask for many pages at once."""
    with ThreadPoolExecutor(READERS) as readers:
        pages = [f"{url}/paid/{number}" for number in range(READERS)]
        return list(readers.map(lambda page: httpx.get(page, trust_env=False, verify=TLS, timeout=60), pages))


@pytest.mark.parametrize("name", ["gunicorn gevent", "gunicorn threads", "gunicorn sync"])
def test_a_backend_under_tls(name: str, tmp_path: Path, processes: list[Process]) -> None:
    """The connections under TLS are those of the worker; what the backend says is heard."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with under_tls(authority) as backend:
        settings = {
            "TALER_PAYWALL_BACKEND": backend,
            "TALER_PAYWALL_TOKEN": TOKEN,
            "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
            "AUTHORITY": str(tmp_path / "authority.pem"),
        }
        process, url = serve(BY_NAME[name], tmp_path, "tests.conformance.wsgi_trusting:app", "--preload", **settings)
        processes.append(process)
        assert [answer.status_code for answer in ask(url)] == [503] * READERS
        process.end()
    assert process.output.count("reason=backend-rejected") == READERS, process.output
    assert "internal-error" not in process.output


@pytest.mark.parametrize("name", ["gunicorn gevent", "gunicorn threads"])
def test_a_sandbox_of_the_site(name: str, tmp_path: Path, processes: list[Process]) -> None:
    """Readers who come first all at once wait for the one sandbox that is started, and for nothing else."""
    settings = {"TALER_PAYWALL_BACKEND": f"sandbox:{free_port()}"}
    process, url = serve(BY_NAME[name], tmp_path, "tests.conformance.wsgi_served:app", "--preload", **settings)
    processes.append(process)
    # On a busy machine the sandbox takes longer to start than a visit may wait.
    assert {answer.status_code for answer in ask(url)} <= {402, 503}
    eventually(lambda: [answer.status_code for answer in ask(url)] == [402] * READERS, "everybody is asked to pay")
    process.end()
    assert process.output.count("the sandbox runs at") == 1

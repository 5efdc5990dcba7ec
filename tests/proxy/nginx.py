"""A real nginx with a directory of its own, run by whoever runs the tests."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import trustme
from running import eventually, free_port, listens

#: Where Debian has it; not on the PATH of everybody.
NGINX: Final = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") or "nginx"
#: Two names of this machine, so that the site and the backend are two sites to a browser as well.
SITE_NAME: Final = "localhost"
BACKEND_NAME: Final = "127.0.0.1"

_MAIN = """
daemon off;
{user}
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{servers}}}
"""


class Certificates:
    """Certificates for both names, by an authority that only the clients of these tests trust."""

    def __init__(self, home: Path) -> None:
        authority = trustme.CA()
        self.home = home
        for name in (SITE_NAME, BACKEND_NAME):
            # Clients name no server by an address, and so get the certificate of the first one.
            issued = authority.issue_cert(SITE_NAME, BACKEND_NAME)
            issued.private_key_pem.write_to_path(home / f"{name}.key")
            for position, pem in enumerate(issued.cert_chain_pems):
                pem.write_to_path(home / f"{name}.pem", append=position > 0)
        self.trusting = ssl.create_default_context()
        authority.configure_trust(self.trusting)


class Nginx:
    """One nginx with TLS at a port of its own; a context manager.

    Args:
        home: an empty directory.
        certificates: for its servers.
        text: the servers, as the document shows them.
        upstreams: the port where each port of the document is really found.
    """

    def __init__(self, home: Path, certificates: Certificates, text: str, upstreams: Mapping[int, int]) -> None:
        self.home = home
        self.port = free_port()
        self.log = home / "nginx.log"
        user = "user root root;" if os.geteuid() == 0 else ""
        (home / "nginx.conf").write_text(_MAIN.format(user=user, servers=self._here(text, certificates, upstreams)))

    def _here(self, text: str, certificates: Certificates, upstreams: Mapping[int, int]) -> str:
        """Replace what differs on every machine, and nothing else: names, ports and directories."""
        for known, real in upstreams.items():
            text = text.replace(f"127.0.0.1:{known}", f"127.0.0.1:{real}")
        replaced = {
            "listen 443 ": f"listen 127.0.0.1:{self.port} ",
            "/etc/ssl/": f"{certificates.home}/",
            "/var/cache/nginx/": f"{self.home}/cache/",
            "/srv/": f"{self.home}/",
            "news.example": SITE_NAME,
            "pay.example": BACKEND_NAME,
        }
        for documented, here in replaced.items():
            text = text.replace(documented, here)
        return text

    @property
    def _command(self) -> list[str]:
        return [NGINX, "-p", str(self.home), "-c", "nginx.conf", "-e", "stderr"]

    def check(self) -> str:
        """Let nginx check the configuration, and return what it has to say."""
        done = subprocess.run([*self._command, "-t"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            # A group of its own: its worker must not outlive it.
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)

        def ready() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return listens(self.port)

        eventually(ready, "nginx listens")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise

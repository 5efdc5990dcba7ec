"""All parts of the fault suite as real processes: the backend, Redis, and the site under servers of four workers."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis
from prefork.workers import workers_of
from running import SECRET_KEY, TOKEN, Process, environment, eventually, free_port, listens
from servers import BY_NAME, Protocol
from stateful.world import Books

from .truth import RECHECK_AFTER, SERVE_KNOWN_FOR

WORKERS: Final = 4
APP: Final = "tests.faults.site"
#: What the workers are started with. A worker that is slow to answer its server on a busy machine is not hung.
SERVERS: Final[dict[Protocol, tuple[str, ...]]] = {
    "asgi": ("--workers", str(WORKERS), "--no-access-log", "--timeout-worker-healthcheck", "60"),
    "wsgi": ("--workers", str(WORKERS), "--threads", "8"),
}
NAMES: Final[dict[Protocol, str]] = {"asgi": "uvicorn", "wsgi": "gunicorn threads"}
MEBIBYTE: Final = 1 << 20


def bend(link: Path, target: str) -> None:
    """Let a symbolic link lead elsewhere from one moment to the next."""
    new = link.with_suffix(".new")
    new.symlink_to(target)
    new.replace(link)


class Redis:
    """A redis-server of our own that keeps nothing on the disk; it can be killed and started again at its port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, empty."""
        program = shutil.which("redis-server")
        assert program, "Debian's redis-server is needed"
        options = ("--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self.home))
        with (self.home / "redis.log").open("ab") as log:
            self.popen = subprocess.Popen([program, *options], env=environment(self.home), stdout=log, stderr=log)
        eventually(lambda: listens(self.port), "redis-server")

    def flush(self) -> None:
        """Make it forget everything."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def kill(self) -> None:
        """End it at once."""
        self.popen.kill()
        self.popen.wait()


@dataclass
class Site:
    """The site under one server.

    Args:
        home: holds `log`, a link to where its log lines go; `unwritten`, which grows by a byte for each line that could
            not be written; and `clock`, a link to the number of seconds that the clocks of its workers are ahead.
        settings: its environment.
    """

    protocol: Protocol
    process: Process
    url: str
    home: Path
    settings: dict[str, str]

    @property
    def unwritten(self) -> int:
        """How many lines of its log could not be written."""
        return (self.home / "unwritten").stat().st_size

    @property
    def workers(self) -> set[int]:
        """The process IDs of the workers that live."""
        children = workers_of(self.process)
        # multiprocessing keeps a child of its own.
        return {child for child in children if "resource_tracker" not in command_line(child)}

    @property
    def memory(self) -> float:
        """What all workers have in memory, in MiB, shared pages counted in each."""
        pages = [Path(f"/proc/{worker}/smaps_rollup").read_text().split() for worker in self.workers]
        return sum(int(words[words.index("Rss:") + 1]) for words in pages) * 1024 / MEBIBYTE


def command_line(process: int) -> str:
    """Return how a process was started, empty if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def open_files(process: int) -> int:
    """Return how many file descriptors a process has."""
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


@dataclass
class World:
    """Everything that runs.

    Args:
        seed: of the markers.
        redis: None where the workers share nothing.
    """

    seed: str
    books: Books
    redis: Redis | None
    sites: list[Site]


def start_site(
    world: World,
    home: Path,
    protocol: Protocol,
    *,
    package: Path | None = None,
    host: str = "127.0.0.1",
    public_url: str = "",
    **options: Any,
) -> Site:
    """Start the site with its workers, and wait until all live.

    Args:
        world: what it belongs to.
        home: a directory that is made for it.
        protocol: of the server.
        package: the directory of another `taler_paywall` than ours; under ASGI.
        host: the loopback address that it listens at; under ASGI.
        public_url: of the site, if that is not where it listens.
        options: further keywords of the middleware.
    """
    home.mkdir()
    files = {name: home / name for name in ("written", "log", "unwritten", "clock")}
    files["log"].symlink_to(files["written"])
    files["unwritten"].touch()
    files["clock"].symlink_to("0")
    port = free_port()
    url = f"http://{host}:{port}"
    options = {"recheck_after": RECHECK_AFTER, "serve_known_for": SERVE_KNOWN_FOR} | options
    if world.redis:
        options["cache"] = world.redis.url
    settings = {
        "TALER_PAYWALL_BACKEND": world.books.url,
        "TALER_PAYWALL_TOKEN": TOKEN,
        "TALER_PAYWALL_SECRET_KEY": SECRET_KEY,
        "TALER_PAYWALL_PUBLIC_URL": public_url or url,
        "MARKERS": world.seed,
        "OPTIONS": json.dumps(options),
        **{name.upper(): str(files[name]) for name in ("log", "unwritten", "clock")},
    }
    arguments = list(SERVERS[protocol])
    if protocol == "asgi":
        arguments += ["--host", host, *(("--app-dir", str(package)) if package else ())]
    process = BY_NAME[NAMES[protocol]].start(home, f"{APP}:{protocol}", port, *arguments, **settings)
    site = Site(protocol, process, url, home, settings)
    world.sites.append(site)
    process.wait_for(f"{url}/")
    eventually(lambda: len(site.workers) == WORKERS, f"{WORKERS} workers")
    return site


@contextmanager
def opened(home: Path, *, shared: bool) -> Iterator[World]:
    """Start a backend and, where the workers are to share what they know, Redis; end everything in the end.

    Args:
        home: a directory for all files.
        shared: whether there is a Redis.
    """
    with ExitStack() as stack:
        for name in ("backend", "redis"):
            (home / name).mkdir()
        books = Books(home / "backend")

        def end_backend() -> None:
            # It may have been started anew.
            books.process.end()

        stack.callback(end_backend)
        stack.callback(books.http.close)
        store = Redis(home / "redis") if shared else None
        if store:
            stack.callback(store.kill)
        world = World(secrets.token_hex(16), books, store, [])
        stack.callback(lambda: [site.process.end() for site in world.sites])
        yield world

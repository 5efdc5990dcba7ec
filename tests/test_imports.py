"""What importing the adapters and making a paywall leaves undone: forks and patches may follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: What Python reports of a program that does more than to define something; the script ends with it.
WATCH = """
import sys

FORBIDDEN = {"socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo",
             "subprocess.Popen", "os.fork", "os.posix_spawn"}

def watch(event, arguments):
    if event in FORBIDDEN:
        raise SystemExit(f"{event} {arguments}")

sys.addaudithook(watch)

import _thread

def refuse(*arguments, **options):
    raise SystemExit("thread started")

# Threads are not reported by every Python; `threading` takes them from here.
for name in {"start_new_thread", "start_joinable_thread"} & set(dir(_thread)):
    setattr(_thread, name, refuse)
"""
MADE = {
    "real": """
from taler_paywall.PROTOCOL import PaywallMiddleware
PaywallMiddleware(print, {"/articles/{slug}": "KUDOS:0.5"}, backend="https://backend.example/",
    token="secret-token:sandbox", secret_key="only-for-tests-1234567890-abcdefgh", public_url="https://news.example")
""",
    "sandbox": """
from taler_paywall.PROTOCOL import PaywallMiddleware
PaywallMiddleware(print, {"/articles/{slug}": "KUDOS:0.5"}, backend="sandbox:")
""",
}
PROTOCOLS = ["asgi", "wsgi"]
#: How many modules an adapter brings along, with those of Python itself and of libraries that others have installed.
MODULES = 370


def run(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter, warnings being errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env={"HOME": str(home)})


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("backend", MADE)
def test_nothing_is_opened_or_started(protocol: str, backend: str, tmp_path: Path) -> None:
    """To import an adapter and to make its middleware opens no socket and starts no thread and no process."""
    done = run(WATCH + MADE[backend].replace("PROTOCOL", protocol), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_few_sites_need_comes_late(protocol: str, tmp_path: Path) -> None:
    """What play money, QR codes and the commands need is loaded by those who use it: workers start sooner."""
    late = "{'taler_paywall.local_sandbox', 'segno', 'httpx', 'starlette', 'click', 'uvicorn'}"
    said = (
        f"import sys; print(len(sys.modules)); late = {late} & sys.modules.keys(); sys.exit(str(late) if late else 0)"
    )
    done = run(MADE["real"].replace("PROTOCOL", protocol) + said, tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= MODULES, "more modules are loaded than before"


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("import socket; socket.socket()", "socket.__new__"),
        ("import threading; threading.Thread(target=print).start()", "thread"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import os; os.fork() or os._exit(0)", "os.fork"),
    ],
)
def test_the_watch_notices(code: str, event: str, tmp_path: Path) -> None:
    """What the other test would see is seen."""
    done = run(WATCH + code, tmp_path)
    assert (done.returncode, done.stderr.partition(" ")[0]) == (1, event)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_event_loop_is_touched(protocol: str, tmp_path: Path) -> None:
    """The adapters choose no policy and no loop, and do not load what runs one."""
    before = """
import asyncio, signal, sys
def state():
    # The policy itself: to ask for it would make it.
    return asyncio.events._event_loop_policy, asyncio._get_running_loop(), signal.getsignal(signal.SIGINT)
before = state()
"""
    after = """
assert state() == before
loaded = [name for name in sys.modules if name.startswith(("anyio._backends", "uvicorn", "uvloop", "trio", "gevent"))]
assert not loaded, loaded
"""
    done = run(before + MADE["real"].replace("PROTOCOL", protocol) + after, tmp_path)
    assert done.returncode == 0, done.stderr


def test_wsgi_sites_load_nothing_of_asgi(tmp_path: Path) -> None:
    """A WSGI site does not import the other adapter, its transport, or a framework."""
    code = MADE["real"].replace("PROTOCOL", "wsgi") + "import sys; print(*sys.modules)"
    loaded = set(run(code, tmp_path).stdout.split())
    assert "taler_paywall.wsgi" in loaded
    assert not loaded & {"taler_paywall.asgi", "taler_paywall.async_transport", "starlette"}

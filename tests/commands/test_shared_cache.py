"""What `check` says of Redis and of webhooks without it; an address of Redis is never shown as it was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shared_cache.redis_server import RedisServer

from taler_paywall.operator.site_findings import findings
from taler_paywall.operator.target import load

from .conftest import Desk

Write = Callable[..., str]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Without a bound, and evicting nothing: the defaults."""
    with closing(RedisServer(tmp_path)) as started:
        yield started


def said(found: list[dict[str, str]], topic: str) -> list[tuple[str, str]]:
    """Return what is said of a topic, after the address; what is wrong has a fix."""
    told = [each for each in found if each["topic"] == topic]
    assert all(bool(each["fix"]) is (each["level"] != "ok") for each in told), told
    return [(each["level"], each["text"].removeprefix("Redis at 127.0.0.1 ")) for each in told]


@pytest.mark.parametrize(
    "address",
    [
        *("redis://:hunter2\N{ACCOUNT OF}@h/0", "redis://[hunter2", "redis://:hunter2@h:port/0"),
        *("redis://:hunter2@127.0.0.1:1/0?hunter2=1", "redis://:hunter2@127.0.0.1:1/0?max_connections=hunter2"),
        *("redis://:hunter2@127.0.0.1:1/0?socket_timeout=hunter2", f"redis://:hunter2@{'h' * 70}.example:1/0"),
    ],
)
def test_addresses_that_cannot_be_used(address: str, desk: Desk, write: Write) -> None:
    """However Redis is given a wrong address, there is a finding, and neither a traceback nor the address."""
    desk.secrets.append("hunter2")
    done = desk.run("check", write(cache=address))
    assert done.returncode == 1
    assert "cache is an address" in done.stdout or "cache: Redis at " in done.stdout


def test_addresses_that_the_paywall_let_through(desk: Desk, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` does not count on addresses that somebody else has looked at."""
    for name, value in desk.settings.items():
        monkeypatch.setenv(name, value)
    target = load(write())
    for address in ("redis://:hunter2\N{ACCOUNT OF}@h/0", "redis://[hunter2", "http://:hunter2@h/0"):
        object.__setattr__(target.settings, "cache", address)
        told = [str(each) for each in findings(target, "") if each.topic == "cache"]
        assert len(told) == 1
        assert "does not answer (" in told[0]
        assert "hunter2" not in told[0]


def test_how_much_redis_may_hold(server: RedisServer, desk: Desk, write: Write) -> None:
    """Without a bound it takes all memory, and with one it should evict."""
    file, answers = write(cache=server.url), ("ok", "answers")
    assert said(desk.check(file)[1], "cache") == [answers, ("warning", "may take all memory of its machine")]
    server.admin.config_set("maxmemory", "100mb")
    assert said(desk.check(file)[1], "cache") == [answers, ("warning", "takes nothing more once it is full")]
    server.admin.config_set("maxmemory-policy", "allkeys-lru")
    status, found = desk.check(file)
    assert (status, said(found, "cache")) == (0, [answers])


def test_who_may_not_ask_is_told_nothing(server: RedisServer, desk: Desk, write: Write) -> None:
    server.admin.acl_setuser("site", enabled=True, passwords=["+hunter2"], categories=["+@all"], commands=["-config"])
    desk.secrets.append("hunter2")
    status, found = desk.check(write(cache=f"redis://site:hunter2@127.0.0.1:{server.port}/0"))
    assert (status, said(found, "cache")) == (0, [("ok", "answers")])


def test_webhooks_reach_one_worker(server: RedisServer, desk: Desk, write: Write) -> None:
    """That is said where webhooks are installed and nothing is shared."""
    text = "with several workers a webhook reaches one of them; the others notice within 45 s"
    file = write(recheck_after=45)
    assert text not in str(desk.check(file)[1])
    assert desk.run("webhooks", "--config", file, "install").returncode == 0
    assert ("warning", text) in said(desk.check(file)[1], "webhook")
    shared = said(desk.check(write(recheck_after=45, cache=server.url))[1], "webhook")
    assert [level for level, _ in shared] == ["ok"]

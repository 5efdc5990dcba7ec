"""A redis-server of a test's own, which can be killed, stopped and filled."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import redis
from running import environment, eventually, free_port

#: Where Debian puts it.
REDIS_SERVER = "/usr/bin/redis-server"


class RedisServer:
    """A real redis-server on loopback that keeps nothing on disk unless it is told to."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        # The types of redis-py are those of its two forms at once.
        self.admin: Any = redis.Redis(port=self.port, socket_timeout=30)
        self.start(*options)

    def start(self, *options: str) -> None:
        """Start it, again at the same port."""
        with (self.home / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [REDIS_SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *options],
                cwd=self.home,
                env=environment(self.home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(self._answers, "redis-server")

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.home / "redis.log").read_text()
        try:
            return bool(self.admin.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Let it hang: connections are still accepted, by the kernel, and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def fill(self) -> None:
        """Leave no room: whatever needs memory is refused from now on."""
        self.admin.config_set("maxmemory", "1mb")

    def calls(self, command: str) -> int:
        """Return how often a command was called."""
        told = self.admin.info("commandstats").get(f"cmdstat_{command}", {})
        return int(told.get("calls", 0))

    def close(self) -> None:
        """End it and whatever is connected."""
        self.admin.close()
        if self.process.poll() is None:
            self.go_on()
            self.kill()

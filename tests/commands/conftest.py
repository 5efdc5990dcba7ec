"""A configuration file for a sandbox, and the commands as operators run them."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from running import ROOT, environment

from taler_paywall.cli import main
from taler_paywall.testing.sandbox import TalerSandbox

RULES = """
[[rules]]
pattern = "/articles/sample"
price = false

[[rules]]
pattern = "/articles/{slug}/*"
price = "KUDOS:0.5"
summary = "Article {slug}"
"""


@dataclass
class Desk:
    """An operator's terminal.

    Args:
        home: of the operator.
        secrets: that must never be shown.
        url: of the site; no two tests have the same.
        settings: what the environment says.
    """

    home: Path
    secrets: list[str]
    url: str
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``taler-paywall``; what it writes holds no secret."""
        done = subprocess.run(
            [sys.executable, "-m", "taler_paywall", *arguments],
            cwd=ROOT / "tests",
            env=environment(self.home, PYTHONPATH=str(ROOT), **self.settings),
            input=answer,
            capture_output=True,
            text=True,
            timeout=60,
        )
        for secret in self.secrets:
            assert secret not in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def check(self, target: str, *options: str) -> tuple[int, list[dict[str, str]]]:
        """Return the exit status of ``check``, and its findings."""
        arguments = ["check", target, *options, "--json"]
        # Most tests go without a process of their own, which takes most of a second.
        done = CliRunner(env=environment(self.home, **self.settings)).invoke(main, arguments, catch_exceptions=False)
        for secret in self.secrets:
            assert secret not in done.output
        return done.exit_code, json.loads(done.stdout)


@pytest.fixture
def desk(tmp_path: Path, taler_sandbox: TalerSandbox) -> Desk:
    """A terminal whose environment has what the site's would have."""
    secret_key = str(taler_sandbox.options["secret_key"])
    url = f"https://news-{secrets.token_hex(4)}.example"
    made = Desk(tmp_path, [taler_sandbox.token.removeprefix("secret-token:"), secret_key], url)
    made.settings = {**taler_sandbox.environment, "TALER_PAYWALL_PUBLIC_URL": url}
    return made


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a configuration file, and return its path."""

    def write_file(rules: str = RULES, **options: Any) -> str:
        file = tmp_path / "paywall.toml"
        # What JSON and TOML have in common is enough.
        file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items()) + rules)
        return str(file)

    return write_file

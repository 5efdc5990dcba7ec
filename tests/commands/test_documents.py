"""The guides to the commands and to the configuration file say what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from running import ROOT, environment

from taler_paywall import Paywall
from taler_paywall.cli import main

COMMANDS = (ROOT / "docs" / "commands.md").read_text()
FILE_GUIDE = (ROOT / "docs" / "configuration-file.md").read_text()


def test_every_topic_is_explained() -> None:
    """The table names each topic of `check`, and no other."""
    table = COMMANDS.partition("| topic |")[2].partition("\n\n")[0]
    told = {topic.partition(" ")[0] for topic in re.findall(r"^\| `([\w ]+)` \|", table, re.M)}
    written = "".join(file.read_text() for file in (ROOT / "taler_paywall" / "operator").glob("*.py"))
    named = re.findall(r'Finding\(\s*"\w+",\s*"(\w+)"', written) + re.findall(r'Sample\("(\w+)"', written)
    assert told == {*named, "rule"}


@pytest.mark.parametrize("name", ["check", "explain", "orders", "webhooks"])
def test_every_option_is_shown(name: str) -> None:
    """Each option of a command stands in its part of the guide, or in what is said of all."""
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command
    parts = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    text = COMMANDS.partition("## check")[0] + COMMANDS.partition(f"## {name}\n")[2].partition("\n## ")[0]
    for part in parts:
        for parameter in part.params:
            if isinstance(parameter, click.Option):
                assert any(re.search(rf"{option}\b", text) for option in parameter.opts), parameter.opts


def test_the_files_of_the_guide(tmp_path: Path) -> None:
    """The site of the guide starts with its file, and the commands explain it."""
    blocks = re.findall(r"^```(?:toml|python)\n# file: (\S+)\n(.*?)^```", FILE_GUIDE, re.M | re.S)
    assert [name for name, _ in blocks] == ["paywall.toml", "shop.py", "news.py"]
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    secrets = {
        "TALER_PAYWALL_TOKEN": "secret-token:of-these-tests",
        "TALER_PAYWALL_SECRET_KEY": "a-key-of-these-tests-that-opens-nothing-else",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "taler_paywall", *command],
            cwd=tmp_path,
            env=environment(tmp_path, PYTHONPATH=str(ROOT), **secrets),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    for options in ((), ("--app", "news:app")):
        assert "KUDOS:0.3, says its callable" in run("explain", "GET", "/articles/bees", *options)
        assert "rule 1 (/articles/sample) makes it free" in run("explain", "GET", "/articles/sample", *options)
        assert "https://news.example/books/12?chapter=2&resource=" in run(
            "explain", "GET", "/books/12?chapter=2", *options
        )


def test_the_short_form(tmp_path: Path) -> None:
    """What the guide shows of a table of prices is a whole file."""
    [text] = re.findall(r"^```toml\n(backend.*?)^```", FILE_GUIDE, re.M | re.S)
    (tmp_path / "paywall.toml").write_text(text)
    assert [rule.price for rule in Paywall.from_file(tmp_path / "paywall.toml").settings.rules] == [None, "KUDOS:0.5"]

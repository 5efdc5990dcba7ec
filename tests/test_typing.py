"""The types that sites meet: mypy reads sites as their owners write them, with the installed package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SITES = Path(__file__).parent / "typed"
CONFIG = """
[mypy]
strict = True

[mypy-django.*]
# What it returns without its stubs is Any.
ignore_missing_imports = True
"""
DJANGO = """
from typing import assert_type

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest

from taler_paywall import Payment, asgi, payment_from, wsgi


def article(request: HttpRequest) -> None:
    assert_type(payment_from(request.META), Payment | None)
    assert_type(payment_from(request.scope), Payment | None)


for_wsgi = wsgi.PaywallMiddleware(get_wsgi_application(), {"/articles/{slug}": "KUDOS:0.5"})
for_asgi = asgi.PaywallMiddleware(get_asgi_application(), {"/articles/{slug}": "KUDOS:0.5"})
"""
#: A comment that takes a mistake as it is; after it stands what mypy says.
EXPECTED = re.compile(r"  # type: ignore[\[]([a-z-]+)\] # (.+)$")
SAID = re.compile(r"^mistakes\.py:(\d+): error: (.+)  \[([a-z-]+)\]$", re.M)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy has read of the libraries is kept from one test to the next."""
    return tmp_path_factory.mktemp("mypy")


def run_mypy(cache: Path, file: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Read a site somewhere else, where only the installed package is found."""
    file.write_text(text)
    (file.parent / "mypy.ini").write_text(CONFIG)
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(cache), file.name]
    return subprocess.run(command, cwd=file.parent, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["plain", "frameworks", "mistakes"])
def test_sites_are_typed(name: str, cache: Path, tmp_path: Path) -> None:
    """Sites without mistakes pass mypy --strict; each mistake is found, and nothing else."""
    done = run_mypy(cache, tmp_path / f"{name}.py", (SITES / f"{name}.py").read_text())
    assert done.returncode == 0, done.stdout


def test_django_sites_are_typed(cache: Path, tmp_path: Path) -> None:
    """Sites of Django, which has no types of its own, pass mypy --strict."""
    done = run_mypy(cache, tmp_path / "django_site.py", DJANGO)
    assert done.returncode == 0, done.stdout


def test_mistakes_are_explained(cache: Path, tmp_path: Path) -> None:
    """What mypy says of a mistake names the option, and what it may be."""
    lines = (SITES / "mistakes.py").read_text().splitlines()
    expected = {
        number: (match[2], match[1]) for number, line in enumerate(lines, 1) if (match := EXPECTED.search(line))
    }
    done = run_mypy(cache, tmp_path / "mistakes.py", "\n".join(EXPECTED.sub("", line) for line in lines) + "\n")
    said = {int(number): (message, code) for number, message, code in SAID.findall(done.stdout)}
    assert said.keys() == expected.keys()
    for number, (part, code) in expected.items():
        assert part in said[number][0], (number, said[number])
        assert code == said[number][1]

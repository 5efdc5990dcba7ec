"""Every block of docs/reverse-proxy.md is taken by a real nginx, and used by the tests beside this one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .document import DOCUMENT, blocks, configuration
from .nginx import Certificates, Nginx
from .setups import (
    AT_ROOT,
    BACKEND,
    BACKEND_BELOW,
    CACHE,
    EVENTS,
    FILES,
    PASSED_ON,
    SETUPS,
    STRIPPED,
    UPLOADS,
    WEBSOCKETS,
    Setup,
)

SERVERS = (AT_ROOT, STRIPPED, PASSED_ON)
ADDITIONS = (BACKEND, BACKEND_BELOW, FILES, CACHE, EVENTS, WEBSOCKETS, UPLOADS)


def test_every_section_is_tested() -> None:
    """No block stands in a section that the tests do not know."""
    assert list(dict.fromkeys(block.section for block in blocks())) == [*SERVERS, *ADDITIONS]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("additions", [(), *((one,) for one in ADDITIONS), ADDITIONS], ids=" and ".join)
def test_nginx_takes_it(server: str, additions: tuple[str, ...], certificates: Certificates, tmp_path: Path) -> None:
    """``nginx -t`` finds nothing to complain of, with every addition alone and with all of them together."""
    said = Nginx(tmp_path, certificates, configuration(server, *additions), {}).check()
    assert "test is successful" in said
    assert not re.search(r"\[(?:warn|error|crit|alert|emerg)\]", said), said


def test_nginx_would_complain(certificates: Certificates, tmp_path: Path) -> None:
    """The check is one: a misspelled directive is refused."""
    wrong = configuration(AT_ROOT).replace("proxy_pass ", "proxy_pas ")
    with pytest.raises(AssertionError, match="proxy_pas"):
        Nginx(tmp_path, certificates, wrong, {}).check()


@pytest.mark.parametrize("setup", list(SETUPS.values()), ids=list(SETUPS))
def test_commands_of_the_servers(setup: Setup) -> None:
    """The document names what each server is told of the prefix."""
    told = [*setup.options[:1], *setup.settings, *(["--url-prefix"] if setup.server.name == "waitress" else [])]
    for option in told:
        assert re.search(rf"`[^`]*{option}[ =]/news[^`]*`", DOCUMENT.read_text()), option

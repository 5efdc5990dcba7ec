"""Fixtures: certificates, and sites behind nginx, each started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from running import Sandbox

from taler_paywall.testing.wallet import TalerWallet

from .nginx import Certificates
from .setups import SETUPS, Proxied, Proxies, Setup


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Make certificates for the names of this machine."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def proxies(
    sandbox: Sandbox, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxies]:
    """Start sites behind nginx on demand."""
    opened = Proxies(tmp_path_factory.mktemp("proxies"), sandbox, certificates)
    yield opened
    opened.close()


@pytest.fixture
def wallet(tmp_path: Path) -> Iterator[TalerWallet]:
    """Open an empty wallet; it speaks to the sandbox itself, for it trusts no certificate of these tests."""
    with TalerWallet(tmp_path / "wallet.sqlite") as opened:
        yield opened


@pytest.fixture(params=list(SETUPS.values()), ids=list(SETUPS))
def site(request: pytest.FixtureRequest, proxies: Proxies) -> Proxied:
    """Return a site behind nginx, in each way that the document describes."""
    setup: Setup = request.param
    return proxies.get(setup)

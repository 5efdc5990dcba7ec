"""The pytest plugin: a sandbox, a wallet and a reader as fixtures; docs/testing.md explains them.

pytest loads it in every run of an environment that has taler_paywall; so whatever takes time is imported by the
fixtures themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

try:
    import pytest
except ImportError as exc:
    raise ImportError("the fixtures need pytest: pip install 'taler-paywall[testing]'", name=exc.name) from exc

if TYPE_CHECKING:
    from taler_paywall.testing.client import OpenClient
    from taler_paywall.testing.process import SandboxProcess
    from taler_paywall.testing.sandbox import TalerSandbox
    from taler_paywall.testing.wallet import TalerWallet


@pytest.fixture(scope="session")
def taler_sandbox_options() -> Sequence[str]:
    """Return options of the command ``taler-paywall sandbox``, none by default; to be overridden in a conftest.py."""
    return ()


@pytest.fixture(scope="session")
def taler_sandbox_process(
    tmp_path_factory: pytest.TempPathFactory, taler_sandbox_options: Sequence[str]
) -> Iterator[SandboxProcess]:
    """Run the sandbox of the test run; use it only where a fixture lives longer than a test."""
    from taler_paywall.testing.process import SandboxProcess

    with SandboxProcess(tmp_path_factory.mktemp("taler-sandbox"), *taler_sandbox_options) as process:
        yield process


@pytest.fixture
def taler_sandbox(taler_sandbox_process: SandboxProcess) -> Iterator[TalerSandbox]:
    """Return a merchant backend for play money, without faults and with the right time, and its switches."""
    from taler_paywall.testing.sandbox import TalerSandbox

    with TalerSandbox(taler_sandbox_process) as sandbox:
        yield sandbox


@pytest.fixture
def taler_wallet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TalerWallet]:
    """Return a wallet that is full of play money and has never bought anything."""
    from taler_paywall.testing.wallet import TalerWallet

    # The directory of the test itself stays as empty as it expects it.
    with TalerWallet(tmp_path_factory.mktemp("taler-wallet") / "wallet.sqlite") as wallet:
        yield wallet


@pytest.fixture
def paywalled_client(taler_sandbox: TalerSandbox, taler_wallet: TalerWallet) -> Iterator[OpenClient]:
    """Return a function that opens a browser in front of an application; once more, and it is another browser."""
    from taler_paywall.testing.client import OpenClient

    with OpenClient(taler_sandbox.url, taler_wallet) as open_client:
        yield open_client

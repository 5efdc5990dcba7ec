"""gunicorn with --preload under many readers at once; the sandbox's ledger is the judge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest
from running import SECRET_KEY, TOKEN, Process, Sandbox, StartSandbox, eventually
from servers import BY_NAME, serve

from .crowd import Customer, all_at_once
from .ledger import Sale, money, receipts, sales
from .workers import connections, workers_of

PRICE = "KUDOS:0.5"

StartServer = Callable[..., tuple[Process, str]]


@pytest.fixture
def backend(start_sandbox: StartSandbox) -> Sandbox:
    """Start a sandbox whose ledger knows of nothing else."""
    return start_sandbox()


@pytest.fixture
def start_server(backend: Sandbox, tmp_path: Path, processes: list[Process]) -> StartServer:
    """Start the site under gunicorn, imported before its workers are forked."""

    def start(kind: str, workers: int, *options: str, **settings: str) -> tuple[Process, str]:
        keys = {"TALER_PAYWALL_TOKEN": TOKEN, "TALER_PAYWALL_SECRET_KEY": SECRET_KEY}
        settings |= keys | {"TALER_PAYWALL_BACKEND": backend.url}
        options = ("--preload", "--workers", str(workers), *options)
        process, url = serve(BY_NAME[kind], tmp_path, "tests.prefork.site:app", *options, **settings)
        processes.append(process)
        eventually(lambda: len(workers_of(process)) == workers, f"{workers} workers")
        return process, url

    return start


@pytest.fixture
def customers(tmp_path: Path) -> Callable[..., list[Customer]]:
    """Make readers, each with the pages that she wants: one of her own, or as many that all want."""

    def make(url: str, number: int, *shared: str) -> list[Customer]:
        purses = [tmp_path / f"wallet-{n}.sqlite" for n in range(number)]
        return [Customer(url, purse, [*shared] or [f"/articles/{n}"]) for n, purse in enumerate(purses)]

    return make


def buy_all(customers: list[Customer], process: Process, lost: int = 0) -> None:
    """Let every reader buy her pages, all beginning at once; so many answers, and no more, are lost on the way."""
    all_at_once([customer.buy for customer in customers])
    # Who is not answered comes again without a cookie, and an order more is made.
    assert sum(customer.lost for customer in customers) == lost, process.output


def read_all(customers: list[Customer], workers: set[int]) -> None:
    """Let every reader read her pages on every worker, all beginning at once."""
    all_at_once([partial(customer.read_on, workers) for customer in customers])


def check_paid(customers: list[Customer], ledger: list[Sale]) -> None:
    """Check that each reader's wallet paid each of her pages once, in a session of hers, with coins of its price."""
    paid = [sale for sale in ledger if sale.is_paid]
    for customer in customers:
        owned = receipts(customer.purse)
        assert owned.keys() == {f"{customer.reader.base_url}{page}" for page in customer.pages}
        mine = [sale for sale in paid if (sale.order_id, sale.nonce) in owned.values()]
        assert {sale.fulfillment_url: (sale.order_id, sale.nonce) for sale in mine} == owned
        assert len({sale.session_id for sale in mine}) == 1
    number = sum(len(customer.pages) for customer in customers)
    assert len(paid) == len({sale.order_id for sale in paid}) == len({sale.nonce for sale in paid}) == number
    assert len({sale.session_id for sale in paid}) == len(customers)
    assert money([contribution for sale in ledger for contribution in sale.contributions]) == number * money([PRICE])


def check_connections(process: Process, port: int, inherited: int) -> None:
    """Check that each worker has connections to the backend that no other has, but for those made before the fork."""
    before = connections(process.popen.pid, port)
    assert len(before) == inherited
    own = [connections(worker, port) - before for worker in workers_of(process)]
    assert all(own)
    assert not any(one & other for one, other in combinations(own, 2))


def test_two_hundred_readers_buy_at_once(
    backend: Sandbox, start_server: StartServer, customers: Callable[..., list[Customer]]
) -> None:
    """Four sync workers sell 200 pages to 200 wallets at once, each once; then every reader reads on every worker."""
    process, url = start_server("gunicorn sync", 4)
    crowd = customers(url, 200)
    buy_all(crowd, process)
    check_connections(process, backend.port, inherited=0)
    read_all(crowd, workers_of(process))
    ledger = sales(backend)
    check_paid(crowd, ledger)
    assert len(ledger) == 200


def test_threads_of_a_process_that_has_asked_before_the_fork(
    backend: Sandbox, start_server: StartServer, customers: Callable[..., list[Customer]]
) -> None:
    """Two workers of four threads do not use the connection that the process had which they were forked from."""
    process, url = start_server("gunicorn threads", 2, "--threads", "4", WARM="1")
    crowd = customers(url, 40)
    buy_all(crowd, process)
    check_connections(process, backend.port, inherited=1)
    read_all(crowd, workers_of(process))
    ledger = sales(backend)
    check_paid(crowd, ledger)
    # The first is of the process itself.
    assert len(ledger) == 41


def test_the_same_pages_for_everybody(
    backend: Sandbox, start_server: StartServer, customers: Callable[..., list[Customer]]
) -> None:
    """Twenty readers who buy the same twenty pages at once pay for each of them once, and for nobody else."""
    process, url = start_server("gunicorn threads", 2, "--threads", "4")
    crowd = customers(url, 20, *(f"/articles/{number}" for number in range(20)))
    buy_all(crowd, process)
    read_all(crowd, workers_of(process))
    ledger = sales(backend)
    check_paid(crowd, ledger)
    assert len(ledger) == 400


def test_workers_that_are_killed_lose_nothing(
    backend: Sandbox,
    start_server: StartServer,
    customers: Callable[..., list[Customer]],
    tmp_path: Path,
) -> None:
    """Whoever's answer a killed worker has taken along, asks again, pays once and reads, on the worker that follows."""
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    process, url = start_server("gunicorn sync", 4, DEATHS=str(deaths))
    before = workers_of(process)
    for status in ("302", "200"):
        (deaths / status).touch()
    crowd = customers(url, 40)
    buy_all(crowd, process, lost=2)
    assert list(deaths.iterdir()) == []
    eventually(lambda: len(workers_of(process)) == 4, "workers in place of the dead")
    assert workers_of(process) != before
    read_all(crowd, workers_of(process))
    ledger = sales(backend)
    check_paid(crowd, ledger)
    # One order was made and never told of.
    assert len(ledger) == 41

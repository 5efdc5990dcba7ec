"""Several merchants on one backend, and the options that make them (merchant API, section 1.1)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from taler_paywall.sandbox.commands import sandbox

from .shop import COMMAND, TOKEN, Process, Shop
from .traffic import answered, led, refused

OTHER = "secret-token:other"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    options = ("--instance", f"other={OTHER}", "--instance", "A.b_c-9=secret=token")
    started = Process("--port", "0", *options, state_home=tmp_path_factory.mktemp("state"))
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def root(many: Process) -> Iterator[Shop]:
    opened = Shop(many.url)
    yield opened
    opened.http.close()


@pytest.fixture(scope="module")
def other(many: Process) -> Iterator[Shop]:
    opened = Shop(many.url, "instances/other/", OTHER)
    yield opened
    opened.http.close()


def test_each_instance_is_a_merchant_of_its_own(root: Shop, other: Shop, many: Process) -> None:
    """Instances share neither key nor orders, and their contracts name their own address."""
    here, there = root.order(order_id="same"), other.order(order_id="same", amount="KUDOS:7")
    assert here["token"] != there["token"]
    terms = other.claim(there)["contract_terms"]
    assert terms["amount"] == "KUDOS:7"
    assert terms["merchant_base_url"] == f"{many.url}instances/other/"
    assert terms["merchant_pub"] != root.claim(here)["contract_terms"]["merchant_pub"]
    third = {"Authorization": "Bearer secret=token"}
    refused(root.http.get("instances/A.b_c-9/private/orders/same", headers=third), 404, 2005)
    config = root.http.get("instances/A.b_c-9/config")
    answered(config, 200, name="taler-merchant", currency="KUDOS", version=str)


def test_an_instance_sells_like_the_default_one(other: Shop, many: Process) -> None:
    """An order of an instance is bought under its address, and its status names that address."""
    bought = other.bought("one")
    found = other.status(bought["order_id"], session_id="one")
    assert found["order_status"] == "paid"
    assert found["order_status_url"].startswith(f"{many.url}instances/other/orders/{bought['order_id']}?h_contract=")


def test_tokens_are_good_for_their_own_instance_only(root: Shop, other: Shop) -> None:
    """The token of another instance is refused, also that of the default instance."""
    for shop, wrong in ((root, OTHER), (other, TOKEN), (other, "secret-token:"), (other, "other")):
        headers = {"Authorization": f"Bearer {wrong}"}
        refused(shop.http.get("private/orders/x", headers=headers), 401, 40)
        refused(shop.http.post("private/orders", json={}, headers=headers), 401, 40)


def test_paths_that_mix_instances_lead_nowhere(root: Shop, many: Process) -> None:
    """Unknown instances are unknown, and instances have no instances (fact 34)."""
    refused(root.http.get("instances/nobody/config"), 404, 2000)
    refused(root.http.get("instances/nobody/private/orders/x", headers=root.owner), 404, 2000)
    for path in ("instances/other/instances/config", "private/instances/other/orders"):
        refused(root.http.get(path, headers=root.owner), 404, 21)
    refused(root.http.get("instances/other/private/instances", headers={"Authorization": f"Bearer {OTHER}"}), 404, 21)


@pytest.mark.parametrize("name", ["default", "admin"])
def test_old_names_of_the_default_instance_redirect(root: Shop, name: str) -> None:
    """Whatever is asked under a name of the default instance is sent to the root, method and all."""
    made = root.order()
    path = f"orders/{made['order_id']}?token={made['token']}"
    answer = root.http.get(f"instances/{name}/{path}")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"/{path}"
    found = root.http.get(f"instances/{name}/private/orders/{made['order_id']}", headers=root.owner)
    led(found, 308, f"/private/orders/{made['order_id']}")
    body = {"order": {"summary": "s", "amount": "KUDOS:1"}}
    posted = root.http.post(f"instances/{name}/private/orders", json=body, headers=root.owner, follow_redirects=True)
    assert posted.status_code == 200
    assert root.status(posted.json()["order_id"])["order_status"] == "unpaid"


@pytest.mark.parametrize("path", ["instances/default//evil.example/", "instances/default/%2F%2Fevil.example/a%3Fb"])
def test_the_redirect_stays_on_this_host(root: Shop, path: str) -> None:
    """No path can make the redirect lead to another host, or turn into a query."""
    location = root.http.get(path).headers["location"]
    assert location.startswith("/evil.example/")
    assert "?" not in location


def test_keys_of_instances_survive_a_restart(processes: Any, tmp_path: Path) -> None:
    """With a state file an instance is the same merchant again."""
    options = ("--port", "0", "--state", str(tmp_path / "state"), "--instance", f"other={OTHER}")
    keys = []
    for _ in range(2):
        process = processes(*options)
        shop = Shop(process.url, "instances/other/", OTHER)
        keys.append(shop.claim(shop.order())["contract_terms"]["merchant_pub"])
        shop.http.close()
        assert process.stop() == 0
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "given",
    [
        *("other", "=token", "other=", "a/b=token", "..=token", ".=token", "=", "ö=token"),
        *("default=token", "admin=token"),
    ],
)
def test_instances_that_cannot_be_are_refused(given: str) -> None:
    """A name that cannot be part of an address, is taken, or has no token is a usage error."""
    with pytest.raises(click.UsageError) as failed:
        sandbox.make_context("sandbox", ["--instance", given])
    assert failed.value.exit_code == 2
    assert "Invalid value for '--instance'" in failed.value.format_message()


def test_an_unknown_generation_is_refused(tmp_path: Path) -> None:
    """There are three generations."""
    failed = start("--generation", "2020", home=tmp_path)
    assert (failed.returncode, "'current', '2022', '2021'" in failed.stderr) == (2, True)


def test_an_instance_given_twice_is_refused(tmp_path: Path) -> None:
    """The same name twice is a usage error."""
    failed = start("--instance", "a=b", "--instance", "a=c", home=tmp_path)
    assert (failed.returncode, "the name a is taken" in failed.stderr) == (2, True)


def start(*options: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {"XDG_STATE_HOME": str(home), "HOME": str(home)}
    command = [*COMMAND, "sandbox", "--port", "0", *options]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=30, check=False)

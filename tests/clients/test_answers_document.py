"""docs/answers.md shows what is answered: its examples are asked for, and its tables are complete."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from reader import Reader

from taler_paywall import facts
from taler_paywall.testing.wallet import TalerWallet

from .conftest import Shop

TEXT = (Path(__file__).parents[2] / "docs" / "answers.md").read_text()
EXAMPLES = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", TEXT, re.M | re.S)]
COMMANDS = re.findall(r"^```console\n\$ (.*)\n((?:.*\n)*?)```", TEXT, re.M)
UNPAID, WAITING, PAID, UNKNOWN = EXAMPLES


def shape(text: str, shop: Shop | None = None) -> str:
    """Return a text with what differs from order to order replaced, and a site's addresses as in the document."""
    if shop:
        text = text.replace(shop.url, "https://news.example").replace(shop.sandbox.url, "https://backend.example/")
        text = text.replace(f"taler+http://pay/127.0.0.1:{shop.sandbox.port}/", "taler://pay/backend.example/")
    text = re.sub(r"\b[0-9A-HJKMNP-TV-Z]{8,}\b", "ID", text.replace("\xa0", " "))
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "DATE", text)
    return re.sub(r'("t_s": )\d+', r"\1SECONDS", text)


def rows(section: str) -> list[list[str]]:
    """Return the cells of the first table after some words."""
    table = TEXT.partition(section)[2].partition("| --- ")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[1:]]


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_the_commands_answer_as_it_says(shop: Shop, number: int) -> None:
    """Each command is run against a real site, and answers what stands below it."""
    line, printed = COMMANDS[number]
    command = shlex.split(line.replace("https://news.example/articles/", f"{shop.url}/articles/"))
    assert command[0] == "curl"
    done = subprocess.run([*command, "--noproxy", "*"], capture_output=True, text=True, timeout=60, check=True)
    expected = printed or json.dumps(UNPAID, indent=1) + "\n"
    assert shape(done.stdout, shop) == shape(expected)


def test_the_examples_of_polls(shop: Shop, reader: Reader, purse: TalerWallet, name: str) -> None:
    """A poll answers as it says before and after the payment, and to who has no such order."""
    asked = reader.http.get(f"/articles/{name}", headers={"Accept": "application/json"}).json()

    def polled() -> Any:
        return json.loads(shape(reader.http.get(asked["poll_url"]).text, shop))

    assert polled() == json.loads(shape(json.dumps(WAITING)))
    purse.pay(asked["taler_pay_uri"])
    assert polled() == PAID
    reader.drop()
    assert polled() == UNKNOWN


def test_the_table_of_types_is_complete() -> None:
    """Every type with its status, and no other."""
    listed = {cells[0].strip("`"): cells[1] for cells in rows("## Types")}
    texts = [text for text in vars(facts).values() if isinstance(text, facts._Text)]
    known = {f"urn:taler-paywall:{text.slug}": str(text.status) for text in texts}
    assert listed == known | {"urn:taler-paywall:refused": "400 to 429"}
    assert len(known) == 9


def test_the_table_of_members_is_complete() -> None:
    """Every member of the example is explained, and the one of refusals."""
    named = {name for cells in rows("## For programs") for name in re.findall(r"`(\w+)`", cells[0])}
    assert named == {*UNPAID, "reason"}

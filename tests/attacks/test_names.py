"""Two hundred pages with ordinary but awkward names, each bought and read; none opens another one."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote

import httpx
import pytest
from conformance.front import Front, Fronts
from reader import Reader
from running import Sandbox

from taler_paywall.session import MAX_PAGE
from taler_paywall.testing.wallet import TalerWallet

QUERY = "ref=x&a=%C3%BC&b=1+1"

# Every name is as it is after decoding; broken bars stand between them. A percent sign before two hexadecimal digits
# would be a second encoding, which is odd and not for sale.
SIGNS = """
a b ¦ a  b ¦ one two  three ¦ a - b ¦ - ¦ __init__ ¦ -rf ¦ a_b-c.d ¦ A ¦ Aa ¦ aA ¦ I ¦ 0 ¦ 00 ¦ 007 ¦ 1e3
% ¦ %% ¦ 100% ¦ 50% off ¦ 10%-20% ¦ %name% ¦ %s ¦ %zz ¦ a%g1 ¦ 5%2 ¦ %(x)s ¦ 100 % ¦ 3.5%, 4.5% ¦ %u0041 ¦ 100%.html
1,5 ¦ , ¦ a,b,c ¦ a, b ¦ Hamlet, Prince of Denmark ¦ "quoted" ¦ a"b ¦ ' ¦ it's ¦ rock 'n' roll ¦ `x` ¦ “so” ¦ „so“
(x) ¦ (new)! ¦ [1] ¦ a[0] ¦ {x} ¦ {name} ¦ {{x}} ¦ <b> ¦ <script>alert(1)< ¦ wow! ¦ * ¦ a*b ¦ *.html ¦ $5 ¦ ${x}
+ ¦ a+b ¦ a +b ¦ C++ ¦ + + ¦ & ¦ a&b ¦ A&B ¦ = ¦ a=b ¦ a=b&c=d ¦ : ¦ 10:30 ¦ C: ¦ urn:isbn:0 ¦ @ ¦ @user ¦ u:p@host
~ ¦ ~user ¦ file~ ¦ ^ ¦ a^b ¦ | ¦ a || b ¦ §5 ¦ 20°C ¦ £5 ¦ 5 € ¦ © 2024
... ¦ a..b ¦ ..a ¦ a.. ¦ .hidden ¦ .well-known ¦ a. ¦ . . ¦ index.html ¦ index.HTML ¦ index ¦ robots.txt ¦ a.tar.gz
CON ¦ con ¦ NUL ¦ aux.h ¦ LPT1.txt ¦ null ¦ None ¦ undefined ¦ NaN ¦ DROP TABLE orders--
"""
SCRIPTS = """
½ ¦ 1½ ¦ ⅓ ¦ Taler™ ¦ № ¦ №5 ¦ x² ¦ H₂O ¦ ① ¦ ㎏ ¦ ℃ ¦ Ⅳ ¦ µ ¦ … ¦ what… ¦ 何？ ¦ １００％ ¦ Ａ ¦ ﾊﾝｶｸ
été ¦ Été ¦ résumé.pdf ¦ Straße ¦ STRASSE ¦ ẞ ¦ İstanbul ¦ ısı ¦ Čeština 100% ¦ Ørsted & Søn ¦ ſ ¦ Tiếng Việt
Ñandú, 2+2 ¦ q̃ ¦ ŋ ¦ Привет, мир! ¦ Їжак №7 ¦ Ὀδυσσεύς ¦ σας ¦ ΣΑΣ ¦ Հայերեն ¦ ქართული ¦ Монгол хэл
שלום, עולם! ¦ עמוד 12 ¦ العدد ١٢ ¦ ٪١٠٠ ¦ فارسی ¦ می\u200cخواهم ¦ ܣܘܪܝܝܐ ¦ ދިވެހި ¦ ߒߞߏ
नमस्ते ¦ हिन्दी १२३ ¦ क्\u200dष ¦ বাংলা ¦ தமிழ் ¦ తెలుగు ¦ മലയാളം ¦ ශ්\u200dරී ¦ ไทย ¦ မြန်မာ ¦ ខ្មែរ ¦ བོད་ཡིག
東京 ¦ 中文 (简体) ¦ 第１章 ¦ ガイド ¦ ひらがな・カタカナ ¦ 한글 100% ¦ 臺灣「台灣」
ㄅㄆㄇ ¦ ꆈꌠꉙ ¦ አማርኛ፡ ¦ ᏣᎳᎩ ¦ ᐃᓄᒃᑎᑐᑦ ¦ ⴰⵎⴰⵣⵉⵖ
𝔄 ¦ 𓀀 ¦ 𠮷野家 ¦ 😀 ¦ 😀 100% ¦ ❤️ ¦ 👍🏽 ¦ 👩\u200d🚀 ¦ 👨\u200d👩\u200d👧 ¦ 🇨🇭 ¦ 1️⃣ ¦ ☕ & 🥐 ¦ → ¦ ∑x ¦ √2 ¦ ∞
"""  # noqa: RUF001 - look-alikes are what this is about
LONG = [
    "a" * 200,
    "long " * 39 + "title",
    "%" * 200,
    "a.b" * 66 + ".c",
    "Длинное " * 24 + "название",
    "長" * 200,
    "長" * 230,
    "a" * 3000,
    "½" * 200,
]
NAMES = [name.strip() for line in (SIGNS + SCRIPTS).split("\n") if line for name in line.split("¦")] + LONG

#: Every other name is enough for the second: in this process both adapters judge all paths alike.
SERVERS = {"uvicorn": NAMES, "gunicorn threads": NAMES[::2]}


@dataclass(frozen=True)
class Purchase:
    """What became of one page: where paying led to, where that led to, what was read, and the browser's cookies."""

    how: str
    fulfillment_url: str | None
    back: httpx.Response
    cookies: dict[str, str]


@dataclass(frozen=True)
class Shelf:
    """All pages, bought in front of one site by browsers that have nothing else."""

    front: Front
    purchases: dict[str, Purchase]


def page_of(name: str) -> str:
    """Return the address of a page, everything quoted that may be."""
    return f"/paid/{quote(name, safe='')}"


def buy(reader: Reader, purse: TalerWallet, name: str) -> Purchase:
    """Ask for a part of a page, pay, and go where the wallet leads to."""
    reader.drop()
    asked = reader.visit(f"{page_of(name)}/part?{QUERY}")
    assert asked.status_code == 302, (name, asked.status_code, asked.text)
    paid = purse.pay(asked.headers["location"])
    back = reader.come_back(paid.fulfillment_url or "/")
    return Purchase(paid.how, paid.fulfillment_url, back, reader.cookies())


@pytest.fixture(scope="module", params=SERVERS)
def shelf(
    request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shelf]:
    """Buy every page in front of a site."""
    home = tmp_path_factory.mktemp("names")
    fronts = Fronts(home, sandbox.url)
    front = fronts[request.param]
    with front.reader() as reader, TalerWallet(home / "wallet.sqlite") as purse:
        yield Shelf(front, {name: buy(reader, purse, name) for name in SERVERS[request.param]})
    fronts.close()


@pytest.fixture
def reader(shelf: Shelf) -> Iterator[Reader]:
    """Open a browser in front of the site."""
    with shelf.front.reader() as opened:
        yield opened


def test_the_names_are_many_and_ordinary() -> None:
    """There are two hundred and more, no two of them alike, all of them normalized."""
    assert len(NAMES) == len(set(NAMES)) >= 200
    assert [name for name in NAMES if not unicodedata.is_normalized("NFC", name)] == []


def test_every_page_is_paid_and_leads_to_what_was_asked_for(shelf: Shelf) -> None:
    """The wallet pays, nothing is proved, and the reader is sent to the very page that was asked for, once."""
    for name, bought in shelf.purchases.items():
        assert (bought.how, bought.fulfillment_url) == ("paid", shelf.front.url + page_of(name)), name
        if len(page_of(name)) >= MAX_PAGE:
            # What is so long is not remembered: the reader stays where the payment ends.
            assert (bought.back.status_code, bought.back.json()["path"]) == (200, f"/paid/{name}")
            continue
        path, _, query = bought.back.headers["location"].removeprefix(shelf.front.url).partition("?")
        assert (bought.back.status_code, unquote(path), query) == (303, f"/paid/{name}/part", QUERY), name


def test_every_page_is_read(shelf: Shelf, reader: Reader) -> None:
    """What is read is the page of that very name, and the application is told of its payment."""
    for name, bought in shelf.purchases.items():
        reader.hold(bought.cookies)
        for address, path in ((page_of(name), f"/paid/{name}"), (f"{page_of(name)}/part", f"/paid/{name}/part")):
            answer = reader.visit(f"{address}?{QUERY}")
            assert answer.status_code == 200, (name, answer.text)
            told = json.loads(answer.content)
            assert (told["path"], told["query"]) == (path, QUERY)
            assert told["payment"]["resource"] == f"/paid/{{name}}/*?name={quote(name, safe='')}"
        # One slash at the end makes no other page, as templates have it.
        assert reader.visit(f"{page_of(name)}/").status_code == 200, name


def neighbours(name: str) -> set[str]:
    """Return what a lenient comparison may take for a name: case, look-alikes, blanks, and a suffix more or less."""
    alike = {name.swapcase(), name.lower(), name.casefold(), unicodedata.normalize("NFKC", name)}
    blanks = {name.replace("+", " "), name.replace(" ", "+"), name.replace(" ", ""), name.replace(" ", "_")}
    suffixes = {f"{name}.html", f"{name}0", name.rpartition(".")[0], name[:-1], quote(name), name.partition("&")[0]}
    return (alike | blanks | suffixes) - {name, "", ".", ".."}


def test_no_page_opens_its_neighbours(shelf: Shelf, reader: Reader) -> None:
    """Who has bought one page is asked for money at pages with nearly its name, or told that these are odd."""
    asked = 0
    for name, bought in shelf.purchases.items():
        reader.hold(bought.cookies)
        for other in neighbours(name):
            status = reader.picture(page_of(other)).status_code
            assert status in {400, 402}, (name, other)
            asked += status == 402
        decomposed = unicodedata.normalize("NFD", name)
        assert decomposed == name or reader.picture(page_of(decomposed)).status_code == 400, name
    assert asked > 3 * len(shelf.purchases), "most neighbours are names as well"


def test_every_page_has_an_order_of_its_own(shelf: Shelf, sandbox: Sandbox) -> None:
    """The ledger holds one order for each page, all of them paid, and no two lead to the same address."""
    orders = [order for order in sandbox.orders() if order.fulfillment_url.startswith(f"{shelf.front.url}/")]
    assert len(orders) == len({order.fulfillment_url for order in orders}) == len(shelf.purchases)
    assert all(order.paid for order in orders)

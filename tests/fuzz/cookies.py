"""Cookie headers of any kind: only a cookie that this site has signed for this very purpose is worth anything."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from core.script import BACKEND, RESOURCE, RULE, SITE, created, order, unpaid
from itsdangerous import Signer

from fuzz.tally import Tally
from taler_paywall.config import resolve
from taler_paywall.decision import Decision
from taler_paywall.drive import perform, run
from taler_paywall.events import Events
from taler_paywall.http import Request, Response
from taler_paywall.memory import Memory
from taler_paywall.operations import BackendRequest, BackendResponse, Payment
from taler_paywall.paywall import Case, Granted, SitePaywall
from taler_paywall.session import Cookies, Keys, Order

KEY, OTHER_KEY = b"the key of this site 0123456789abcdef", b"the key of another site 0123456789"
MAX_HEADER = 65_536
#: What one request may cost: eight cookies of each of two names are looked at, and those that may have to go.
MAX_CHECKS = MAX_SET_COOKIES = 64
HOUR = 3600


class UnpaidBackend:
    """A backend that knows of no payment."""

    def send(self, request: BackendRequest, deadline: float | None) -> BackendResponse:
        """Answer that the order is made, or is not paid."""
        if request.method == "POST":
            status, answer = created(order(order_id=json.loads(request.body or b"")["order"]["order_id"]))
            answer["pay_deadline"] = {"t_s": "never"}
        else:
            session = dict(request.query)["session_id"]
            status, answer = unpaid(order(order_id=request.path.removeprefix("private/orders/"), session_id=session))
        return BackendResponse(status, "application/json", json.dumps(answer).encode())


@contextmanager
def counted_checks() -> Iterator[list[int]]:
    """Count the signatures that are checked meanwhile: the first number of the list."""
    count, verify = [0], Signer.verify_signature

    def counting(self: Signer, value: Any, sig: Any) -> bool:
        count[0] += 1
        return verify(self, value, sig)

    Signer.verify_signature = counting  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Signer.verify_signature = verify  # type: ignore[method-assign]


class CookieRun:
    """One run over seeded Cookie headers, against a site where one order is paid and remembered.

    Args:
        random: seeded.
    """

    def __init__(self, random: Random) -> None:
        self.random, self.tally = random, Tally()
        settings = resolve(
            [RULE], {"backend": BACKEND, "token": "secret-token:x", "secret_key": KEY, "public_url": SITE}
        )
        self.memory = Memory()
        # As a site has it: what is remembered is delivered without the flow.
        self.paywall = SitePaywall(settings, (KEY,), SITE, Events(), at_hand=self.memory.payments.get)
        now = int(time.time())
        keys = Keys((KEY,), f"{SITE} {BACKEND}")
        self.paid = self._order(keys, issued=now)
        payment = Payment(self.paid.order_id, RESOURCE.name, "KUDOS:0.5")
        self.memory.payments.put(self.paid.key(RESOURCE.name), payment, 10**6)
        self.genuine = self._sealed(keys, self.paid)
        #: Cookies of the paid order that nobody was given: of another key, site, time, resource and purpose.
        self.forged = (
            self._sealed(Keys((OTHER_KEY,), f"{SITE} {BACKEND}"), self.paid, like=keys),
            self._sealed(Keys((KEY,), f"https://other.example {BACKEND}"), self.paid, like=keys),
            self._sealed(Keys((KEY,), f"{SITE} {BACKEND}x/"), self.paid, like=keys),
            self._sealed(keys, self._order(keys, issued=now + 25 * HOUR)),
            self._sealed(keys, self._order(keys, issued=now - 401 * 24 * HOUR)),
            self._with_purpose_of_session(keys),
        )
        self.other = self._sealed(keys, self._order(keys, issued=now, resource="0123456789abcdef"))
        self.session = Cookies(keys, secure=True, max_age=HOUR).session_cookie("x" * 22, now).partition(b";")[0]

    @staticmethod
    def _order(keys: Keys, *, issued: int, resource: str = RESOURCE.tag) -> Order:
        session = keys.session_id("the secret of a paying browser")
        order_id = keys.order_id(session, RESOURCE.name, 0)
        return order(session=session, order_id=order_id, issued=issued, resource=resource)

    @staticmethod
    def _sealed(keys: Keys, which: Order, like: Keys | None = None) -> tuple[bytes, bytes]:
        """Return name and value of an order's cookie; ``like`` whose cookies it is called."""
        jars = [Cookies(each, secure=True, max_age=HOUR) for each in (keys, like or keys)]
        (value, name) = (jar.order_cookies([], which)[0].partition(b";")[0].partition(b"=") for jar in jars)
        return name[0], value[2]

    def _with_purpose_of_session(self, keys: Keys) -> tuple[bytes, bytes]:
        name, value = self.genuine
        return name, keys.session.sign(value.rpartition(b".")[0])

    def run(self, cases: int) -> Tally:
        """Judge so many Cookie headers."""
        for _ in range(cases):
            self.judge(self.headers())
        return self.tally

    def judge(self, lines: list[bytes]) -> None:
        """Send one request with these Cookie headers through the whole paywall."""
        self.tally.counts["cookies"] += 1
        try:
            self._judge(lines)
        except Exception as error:  # noqa: BLE001 - every one is a fault, and told
            self.tally.leaks.append(f"{error!r}: {shortened(lines)}")

    def _judge(self, lines: list[bytes]) -> None:
        counts = self.tally.counts
        navigation = [(b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document")]
        headers = [*navigation, *((b"cookie", line) for line in lines)]
        with counted_checks() as checks:
            answer = self.paywall.begin(Request("GET", "/articles/one", b"/articles/one", "", b"", headers))
            if isinstance(answer, Case):
                decision: Decision = run(answer.flow, lambda op: perform(op, UnpaidBackend(), self.memory))
                answer = self.paywall.finish(answer, decision)
        assert isinstance(answer, (Granted, Response))
        granted, genuine = isinstance(answer, Granted), any(self.is_genuine(line) for line in lines)
        set_cookies = 0 if isinstance(answer, Granted) else sum(name == b"set-cookie" for name, _ in answer.headers)
        counts["granted"] += granted
        counts["with a genuine cookie"] += genuine
        counts["signature checks"] += checks[0]
        if (granted and not genuine) or checks[0] > MAX_CHECKS or set_cookies > MAX_SET_COOKIES:
            found = f"granted={granted}, {checks[0]} signatures checked, {set_cookies} cookies set"
            self.tally.leaks.append(f"{found}: {shortened(lines)}")

    def is_genuine(self, line: bytes) -> bool:
        """Tell whether a header holds the paid order's cookie, its signature in whatever spelling; an own check."""
        label = f"taler_paywall/1/order cookie/{SITE} {BACKEND}".encode()
        key = hmac.digest(KEY, label, hashlib.sha256)
        content = self.genuine[1].rpartition(b".")[0]
        expected = hmac.digest(key, content, hashlib.sha256)
        for part in line.split(b";"):
            payload, _, signature = part.partition(b"=")[2].strip(b' \t"').rpartition(b".")
            try:
                found = base64.urlsafe_b64decode(signature.rstrip(b"=") + b"===")
            except (ValueError, binascii.Error):
                continue
            if payload == content and found == expected:
                return True
        return False

    def headers(self) -> list[bytes]:
        """Return Cookie headers: genuine and forged ones, changed, cut, mixed, many."""
        random = self.random
        ways: tuple[Callable[[], list[bytes]], ...] = (
            *(lambda: [self._changed(b"=".join(self.genuine))],) * 6,
            *(lambda: [self._changed(b"=".join(self.genuine), random.randint(2, 20))],) * 2,
            lambda: [b"=".join(random.choice(self.forged))],
            lambda: [self._spliced()],
            lambda: [self.genuine[0] + b"=" + self.other[1]],
            lambda: [self._any_bytes(random.choice((10, 200, 4200)))],
            lambda: [self._changed(self.session), b"=".join(random.choice(self.forged))],
            lambda: [b"; ".join(self._changed(b"=".join(self.genuine)) for _ in range(random.randint(2, 12)))],
            lambda: [self._changed(b"=".join(self.genuine)) for _ in range(random.randint(2, 12))],
            lambda: [b"=".join(self.genuine)],
            lambda: [b"; ".join([*(b"=".join(random.choice(self.forged)) for _ in range(4)), b"=".join(self.genuine)])],
        )
        # Full headers cost a hundred times as much, and there are few kinds of them.
        return [self._full()] if random.random() < 0.01 else random.choice(ways)()

    def _full(self) -> bytes:
        """Return 64 KiB of cookies, or of one."""
        random = self.random
        name, value = self.genuine
        each = random.choice((name + b"=" + value[:-1], name + b"=x", name + b"=a.b", self.session, b"a=b"))
        many = b"; ".join([each] * (MAX_HEADER // (len(each) + 2)))
        return random.choice((many, name + b"=" + b"a" * MAX_HEADER, name + b"=" + value * (MAX_HEADER // len(value))))

    def _changed(self, cookie: bytes, times: int = 1) -> bytes:
        random, octets = self.random, bytearray(cookie)
        for _ in range(times):
            at = random.randrange(len(octets)) if octets else 0
            match random.randrange(6):
                case 0 if octets:
                    octets[at] ^= 1 << random.randrange(8)
                case 1 if octets:
                    octets[at] = random.randrange(256)
                case 2:
                    octets.insert(at, random.choice(b'.=-_"; \t\x00%\xffA'))
                case 3:
                    del octets[at : at + random.choice((1, 1, 4, 40))]
                case 4:
                    del octets[random.randrange(len(octets) + 1) :]
                case _:
                    octets[at:at] = octets[at : at + random.randint(1, 30)]
        return bytes(octets)

    def _spliced(self) -> bytes:
        """Return the head of one cookie's value and the tail of another's."""
        random = self.random
        one, two = (random.choice((self.genuine, self.other, *self.forged))[1] for _ in range(2))
        at = random.choice((one.rfind(b"."), random.randrange(len(one))))
        return self.genuine[0] + b"=" + one[:at] + two[random.choice((two.rfind(b"."), at)) :]

    def _any_bytes(self, length: int) -> bytes:
        octets = self.random.randbytes(self.random.randrange(length))
        return octets if self.random.random() < 0.5 else self.genuine[0] + b"=" + octets


def shortened(lines: list[bytes]) -> str:
    """Show Cookie headers, of very long ones the beginning."""
    return ", ".join(f"{line[:400]!r} ({len(line)} bytes)" for line in lines)

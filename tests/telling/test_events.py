"""Every kind of event is told with its fields, as a line of the log, a count and a span, whoever fails meanwhile."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import get_args

import pytest
from conformance.till import Till
from reader import Reader
from running import ROOT, eventually

from taler_paywall.event_log import write
from taler_paywall.events import Event, Events, Kind
from taler_paywall.testing.wallet import TalerWallet

from .conftest import OpenSite
from .listening import Listening

RULE = "/articles/{slug}"
BEES, WASPS = "/articles/{slug}?slug=bees", "/articles/{slug}?slug=wasps"
REFUSED_PATH = "/articles//bees"


@dataclass
class Story:
    """What happened at one site, and what was told of it."""

    site: Listening
    order_id: str = ""
    events: list[Event] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def of(self, *kinds: Kind) -> list[tuple[Kind, str, int, str]]:
        """Return kind, reason, step and amount of the events of these kinds, without repetitions in a row."""
        told = [(event.kind, event.reason, event.step, event.amount) for event in self.events if event.kind in kinds]
        return told[:1] + [after for before, after in pairwise(told) if before != after]


@pytest.fixture(scope="module", params=["asgi", "wsgi"])
def story(request: pytest.FixtureRequest, open_site: OpenSite, till: Till, purse: TalerWallet) -> Story:
    """Lead one reader from the order to the refund, while one subscriber fails at everything."""
    # As long as it takes to read a page twice, on a machine that has other things to do.
    site = open_site(request.param, options={"recheck_after": 3, "prefix": "/pay"})
    told = Story(site)
    with site.reader() as reader:
        status_url = reader.visit("/articles/bees").headers["location"]
        assert reader.visit("/articles/bees").status_code == 302
        purse.pay(status_url)
        assert [reader.visit("/articles/bees").status_code for _ in range(2)] == [200, 200]
        assert reader.http.get("/", extensions={"target": REFUSED_PATH.encode()}).status_code == 400
        with till.dead():
            assert reader.visit("/articles/wasps").status_code == 503
        assert reader.visit("/priceless/wasps").status_code == 503
        told.order_id = next(o.order_id for o in till.orders() if o.fulfillment_url == f"{site.url}/articles/bees")
        till.give_back(told.order_id)
        eventually(lambda: reader.visit("/articles/bees").status_code == 402, "the refund takes effect")
        _give_back_by_oneself(reader, purse)
    told.events, told.log = site.events, site.log
    return told


def _give_back_by_oneself(reader: Reader, purse: TalerWallet) -> None:
    purse.pay(reader.visit("/articles/ants").headers["location"])
    assert reader.visit("/articles/ants").status_code == 200
    assert reader.press("/pay/refund", {"page": "/articles/ants"}).status_code == 303


def test_a_purchase_is_told_from_the_order_to_the_refund(story: Story) -> None:
    """The events of one order come in the order of the flow, with step, reason and amount, and all with its ID."""
    mine = Story(story.site, events=[event for event in story.events if event.order_id == story.order_id])
    assert mine.of("order", "refused", "paid", "delivered", "refunded") == [
        ("order", "", 4, "KUDOS:0.5"),
        ("refused", "unpaid", 10, ""),
        ("paid", "first", 9, "KUDOS:0.5"),
        ("delivered", "paid", 9, "KUDOS:0.5"),
        ("delivered", "remembered", 3, "KUDOS:0.5"),
        ("refunded", "refunded", 8, ""),
    ]
    assert {(event.rule, event.resource, event.detail) for event in mine.events} == {(RULE, BEES, "")}
    assert all(0 < event.seconds < 30 for event in mine.events)


def test_a_refund_by_the_reader_is_told(story: Story) -> None:
    [event] = [event for event in story.events if event.reason == "by-reader"]
    assert (event.kind, event.rule, event.resource) == ("refunded", RULE, "/articles/{slug}?slug=ants")
    assert event.order_id


def test_what_is_refused_or_unknown_is_told(story: Story) -> None:
    """A path that is refused, a backend that is away, and a price callable that raises."""
    [refused] = [event for event in story.events if event.resource == REFUSED_PATH]
    assert (refused.kind, refused.reason, refused.rule, refused.order_id) == ("refused", "ambiguous-path", "", "")
    [away, broken] = [event for event in story.events if event.kind == "unknown"]
    assert (away.reason, away.rule, away.step) == ("backend-unreachable", RULE, 5)
    assert (away.detail, away.seconds > 0) == ("ConnectError", True)
    assert broken == Event("unknown", "internal-error", resource="/priceless/wasps")


def test_the_log_says_it(story: Story) -> None:
    """Each event is one line of the log, at its level; what breaks a price is there with its traceback."""
    about = f"resource='{BEES}' order={story.order_id}"
    for line in (
        f"DEBUG taler_paywall order {about}",
        f"INFO taler_paywall refused reason=unpaid {about}",
        f"DEBUG taler_paywall paid reason=first {about}",
        f"DEBUG taler_paywall delivered reason=remembered {about}",
        f"INFO taler_paywall refunded reason=refunded {about}",
        f"INFO taler_paywall refused reason=ambiguous-path resource='{REFUSED_PATH}'",
        f"WARNING taler_paywall unknown reason=backend-unreachable resource='{WASPS}' detail='ConnectError'",
        "WARNING taler_paywall unknown reason=internal-error resource='/priceless/wasps'",
        "ERROR taler_paywall internal-error: the paywall itself broke; the reader was told to come again",
        "LookupError: no price of wasps",
    ):
        assert line in story.log, line


def test_a_subscriber_that_fails_is_spoken_of_once(story: Story) -> None:
    """It fails at each of many events: those behind it are told, and the log does not fill up."""
    assert len(story.events) > 8
    spoken = [line for line in story.log if line.startswith("ERROR taler_paywall on_event: <Broken> failed at")]
    assert len(spoken) == 1
    assert story.log.count("LookupError: nobody listens to order") == 1


def test_metrics_count_it(story: Story) -> None:
    """Prometheus reads as many events as were told, and how long they took."""
    expected: dict[tuple[str, str, str], int] = {}
    for event in story.events:
        key = (event.kind, event.reason, event.rule)
        expected[key] = expected.get(key, 0) + 1
    for (kind, reason, rule), number in expected.items():
        labels = {"event": kind, "reason": reason, "rule": rule}
        assert story.site.sample("taler_paywall_events_total", **labels) == number, labels
    assert story.site.labels("taler_paywall_events_total") == set(expected)
    for kind in {event.kind for event in story.events}:
        took = [event.seconds for event in story.events if event.kind == kind and event.seconds]
        assert story.site.sample("taler_paywall_seconds_count", event=kind) == len(took), kind
        assert story.site.sample("taler_paywall_seconds_sum", event=kind) == pytest.approx(sum(took)), kind
    assert story.site.sample("taler_paywall_backend_up") == 1


def test_spans_show_it(story: Story) -> None:
    """Each event that took time, or that is a fault, is a span within the server's own, with what is known of it."""
    spans = story.site.spans
    ours = [span for span in spans if span["name"].startswith("taler_paywall ")]
    events = [event for event in story.events if event.seconds or event.kind == "unknown"]
    assert [span["name"] for span in ours] == [f"taler_paywall {event.kind}" for event in events]
    ids = {span["id"]: span["name"] for span in spans}
    for span, event in zip(ours, events, strict=True):
        assert ids[span["parent"]].startswith("GET /")
        assert span["end"] - span["start"] == pytest.approx(event.seconds * 1e9, abs=1000)
        assert 0 <= time.time_ns() - span["end"] < 600e9
        told = {name: getattr(event, name) for name in ("reason", "rule", "resource", "step", "order_id")}
        assert span["attributes"] == {f"taler_paywall.{name}": value for name, value in told.items() if value}
        failed = event.kind == "unknown"
        status = ("ERROR", event.detail or "internal-error") if failed else ("UNSET", None)
        assert (span["status"], span["description"]) == status
    assert [event.reason for event in events if event.kind == "unknown"] == ["backend-unreachable", "internal-error"]


@pytest.mark.parametrize(
    "path",
    [
        "/articles/%0aWARNING%20taler_paywall%20forged",
        "/articles/%0d%0aWARNING%20taler_paywall%20forged",
        "/pay/%0aWARNING%20taler_paywall%20forged",
        "/articles/%e2%80%a8WARNING%20taler_paywall%20forged",
        "/articles/%c2%85WARNING%20taler_paywall%20forged",
        "/articles/%1b%5b2KWARNING%20taler_paywall%20forged",
        "/articles//%0aWARNING%20taler_paywall%20forged",
    ],
)
def test_nobody_writes_lines_of_their_own(story: Story, path: str) -> None:
    """Whatever stands in a path is quoted: it ends no line of the log, and moves no cursor."""
    with story.site.reader() as reader:
        assert reader.http.get("/", extensions={"target": path.encode()}).status_code in {302, 400, 404}
    event = story.site.events[-1]
    said = [line for line in story.site.log if "forged" in line]
    assert said
    assert event.kind == "refused"
    for line in said:
        assert line.isprintable(), line
        assert line.startswith(("INFO taler_paywall refused reason=", "DEBUG taler_paywall order resource=")), line
    assert not [line for line in story.site.process.output.splitlines() if line.startswith("WARNING taler_paywall for")]


@pytest.mark.parametrize("failure", [LookupError("it"), ExceptionGroup("all of it", [OSError("it")])])
def test_nobody_fails_for_another(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Each subscriber is told, in their order, whoever fails."""
    told: list[str] = []

    def fail(event: Event) -> None:
        told.append("first")
        raise failure

    stream = Events([fail, lambda event: told.append(event.kind)])
    for _ in range(3):
        stream.tell(Event("order"))
    assert told == ["first", "order"] * 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_not_held_up(end: type[BaseException]) -> None:
    """A signal may come while a subscriber runs."""

    def stop(_: Event) -> None:
        raise end

    with pytest.raises(end):
        Events([stop]).tell(Event("order"))


def test_levels(caplog: pytest.LogCaptureFixture) -> None:
    """What went well is for who looks for it, what a reader did is information, and a fault is a warning."""
    caplog.set_level(logging.DEBUG, "taler_paywall")
    levels = {"order": "DEBUG", "paid": "DEBUG", "delivered": "DEBUG", "refunded": "INFO", "refused": "INFO"}
    for kind in get_args(Kind):
        caplog.clear()
        write(Event(kind, "why", detail="it's"))
        [record] = caplog.records
        assert (record.levelname, record.message) == (levels.get(kind, "WARNING"), f'{kind} reason=why detail="it\'s"')


def test_nothing_is_loaded_that_was_not_asked_for() -> None:
    """A site of either protocol that listens to nothing loads neither library."""
    code = """
import sys
from taler_paywall.asgi import PaywallMiddleware
from taler_paywall.wsgi import PaywallMiddleware as Wsgi
options = dict(backend="https://backend.example/", token="secret-token:it", secret_key="0123456789abcdef" * 2,
               public_url="https://news.example")
for middleware in (PaywallMiddleware, Wsgi):
    middleware(lambda *_: None, {"/a": "KUDOS:1"}, **options)
print([name for name in sys.modules if name.startswith(("prometheus_client", "opentelemetry", "redis"))])
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr

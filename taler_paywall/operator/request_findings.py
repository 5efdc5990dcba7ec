"""What answers a site's addresses: the paywall, or something else in front of it or beside it.

No request makes an order: each says that it is fetched ahead, and that nobody looks at the answer yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus

from taler_paywall.errors import ConfigError
from taler_paywall.operator.asking import Answer, Way, in_this_process, over_the_network
from taler_paywall.operator.finding import Finding
from taler_paywall.operator.samples import Sample, Samples
from taler_paywall.operator.target import Target
from taler_paywall.proof import PARAMETER_MISSING
from taler_paywall.routes import complaints
from taler_paywall.templating import STATIC
from taler_paywall.testing.client import SiteError

#: How the types of the paywall's answers begin (docs/answers.md).
TYPE = "urn:taler-paywall:"

_AROUND = "put the paywall around everything that answers the site's addresses"
_AHEAD = "let what stands in front of the paywall hand such requests on"


def findings(target: Target, asked_at: str, samples: Samples, tried: Sequence[str]) -> Iterator[Finding]:
    """Send requests for every rule, and for the paywall's own addresses.

    Args:
        target: the paywall.
        asked_at: URL of the running site, empty to ask the application in this process.
        samples: for the rules.
        tried: further paths that have to be paid for.
    """
    if not target.settings.enabled:
        return
    way: AbstractContextManager[Way]
    if asked_at:
        way = over_the_network(asked_at)
    elif target.found:
        yield from _routes(target)
        way = in_this_process(target.app, target.found[0])
    else:
        fix = "name module:app in place of the file, or the running site: --url"
        yield Finding("warning", "requests", "what answers the site's addresses was not tried", fix)
        return
    try:
        with way as open_way:
            yield from _answers(open_way, target, samples, tried)
    except ConfigError as error:
        yield from (Finding("error", "routes", problem, "correct the rule") for problem in error.problems)
    except SiteError as error:
        yield Finding("error", "requests", f"the application does not start ({error})", "see its own message")


def _routes(target: Target) -> Iterator[Finding]:
    """Hold the rules against the routes of the application, as the paywall itself does when the site starts."""
    first, *others = target.found
    root_paths = {first.mount}
    for complaint in complaints(target.settings.rules, first.middleware.app, root_paths) or ():
        yield Finding("warning", "routes", complaint, "correct the rule, or leave it out")
    if others:
        text = f"the application has {len(others)} further paywalls inside, which were not looked at"
        yield Finding("warning", "paywall", text, "check each by itself: module:name")


def _answers(way: Way, target: Target, samples: Samples, tried: Sequence[str]) -> Iterator[Finding]:
    for sample in samples.of_rules():
        yield _tried(way, sample) if isinstance(sample, Sample) else sample
    for path in tried:
        yield _tried(way, Sample("tried", "GET", path))
    prefix = target.settings.prefix
    poll = way.ask("GET", f"{prefix}/poll-payment")
    arrived = poll.status == HTTPStatus.BAD_REQUEST and poll.json.get("code") == PARAMETER_MISSING
    yield _reserved(f"{prefix}/poll-payment", poll, arrived=arrived)
    # Without the secret it does nothing.
    webhook = way.ask("POST", f"{prefix}/webhook")
    yield _reserved(f"{prefix}/webhook", webhook, arrived=webhook.json.get("hint") == "foreign-webhook")
    for name, media_type in STATIC.items():
        answer = way.ask("GET", f"{prefix}/static/{name}")
        arrived = answer.status == HTTPStatus.OK and answer.media_type == media_type.decode()
        yield _reserved(f"{prefix}/static/{name}", answer, arrived=arrived)


def _tried(way: Way, sample: Sample) -> Finding:
    answer = way.ask(sample.method, sample.target)
    asked = f"{sample.method} {sample.target}"
    kind = str(answer.json.get("type", ""))
    if answer.passed:
        return Finding("error", sample.label, f"{asked} gets through the paywall unpaid", "see option exempt")
    if answer.failure:
        return Finding("error", sample.label, f"{asked} has no answer ({answer.failure})", "see that the site runs")
    if answer.status == HTTPStatus.PAYMENT_REQUIRED and kind.startswith(TYPE):
        return Finding("ok", sample.label, f"{asked} has to be paid for")
    if kind.startswith(TYPE):
        text = f"{asked} is answered {answer.status} by the paywall: {answer.json.get('detail', '')}"
        return Finding("error", sample.label, text, "the log of the site says why")
    text = f"{asked} is answered {answer.status} without the paywall"
    if answer.status < HTTPStatus.BAD_REQUEST:
        return Finding("error", sample.label, text, _AROUND)
    return Finding("warning", sample.label, f"{text}: nobody can buy it", _AHEAD)


def _reserved(path: str, answer: Answer, *, arrived: bool) -> Finding:
    if arrived:
        return Finding("ok", "reserved", f"{path} arrives at the paywall")
    what = answer.failure or f"it is answered {answer.status} by something else"
    return Finding("error", "reserved", f"{path} does not arrive at the paywall ({what})", f"{_AHEAD}, or set prefix")

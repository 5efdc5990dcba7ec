"""For each rule, requests that it should answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlencode, urlsplit

from taler_paywall.decision import Refused
from taler_paywall.gate import Gate
from taler_paywall.http import Request, quote_path
from taler_paywall.operator.finding import Finding
from taler_paywall.resource import PART, Resource, Rule

#: Stands for a name whose value nobody has given; no site has it by chance.
UNKNOWN = "taler-paywall-check"


@dataclass(frozen=True)
class Sample:
    """One request to be tried.

    Args:
        label: what the finding calls it.
        method: of the request.
        target: path and query, quoted.
    """

    label: str
    method: str
    target: str

    @property
    def request(self) -> Request:
        """The request as a server would hand it on."""
        return request_of(self.method, self.target)


@dataclass(frozen=True)
class Samples:
    """Makes samples for the rules of a site.

    Args:
        rules: in order.
        values: for the names in patterns, by name.
    """

    rules: tuple[Rule, ...]
    values: Mapping[str, str] = field(default_factory=dict)

    def of_rules(self) -> Iterator[Sample | Finding]:
        """Yield what to try, and what cannot be tried."""
        gate = Gate(self.rules)
        for number, rule in enumerate(self.rules, 1):
            if rule.price is None:
                continue
            label = f"rule {number} ({rule.text})"
            if isinstance(rule.pattern, re.Pattern):
                yield _untried(label, "it is a regular expression", "name an address of it: --try /PATH")
                continue
            for path in self._paths(rule):
                query = {key: self.values.get(key, UNKNOWN) for key in rule.query}
                target = quote_path(path) + (f"?{urlencode(query)}" if query else "")
                sample = Sample(label, rule.method or "GET", target)
                yield self._doubt(gate, rule, sample) or sample

    def _paths(self, rule: Rule) -> Iterator[str]:
        """Yield a path that a template matches; where it has a tail, one with and one without."""
        open_end = rule.segments[-1] == "*"
        segments = rule.segments[:-1] if open_end else rule.segments
        names = (PART.match(segment) for segment in segments)
        filled = [
            self.values.get(name[1], UNKNOWN) if name else UNKNOWN if segment == "*" else segment
            for segment, name in zip(segments, names, strict=True)
        ]
        path = "/" + "/".join(filled)
        yield path
        if open_end:
            yield f"{path.rstrip('/')}/{UNKNOWN}"

    def _doubt(self, gate: Gate, rule: Rule, sample: Sample) -> Finding | None:
        """Say why a sample cannot show anything about its rule; None if it can."""
        found = gate.find(sample.request)
        fix = f"give names other values: --sample {(*rule.names, 'NAME')[0]}=VALUE"
        if isinstance(found, Refused):
            return _untried(sample.label, f"{sample.target} has a name that cannot be sold", fix)
        if found is None or found[0] is not rule:
            other = "is free" if found is None else f"is sold by another rule ({found[0].text})"
            return _untried(sample.label, f"{sample.target} {other}", fix)
        return _price_doubt(*found, sample, fix) if callable(rule.price) else None


def _price_doubt(rule: Rule, resource: Resource, sample: Sample, fix: str) -> Finding | None:
    try:
        price = rule.price_of(resource)
    except Exception as error:  # noqa: BLE001 - the site's own callable
        text = f"the price of {resource.name} raises {type(error).__name__}: {error}"
        return Finding("error", sample.label, text, "return None for what is not for sale")
    return None if price else _untried(sample.label, f"{sample.target} has no price", fix)


def _untried(label: str, why: str, fix: str) -> Finding:
    return Finding("warning", label, f"it could not be tried: {why}", fix)


def request_of(method: str, target: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Request:
    """Return a request for a path and query as a server would hand it on."""
    path, _, query = target.partition("?")
    # As browsers do: what may not stand in an address is written in another way, and nothing else.
    raw = re.sub(r"[^!-~]", lambda found: quote(found[0], errors="surrogateescape"), path)
    return Request(method, unquote(raw), raw.encode(), "", query.encode(errors="surrogateescape"), headers)


def path_of(url: str) -> str:
    """Return path and query of an address, or of a path."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

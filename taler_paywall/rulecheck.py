"""What can be wrong with a list of rules, found when the site starts and not when the first reader comes."""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import iscoroutinefunction
from urllib.parse import unquote

from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.http import UNSAFE_METHODS
from taler_paywall.path import is_plain
from taler_paywall.resource import PART, Price, Rule, resource_of
from taler_paywall.rules import Rules

# How expressions of frameworks begin whose paths have no slash in front; of alternatives nothing is said.
_WITHOUT_SLASH = re.compile(r"(?:\^|\\A|\(\?[a-zA-Z]+\))*[A-Za-z0-9](?![?*{])[^|]*").fullmatch
#: Query keys that the fulfillment URL uses itself.
_RESERVED_KEYS = frozenset({"again", "resource"})


def rules_of(rules: Sequence[Rule] | Mapping[str, Price]) -> list[Rule]:
    """Return the rules of a list, or of a short form ``{pattern: price}``."""
    if isinstance(rules, Mapping):
        return [Rule(pattern, price) for pattern, price in rules.items()]
    return list(rules)


def problems_of(rules: Sequence[Rule]) -> Iterator[str]:
    """Yield every mistake in a list of rules, each with its fix."""
    if not rules:
        yield "there is no rule: name at least one path that is sold, or set enabled=False"
    broken = False
    for rule in rules:
        if not isinstance(rule, Rule):
            yield f"{rule!r} is no Rule: write Rule(pattern, price)"
            broken = True
            continue
        for problem in (
            *_pattern_problems(rule),
            *_price_problems(rule),
            *_page_problems(rule),
            *_summary_problems(rule),
            *_unpaid_problems(rule),
        ):
            yield f"rule {_text(rule)}: {problem}"
            broken = True
    if not broken:
        yield from _order_problems(rules)


def _text(rule: Rule) -> str:
    return repr(rule.pattern.pattern if isinstance(rule.pattern, re.Pattern) else rule.pattern)


def _pattern_problems(rule: Rule) -> Iterator[str]:
    if isinstance(rule.pattern, re.Pattern):
        if not isinstance(rule.pattern.pattern, str):
            yield "the expression is for bytes; compile a text"
        elif _WITHOUT_SLASH(rule.pattern.pattern):
            yield "the expression matches nothing, for every path begins with a slash"
        return
    if not isinstance(rule.pattern, str):
        yield "a pattern is a text or a compiled regular expression"
        return
    if not rule.path.startswith("/"):
        yield "a pattern begins with a slash, optionally after a method and a blank"
        return
    if rule.method and rule.method not in {*UNSAFE_METHODS, "GET"}:
        yield "the method is one of GET, POST, PUT, PATCH and DELETE; a GET rule covers HEAD, OPTIONS and all others"
    segments = [segment for segment in rule.segments if not PART.match(segment) and segment != "*"]
    if any(mark in segment for segment in segments for mark in "{}*"):
        yield "{name} and * stand for a whole segment; write a regular expression for less"
    elif rule.path != "/" and not is_plain("/" + "/".join(segment or "x" for segment in segments), None):
        yield "the pattern is compared with decoded paths: no %XX, //, dot segments, ?, #, ; or \\"
    if "" in rule.segments[:-1]:
        yield "there is an empty segment (//)"


def _price_problems(rule: Rule) -> Iterator[str]:
    if iscoroutinefunction(rule.price):
        yield "the price is a coroutine function; it has to be a plain one, for it is asked without I/O"
    if rule.price is None or callable(rule.price):
        return
    try:
        amount = rule.price if isinstance(rule.price, Amount) else Amount.parse(rule.price)
    except CodecError as exc:
        yield f"the price is no amount such as 'KUDOS:0.5': {exc}"
        return
    if amount.is_zero:
        yield "the price is zero; price=None makes the path free"


def _page_problems(rule: Rule) -> Iterator[str]:
    if not isinstance(rule.query, list | tuple) or not all(isinstance(key, str) for key in rule.query):
        yield 'query is a list of names, such as ["id"]'
        return
    if len(set(rule.names)) < len(rule.names):
        yield "a name stands twice"
    if any(key in _RESERVED_KEYS for key in rule.query):
        yield f"the query keys {sorted(_RESERVED_KEYS)} are used by the paywall itself"
    if rule.price is None:
        return
    if rule.page:
        if not str(rule.page).startswith("/") or "?" in rule.page or "#" in rule.page:
            yield "page is a path of this site, without a query"
        elif unknown := set(re.findall(r"\{([^}]*)\}", rule.page)) - set(rule.names):
            yield f"the page names {sorted(unknown)}, which the pattern does not"
        elif "{" in (example := re.sub(r"\{[^}]*\}", "0", rule.page)) or "}" in example or not is_plain(example, None):
            yield "the page can be read in more than one way: no braces, %XX, //, dot segments, ; or \\"
    elif isinstance(rule.pattern, re.Pattern):
        yield "a regular expression needs page=: where the reader returns to after paying"
    elif rule.method in UNSAFE_METHODS:
        yield f"a rule of {rule.method} needs page=: where the reader returns to after paying"
    elif "*" in rule.segments[:-1]:
        yield "a pattern with * in the middle needs page=: where the reader returns to after paying"


def _summary_problems(rule: Rule) -> Iterator[str]:
    if iscoroutinefunction(rule.summary):
        yield "the summary is a coroutine function; it has to be a plain one"
    if callable(rule.summary):
        return
    if not isinstance(rule.summary, str):
        yield "the summary is a text or a callable of the resource"
        return
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(rule.summary) if name is not None}
    except ValueError as exc:
        yield f"the summary is no format text: {exc}"
        return
    if unknown := names - set(rule.names):
        yield f"the summary names {sorted(unknown)}, which the pattern does not"
        return
    try:
        rule.summary.format_map(defaultdict(str, dict.fromkeys(rule.names, "x")))
    except (ValueError, AttributeError, KeyError, IndexError) as exc:
        yield f"the summary cannot be filled in: {exc}"


def _unpaid_problems(rule: Rule) -> Iterator[str]:
    if rule.unpaid not in {None, "redirect", "page"}:
        yield f"unpaid is 'redirect' or 'page', not {rule.unpaid!r}"
    if iscoroutinefunction(rule.teaser):
        yield "the teaser is a coroutine function; it has to be a plain one"
    elif rule.teaser is not None and not callable(rule.teaser) and not isinstance(rule.teaser, str):
        yield "the teaser is the name of a template, or a callable of the resource"
    if rule.price is None and (rule.teaser is not None or rule.refundable):
        yield "a free path has no teaser, and there is nothing to give back"


def _order_problems(rules: Sequence[Rule]) -> Iterator[str]:
    """Yield what is wrong between rules that are right by themselves."""
    compiled = Rules(rules)
    patterns = _by(rules, lambda rule: rule.pattern)
    lengths = _by(rules, lambda rule: len(_compared(rule)) if _is_one_page(rule) else None)
    for index, rule in enumerate(rules):
        # Who covers a template matches what it matches.
        near = compiled.candidates(_example(rule)) if isinstance(rule.pattern, str) else patterns[rule.pattern]
        if earlier := next((rules[other] for other in near if other < index and _covers(rules[other], rule)), None):
            yield f"rule {_text(rule)} is never reached: {_text(earlier)} before it covers it; change their order"
        elif (owner := _owner_of_page(compiled, lengths, index)) is not None:
            yield (
                f"rule {_text(rule)}: its page is sold by {_text(owner)}, so that its readers would be asked "
                "to pay that one too; let that one end with /*, or give it another page="
            )


def _by(rules: Sequence[Rule], key: Callable[[Rule], object]) -> Mapping[object, Sequence[int]]:
    """Return the indices of the rules that have something in common: none is held against all others."""
    found = defaultdict[object, list[int]](list)
    for index, rule in enumerate(rules):
        found[key(rule)].append(index)
    return found


def _example(rule: Rule) -> str:
    """Return a path that a template matches."""
    return "".join("/0" if segment == "*" or PART.match(segment) else f"/{segment}" for segment in rule.segments)


def _owner_of_page(compiled: Rules, lengths: Mapping[object, Sequence[int]], index: int) -> Rule | None:
    """Return another rule that sells the page of some of a rule's resources, but not the resources themselves."""
    rules, rule = compiled.rules, compiled.rules[index]
    if rule.price is None:
        return None
    example = resource_of(rule, dict.fromkeys(rule.names, "0"))
    found = compiled.resource("GET", unquote(rule.page_of(example).partition("?")[0]), b"")
    if isinstance(found, tuple) and found[0] is not rule:
        return found[0]
    if rule.page or rule.segments[-1:] != ("*",):
        return None
    page = _compared(rule)[:-1]
    near = (rules[other] for other in lengths.get(len(page), ()) if other < index)
    return next((other for other in near if other.price is not None and _meets(other, page)), None)


def _is_one_page(rule: Rule) -> bool:
    """Tell whether a rule is a template without a tail that sells pages."""
    return rule.segments[-1:] not in {(), ("*",)} and rule.method not in UNSAFE_METHODS


def _meets(rule: Rule, page: Sequence[str]) -> bool:
    """Tell whether a rule without a tail may match a page of as many segments, given by its template."""
    return all(
        mine in {theirs, "*"} or any(map(PART.match, (mine, theirs)))
        for mine, theirs in zip(_compared(rule), page, strict=True)
    )


def _covers(earlier: Rule, later: Rule) -> bool:
    """Tell whether every request that the later rule matches is matched by the earlier one."""
    if earlier.method not in {None, later.method}:
        return False
    if isinstance(earlier.pattern, re.Pattern) or isinstance(later.pattern, re.Pattern):
        return earlier.pattern == later.pattern
    mine, theirs = (_compared(rule, exact=earlier.price is None) for rule in (earlier, later))
    for position, segment in enumerate(mine):
        if segment == "*" and position == len(mine) - 1:
            return True
        if position >= len(theirs):
            return False
        tail = theirs[position] == "*" and position == len(theirs) - 1
        wild = segment == "*" or bool(PART.match(segment))
        if tail or not (wild or segment == theirs[position]):
            return False
    return len(mine) == len(theirs)


def _compared(rule: Rule, *, exact: bool = False) -> list[str]:
    """Return the segments as they are compared; free rules are compared exactly, case and a slash at the end too."""
    segments = list(rule.segments)
    if exact:
        return segments
    if segments[-1:] == [""]:
        del segments[-1]
    return [segment if PART.match(segment) else segment.casefold() for segment in segments]

"""All rules of a site, compiled: from a path to the first rule that applies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl

from taler_paywall.resource import PART, Resource, Rule, resource_of

_TURKISH_I = re.compile("[\u0130\u0131]")


@dataclass(slots=True)
class _Node:
    """Where a template has come to: the rules that end here, and the ways on."""

    literals: dict[str, _Node] = field(default_factory=dict)
    anything: _Node | None = None
    here: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)


class Rules:
    """All rules of a site, compiled once: looking a path up costs its own length, not the number of templates.

    Args:
        rules: in order; the first that matches wins.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._root = _Node()
        free = [rule for rule in rules if rule.price is None and rule.segments and not rule.names]
        self._freed = frozenset(rule.path for rule in free if "*" not in rule.segments)
        expressions = ((index, *rule.expressions) for index, rule in enumerate(rules) if rule.expressions)
        self._expressions = [(index, exact.fullmatch, any_case.fullmatch) for index, exact, any_case in expressions]
        for index, rule in enumerate(rules):
            if isinstance(rule.pattern, str):
                self._insert(index, rule.segments)
        # Nearly every path of a site is free, and its first segment tells; nothing else is then looked at.
        root = self._root
        self._first = None if root.anything or root.below or root.here or self._expressions else root.literals

    def _insert(self, index: int, segments: Sequence[str]) -> None:
        node = self._root
        for position, segment in enumerate(segments):
            if segment == "*" and position == len(segments) - 1:
                node.below.append(index)
                return
            if segment == "*" or PART.match(segment):
                node.anything = node.anything or _Node()
                node = node.anything
            elif segment:
                node = node.literals.setdefault(_caseless(segment), _Node())
        node.here.append(index)

    def candidates(self, path: str) -> list[int]:
        """Return the indices of the rules that some lenient router would apply to a path, in order.

        What is no part of a resource's identity is compared without regard to case, and one slash at the end does not
        count.
        """
        segments = _caseless(path).split("/")[1:]
        if self._first is not None and segments[0] not in self._first:
            return []
        if segments and not segments[-1]:
            del segments[-1]
        found: list[int] = []
        nodes = [self._root]
        for segment in segments:
            ways: list[_Node] = []
            for node in nodes:
                if node.below:
                    found += node.below
                if (literal := node.literals.get(segment)) is not None:
                    ways.append(literal)
                if node.anything is not None:
                    ways.append(node.anything)
            nodes = ways
            if not nodes:
                break
        for node in nodes:
            found += node.here
            found += node.below
        if self._expressions:
            found += {
                index
                for spelling in _spellings(path)
                for index, exact, any_case in self._expressions
                if exact(spelling) or any_case(spelling)
            }
        return sorted(found) if len(found) > 1 else found

    def sells(self, path: str) -> bool:
        """Tell whether any rule with a price may apply to this reading of a path, whatever the method."""
        return any(self.rules[index].price is not None for index in self.candidates(path))

    def frees(self, path: str) -> bool:
        """Tell whether a free exception names this very path, letter by letter: no look-alike can be meant."""
        return path in self._freed

    def resource(
        self, method: str, path: str, query: bytes
    ) -> tuple[Rule, Resource] | Literal["ambiguous", "free"] | None:
        """Return the first rule that applies, and the resource; None if there is none.

        Args:
            method: the method token.
            path: a plain path, as the application routes it.
            query: the raw query string; "ambiguous" is returned if a declared key has two values, or none
                that is text; "free" if the first rule that applies is a free exception.
        """
        for index in self.candidates(path):
            rule = self.rules[index]
            if not rule.gates(method):
                continue
            if rule.price is None:
                if _exactly(rule, path):
                    return "free"
                continue
            parts = _parts(rule, path)
            for key, value in _selected(rule, query) if rule.query else ():
                if parts.setdefault(key, value) != value or "\ufffd" in key + value:
                    return "ambiguous"
            return rule, resource_of(rule, parts)
        return None


def _caseless(text: str) -> str:
    # What ignores case takes both of the Turkish letters for an i; case folding keeps them apart.
    return text.casefold() if text.isascii() else _TURKISH_I.sub("i", text).casefold()


def spelled_like(rule: Rule, path: str) -> bool:
    """Tell whether a path of a rule is spelled as the rule spells it; a slash at the end does not count."""
    return any(_exactly(rule, spelling) for spelling in (path, path.removesuffix("/"), f"{path}/"))


def _match(rule: Rule, path: str) -> re.Match[str] | None:
    """Match an expression as it stands first, for that tells the resource, and without a slash at the end."""
    ways = (way.fullmatch(spelling) for way in rule.expressions for spelling in _spellings(path))
    return next(filter(None, ways), None)


def _spellings(path: str) -> tuple[str, ...]:
    return (path[:-1], path) if path.endswith("/") else (path,)


def _parts(rule: Rule, path: str) -> dict[str, str]:
    if rule.expressions:
        match = _match(rule, path)
        groups = match.groupdict() if match else {}
        return {name: value for name, value in groups.items() if value is not None}
    segments = path.split("/")
    return {name: segments[position] for position, name in rule.places if position < len(segments)}


def _selected(rule: Rule, query: bytes) -> list[tuple[str, str]]:
    # Frameworks read a raw byte in encodings of their own.
    pairs = parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True)
    return [(key, value) for key, value in pairs if key in rule.query or "\ufffd" in key]


def _exactly(rule: Rule, path: str) -> bool:
    """Tell whether a free rule means this very path: case counts, and so does a slash at the end."""
    if isinstance(rule.pattern, re.Pattern):
        return rule.pattern.fullmatch(path) is not None
    own, theirs = rule.segments, path.split("/")[1:]
    if own[-1] == "*":
        own, theirs = own[:-1], theirs[: len(own) - 1]
    return len(own) == len(theirs) and all(
        a in {"*", b} or PART.match(a) is not None for a, b in zip(own, theirs, strict=True)
    )

"""A paywall's configuration as a TOML file: the keywords of ``PaywallMiddleware`` under the same names.

What TOML cannot say is said by a text: ``module:name`` is what Python finds there, and ``false`` is None.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from taler_paywall.errors import ConfigError
from taler_paywall.resource import Rule
from taler_paywall.settings import Options

#: ``module:name``; with ``()`` what that returns when it is called.
_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(\(\))?", re.ASCII)
#: How TOML writes what has such a type in Python; what is not here is written as another member of the same union.
_KINDS: Mapping[Any, tuple[type, ...]] = {
    str: (str,),
    Path: (str,),
    Callable: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    Sequence: (list,),
    Mapping: (dict,),
}
_WORDS = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a table"}
#: Takes the place of `Rule.pattern` for regular expressions.
_REGEX = "regex"


def imported(reference: str) -> Any:
    """Return what a reference names.

    Args:
        reference: ``module:name``, or ``module:name()`` for what it returns when it is called without arguments.

    Raises:
        ConfigError: there is no such thing, or its module or its call raised.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ConfigError([f"{reference!r} is no module:name, such as 'shop.prices:price_of'"])
    module, name, call = match.groups()
    try:
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found() if call else found  # type: ignore[operator]
    except ConfigError as error:
        raise ConfigError([f"{reference!r}: {problem}" for problem in error.problems]) from error
    except (Exception, SystemExit) as error:  # a module of the site may raise anything when it is loaded
        problem = f"{reference!r} cannot be imported: {type(error).__name__}: {error}"
        raise ConfigError([problem]) from error


@dataclass
class Contents:
    """What stands in a file.

    Args:
        rules: that can be read, in order.
        options: that can be read.
        problems: every mistake, each with its fix.
        consequences: how complaints begin that would follow from what could not be read.
    """

    rules: list[Rule] = field(default_factory=list)
    options: Options = field(default_factory=Options)
    problems: list[str] = field(default_factory=list)
    consequences: list[str] = field(default_factory=list)


def read(path: Path) -> Contents:
    """Read a file as far as it can be read; whether the values fit together is for `taler_paywall.config` to say.

    Args:
        path: of the file; relative paths in it are taken from where it is.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path} is no TOML: {error}"]) from error
    found = Contents()
    _read_rules(document.pop("rules", []), found)
    hints = get_type_hints(Options)
    values = _Values(found.problems, path.parent)
    # Unknown names are passed on: the paywall says which there are.
    options = {
        name: values.read(name, value, hints[name]) if name in hints else value for name, value in document.items()
    }
    found.options = cast("Options", {name: value for name, value in options.items() if value is not MISSING})
    found.consequences += [f"{name} is missing" for name in options.keys() - found.options.keys()]
    return found


def _read_rules(given: Any, found: Contents) -> None:
    tables = [{"pattern": key, "price": value} for key, value in given.items()] if isinstance(given, dict) else given
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        found.problems.append("rules are tables [[rules]], or one table [rules] of patterns and prices")
        tables = []
    rules = [_rule(f"rule {number}", table, found.problems) for number, table in enumerate(tables, 1)]
    found.rules += filter(None, rules)
    if found.problems:
        found.consequences.append("there is no rule")


def _rule(label: str, table: dict[str, Any], problems: list[str]) -> Rule | None:
    """Return a rule, None if it cannot be read."""
    known = len(problems)
    names = [member.name for member in fields(Rule)]
    hints = get_type_hints(Rule) | {_REGEX: str}
    if (pattern := table.get("pattern", table.get(_REGEX))) is not None:
        label = f"{label} ({pattern!r})"
    problems += [
        f"{label}: there is no {name}; a rule has {', '.join([*names, 'or ' + _REGEX + ' in place of pattern'])}"
        for name in sorted(table.keys() - {*names, _REGEX})
    ]
    if ("pattern" in table) == (_REGEX in table):
        problems.append(f"{label}: give it a pattern or, in its place, a {_REGEX}")
    if "price" not in table:
        problems.append(f'{label}: give it a price, such as "KUDOS:0.5" or "module:name", or false: free')
    values = _Values(problems, Path(), f"{label}: ")
    members = {name: values.read(name, value, hints[name]) for name, value in table.items() if name in hints}
    if isinstance(expression := members.pop(_REGEX, None), str):
        try:
            members["pattern"] = re.compile(expression)
        except re.error as error:
            problems.append(f"{label}: the {_REGEX} cannot be compiled: {error}")
    return Rule(**members) if len(problems) == known else None


@dataclass(frozen=True)
class _Values:
    """Turns values of TOML into those of the keywords.

    Args:
        problems: mistakes are added to these.
        directory: relative paths are taken from there.
        label: how problems begin.
    """

    problems: list[str]
    directory: Path
    label: str = ""

    def read(self, name: str, value: Any, hint: Any) -> Any:
        """Return a value as Python has it, `MISSING` if it cannot be read."""
        members = set(_members(hint))
        if value is False and NoneType in members:
            return None
        kinds = {kind for member in members for kind in _KINDS.get(member, ())}
        if type(value) not in kinds:
            # The value itself may be a secret.
            self.problems.append(f"{self.label}{name} is {_written(members, kinds)}")
            return MISSING
        if Callable in members:
            return self._called(name, value, is_text=str in members)
        return self.directory / value if Path in members else value

    def _called(self, name: str, value: Any, *, is_text: bool) -> Any:
        """Import what a text names; where texts are allowed, those that are spelled otherwise stay texts."""
        if isinstance(value, list):
            found = [self._called(name, each, is_text=is_text) for each in value]
            return MISSING if MISSING in found else found
        if is_text and not _REFERENCE.fullmatch(value):
            return value
        try:
            return imported(str(value))
        except ConfigError as error:
            self.problems.extend(f"{self.label}{name}: {problem}" for problem in error.problems)
            return MISSING


def _written(members: set[Any], kinds: set[type]) -> str:
    """Say how a value is written."""
    words = [word for kind, word in _WORDS.items() if kind in kinds]
    if Callable in members and str not in members:
        words[0] = "module:name"
    logical = ["true or false"] if bool in members else ["false"] if NoneType in members else []
    return " or ".join([*dict.fromkeys(words), *logical])


def _members(hint: Any) -> Iterator[Any]:
    """List what a type is made of, without what its parts are of."""
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        for part in get_args(hint):
            yield from _members(part)
    elif origin is Literal:
        yield from map(type, get_args(hint))
    else:
        yield origin or hint
        if origin is Sequence and get_origin(get_args(hint)[0]) is Callable:
            yield Callable

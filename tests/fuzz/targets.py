"""Request targets: protected paths, changed in every way that might still reach what is sold."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from random import Random
from urllib.parse import quote

ROOTS = ("", "", "", "/base", "/é", "/a/b")
#: What is put in, by the reading that it aims at.
PIECES = (
    *("/", "//", "///", "\\", "\\\\", "/\\", "%2f", "%2F", "%252f", "%25252f", "%5c", "%255c", "\uff0f", "\u2044"),
    *(";", ";x=1", ";/", "/;/", "/;x/", "%3b", "%3bx=1", "\uff1b"),
    *(".", "..", "/.", "/..", "/./", "/../", "/x/../", "/%2e%2e/", "/.%2e/", "%2e", "%252e", "/..;/", "/..;x=1/"),
    *("..\\", "/..%2f", "/..%5c", "%2f..%2f", "x/../", "\u2025", "\u2024", "\u2026", "/x/..%00/", "/ ../", "/.. /"),
    *("\x00", "\t", "\n", "\r", "\r\n", "\x0b", "\x1f", "\x7f", "\x85", "%00", "%2500", "%0a", "%0d%0a", "%09"),
    *("\u200b", "\u200c", "\u200d", "\u2060", "\u00ad", "\ufeff", "\u202e", "\u2028", "\u2029", "\u180e", "\ue000"),
    *(" ", "%20", "\u00a0", "\u2003", "\u3000", "\u205f", "+", "%2b"),
    *("?", "?x", "%3f", "%3fx", "%253f", "\uff1f", "#", "#x", "%23", "%2523", "\uff03"),
    *("%", "%%", "%z", "%2", "%u0061", "%25", "%2525", "%ff", "%ff%fe", "%c0", "%80", "%fe%80", "%ed%a0%80"),
    *("%c0%af", "%c0%ae", "%e0%80%af", "%f0%80%80%af", "%c1%9c", "%c0%ae%c0%ae/", "%ef%bf%bd", "\ufffd"),
    *("\u0301", "\u0338", "x", "0", "*", "@", ":", "~", "public", "/public", "/index.html"),
)
PREFIXES = (
    *("", "/", "//", "*", "x", "./", "../", "/x/..", "/public/..", "/public/", "http://h", "HTTPS://u:p@h:1", "x:"),
    *("//h", "http:", "file://", "http%3a//h", "/http://h", "\\\\h", "/%2f", "%2f", "?", "#", ";", "\ufeff", "%00"),
)
#: What has the same capital, or the same small letter, for those who compare without regard to case.
OTHER_CASE = {"i": "\u0131\u0130", "s": "\u017f", "k": "\u212a", "\xfc": "\xdc"}


@cache
def _lookalikes() -> dict[str, list[str]]:
    """Map a plain character to all that become it, by compatibility or by case."""
    found: dict[str, list[str]] = defaultdict(list)
    for point in range(0x80, 0x110000):
        char = chr(point)
        if unicodedata.category(char) in {"Cn", "Co", "Cs"}:
            continue
        for form in {unicodedata.normalize("NFKC", char), char.casefold(), char.lower(), char.upper()}:
            if form.isascii() and form != char:
                found[form].append(char)
                if form.casefold() != form:
                    found[form.casefold()].append(char)
    return found


def _escaped(text: str, times: int, *, capitals: bool) -> str:
    pattern = "%%%02X" if capitals else "%%%02x"
    text = "".join(pattern % byte for byte in text.encode("utf-8", "surrogatepass"))
    return text.replace("%", "%" + "25" * (times - 1)) if times > 1 else text


def _overlong(char: str) -> str:
    """Return a character in more bytes than UTF-8 allows, escaped."""
    code = ord(char)
    return f"%{0xC0 | code >> 6:02x}%{0x80 | code & 0x3F:02x}" if code < 0x80 else char


class Mutator:
    """Makes targets of a seed; the same ones for the same seed.

    Args:
        random: seeded.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self._ways: tuple[Callable[[str], str], ...] = (
            *(self._insert,) * 5,
            *(self._change_char,) * 5,
            self._change_all,
            self._prefix,
            self._suffix,
            self._cut,
            self._segment,
            self._any_char,
        )

    def target(self, path: str) -> bytes:
        """Return the raw target of a path after a few changes; several at once are as likely as one."""
        random = self.random
        text = quote(path, safe="/,") if random.random() < 0.5 else path
        for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 4, 6))):
            text = random.choice(self._ways)(text)
        if random.random() < 0.8:
            # As a client escapes what it cannot send; what is escaped already stays.
            text = quote(text.encode("utf-8", "surrogatepass"), safe="/%;?#\\:@&=+$,!~*'()")
        return text.encode("utf-8", "surrogatepass")

    def _insert(self, text: str) -> str:
        at = self.random.randint(0, len(text))
        return text[:at] + self.random.choice(PIECES) + text[at:]

    def _suffix(self, text: str) -> str:
        return text + self.random.choice(PIECES)

    def _prefix(self, text: str) -> str:
        return self.random.choice(PREFIXES) + (text if self.random.random() < 0.8 else text.lstrip("/"))

    def _any_char(self, text: str) -> str:
        at = self.random.randint(0, len(text))
        return text[:at] + chr(self.random.randrange(0xD800 if self.random.random() < 0.9 else 0x110000)) + text[at:]

    def _cut(self, text: str) -> str:
        return text[: self.random.randint(0, len(text))] if self.random.random() < 0.5 else text[1:]

    def _segment(self, text: str) -> str:
        """Put a segment in and take it back, or double one."""
        parts = text.split("/")
        at = self.random.randint(0, len(parts))
        change = (["x", ".."], ["."], [""], ["..", ".."], [".."], ["x;y", "..;z"], parts[at : at + 1], ["x%2f.."])
        return "/".join([*parts[:at], *self.random.choice(change), *parts[at:]])

    def _change_char(self, text: str) -> str:
        if not text:
            return text
        random = self.random
        at = random.randrange(len(text))
        char = text[at]
        ways = [
            *(_escaped(char, random.randint(1, 4), capitals=random.random() < 0.5),) * 3,
            _overlong(char),
            char * 2,
            "",
            char.swapcase(),
            char.upper(),
            random.choice(_lookalikes().get(char.casefold(), [char])),
            random.choice(_lookalikes().get(char.casefold(), [char])),
            random.choice(OTHER_CASE.get(char.casefold(), char)),
            "\\" if char == "/" else char,
        ]
        return text[:at] + random.choice(ways) + text[at + 1 :]

    def _change_all(self, text: str) -> str:
        random = self.random
        form = random.choice(("NFD", "NFC", "NFKD", "NFKC", "upper", "title", "lower", "wide", "escaped", "back"))
        match form:
            case "upper":
                return text.upper()
            case "lower":
                return text.lower()
            case "title":
                return text.title()
            case "wide":
                return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" and char != "/" else char for char in text)
            case "escaped":
                return text[:1] + _escaped(text[1:], random.randint(1, 3), capitals=random.random() < 0.5)
            case "back":
                return text.replace("/", "\\")
            case _:
                return unicodedata.normalize(form, text)  # type: ignore[arg-type] # one of the four

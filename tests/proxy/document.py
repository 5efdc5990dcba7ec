"""The configuration that docs/reverse-proxy.md shows, as nginx reads it in a test."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from running import ROOT

DOCUMENT: Final = ROOT / "docs" / "reverse-proxy.md"

_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.M | re.S)
#: Every block begins with where it belongs.
_BLOCK = re.compile(r"^```nginx\n# inside (http|server|location /)(?:[:,] .*)?\n(.*?)^```", re.M | re.S)
#: Just before the last brace of the server.
_END = re.compile(r"(?=^\}\s*\Z)", re.M)
_MAIN_LOCATION = re.compile(r"location /(?:\w+/)? \{\n")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Args:
        section: heading of the section that it stands in.
        place: what it is put into.
        text: the directives.
    """

    section: str
    place: str
    text: str


def blocks() -> list[Block]:
    """Return every block of the document, in order."""
    found = [
        Block(section[1], block[1], block[2])
        for section in _SECTION.finditer(DOCUMENT.read_text())
        for block in _BLOCK.finditer(section[2])
    ]
    assert len(found) == DOCUMENT.read_text().count("```nginx"), "a block does not say where it belongs"
    return found


def configuration(*sections: str) -> str:
    """Put the blocks of these sections together: the first is a server, the others add to it."""
    parts = [block for section in sections for block in blocks() if block.section == section]
    assert {block.section for block in parts} == set(sections)
    server = parts.pop(0)
    assert server.text.startswith("server {"), server.text
    text = server.text
    # What stands beside the server comes last: what goes into it is put before its last brace.
    for block in sorted(parts, key=lambda block: block.place == "http"):
        if block.place == "http":
            text += block.text
            continue
        place = (_MAIN_LOCATION if block.place == "location /" else _END).search(text)
        assert place, block.place
        text = text[: place.end()] + block.text + text[place.end() :]
    return text

"""QR codes: what a camera reads is what was written, and what is written is safe to put into a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
import segno

from taler_paywall.qr import MAX_TEXT, svg

URI = "taler://pay/backend.example/shop/2026.326-01KAP4/" + "S" * 52 + "?c=" + "C" * 52
TITLE = "QR code for your wallet"


def dots(drawing: str) -> set[tuple[int, int]]:
    """Return the dark dots of a drawing, by column and row, the quiet zone included."""
    root = ET.fromstring(drawing)
    dark = next(path for path in root.iter("path") if path.get("stroke") == "#000")
    found, x, y = set(), 0.0, -0.5
    for command, first, second in re.findall(r"([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?", dark.get("d", "")):
        if command == "h":
            found |= {(int(column), int(y)) for column in range(int(x), int(x) + int(first))}
            x += int(first)
        else:
            x, y = (float(first), float(second)) if command == "M" else (x + float(first), y + float(second))
    return found


@pytest.mark.parametrize("text", [URI, "taler://pay/x/y/", "é<&>\"'" * 40, "x" * MAX_TEXT])
def test_every_dot_is_there(text: str) -> None:
    """With four light dots around, without which phones do not find it (ISO/IEC 18004)."""
    code = segno.make(text, error="m", micro=False, mask=2)
    expected = {(x + 4, y + 4) for y, row in enumerate(code.matrix) for x, dark in enumerate(row) if dark}
    drawing = svg(text, TITLE)
    assert dots(drawing) == expected
    side = len(code.matrix) + 8
    root = ET.fromstring(drawing)
    assert root.get("viewBox") == f"0 0 {side} {side}"
    white = next(path for path in root.iter("path") if path.get("fill"))
    assert (white.get("fill"), white.get("d")) == ("#fff", f"M0 0h{side}v{side}h-{side}z")


@pytest.mark.parametrize("title", [TITLE, "</title><script>alert(1)</script>", "<title>", "a \"b\" & 'c' <svg"])
def test_readers_who_do_not_see_it_are_told(title: str) -> None:
    """By one title, which no text can break."""
    root = ET.fromstring(svg(URI, title))
    assert [element.tag for element in root.iter()] == ["svg", "title", "path", "path"]
    named = root.find("title")
    assert named is not None
    assert named.text == title
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", named.get("id"))


def test_nothing_that_a_strict_policy_forbids() -> None:
    """Neither styles nor classes; and small enough for a page that weighs little."""
    drawing = svg(URI, TITLE)
    assert {name for element in ET.fromstring(drawing).iter() for name in element.attrib} == {
        *("role", "aria-labelledby", "viewBox", "id", "fill", "stroke", "d"),
    }
    assert len(drawing) < 6000


def test_what_no_code_holds_has_none() -> None:
    assert svg("x" * 2332, TITLE) == ""


def test_a_code_is_drawn_once() -> None:
    """Whoever reloads the page gets the drawing that was made before: it takes longer than all the rest of the page."""
    assert svg(f"{URI}1", TITLE) is svg(f"{URI}1", TITLE)

"""QR codes as pictures that stand in the page itself."""

from __future__ import annotations

import segno
from markupsafe import Markup


def svg(text: str, title: str) -> Markup:
    """Draw a QR code, dark on white with its quiet zone, as an SVG element that fills the box that it is given.

    Args:
        text: what a camera reads, such as a taler:// URI.
        title: what somebody is told who does not see the picture.

    Returns:
        The element; empty if the text is too long for any QR code (2331 bytes).
    """
    try:
        code = segno.make(text, error="m", micro=False)
    except segno.DataOverflowError:
        return Markup()
    drawing = code.svg_inline(dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None, title=title)
    labelled = drawing.replace("<svg", '<svg role="img" aria-labelledby="qr-title"', 1)
    # segno escapes the title, and of the text it writes only the dots.
    return Markup(labelled.replace("<title>", '<title id="qr-title">', 1))  # noqa: S704

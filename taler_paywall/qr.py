"""QR codes as pictures that stand in the page itself."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup

#: A code of more bytes than this takes long to draw, and cameras have trouble with it.
MAX_TEXT = 800


@lru_cache(maxsize=256)
def svg(text: str, title: str) -> Markup:
    """Draw a QR code, dark on white with its quiet zone, as an SVG element that fills the box that it is given.

    Args:
        text: what a camera reads, such as a taler:// URI.
        title: what somebody is told who does not see the picture.

    Returns:
        The element; empty if the text is longer than `MAX_TEXT`.
    """
    if len(text) > MAX_TEXT:
        return Markup()
    # It brings XML and urllib along, which sites that send readers to the backend's page never need.
    import segno  # noqa: PLC0415

    # Any of the eight masks is read; to compare them all would take four times as long.
    code = segno.make(text, error="m", micro=False, mask=2)
    drawing = code.svg_inline(dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None, title=title)
    labelled = drawing.replace("<svg", '<svg role="img" aria-labelledby="qr-title"', 1)
    # segno escapes the title, and of the text it writes only the dots.
    return Markup(labelled.replace("<title>", '<title id="qr-title">', 1))  # noqa: S704

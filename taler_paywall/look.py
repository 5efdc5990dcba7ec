"""How the paywall's own pages look: name, logo, colours, and a directory of templates that replace ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
#: Ratio of the luminances of text and what is behind it (WCAG 2.2, 1.4.3).
_CONTRAST = 4.5


@dataclass(frozen=True)
class Look:
    """What a site changes in the pages.

    Args:
        site_name: shown above the page, empty for none.
        logo: path of a picture of the site's own, empty for none.
        accent: colour of buttons and links.
        dark_accent: the same on dark pages.
        templates: directory of templates and catalogues that replace or extend ours.
    """

    background: ClassVar[str] = "#ffffff"
    dark_background: ClassVar[str] = "#15181e"

    site_name: str = ""
    logo: str = ""
    accent: str = "#0042b3"
    dark_accent: str = "#a8c4ff"
    templates: Path | None = None

    @property
    def accent_text(self) -> str:
        """The colour of text on `accent`."""
        return _text_on(self.accent)

    @property
    def dark_accent_text(self) -> str:
        """The colour of text on `dark_accent`."""
        return _text_on(self.dark_accent)


def look_of(site_name: Any, logo: Any, colours: Any, templates: Any) -> tuple[Look, list[str]]:
    """Check the options of the look.

    Args:
        site_name: as given, None for the default; the others too.
        logo: a path of the site.
        colours: a mapping with ``accent`` and ``dark_accent``, each like ``#0042b3``.
        templates: a directory.

    Returns:
        The look, and every mistake with its fix.
    """
    problems = []
    if not isinstance(site_name, str | None):
        problems.append("site_name is a text")
    if logo and not (isinstance(logo, str) and re.match(r"/(?!/)[!-\[\]-~]*\Z", logo)):
        problems.append("logo is the path of a picture of this site, such as /static/logo.svg: nothing else is loaded")
    directory = Path(templates) if isinstance(templates, str | Path) else None
    if templates is not None and not (templates and directory and directory.is_dir()):
        problems.append(f"templates: {str(templates)!r} is no directory")
    if not isinstance(colours, Mapping | None):
        problems.append('colours is a mapping such as {"accent": "#0042b3"}')
    problems += _colour_problems(chosen := dict(colours) if isinstance(colours, Mapping) else {})
    if problems:
        return Look(), problems
    return Look(site_name=site_name or "", logo=logo or "", templates=directory, **chosen), []


def _colour_problems(colours: dict[Any, Any]) -> Iterator[str]:
    backgrounds = {"accent": Look.background, "dark_accent": Look.dark_background}
    for name, colour in colours.items():
        if name not in backgrounds:
            yield f"colours: {name!r} is none of {', '.join(backgrounds)}"
        elif not isinstance(colour, str) or not _COLOUR.match(colour):
            yield f"colours: {name} is written as six hexadecimal digits, such as #0042b3, not {colour!r}"
        elif (contrast := _contrast(colour, backgrounds[name])) < _CONTRAST:
            yield (
                f"colours: {name} {colour} can hardly be read on {backgrounds[name]}: the contrast is {contrast:.1f}, "
                f"and at least {_CONTRAST} is needed (WCAG 2.2)"
            )


def _text_on(colour: str) -> str:
    return max("#ffffff", "#000000", key=lambda text: _contrast(colour, text))


def _contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)  # noqa: PLR2004
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

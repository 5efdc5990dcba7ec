"""The templates of the paywall's own pages, and those of a site that replace or extend them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, PrefixLoader, StrictUndefined
from jinja2.exceptions import TemplateError

from taler_paywall.look import Look

#: What the pages load, with the media types.
STATIC = {"style.css": b"text/css; charset=utf-8", "page.js": b"text/javascript; charset=utf-8"}
#: ``{% extends "taler_paywall/page.html" %}`` means our template, also in one that has its name.
OURS = "taler_paywall"


@cache
def environment(directory: Path | None) -> Environment:
    """Return the templates.

    Args:
        directory: the site's own, which win; None for none.
    """
    ours = PackageLoader("taler_paywall")
    theirs = [FileSystemLoader(directory)] if directory else []
    return Environment(
        loader=ChoiceLoader([*theirs, ours, PrefixLoader({OURS: ours})]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Each rendering brings the texts of its reader's language.
        extensions=["jinja2.ext.i18n"],
    )


def static_files(look: Look) -> dict[str, bytes]:
    """Return the style sheet and the script of our pages."""
    made = environment(look.templates)
    return {name: made.get_template(name).render(look=look).encode() for name in STATIC}


def problems_of_templates(look: Look, directory: Path) -> Iterator[str]:
    """Yield what is wrong with a site's templates: what would otherwise break for its readers.

    Args:
        look: of the pages.
        directory: the site's own templates.
    """
    made, broken = environment(directory), False
    for name in FileSystemLoader(directory).list_templates():
        if name.endswith((".html", ".css", ".js", ".xml")):
            try:
                made.get_template(name)
            except (TemplateError, OSError, UnicodeError) as error:
                line = getattr(error, "lineno", None)
                yield f"templates: {name}{f', line {line}' if line else ''}: {error}"
                broken = True
    try:
        if not broken:
            static_files(look)
    except Exception as error:  # noqa: BLE001 - a template may break in any way
        yield f"templates: the style sheet or the script cannot be made: {error}"

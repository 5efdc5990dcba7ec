"""Two WSGI sites of the benchmark, without the paywall: the least that can be served, and a view of Flask."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask, render_template

from benchmarks.article import ARTICLE

_PAGE: Final = (b"%d" % os.getpid()).ljust(1000)
_HEADERS: Final = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(_PAGE)))]

#: A view that renders a template.
templated: Final = Flask(__name__)


def small(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer every path with the process ID and spaces, 1,000 bytes in all."""
    start_response("200 OK", list(_HEADERS))
    return [_PAGE]


@templated.get("/<section>/<slug>")
def article(section: str, slug: str) -> str:
    """Show the same article in every section."""
    return render_template("article.html", **ARTICLE, section=section, slug=slug)


@templated.get("/pid")
def pid() -> str:
    """Tell which process answers."""
    return str(os.getpid())

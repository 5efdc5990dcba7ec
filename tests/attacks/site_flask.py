"""A Flask site: slashes at the end are optional, and any method is answered."""

from __future__ import annotations

from flask import Flask, Response

from .sites import HEADERS, METHODS
from .tolerant import PUBLIC, SECRET

site = Flask(__name__)
site.url_map.strict_slashes = False


def secret(**_: str) -> Response:
    return Response(SECRET, headers=HEADERS)


def public(**_: str) -> Response:
    return Response(PUBLIC)


for rule in ("/article", "/api/v1/paid", "/premium", "/premium/<path:rest>"):
    site.add_url_rule(rule, "secret", secret, methods=METHODS, provide_automatic_options=False)
for rule in ("/", "/<path:rest>"):
    site.add_url_rule(rule, "public", public)

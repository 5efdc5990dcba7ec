"""A Django project: function views, which answer any method, and patterns with and without the last slash."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import re_path

from .sites import HEADERS
from .tolerant import PUBLIC, SECRET

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[], SECRET_KEY="no-session-here")


def secret(_: HttpRequest, **__: str) -> HttpResponse:
    return HttpResponse(SECRET, headers={**HEADERS, "Content-Length": str(len(SECRET))})


def public(_: HttpRequest) -> HttpResponse:
    return HttpResponse(PUBLIC)


urlpatterns = [
    re_path(r"^(?:article|api/v1/paid)/?$", secret),
    re_path(r"^premium(?:/|$)", secret),
    re_path(r"", public),
]

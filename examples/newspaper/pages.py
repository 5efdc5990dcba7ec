"""The newspaper as it is without a paywall: an ordinary Starlette site that knows nothing of payments."""

from __future__ import annotations

from datetime import date

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from .content import ARCHIVE, ARCHIVE_PRICE, ARTICLES, HEADLINES_PRICE, HERE, Article


def long_date(day: date) -> str:
    """Write a date as newspapers do: `14 March 2026`."""
    return f"{day.day} {day:%B %Y}"


def price_tag(amount: str) -> str:
    """Write an amount for people: `KUDOS:0.5` becomes `0.5 KUDOS`."""
    currency, _, value = amount.partition(":")
    return f"{value} {currency}"


templates = Jinja2Templates(directory=HERE / "templates")
templates.env.filters |= {"long_date": long_date, "price_tag": price_tag}
templates.env.globals |= {
    "articles": list(ARTICLES.values()),
    "archive": ARCHIVE,
    "archive_price": ARCHIVE_PRICE,
    "headlines_price": HEADLINES_PRICE,
    "edition": max(article.date for article in ARTICLES.values()),
}


def article_of(request: Request) -> Article:
    """Return the article that the path names, or answer 404."""
    if article := ARTICLES.get(request.path_params["name"]):
        return article
    raise HTTPException(404)


async def front_page(request: Request) -> Response:
    """Show what is in the paper today."""
    return templates.TemplateResponse(request, "front.html")


async def article_page(request: Request) -> Response:
    """Show one article; the paywall says in the scope that it was paid for."""
    paid = request.scope.get("taler_paywall") is not None
    return templates.TemplateResponse(request, "article.html", {"article": article_of(request), "paid": paid})


async def article_picture(request: Request) -> Response:
    """Send the picture of one article."""
    return FileResponse(article_of(request).picture, media_type="image/svg+xml")


async def archive_index(request: Request) -> Response:
    """List the years of the archive; who has just paid for it may still give it back."""
    paid = request.scope.get("taler_paywall") is not None
    return templates.TemplateResponse(request, "archive.html", {"paid": paid})


async def archive_year(request: Request) -> Response:
    """Show one year of the archive."""
    year = request.path_params["year"]
    if year not in ARCHIVE:
        raise HTTPException(404)
    return templates.TemplateResponse(request, "archive_year.html", {"year": year, **ARCHIVE[year]})


async def headlines(_: Request) -> Response:
    """List the headlines for programs."""
    return JSONResponse(
        [
            {"title": article.title, "url": article.url, "date": article.date.isoformat()}
            for article in ARTICLES.values()
        ]
    )


async def about(request: Request) -> Response:
    """Explain the demo."""
    return templates.TemplateResponse(request, "about.html")


async def icon(_: Request) -> Response:
    """Send the paper's icon where browsers look for it if a page names none: the paywall's pages."""
    return FileResponse(HERE / "static" / "icon.svg")


async def not_found(request: Request, _: Exception) -> Response:
    """Answer for a page that does not exist."""
    return templates.TemplateResponse(request, "not_found.html", status_code=404)


site = Starlette(
    routes=[
        Route("/", front_page),
        Route("/articles/{name}", article_page),
        Route("/articles/{name}/picture.svg", article_picture),
        Route("/archive", archive_index),
        Route("/archive/{year}", archive_year),
        Route("/api/v1/headlines", headlines),
        Route("/about", about),
        Route("/favicon.ico", icon),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ],
    exception_handlers={404: not_found},
)

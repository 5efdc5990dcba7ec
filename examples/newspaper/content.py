"""What the newspaper has to offer: articles and archive, read from files, and its table of prices."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

ARCHIVE_PRICE = "KUDOS:2"
HEADLINES_PRICE = "KUDOS:0.1"


@dataclass(frozen=True, kw_only=True)
class Article:
    """One article: the front matter of its file and its paragraphs."""

    name: str
    title: str
    section: str
    author: str
    date: date
    teaser: str
    price: str
    caption: str
    quote: str
    paragraphs: tuple[str, ...]

    @property
    def url(self) -> str:
        """Return the path of the article's page."""
        return f"/articles/{self.name}"

    @property
    def picture(self) -> Path:
        """Return the file of the article's picture."""
        return HERE / "articles" / f"{self.name}.svg"


def read_article(file: Path) -> Article:
    """Read one article: TOML between two lines of `+++`, then paragraphs between empty lines."""
    _, front_matter, body = file.read_text(encoding="utf-8").split("+++\n", 2)
    return Article(name=file.stem, paragraphs=tuple(body.strip().split("\n\n")), **tomllib.loads(front_matter))


def read_archive(file: Path) -> dict[str, Any]:
    """Read the archive of one year."""
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _newest_first(article: Article) -> tuple[int, str]:
    return -article.date.toordinal(), article.name


ARTICLES = {
    article.name: article
    for article in sorted((read_article(file) for file in (HERE / "articles").glob("*.md")), key=_newest_first)
}
ARCHIVE = {file.stem: read_archive(file) for file in sorted((HERE / "archive").glob("*.toml"), reverse=True)}
PRICES = {article.name: article.price for article in ARTICLES.values()}

"""The page that the sites of the benchmark show: a newspaper's article, about 6 kB with its template."""

from __future__ import annotations

from typing import Final

_SENTENCE: Final = "The council met on Tuesday & decided, after a long debate, to leave the old bridge where it is. "

ARTICLE: Final = {
    "title": "The bridge stays",
    "author": "A. Reporter",
    "date": "22 November 2026",
    "sections": ["News", "Politics", "Economy", "Science", "Culture", "Sport", "Letters", "Archive"],
    "paragraphs": [_SENTENCE * 4] * 12,
    "related": [{"slug": f"free/{n}", "title": f"What was said about it before, part {n}"} for n in range(1, 11)],
}

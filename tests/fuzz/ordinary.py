"""Ordinary URLs, as they stand in site maps: what sites sell and give away all day."""

from __future__ import annotations

import unicodedata
from random import Random
from urllib.parse import quote

#: Words of ten scripts and more, and what titles have in them besides.
WORDS = (
    *("news", "Weather", "sport", "the-paper", "FAQ", "archive", "v1", "été", "Straße", "crème brûlée", "smörgåsbord"),
    *("Привет", "новости", "Україна", "ελληνικά", "Αθήνα", "العربية", "فارسی", "עברית", "नमस्ते", "हिन्दी", "ไทย"),
    *(
        "東京",
        "ガイド",
        "新聞",
        "한국어",
        "ქართული",
        "Հայաստան",
        "বাংলা",
        "தமிழ்",
        "ትግርኛ",
        "İstanbul",
        "\u0131l\u0131k",
        "đến",
    ),
)
SPICE = (
    *(
        "",
        "",
        "",
        " ",
        "-",
        "_",
        ", ",
        " & ",
        "+",
        "=",
        "'s ",
        " (new)",
        "!",
        "100% ",
        " 50% off",
        "1,5",
        "½",
        "™",
        "№ 5",
    ),
    *("C++", "a:b@c", "~", "$", "2026-11-22", " 12.30", "€", "«", "»", '"', "<b>", "😀", "°C", "²"),
)
SUFFIXES = ("", "", "", ".html", ".pdf", ".jpg", ".tar.gz", ".php", ".min.js", ".PDF")
QUERY_STRINGS = (b"", b"", b"utm_source=x&utm_medium=y", b"page=2", b"q=%C3%A9t%C3%A9", b"next=/premium/../x", b"id=7")
FREE_SECTIONS = ("", "about", "blog", "Kontakt", "files/2026/11", "été", "東京", "static/css")


class Ordinary:
    """Makes names and paths of a seed.

    Args:
        random: seeded.
    """

    def __init__(self, random: Random) -> None:
        self.random = random

    def name(self) -> str:
        """Return the name of a page or a file: one segment, in the form that the web uses (NFC)."""
        random = self.random
        parts = [part for _ in range(random.randint(1, 3)) for part in (random.choice(WORDS), random.choice(SPICE))]
        name = unicodedata.normalize("NFC", "".join(parts).strip() + random.choice(SUFFIXES))
        return name if name.strip(".") else "x"

    def free_path(self) -> str:
        """Return a path that nobody sells."""
        section = self.random.choice(FREE_SECTIONS)
        return f"/{section}/{self.name()}" if section else "/" + self.name()

    def query(self) -> bytes:
        """Return a query string."""
        return self.random.choice(QUERY_STRINGS)

    def spelled(self, path: str) -> bytes:
        """Return a decoded path as some client spells it: which characters it escapes is its own affair."""
        random = self.random
        safe = random.choice(("/", "/,:@!$&'()*+=~", "/-._~"))
        text = quote(path, safe=safe)
        if random.random() < 0.3 and "%" not in path:
            escaped = [f"%{ord(char):02X}" if char.isascii() and char.isalnum() else char for char in path]
            text = quote("".join(random.choice(pair) for pair in zip(escaped, path, strict=True)), safe=safe + "%")
        if random.random() < 0.3:
            text = "%".join([part[:2].lower() + part[2:] if i else part for i, part in enumerate(text.split("%"))])
        return text.encode()

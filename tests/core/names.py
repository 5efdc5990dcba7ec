"""Names that make tests of paths honest."""

from __future__ import annotations

#: Names that sites give to ordinary things, of many scripts, as they are after decoding.
ORDINARY_NAMES = [
    "one",
    "One-Two_three.html",
    "a b",
    "a  b c",
    "100%",
    "50% off",
    "1,5",
    "½",
    "Taler™",
    "№5",
    "a+b=c&d",
    "it's (new)!",
    "a:b@c",
    "~user",
    "...",
    "a..b",
    ".hidden",
    'a"b',
    "<b>",
    "été",
    "Straße",
    "Привет",
    "東京",
    "ガイド",
    "한국어",
    "العربية",
    "עברית",
    "नमस्ते",
    "ไทย",
    "ελληνικά",
    "😀",
    "何\uff1f",
]

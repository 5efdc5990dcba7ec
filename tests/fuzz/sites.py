"""Sites that sell something: their rules, and what a forgiving application serves there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from taler_paywall.resource import Rule

PRICE = "KUDOS:1"
ANY_METHOD = ("GET", "GET", "HEAD", "get", "OPTIONS", "PROPFIND", "POST", "DELETE")
#: What a rule without a method, or of GET, gates.
READING = ("GET", "GET", "HEAD", "get", "Get", "OPTIONS", "PROPFIND")


@dataclass(frozen=True, eq=False)
class Shop:
    """One site.

    Args:
        name: what it is there for.
        rules: of the paywall.
        sold: what its application serves for money, any case; written apart from the rules.
        free: what of that is given away.
        targets: paths that are sold.
        methods: all of them gated.
    """

    name: str
    rules: tuple[Rule, ...]
    sold: re.Pattern[str]
    targets: tuple[str, ...]
    free: re.Pattern[str] = re.compile(r"(?!)")
    methods: tuple[str, ...] = ANY_METHOD

    def serves(self, path: str) -> bool:
        """Tell whether one reading of a path is content for money; one slash at the end does not count."""
        return any(
            self.sold.fullmatch(case) is not None and self.free.fullmatch(case) is None
            for way in {path, path.removesuffix("/")}
            for case in {way, way.casefold()}
        )

    def gives_away(self, path: str, root_path: str) -> bool:
        """Tell whether this very path, seen from where the application is mounted, is free."""
        own = path.removeprefix(root_path)
        return not _ODD(own) and self.free.fullmatch(own) is not None


_ODD = re.compile(r"//|[\\;?#\x00-\x1f\x7f\ufffd]|%[0-9A-Fa-f]{2}|/\.\.?(/|\Z)").search


def _any_case(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.DOTALL)


SHOPS = (
    Shop(
        "literals",
        tuple(Rule(path, PRICE) for path in ("/secret", "/about/paid", "/café/menü", "/straße", "/special offer")),
        _any_case(r"/secret|/about/paid|/café/menü|/stra(ß|ss)e|/special offer"),
        ("/secret", "/secret", "/about/paid", "/café/menü", "/straße", "/special offer"),
    ),
    Shop(
        "names",
        (
            Rule("/articles/sample", None),
            Rule("/articles/{slug}", PRICE),
            Rule("/magazine/{year}/{item}/print", PRICE),
        ),
        _any_case(r"/articles/[^/]+|/magazine/[^/]+/[^/]+/print"),
        ("/articles/one", "/articles/été 1,5", "/articles/sample", "/magazine/2026/東京/print", "/magazine/a/b/print"),
        _any_case(r"/articles/sample"),
    ),
    Shop(
        "wildcards",
        (
            Rule("/premium/preview/*", None),
            Rule("/premium/*", PRICE),
            Rule("/course/*/lesson", PRICE),
            Rule("/{language}/vip/*", PRICE),
        ),
        _any_case(r"/premium(/.*)?|/course/[^/]+/lesson|/[^/]+/vip(/.*)?"),
        ("/premium", "/premium/gold/x.png", "/premium/preview/x", "/course/one/lesson", "/de/vip", "/de/vip/a/b"),
        _any_case(r"/premium/preview(/.*)?"),
    ),
    Shop(
        "expressions",
        (
            Rule(re.compile(r"/shop/item-(?P<item>\d+)"), PRICE, page="/pricing"),
            Rule(re.compile(r"/library/.*\.pdf"), PRICE, page="/library"),
            Rule(re.compile(r"/(?P<language>en|de)/paid"), PRICE, page="/pricing"),
        ),
        _any_case(r"/shop/item-\d+|/library/.*\.pdf|/(en|de)/paid"),
        ("/shop/item-12", "/library/a/b c.pdf", "/en/paid"),
    ),
    Shop(
        "methods",
        (Rule("POST /api/translate", PRICE, page="/pricing"), Rule("POST /api/{document}/sign", PRICE, page="/x")),
        _any_case(r"/api/translate|/api/[^/]+/sign"),
        ("/api/translate", "/api/one/sign"),
        methods=("POST", "post", "Post"),
    ),
    Shop(
        "reading",
        (Rule("GET /report", PRICE), Rule("HEAD /prices/{name}", PRICE)),
        _any_case(r"/report|/prices/[^/]+"),
        ("/report", "/prices/one"),
        methods=READING,
    ),
    Shop(
        "queries",
        (Rule("/read", PRICE, query=["id"]), Rule("/watch/{channel}", PRICE, query=["v", "part"])),
        _any_case(r"/read|/watch/[^/]+"),
        ("/read", "/watch/one"),
    ),
    Shop(
        "everything",
        (Rule("/", None), Rule("/static/*", None), Rule("/*", PRICE)),
        _any_case(r"/.*"),
        ("/", "/static/a.css", "/x", "/x/y/z"),
        _any_case(r"/?|/static(/.*)?"),
    ),
)

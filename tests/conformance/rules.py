"""What the origin application sells, and the sites that it runs besides, each in a paywall of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taler_paywall import Request, Rule
from taler_paywall.settings import Options, RuleList

RULES: Final = [
    Rule("/paid/{name}/*", price="KUDOS:0.5"),
]


def is_staff(request: Request) -> bool:
    return request.header(b"x-staff") == b"yes"


def joined(*several: Options) -> Options:
    """Return all options; the later ones count."""
    all_of_them: Options = {}
    for options in several:
        all_of_them.update(options)
    return all_of_them


#: The options of the site itself.
OPTIONS: Final[Options] = {"exempt": is_staff}
#: Further sites of the same server, mounted as frameworks do it.
MOUNTED: Final[Mapping[str, tuple[RuleList, Options]]] = {
    "/first": (RULES, {}),
    "/second": (RULES, {}),
    "/distrustful": (RULES, {"recheck_after": 0}),
    "/off": (RULES, {"enabled": False}),
}
#: Two paywalls around one another, the outer one first.
AROUND: Final = "/around"
NESTED: Final[tuple[tuple[RuleList, Options], ...]] = (
    ({"/house/*": "KUDOS:1"}, {"prefix": "/.well-known/outer"}),
    ({"/house/{room}": "KUDOS:2", "/garden": "KUDOS:0.1"}, {"prefix": "/.well-known/inner"}),
)

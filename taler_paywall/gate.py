"""The path gate: which resource a request asks for, in whatever way its path may be read (DD 07, step 1).

Match wide, grant narrow: a plain path is matched as the application will route it. A path with several readings is
refused as soon as one of them is sold, and passes untouched if none is.
"""

from __future__ import annotations

from functools import lru_cache

from taler_paywall.decision import Refused
from taler_paywall.http import Request
from taler_paywall.path import MAX_PATH, cut_anywhere, has_lookalikes, is_plain, readings, without_root
from taler_paywall.resource import Resource, Rule
from taler_paywall.rules import Rules

#: How many answers are kept, each about an address of at most so many characters; longer ones are looked at anew.
MAX_KNOWN, MAX_REMEMBERED = 1024, 512


class Gate:
    """The compiled rules of a site.

    Args:
        rules: in order.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = Rules(rules)
        # What readers like to ask for is asked for again and again.
        self._known = lru_cache(MAX_KNOWN)(self._find)
        self._reads_queries = any(rule.query for rule in rules)

    def concerns(self, path: str, raw_path: bytes | None, root_path: str) -> bool:
        """Tell, for next to nothing, whether a path may be sold; if not, the request is nobody's business."""
        if not is_plain(path, raw_path) or self._rules.candidates(path) or has_lookalikes(path):
            return True
        return bool(root_path) and bool(self._rules.candidates(cut_anywhere(path, root_path)))

    def find(self, request: Request) -> tuple[Rule, Resource] | Refused | None:
        """Return what a request asks for, whatever its headers say; None: nothing that is sold.

        Args:
            request: compared as the application sees it and, where that is mounted, as the server does.
        """
        path, raw_path, query = request.path, request.raw_path, request.query if self._reads_queries else b""
        asked = Request(request.method, path, raw_path, request.root_path, query, ())
        short = len(path) + len(raw_path or b"") + len(query) <= MAX_REMEMBERED
        return self._known(asked) if short else self._find(asked)

    def _find(self, request: Request) -> tuple[Rule, Resource] | Refused | None:
        if not is_plain(request.path, request.raw_path):
            return Refused(400, "ambiguous-path") if self._any_reading_is_sold(request) else None
        found = self._apply(request, request.path)
        if found is None and self._rules.frees(request.app_path):
            return None
        if found is not None and len(request.path) > MAX_PATH:
            return Refused(414, "path-too-long")
        if not self._mounts_agree(request, found):
            return Refused(400, "ambiguous-path")
        if has_lookalikes(request.path) and not self._lookalikes_agree(request, found):
            return Refused(400, "ambiguous-path")
        return found

    def _mounts_agree(self, request: Request, found: tuple[Rule, Resource] | Refused | None) -> bool:
        """Tell whether applications that look for their mount anywhere in a path serve what costs the same."""
        root = request.root_path
        if not root or root not in request.path or request.app_path != request.path:
            return True
        other = self._apply(request, cut_anywhere(request.path, root))
        if isinstance(other, tuple) and isinstance(found, tuple) and not callable(found[0].price):
            return other[0] is found[0]
        return other in (found, None)

    def _lookalikes_agree(self, request: Request, found: tuple[Rule, Resource] | Refused | None) -> bool:
        """Tell whether the look-alikes of a name, like those of ½, are sold by the same rule, or not at all."""
        others = readings(request.path, request.raw_path, request.root_path)
        if others is None:
            return False
        for other in (self._apply(request, reading) for reading in others):
            same = isinstance(other, tuple) and isinstance(found, tuple) and other[0] is found[0]
            if other is not None and not same and other != found:
                return False
        return True

    def _apply(self, request: Request, path: str) -> tuple[Rule, Resource] | Refused | None:
        """Return what one reading of the path asks for."""
        for view in dict.fromkeys((without_root(path, request.root_path), path)):
            found = self._rules.resource(request.method, view, request.query)
            if found == "free":
                return None
            if found == "ambiguous":
                return Refused(400, "ambiguous-query")
            if found is not None:
                return found
        return None

    def _any_reading_is_sold(self, request: Request) -> bool:
        """Tell whether any reading of an odd path is sold, whatever the method and the exceptions."""
        found = readings(request.path, request.raw_path, request.root_path)
        return found is None or any(self._rules.sells(reading) for reading in found)

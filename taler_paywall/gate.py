"""The path gate: which resource a request asks for, in whatever way its path may be read (DD 07, step 1).

Match wide, grant narrow: a plain path is matched as the application will route it. A path with several readings is
refused as soon as one of them is sold, and passes untouched if none is.
"""

from __future__ import annotations

from taler_paywall.decision import Refused
from taler_paywall.http import Request, without_root
from taler_paywall.path import MAX_ODD_LENGTH, folded, is_plain, readings
from taler_paywall.resource import Resource, Rule, Rules


class Gate:
    """The compiled rules of a site.

    Args:
        rules: in order.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = Rules(rules)

    def concerns(self, path: str, raw_path: bytes | None, root_path: str) -> bool:
        """Tell, for next to nothing, whether a path may be sold; if not, the request is nobody's business."""
        if not is_plain(path, raw_path) or self._rules.candidates(path):
            return True
        if root_path and self._rules.candidates(without_root(path, root_path)):
            return True
        return not path.isascii() and self._rules.sells(folded(path))

    def find(self, request: Request) -> tuple[Rule, Resource] | Refused | None:
        """Return what a request asks for; None: nothing that is sold.

        Args:
            request: compared as the application sees it and, where that is mounted, as the server does.
        """
        views = dict.fromkeys((request.app_path, request.path))
        if not is_plain(request.path, request.raw_path):
            sold = any(self._is_sold_in_some_reading(view, request) for view in views)
            return Refused(400, "ambiguous-path") if sold else None
        for view in views:
            found = self._rules.resource(request.method, view, request.query)
            if found == "ambiguous":
                return Refused(400, "ambiguous-query")
            if found is not None:
                return found
            # A lenient router or file system may take a compatibility character for its plain form.
            if not view.isascii() and not self._rules.candidates(view) and self._rules.sells(folded(view)):
                return Refused(400, "ambiguous-path")
        return None

    def _is_sold_in_some_reading(self, path: str, request: Request) -> bool:
        if len(path) > MAX_ODD_LENGTH or len(request.raw_path or b"") > 3 * MAX_ODD_LENGTH:
            return True
        raw_path = request.raw_path if path == request.path else None
        return any(self._rules.sells(reading) for reading in readings(path, raw_path))

"""Everything that can go wrong, in one tree.

TalerPaywallError
├── ConfigError          at construction only: every mistake, each with its fix (also a ValueError)
├── CodecError           a malformed amount, base32 text, URI, time or contract (also a ValueError)
└── BackendError         thrown into the flow, which answers "unknown"
    ├── BackendUnreachable   no answer in time
    │   └── CircuitOpen          it is not asked for a while, for it did not answer
    ├── BackendBusy          too many requests wait for the backend already
    ├── BackendRejected      an answer with an error status and code
    └── BackendNonsense      an answer that breaks the merchant API
"""

from __future__ import annotations

from collections.abc import Sequence


class TalerPaywallError(Exception):
    """Root of all errors raised by this package."""


class ConfigError(TalerPaywallError, ValueError):
    """The paywall cannot be built as configured.

    Args:
        problems: one sentence each, saying what is wrong and what to write instead.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"- {problem}" for problem in self.problems)
        super().__init__(f"the paywall is not configured correctly:\n{listed}")


class CodecError(TalerPaywallError, ValueError):
    """A text or a JSON value is not what the Taler specifications allow; the message says why."""


#: From here on the status says that the backend is at fault.
SERVER_ERROR = 500


class BackendError(TalerPaywallError):
    """The merchant backend could not be asked, or its answer cannot be used."""

    #: Short, stable code for logs.
    reason = "backend"
    #: Whether it is the backend that is away, and no fault of ours or of the question.
    outage = False


class BackendUnreachable(BackendError):
    """No complete answer came within the deadline."""

    reason = "backend-unreachable"
    outage = True


class CircuitOpen(BackendUnreachable):
    """The backend failed several times in a row; until it answers a probe it is not asked."""

    reason = "circuit-open"


class BackendBusy(BackendError):
    """As many requests as are allowed wait for the backend already; this one is not sent, or has no time left."""

    reason = "backend-busy"


class BackendRejected(BackendError):
    """The backend answered with an error.

    Args:
        http_status: the HTTP status code.
        code: the GNU Taler error code of the body, 0 if there was none (merchant API, ErrorDetail).
    """

    reason = "backend-rejected"

    def __init__(self, http_status: int, code: int) -> None:
        hint = _HINTS.get(code) or _HINTS.get(http_status, "")
        super().__init__(f"the backend answered {http_status} with code {code}{': ' if hint else ''}{hint}")
        self.http_status = http_status
        self.code = code
        self.outage = http_status >= SERVER_ERROR


#: What the operator can do, by GNU Taler error code or HTTP status.
_HINTS = {
    308: "the address of the instance has moved; use the one without /instances/default",
    401: "the access token is not accepted (option token)",
    403: "the access token lacks a permission (scope order-simple suffices to sell; refunds take order-mgmt)",
    2005: "it knows no such order",
    2530: "the amount does not fit what was paid, or was refunded before",
    2532: "the terms of this order allow no refund, or not any more",
    410: "it is too late for that",
    2000: "there is no such instance (option backend)",
    2500: "the instance has no bank account",
    2514: "the instance does not accept this currency (price of the rule)",
}


class BackendNonsense(BackendError):
    """The backend's answer breaks the merchant API, or contradicts what was asked."""

    reason = "backend-nonsense"

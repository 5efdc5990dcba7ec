"""The statuses that the merchant API lists for each endpoint, and why the sandbox cannot answer some of them.

Sections are those of the merchant API reference; docs/sandbox-statuses.md is made of this and of what the tests see.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NO_EXCHANGE: Final = "There is no exchange, so none can fail, time out, contradict itself or refuse a coin."
NO_COIN_CHECK: Final = "Signatures of coins are not verified: without an exchange there is nothing to verify them with."
NO_LIMITS: Final = "Play money knows no legal limits."
NO_STOCK: Final = "There is no inventory that could run out."
NO_SECOND_FACTOR: Final = "There is no second factor for logins."
NO_GOING: Final = (
    "Expired orders stay and can be looked at; the reference does not confirm when a backend lets them go."
)
TEMPLATES_INSIDE: Final = "The pages are part of the program and cannot be missing."
NOTHING_ELSE_FAILS: Final = (
    "Inside the sandbox only writing to the disk can fail, in one way everywhere: see `POST /private/orders`."
)
NEVER_TOO_LATE: Final = "What was paid too little is given back at any time: nothing is ever wired."

#: Endpoint -> section, statuses that a test must see, statuses that cannot be seen with the reason.
Listed = tuple[str, set[int], Mapping[int, str]]

_FAILS: Final = {500: NOTHING_ELSE_FAILS}
_EXCHANGE: Final = dict.fromkeys((408, 412, 502, 504), NO_EXCHANGE)

STATUSES: Final[Mapping[str, Listed]] = {
    "GET /config": ("2", {200, 404}, {}),
    "POST /private/orders": ("3", {200, 400, 401, 403, 404, 409, 413, 500}, {410: NO_STOCK, 451: NO_LIMITS}),
    "GET /private/orders/{order_id}": (
        *("4", {200, 304, 308, 400, 401, 404}),
        {409: NO_EXCHANGE, 424: NO_EXCHANGE, 502: NO_EXCHANGE, 504: NO_EXCHANGE},
    ),
    "GET /private/orders": ("5.1", {200, 400, 401, 404}, {}),
    "DELETE /private/orders/{order_id}": ("5.2", {204, 400, 401, 403, 404, 409}, _FAILS),
    "PATCH /private/orders/{order_id}/forget": ("5.3", {200, 204, 400, 401, 404, 409}, _FAILS),
    "POST /private/orders/{order_id}/refund": (
        *("5.4", {200, 400, 401, 403, 404, 409, 410, 500}),
        {451: NO_LIMITS},
    ),
    "GET /orders/{order_id}": ("5.5", {200, 202, 302, 304, 400, 402, 403, 404}, {406: TEMPLATES_INSIDE, 410: NO_GOING}),
    "POST /orders/{order_id}/claim": ("5.6", {200, 400, 404, 409, 413, 500}, {}),
    "POST /orders/{order_id}/unclaim": ("5.6", {204, 400, 403, 404, 409}, _FAILS),
    "POST /orders/{order_id}/pay": (
        *("5.7", {200, 400, 402, 404, 409, 410, 413, 500}),
        {403: NO_COIN_CHECK, 451: NO_LIMITS, **_EXCHANGE},
    ),
    "POST /orders/{order_id}/paid": ("5.8", {200, 204, 400, 403, 404, 413}, _FAILS),
    "POST /orders/{order_id}/refund": ("5.9", {200, 204, 400, 403, 404, 410, 413}, _FAILS),
    "POST /orders/{order_id}/abort": (
        *("5.10", {200, 400, 403, 404, 412}),
        {410: NEVER_TOO_LATE, 408: NO_EXCHANGE, 424: NO_EXCHANGE, 502: NO_EXCHANGE, **_FAILS},
    ),
    "GET /sessions/{session_id}": ("5.11", {200, 202, 400, 404}, _FAILS),
    "GET /private/templates": ("5.12", {200, 401, 403, 404}, {}),
    "POST /private/templates": ("5.12", {204, 400, 401, 403, 404, 409, 413}, _FAILS),
    "GET /private/templates/{template_id}": ("5.12", {200, 401, 404}, {}),
    "PATCH /private/templates/{template_id}": ("5.12", {204, 400, 401, 404, 413}, _FAILS),
    "DELETE /private/templates/{template_id}": ("5.12", {204, 401, 404}, _FAILS),
    "GET /templates/{template_id}": ("5.12", {200, 404}, {}),
    "POST /templates/{template_id}": ("5.12", {200, 400, 404, 409, 413}, _FAILS),
    "GET /private/webhooks": ("5.13", {200, 401, 403, 404}, {}),
    "POST /private/webhooks": ("5.13", {204, 400, 401, 403, 404, 409, 413}, _FAILS),
    "GET /private/webhooks/{webhook_id}": ("5.13", {200, 401, 404}, {}),
    "PATCH /private/webhooks/{webhook_id}": ("5.13", {204, 400, 401, 404, 413}, _FAILS),
    "DELETE /private/webhooks/{webhook_id}": ("5.13", {204, 401, 404}, _FAILS),
    "GET /public/poll-payment": ("6", {200, 400, 404}, _FAILS),
    "POST /private/token": ("1.2", {200, 400, 401, 403, 404, 413}, {202: NO_SECOND_FACTOR, **_FAILS}),
    "DELETE /private/token": ("1.2", {204, 401, 403, 404}, _FAILS),
    "GET /private/tokens": ("1.2", {200, 401, 403, 404}, {}),
    "DELETE /private/tokens/{serial}": ("1.2", {204, 400, 401, 403, 404}, _FAILS),
}

#: What else must be known of a cell.
REMARKS: Final[Mapping[tuple[str, int], str]] = {
    ("GET /private/orders/{order_id}", 308): "every private path below `instances/default/` and `instances/admin/`",
    ("POST /orders/{order_id}/paid", 204): "generations 2022 and 2021",
}

"""The control endpoint: faults, clock and other people's deeds, for tests, on a loopback port of its own.

It stays reachable while the merchant backend refuses connections. Everything is in the path and the query string, so
that ``curl -X PUT 'http://127.0.0.1:PORT/fault/hang?times=1&only=/pay'`` is all that a shell script needs:

* ``GET /``: the state: ``fault`` (``name``, ``only``, ``method``, ``times``, ``hits``; null for none), ``clock_shift``
  in seconds, and how many long polls are ``waiting``;
* ``PUT /fault/NAME``: switch a fault on instead of the one before; with ``only=TEXT`` it strikes requests whose path
  contains the text, with ``method=POST`` those of a method, with ``times=N`` so many and no more;
* ``DELETE /fault``: lift it, so that requests that it holds up are answered at once;
* ``PUT /clock?shift=SECONDS``: let the merchant's clock be ahead, or behind with a minus; 0 puts it right;
* ``POST /orders/ID/claim``: let a stranger claim an order now;
* ``POST /orders/ID/refund``: refund an order in full, or to a new total with ``amount=KUDOS:1``, whatever the contract
  says about deadlines; ``reason=TEXT``. With both, ``instance=NAME`` names the merchant.

The first four answer with the state, errors are ErrorDetails. Unknown parameters and methods are errors, so that a
misspelt fault does not pass for one that never struck. Web pages cannot use it: whatever has an Origin or is addressed
to a name that is not this machine's is refused.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from taler_paywall.amount import Amount
from taler_paywall.errors import CodecError
from taler_paywall.sandbox import failures
from taler_paywall.sandbox.backend import DEFAULT_INSTANCE, Backend, Instance, backend_of
from taler_paywall.sandbox.codes import ApiError, Code
from taler_paywall.sandbox.endpoints import refunds
from taler_paywall.sandbox.faults import meddling
from taler_paywall.sandbox.faults.faults import REFUSE, STRIKES, Fault, Faults
from taler_paywall.sandbox.fields import needed, optional, text
from taler_paywall.sandbox.origins import NotForWebPages
from taler_paywall.sandbox.routes import ENDPOINTS

#: Some thirty years, so that the time stays after 1970.
_LONGEST_SHIFT: Final = 10**9
#: What requests to the merchant API can have; browsers ask with OPTIONS before they send others.
_METHODS: Final = {"OPTIONS"}.union(*(route.methods or () for route in ENDPOINTS))


def create_app(backend: Backend, faults: Faults) -> Starlette:
    """Build the application."""
    app = Starlette(
        routes=[
            _route("GET", "/", _get_state),
            _route("PUT", "/fault/{name}", _put_fault, "only", "method", "times"),
            _route("DELETE", "/fault", _delete_fault),
            _route("PUT", "/clock", _put_clock, "shift"),
            _route("POST", "/orders/{order_id}/claim", _post_claim, "instance"),
            _route("POST", "/orders/{order_id}/refund", _post_refund, "amount", "reason", "instance"),
        ],
        middleware=[Middleware(NotForWebPages)],
        exception_handlers=failures.HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.backend = backend
    app.state.faults = faults
    return app


def _route(method: str, path: str, answer: Callable[[Request], Awaitable[JSONResponse]], *parameters: str) -> Route:
    """Give an address a function that answers requests with these parameters and no others."""

    async def checked(request: Request) -> JSONResponse:
        for name in request.query_params:
            if name not in parameters:
                there_are = f"there are {', '.join(parameters)}" if parameters else "there are none"
                raise ApiError(
                    Code.GENERIC_PARAMETER_MALFORMED, f"there is no parameter {name} here; {there_are}", parameter=name
                )
        return await answer(request)

    return Route(path, checked, methods=[method])


def _faults_of(request: Request) -> Faults:
    faults: Faults = request.app.state.faults
    return faults


async def _get_state(request: Request) -> JSONResponse:
    backend, fault = backend_of(request), _faults_of(request).active
    return JSONResponse(
        {
            "fault": fault and fault.state,
            "clock_shift": backend.clock_shift,
            "waiting": backend.bell.waiting,
        }
    )


async def _put_fault(request: Request) -> JSONResponse:
    name, query = request.path_params["name"], request.query_params
    if name not in STRIKES:
        raise ApiError(Code.GENERIC_ENDPOINT_UNKNOWN, f"there is no such fault; there are {', '.join(STRIKES)}")
    fault = Fault(
        name,
        only=optional(query, "only", text) or "",
        method=optional(query, "method", _method),
        times=optional(query, "times", _number(1, 10**6)),
    )
    if name == REFUSE and query:
        raise ApiError(Code.GENERIC_PARAMETER_MALFORMED, "connections are refused before anything is known of them")
    await _faults_of(request).switch_on(fault)
    return await _get_state(request)


async def _delete_fault(request: Request) -> JSONResponse:
    await _faults_of(request).lift()
    return await _get_state(request)


async def _put_clock(request: Request) -> JSONResponse:
    backend_of(request).clock_shift = needed(request.query_params, "shift", _number(-_LONGEST_SHIFT, _LONGEST_SHIFT))
    return await _get_state(request)


def _method(value: object) -> str:
    method = text(value).upper()
    if method not in _METHODS:
        raise CodecError(f"must be one of {', '.join(sorted(_METHODS))}")
    return method


def _number(lowest: int, highest: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        digits = text(value)
        if not re.fullmatch(r"-?[0-9]{1,10}", digits) or not lowest <= int(digits) <= highest:
            raise CodecError(f"must be a whole number from {lowest} to {highest}")
        return int(digits)

    return parse


async def _post_claim(request: Request) -> JSONResponse:
    meddling.claim(backend_of(request), _instance_of(request), request.path_params["order_id"])
    return JSONResponse({})


async def _post_refund(request: Request) -> JSONResponse:
    wanted = optional(request.query_params, "amount", Amount.parse)
    reason = request.query_params.get("reason", "refunded by a test")
    order_id = request.path_params["order_id"]
    return refunds.answer(meddling.refund(backend_of(request), _instance_of(request), order_id, wanted, reason))


def _instance_of(request: Request) -> Instance:
    return backend_of(request).instance(request.query_params.get("instance", DEFAULT_INSTANCE))

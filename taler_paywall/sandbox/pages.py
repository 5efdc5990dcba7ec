"""The pages that buyers see: pay, paid, refunded, and what went wrong."""

from __future__ import annotations

from typing import Any, Final

import segno
from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse

from taler_paywall.sandbox import links
from taler_paywall.sandbox.backend import backend_of, instance_of
from taler_paywall.sandbox.codes import ApiError
from taler_paywall.sandbox.standing import Standing
from taler_paywall.sandbox.state.store import Order
from taler_paywall.timestamp import decode_timestamp

_TEMPLATES: Final = Environment(loader=PackageLoader("taler_paywall.sandbox"), autoescape=True)
# No form-action: browsers would apply it to where the payment form leads in the end, the shop.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # The shop may learn that its reader comes from here; the address itself entitles to see the page.
    "Referrer-Policy": "strict-origin",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept",
}


def wants_html(request: Request) -> bool:
    """Tell whether a page is preferred to JSON, which is what a client gets that does not care (RFC 9110, Accept)."""
    accept = request.headers.get("accept", "*/*")
    return _quality(accept, "text/html") > _quality(accept, "application/json")


def order_page(request: Request, found: Standing) -> HTMLResponse:
    """Ask for the payment of an order."""
    pay_uri = links.pay_uri(found.order, found.session_id)
    code = segno.make(pay_uri, error="m", micro=False).svg_inline(omitsize=True, dark="#000", light="#fff")
    has_passed = decode_timestamp(found.order.proposal["pay_deadline"]) <= backend_of(request).now()
    # One that is paid, in another session, can be proved in this one at any time.
    is_over = has_passed and found.order.paid_at is None
    response = _page(request, "order.html", 402, found, taler_uri=pay_uri, qr_code=code, is_over=is_over)
    response.headers["Taler"] = pay_uri
    return response


def paid_page(request: Request, found: Standing) -> HTMLResponse:
    """Lead from a paid order to what was bought."""
    return _page(request, "paid.html", 200, found)


def refund_page(request: Request, found: Standing) -> HTMLResponse:
    """Offer a refund to the wallet, or say that it was collected."""
    return _page(request, "refund.html", 200, found, taler_uri=links.refund_uri(found.order))


def error_page(request: Request, error: ApiError) -> HTMLResponse:
    """Say what is wrong with a request for a page."""
    return _message_page(request, error.status, "This does not work", f"{error.detail} (code {int(error.code)})")


def welcome_page(request: Request) -> HTMLResponse:
    """Say what this is."""
    message = "This is a GNU Taler merchant backend for play money. Shops talk to it; buyers see its order pages."
    return _message_page(request, 200, "Sandbox", message)


def wallet_error_page(request: Request, order: Order, status_url: str, message: str) -> HTMLResponse:
    """Say what the wallet could not do with an order, and lead back to the shop or at least to the order."""
    back = _web_url(order.proposal.get("public_reorder_url")) or status_url
    return _message_page(request, 409, "The wallet could not do this", f"Your play wallet says: {message}.", back)


def _message_page(request: Request, status: int, title: str, message: str, back: str | None = None) -> HTMLResponse:
    context = {"root": links.root_path(request), "title": title, "message": message, "back": back}
    return _render("message.html", status, **context)


def _page(request: Request, template: str, status: int, found: Standing, **more: Any) -> HTMLResponse:
    order, query = found.order, request.query_params
    names = ("token", "h_contract", "session_id")
    return _render(
        *(template, status),
        root=links.root_path(request),
        order=order,
        found=found,
        fulfillment_url=_web_url(order.fulfillment_url),
        reorder_url=_web_url(order.proposal.get("public_reorder_url")),
        form={
            "instance": instance_of(request).name,
            "order_id": order.order_id,
            **{name: query[name] for name in names if name in query},
        },
        **more,
    )


def _render(template: str, status: int, **context: Any) -> HTMLResponse:
    return HTMLResponse(_TEMPLATES.get_template(template).render(context), status, _HEADERS)


def _web_url(url: str | None) -> str | None:
    # Anything else could run as a script in the page.
    return url if url and url.startswith(("http://", "https://")) else None


def _quality(accept: str, media_type: str) -> float:
    """Return how much a media type is wanted, by the most specific range that has it (RFC 9110, 12.5.1)."""
    ranges = {}
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        ranges[name] = _weight(weights[0]) if weights else 1.0
    main_type = media_type.partition("/")[0]
    return next((ranges[name] for name in (media_type, f"{main_type}/*", "*/*") if name in ranges), 0.0)


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

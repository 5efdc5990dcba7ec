"""What must come of each scenario of a hostile backend, entry by entry, and the scenarios that the corpus has not."""

from __future__ import annotations

from typing import Final

from .corpus import Attack, Request, Setup

#: Entries that name no single status, or that the design reads in another way: an answer that contradicts what was
#: asked is no "not paid"; whether it was paid is then unknown.
STATUS: Final = {
    "binding-002": 503,
    "binding-006": 503,
    "binding-007": 503,
    "binding-010": 200,
    "binding-014": 503,
    "binding-020": 200,
    "refund-012": 503,
    "refund-013": 503,
    "backend-027": 503,
    "backend-041": 200,
    "redirect-025": 400,
    "caching-001": 402,
    "caching-004": 302,
    "caching-005": 200,
}

#: Scenarios in which one reader asks several times, each time with the order to be asked for anew.
SEQUENCES: Final[dict[str, tuple[int, ...]]] = {
    "paid_then_refunded": (200, 402, 402),
    "refund_during_stream": (200, 402),
    "paid_then_rotate": (200, 402),
    "unpaid_after_paid": (200, 402, 402),
}

#: What a reader who holds the cookie of a paid order gets; where another order of that page can be bought: 402.
_PAID: Final = {
    200: (
        "paid",
        "paid_for:/article",
        "paid_amount:EUR:1.00000001",
        "paid_amount:eur:1",
        "paid_fulfillment:https://t.test/article?again=1",
        "paid_v1_choice_right",
        "paid_settled",
        "unpaid_already_paid",
    ),
    402: (
        "unpaid",
        "paid_for:/premium/a",
        "paid_other_session",
        "claimed_always",
        "refunded_full",
        "refunded_zero",
        "refund_unsaid",
        "refund_pending",
        "unpaid_already_paid_loop",
        "http_404",
    ),
    503: (
        *(f"paid_amount:{amount}" for amount in ("EUR:0.01", "EUR:0.99999999", "EUR:-1", "EUR:1.000000001", "1", "")),
        *(f"paid_amount:{amount}" for amount in ("EUR:1 ", " EUR:1", "EUR:9007199254740993", "EUR:1e3", "EUR:NaN")),
        *(f"paid_amount_json:{amount}" for amount in ("null", '["EUR:1"]', "true", "1e400", '{"EUR": 1}')),
        *(f"paid_backend:{url}" for url in ("https://evil.test/", "http://backend.test/", "https://backend.test", "")),
        *(f"paid_fulfillment:{url}" for url in ("https://evil.test/article", "//evil.test/article", "javascript:1")),
        *(f"paid_fulfillment:{url}" for url in ("https://t.test@evil.test/", "http://t.test/article", "\\\\evil.test")),
        *("paid_no_contract", "paid_no_extra", "paid_v1_choice_cheap", "paid_v1_choice_beyond", "paid_v1_no_choice"),
        *("paid_pending_string", "refund_currency", "refund_malformed", "status_true", "status_list", "status_missing"),
        *(
            f"unpaid_already_paid_id:{order_id}"
            for order_id in ("../../x", "..", "X\r\nY: z", "X?session_id=", "X" * 300)
        ),
        *(f"http_{status}" for status in (204, 301, 302, 303, 307, 308, 400, 401, 408, 410, 418, 429, 502, 503, 504)),
        *("http_404_instance", "http_404_html", "paid_http_201", "paid_http_203", "paid_http_402", "paid_http_404"),
        *("paid_http_500", "body_empty", "body_text", "body_untyped", "body_latin1", "body_gzip", "body_chunks_broken"),
        *("body_two_lengths", "json_trailing", "json_null", "json_list", "json_dup_keys_within", "json_infinity"),
        *("json_deep", "json_bom", "json_not_utf8", "conn_refused", "breaker_open", "reset", "reset:1", "reset:40"),
        *("reset:400", "not_http", "no_status_line", "header_flood"),
    ),
}
#: What a reader without a cookie gets, for whom an order is made.
_NEW: Final = {
    402: ("unpaid", "claimed_always", "unpaid_already_paid_other_resource", "http_404"),
    503: (
        *("post_ok_get_500", "post_401", "post_409", "post_410", "post_413", "post_429", "post_451", "post_302"),
        *("post_html", "close_post", "close_early", "http_500", "post_order_id:../../x", "post_order_id:.."),
        *(
            f"pay_uri:{uri}"
            for uri in ("", "javascript:alert(1)", "https://backend.test/", "taler://pay/evil.test/O/S")
        ),
        *(
            f"pay_uri:{uri}"
            for uri in ("taler://refund/backend.test/O/", "taler://pay/backend.test/O/S", "taler://pay/")
        ),
        *(f"pay_uri:taler://pay/backend.test/{text}" for text in ('"><script>/S', "O/S?c=1&c=2", "O/S\r\nX: y", "O/")),
        *(f"status_url:{url}" for url in ("", "javascript:alert(1)", "http://backend.test/orders/1", "/orders/1")),
        *(f"status_url:https://{url}" for url in ("backend.test.evil.test/x", "backend.test\\@evil.test/", "[::1", "")),
        *(f"status_url:https://backend.test/{path}" for path in ("x y", '"><script>', "é", "\x00", "\t", "x\\y")),
        *("status_url_long", "status_url_json:null", "status_url_json:7", 'status_url_json:["https://backend.test/"]'),
    ),
}


def _row(scenario: str, status: int, *headers: tuple[str, str], path: str = "/article") -> Attack:
    name = f"{'paid' if headers else 'new'} reader, {scenario[:60]!r}"
    request = Request("GET", path, (("Accept", "application/json"), *headers))
    return Attack(name, "more", "", request, path, "", "critical", Setup(backend=scenario), status=(status,))


_COOKIE: Final = ("Cookie", "{{name}}={{value:paid:/article}}")
MORE: Final = (
    *(_row(scenario, status, _COOKIE) for status, scenarios in _PAID.items() for scenario in scenarios),
    *(_row(scenario, status) for status, scenarios in _NEW.items() for scenario in scenarios),
    _row("paid_for_query", 402, ("Cookie", "{{name}}={{value:paid:/search?id=1:resource_swap}}"), path="/search?id=2"),
    _row("paid_for_query", 402, ("Cookie", "{{name}}={{value:paid:/search?id=1}}"), path="/search?id=2"),
)

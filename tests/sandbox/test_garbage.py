"""No input makes the sandbox fail: whatever is wrong with a request has an answer that says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taler_paywall.sandbox.codes import Code

from .garbage import Endpoint, endpoints, requests_to
from .material import Material
from .shop import Process, Shop

_FUZZ = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))

_CODES = {int(code) for code in Code}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Material]:
    """Start a sandbox that may be filled with rubbish; it must live to the end, and log no bug."""
    options = ("--port", "0", "--instance", "other=secret-token:sandbox")
    sandbox, log = Process(*options, state_home=tmp_path_factory.mktemp("garbage")), list[str]()
    # Read all the time: it says a lot about what it gets, and would stop where nobody listens.
    reader = threading.Thread(target=lambda: log.extend(sandbox.process.stderr or ()))
    reader.start()
    shop = Shop(sandbox.url)
    yield Material(shop)
    shop.http.close()
    with sandbox.process as process:
        process.terminate()
        reader.join(timeout=20)
    assert not any("Traceback" in line for line in log)
    assert process.returncode == 0


def _judge(answer: Any) -> None:
    """Check that an answer is a success, or an error with a known code, of the sandbox's or in HTTP's own terms."""
    assert answer.status_code < 500, answer.text
    kind = answer.headers.get("content-type", "")
    if answer.status_code < 400 or answer.request.method == "HEAD":
        return
    if kind.startswith("text/html"):
        assert "<title>" in answer.text
    elif kind == "application/json":
        body = answer.json()
        if "taler_pay_uri" not in body:
            assert body["code"] in _CODES, body
            assert isinstance(body["hint"], str)
    else:
        # The server's own refusal of what is not HTTP.
        assert (answer.status_code, answer.text) == (400, "Invalid HTTP request received.")


@pytest.mark.parametrize("endpoint", endpoints(), ids=str)
def test_almost_right_requests(material: Material, endpoint: Endpoint) -> None:
    """A request with real ids and keys that is wrong in up to three places is served or refused."""

    @_FUZZ
    @given(wrong=requests_to(endpoint, wild=False))
    def check(wrong: Any) -> None:
        _judge(material.send(wrong))

    check()


@pytest.mark.parametrize("endpoint", endpoints(), ids=str)
def test_wild_requests(material: Material, endpoint: Endpoint) -> None:
    """Any method with any headers, query, bytes and codings is served or refused."""

    @_FUZZ
    @given(wrong=requests_to(endpoint, wild=True))
    def check(wrong: Any) -> None:
        _judge(material.send(wrong))

    check()


@_FUZZ
@given(
    path=st.sampled_from(["sandbox/pay", "sandbox/refund", "sandbox/proof", "sandbox/static/x", ""]),
    form=st.dictionaries(
        st.sampled_from(["order_id", "token", "h_contract", "session_id", "instance", "nonce"]),
        st.text(max_size=12)
        | st.sampled_from(["@paid.order_id", "@unpaid.order_id", "@unpaid.token", "@paid.h_contract"]),
        max_size=4,
    ),
    method=st.sampled_from(["GET", "POST", "PUT"]),
    cookie=st.binary(max_size=40),
)
def test_forms_of_any_shape(material: Material, path: str, form: dict[str, str], method: str, cookie: bytes) -> None:
    """What browsers send to the buttons of the pages may have any shape."""
    if not material.real:
        material.renew()
    fields = {name: material.real.get(value, value).encode("utf-8", "replace") for name, value in form.items()}
    legal = bytes(byte for byte in cookie if 32 < byte != 127)
    answer = material.shop.http.request(method, path, data=fields, params=fields, headers=[(b"Cookie", legal)])
    assert answer.status_code < 500, answer.text

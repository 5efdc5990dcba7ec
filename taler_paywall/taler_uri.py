"""The ``taler://`` URIs that open a wallet, and merchant base URLs (Taler URI scheme)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from taler_paywall.errors import CodecError

_ACTIONS: Final = ("pay", "refund", "pay-template", "withdraw", "tip", "pay-push", "pay-pull", "dev-experiment")
_SCHEMES: Final = {"taler": "https", "taler+http": "http"}
_TALER_SCHEMES: Final = {"https": "taler", "http": "taler+http"}

_HOST: Final = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_MAX_PORT: Final = 65535
_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
# Wallets do not percent-decode ids, so nothing that would have to be encoded may be in one.
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]+")
_VISIBLE_ASCII: Final = re.compile(r"[!-~]*")


def classify(uri: str) -> str:
    """Name the kind of a URI: ``taler-pay``, ``taler-refund`` … or ``unknown`` (Taler URI scheme).

    Args:
        uri: any text; scheme and action in either case.
    """
    scheme, _, rest = uri.lower().partition("://")
    action, slash, _ = rest.partition("/")
    return f"taler-{action}" if scheme in _SCHEMES and slash and action in _ACTIONS else "unknown"


def canonical_base_url(url: str) -> str:
    """Bring a merchant base URL into the form that ends in a slash (merchant API, merchant_base_url).

    Args:
        url: https is assumed without a scheme; query and fragment are dropped; the host keeps its case.

    Raises:
        CodecError: another scheme, a user name, or a malformed host, port or path.
    """
    if not _VISIBLE_ASCII.fullmatch(url):
        raise CodecError("a base URL must be printable ASCII without blanks")
    address = re.split("[?#]", url, maxsplit=1)[0]
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "https", address
    if scheme.lower() not in _TALER_SCHEMES:
        raise CodecError("the scheme of a base URL must be http or https")
    host, _, path = rest.partition("/")
    return _base_url(scheme.lower(), host, path.removesuffix("/").split("/") if path else [])


@dataclass(frozen=True, slots=True)
class PayUri:
    """Ask the wallet to pay an order (Taler URI scheme, pay).

    Args:
        merchant_base_url: of the backend's instance; kept in canonical form with a lower-case host.
        order_id: unreserved characters only.
        session_id: unreserved characters only, empty for none.
        claim_token: base32 text, if the order needs one to be claimed.
        nonce_priv: base32 text, the private key of an earlier claim.

    Raises:
        CodecError: a part is malformed.
    """

    merchant_base_url: str
    order_id: str
    session_id: str = field(repr=False)
    claim_token: str | None = field(default=None, repr=False)
    nonce_priv: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse malformed parts."""
        object.__setattr__(self, "merchant_base_url", _with_lower_host(self.merchant_base_url))
        _check_id(self.order_id, "the order id")
        if self.session_id:
            _check_id(self.session_id, "the session id")
        if self.claim_token is not None:
            _check_id(self.claim_token, "the claim token")
        if self.nonce_priv is not None:
            _check_id(self.nonce_priv, "the nonce")

    @classmethod
    def parse(cls, text: object) -> PayUri:
        """Read ``taler://pay/HOST/PREFIX…/ORDER_ID/[SESSION_ID][?c=…&n=…]`` (Taler URI scheme, pay).

        Args:
            text: a JSON value; a fragment and other parameters are ignored.

        Raises:
            CodecError: anything but such a text.
        """
        base_url, (order_id, session_id), params = _split(text, "pay", 2)
        return cls(base_url, order_id, session_id, params.get("c"), params.get("n"))

    def __str__(self) -> str:
        """Write the URI."""
        params = {"c": self.claim_token, "n": self.nonce_priv}
        query = "&".join(f"{name}={value}" for name, value in params.items() if value is not None)
        return _join(self.merchant_base_url, "pay", f"{self.order_id}/{self.session_id}", query)


@dataclass(frozen=True, slots=True)
class RefundUri:
    """Ask the wallet to collect the refunds of an order (Taler URI scheme, refund).

    Args:
        merchant_base_url: of the backend's instance; kept in canonical form with a lower-case host.
        order_id: unreserved characters only.

    Raises:
        CodecError: a part is malformed.
    """

    merchant_base_url: str
    order_id: str

    def __post_init__(self) -> None:
        """Refuse malformed parts."""
        object.__setattr__(self, "merchant_base_url", _with_lower_host(self.merchant_base_url))
        _check_id(self.order_id, "the order id")

    @classmethod
    def parse(cls, text: object) -> RefundUri:
        """Read ``taler://refund/HOST/PREFIX…/ORDER_ID/`` (Taler URI scheme, refund).

        Args:
            text: a JSON value; a session id after the last slash and parameters are ignored.

        Raises:
            CodecError: anything but such a text.
        """
        base_url, (order_id, _), _ = _split(text, "refund", 2)
        return cls(base_url, order_id)

    def __str__(self) -> str:
        """Write the URI."""
        return _join(self.merchant_base_url, "refund", f"{self.order_id}/", "")


@dataclass(frozen=True, slots=True)
class PayTemplateUri:
    """Ask the wallet to make an order from a template and pay it (Taler URI scheme, pay-template).

    Args:
        merchant_base_url: of the backend's instance; kept in canonical form with a lower-case host.
        template_id: unreserved characters only.
        params: what the user may change, and the values to start from.

    Raises:
        CodecError: a part is malformed.
    """

    merchant_base_url: str
    template_id: str
    params: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse malformed parts."""
        object.__setattr__(self, "merchant_base_url", _with_lower_host(self.merchant_base_url))
        _check_id(self.template_id, "the template id")
        try:
            urlencode(self.params)
        except UnicodeEncodeError as error:
            raise CodecError("a parameter of a template must not contain lone surrogates") from error

    @classmethod
    def parse(cls, text: object) -> PayTemplateUri:
        """Read ``taler://pay-template/HOST/PREFIX…/TEMPLATE_ID[?NAME=VALUE…]`` (Taler URI scheme, pay-template).

        Args:
            text: a JSON value; a fragment is ignored.

        Raises:
            CodecError: anything but such a text.
        """
        base_url, (template_id,), params = _split(text, "pay-template", 1)
        return cls(base_url, template_id, params)

    def __str__(self) -> str:
        """Write the URI."""
        return _join(self.merchant_base_url, "pay-template", self.template_id, urlencode(self.params, quote_via=quote))


def _split(text: object, action: str, tail: int) -> tuple[str, list[str], dict[str, str]]:
    """Take a URI apart: base URL, the last ``tail`` segments of its path, parameters."""
    if not isinstance(text, str):
        raise CodecError(f"a taler:// URI must be a text, not {type(text).__name__}")
    if not _VISIBLE_ASCII.fullmatch(text):
        raise CodecError("a taler:// URI must be printable ASCII without blanks")
    kind = classify(text)
    if kind != f"taler-{action}":
        raise CodecError(f"not a taler://{action}/ URI but one of the kind {kind}")
    path, _, query = text.partition("#")[0].partition("?")
    scheme, _, rest = path.partition("://")
    host, *segments = rest.split("/")[1:]
    if len(segments) < tail:
        missing = "a slash after the order id" if segments and tail > 1 else "parts after the host"
        raise CodecError(f"a taler://{action}/ URI lacks {missing}")
    base_url = _base_url(_SCHEMES[scheme.lower()], host.lower(), segments[:-tail])
    return base_url, segments[-tail:], _parameters(query)


def _join(base_url: str, action: str, tail: str, query: str) -> str:
    scheme, _, address = base_url.partition("://")
    return f"{_TALER_SCHEMES[scheme]}://{action}/{address}{tail}" + (f"?{query}" if query else "")


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise CodecError("a parameter of a taler:// URI is not UTF-8") from error
    params = dict(pairs)
    if len(params) != len(pairs):
        raise CodecError("a parameter of a taler:// URI is given twice")
    return params


def _with_lower_host(url: str) -> str:
    scheme, _, address = canonical_base_url(url).partition("://")
    host, _, path = address.partition("/")
    return f"{scheme}://{host.lower()}/{path}"


def _base_url(scheme: str, host: str, segments: list[str]) -> str:
    match = _HOST.fullmatch(host)
    if not match:
        raise CodecError("the host must be NAME or NAME:PORT, without a user name")
    if match[1] and not 0 < int(match[1]) <= _MAX_PORT:
        raise CodecError(f"the port must be 1 to {_MAX_PORT}")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment) or _is_dots(segment):
            raise CodecError("the path has a part that is empty, . or .., or has a character not allowed there")
    return f"{scheme}://{host}/" + "".join(f"{segment}/" for segment in segments)


def _check_id(text: str, what: str) -> None:
    if not text:
        raise CodecError(f"{what} is empty")
    # The texts stay out of the messages: claim tokens are secrets.
    if not _UNRESERVED.fullmatch(text) or _is_dots(text):
        raise CodecError(f"{what} may have letters, digits and . _ ~ - only, and must not be . or ..")


def _is_dots(segment: str) -> bool:
    # URL readers remove these parts, encoded or not, and would end up at another instance.
    return segment.lower().replace("%2e", ".") in (".", "..")

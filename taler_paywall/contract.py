"""Contract hashes and the merchant's signatures over them, byte-exact (merchant API, contract terms)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from taler_paywall import crockford
from taler_paywall.errors import CodecError

#: Purpose of the signature that binds the merchant to a proposed contract (merchant API, ``sig`` of /claim).
MERCHANT_CONTRACT: Final = 1101
#: Purpose of the signature that confirms a payment (merchant API, ``sig`` of /pay).
MERCHANT_PAYMENT_OK: Final = 1104

_HASH_SIZE: Final = 64
_KEY_SIZE: Final = 32
_MAX_INTEGER: Final = 2**53 - 1
# Contracts nest a handful of levels; the limit keeps a hostile one from exhausting the stack.
_MAX_DEPTH: Final = 100
_NAME: Final = re.compile(r"[0-9A-Za-z_]+")
_FORGETTABLE: Final = "$forgettable"
_FORGOTTEN: Final = "$forgotten"


def canonical_json(value: object) -> str:
    """Write a JSON value the one way in which it is hashed: RFC 8785, integers only (merchant API, contract hash).

    Args:
        value: dicts, lists, texts, booleans, None and integers within +-(2**53 - 1).

    Raises:
        CodecError: anything else, such as a float, a key that is no text, a lone surrogate or more than 100 levels.
    """
    return json.dumps(_plain(value, 0), separators=(",", ":"), ensure_ascii=False)


def contract_hash(terms: Mapping[str, Any], *, any_names: bool = False) -> bytes:
    """Hash contract terms; forgetting a forgettable member does not change the hash (merchant API, contract hash).

    Args:
        terms: the contract terms, as decoded from JSON.
        any_names: whether members that are not forgettable may have any name, as merchant backends let them;
            wallets of 2022 refuse such a contract.

    Returns:
        64 bytes of SHA-512.

    Raises:
        CodecError: the contract is malformed, so that wallets would refuse it.
    """
    return hashlib.sha512(_hashed_text(_scrub(_plain(terms, 0), any_names=any_names))).digest()


def member_hash(salt: str, member: object) -> bytes:
    """Hash what is left in the place of a forgettable member once it is forgotten (merchant API, forgettable members).

    Args:
        salt: of the member, from ``$forgettable``.
        member: its value, as decoded from JSON.

    Returns:
        64 bytes.

    Raises:
        CodecError: salt or member are malformed.
    """
    return _hkdf(_utf8_safe(salt).encode() + b"\0", _hashed_text(_scrub(_plain(member, 0), any_names=True)))


def public_key(private_key: bytes) -> bytes:
    """Compute the 32-byte Ed25519 public key (merchant API, EddsaPublicKey).

    Args:
        private_key: the 32-byte seed.

    Raises:
        CodecError: the wrong size.
    """
    return _signing_key(private_key).verify_key.encode()


def sign_hash(private_key: bytes, purpose: int, h_contract: bytes) -> bytes:
    """Sign a contract hash for one purpose: 64 bytes of Ed25519 (merchant API, EccSignaturePurpose).

    Args:
        private_key: the 32-byte seed.
        purpose: MERCHANT_CONTRACT or MERCHANT_PAYMENT_OK.
        h_contract: 64 bytes.

    Raises:
        CodecError: the wrong size.
    """
    return _signing_key(private_key).sign(_signed_bytes(purpose, h_contract)).signature


def verify_hash(public_key: bytes, purpose: int, h_contract: bytes, signature: bytes) -> bool:
    """Tell whether a signature over a contract hash is genuine (merchant API, EccSignaturePurpose).

    Args:
        public_key: 32 bytes.
        purpose: MERCHANT_CONTRACT or MERCHANT_PAYMENT_OK.
        h_contract: 64 bytes.
        signature: 64 bytes; any other size is just not genuine.

    Raises:
        CodecError: the wrong size of key or hash.
    """
    _require_size(public_key, _KEY_SIZE, "an Ed25519 public key")
    message = _signed_bytes(purpose, h_contract)
    try:
        VerifyKey(public_key).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


def _plain(value: object, depth: int) -> Any:
    """Copy a value with its members in canonical order, refusing what cannot be hashed."""
    if depth > _MAX_DEPTH:
        raise CodecError(f"JSON is nested deeper than {_MAX_DEPTH} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > _MAX_INTEGER:
            raise CodecError("an integer in JSON must lie within +-(2**53 - 1)")
        return value
    if isinstance(value, str):
        return _utf8_safe(value)
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        # UTF-16 order is the RFC's; it differs from Python's for characters beyond U+FFFF.
        keys = sorted((_key(key) for key in value), key=lambda key: key.encode("utf-16-be"))
        return {key: _plain(value[key], depth + 1) for key in keys}
    if isinstance(value, float):
        raise CodecError("a number in JSON must be an integer: floats have no canonical text")
    raise CodecError(f"{type(value).__name__} is not a JSON type")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise CodecError(f"a key in JSON must be a text, not {type(key).__name__}")
    return _utf8_safe(key)


def _utf8_safe(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CodecError("a text in JSON must not contain lone surrogates") from error
    return text


def _hashed_text(value: object) -> bytes:
    # GNU Taler hashes C strings with the NUL that ends them.
    return canonical_json(value).encode() + b"\0"


def _scrub(value: Any, *, any_names: bool) -> Any:
    """Replace all forgettable members by their hashes, innermost first."""
    if isinstance(value, list):
        return [_scrub(item, any_names=any_names) for item in value]
    if not isinstance(value, dict):
        return value
    salts = _special(value, _FORGETTABLE)
    forgotten = _special(value, _FORGOTTEN)
    _check_members(value, salts, forgotten)
    if not any_names:
        _check_names(name for name in value if name not in (_FORGETTABLE, _FORGOTTEN))
    hashes = dict(forgotten)
    scrubbed = {}
    for name, member in value.items():
        if name in salts:
            hashes[name] = crockford.encode(member_hash(salts[name], member))
        elif name not in (_FORGETTABLE, _FORGOTTEN):
            scrubbed[name] = _scrub(member, any_names=any_names)
    if hashes or _FORGOTTEN in value:
        scrubbed[_FORGOTTEN] = hashes
    return scrubbed


def _special(members: dict[str, Any], name: str) -> dict[str, Any]:
    special = members.get(name, {})
    if not isinstance(special, dict):
        raise CodecError(f"{name} must be a JSON object, not {type(special).__name__}")
    return special


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise CodecError(f"a member name in a contract may have letters, digits and _ only: {name!a}")


def _check_members(members: dict[str, Any], salts: dict[str, Any], forgotten: dict[str, Any]) -> None:
    _check_names([*salts, *forgotten])
    for name, salt in salts.items():
        if not isinstance(salt, str):
            raise CodecError(f"the salt of the forgettable member {name} must be a text")
        if name not in members:
            raise CodecError(f"the forgettable member {name} is absent")
    for name, digest in forgotten.items():
        if name in members:
            raise CodecError(f"the forgotten member {name} is still present")
        if not isinstance(digest, str):
            raise CodecError(f"the hash of the forgotten member {name} must be a text")
        try:
            crockford.decode(digest, _HASH_SIZE)
        except CodecError as error:
            raise CodecError(f"the hash of the forgotten member {name} is malformed: {error}") from error


def _hkdf(salt: bytes, material: bytes) -> bytes:
    """GNUnet's KDF: RFC 5869 with SHA-512 to extract and SHA-256 to expand, 64 bytes, no info."""
    key = hmac.digest(salt, material, "sha512")
    first = hmac.digest(key, b"\x01", "sha256")
    return first + hmac.digest(key, first + b"\x02", "sha256")


def _signing_key(private_key: bytes) -> SigningKey:
    _require_size(private_key, _KEY_SIZE, "an Ed25519 private key")
    return SigningKey(private_key)


def _signed_bytes(purpose: int, h_contract: bytes) -> bytes:
    _require_size(h_contract, _HASH_SIZE, "a contract hash")
    return (8 + _HASH_SIZE).to_bytes(4, "big") + purpose.to_bytes(4, "big") + h_contract


def _require_size(data: bytes, size: int, what: str) -> None:
    if len(data) != size:
        raise CodecError(f"{what} has {size} bytes, not {len(data)}")

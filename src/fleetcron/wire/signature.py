"""Signed requests: the vendor's ``SDK-HMAC-SHA256``, as its SDKs sign and its gateway verifies.

The signature covers method, path, query, body and the headers that it lists itself; which ones those are
differs from SDK to SDK (Go and Terraform leave out Host), so nothing but ``x-sdk-date`` is demanded.
Everything is taken as bytes off the wire: text that was decoded and mended on the way could let two
different requests share one signature.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from fleetcron.errors import BadSignature, Unauthenticated

ALGORITHM = "SDK-HMAC-SHA256"
SKEW_MAX = timedelta(minutes=15)
DATE = "x-sdk-date"
CONTENT_HASH = "x-sdk-content-sha256"
UNSIGNED = "UNSIGNED-PAYLOAD"
# The same paths and queries come again and again, and to write one canonically costs more than all the hashing.
PARTS_REMEMBERED_MAX = 1024

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Access=(?P<access_key>[A-Za-z0-9_-]{{1,128}}), *"
    r"SignedHeaders=(?P<names>[!-+\--:<-~]+(?:;[!-+\--:<-~]+)*), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_DATE_SHAPE = re.compile(rb"[0-9]{8}T[0-9]{6}Z")
_FAILED = "verify aksk signature fail"


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """What an ``Authorization`` header claims: whose key, over which headers, with which signature."""

    access_key: str
    names: tuple[str, ...]
    signature: str

    @classmethod
    def read(cls, authorization: str) -> Signed:
        """Take the header apart.

        Raises:
            Unauthenticated: it is of another scheme, or malformed.
        """
        parts = _AUTHORIZATION.fullmatch(authorization.strip())
        if parts is None:
            raise Unauthenticated(f"{_FAILED}, the Authorization header is not a well-formed {ALGORITHM} one")
        return cls(access_key=parts["access_key"], names=tuple(parts["names"].split(";")), signature=parts["signature"])


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was received: path and query still percent-encoded, headers with lower-case names.

    ``query`` is without its question mark. ``headers`` keep their order and their duplicates.
    """

    method: str
    path: bytes
    query: bytes
    headers: Iterable[tuple[bytes, bytes]]
    body: bytes


def verify(signed: Signed, request: Request, *, secret: str, now: datetime) -> None:
    """Let a request pass that was signed with this secret not more than ``SKEW_MAX`` from now, either way.

    Raises:
        Unauthenticated: anything that was signed has changed, is missing or comes twice; or the clocks differ.
    """
    headers = _signed_headers(signed.names, request.headers)
    date = headers.get(DATE)
    if date is None:
        raise Unauthenticated(f"{_FAILED}, {DATE} must be among the signed headers")
    _check_date(date, now)
    if not hmac.compare_digest(_signature(signed.names, headers, request, secret), signed.signature):
        raise BadSignature(_FAILED)


def sign(request: Request, *, access_key: str, secret: str, now: datetime) -> dict[str, str]:
    """The headers that make a request a signed one; the signature covers every header that the request has."""
    date = now.astimezone(UTC).strftime(_DATE_FORMAT)
    headers = {name.decode(): value.strip() for name, value in request.headers} | {DATE: date.encode()}
    names = tuple(sorted(headers))
    signature = _signature(names, headers, request, secret)
    claim = f"{ALGORITHM} Access={access_key}, SignedHeaders={';'.join(names)}, Signature={signature}"
    return {"X-Sdk-Date": date, "Authorization": claim}


def canonical_request(names: tuple[str, ...], headers: Mapping[str, bytes], request: Request) -> bytes:
    """Everything that the signature covers, in the one form on which both sides agree."""
    return b"\n".join(
        (
            request.method.encode(),
            _canonical_path(request.path),
            _canonical_query(request.query),
            b"".join(name.encode() + b":" + headers[name] + b"\n" for name in names),
            ";".join(names).encode(),
            _content_hash(headers, request.body).encode(),
        )
    )


def _signature(names: tuple[str, ...], headers: Mapping[str, bytes], request: Request, secret: str) -> str:
    canonical = canonical_request(names, headers, request)
    signable = b"\n".join((ALGORITHM.encode(), headers[DATE], hashlib.sha256(canonical).hexdigest().encode()))
    return hmac.new(secret.encode(), signable, hashlib.sha256).hexdigest()


def _signed_headers(names: tuple[str, ...], received: Iterable[tuple[bytes, bytes]]) -> dict[str, bytes]:
    """The headers that the signature names, each exactly once: which of two was signed, nobody could say."""
    wanted = {name.encode(): name for name in names}
    found: dict[str, bytes] = {}
    for raw, value in received:
        name = wanted.get(raw)
        if name is None:
            continue
        if name in found:
            raise Unauthenticated(f"{_FAILED}, the signed header {name} comes more than once")
        found[name] = value.strip()
    for name in names:
        if name not in found:
            raise Unauthenticated(f"{_FAILED}, the signed header {name} is missing")
    return found


def _check_date(date: bytes, now: datetime) -> None:
    signed_at = _instant(date)
    if signed_at is None:
        raise Unauthenticated(f"{_FAILED}, {DATE} is not written like 20230527T020608Z")
    if abs(now - signed_at) > SKEW_MAX:
        server_time = now.astimezone(UTC).strftime(_DATE_FORMAT)
        raise Unauthenticated(f"{_FAILED}, {DATE} is more than 15 minutes away, server time:{server_time}")


def _instant(date: bytes) -> datetime | None:
    if not _DATE_SHAPE.fullmatch(date):  # the library alone would take other shapes, too
        return None
    try:
        return datetime.fromisoformat(date.decode())
    except ValueError:
        return None


@lru_cache(maxsize=PARTS_REMEMBERED_MAX)
def _canonical_path(path: bytes) -> bytes:
    """Decode and encode again each segment.

    An encoded slash stays inside its segment (the vendor's SDK would part it there): with it parted, two
    different paths would share a signature.
    """
    encoded = b"/".join(_encoded(unquote_to_bytes(segment)) for segment in path.split(b"/"))
    return encoded if encoded.endswith(b"/") else encoded + b"/"


@lru_cache(maxsize=PARTS_REMEMBERED_MAX)
def _canonical_query(query: bytes) -> bytes:
    """Pairs by name, then value, a missing value as an empty one.

    A plus is a space, as it is where the parameters are read; no SDK sends one.
    """
    pairs = sorted(
        tuple(unquote_to_bytes(part) for part in pair.replace(b"+", b" ").partition(b"=")[::2])
        for pair in query.split(b"&")
        if pair
    )
    return b"&".join(_encoded(name) + b"=" + _encoded(value) for name, value in pairs)


def _content_hash(headers: Mapping[str, bytes], body: bytes) -> str:
    """The body's hash; a body may go unsigned only if the signature says so and covers that it is no JSON.

    The vendor takes over whatever hash the header says. Ours must be the body's own: a said hash that is
    not could only be somebody's who changed the body.
    """
    content_type = headers.get("content-type", b"").lower()
    opaque = content_type and not content_type.startswith((b"application/json", b"application/bson"))
    if body and opaque and headers.get(CONTENT_HASH) == UNSIGNED.encode():
        return UNSIGNED
    return hashlib.sha256(body).hexdigest()


def _encoded(text: bytes) -> bytes:
    """Percent-encode all but letters, digits and ``-_.~``."""
    return quote_from_bytes(text, safe="~").encode()

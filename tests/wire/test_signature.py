"""Signed requests: what the vendor's SDK signs is let in, and nothing that was touched afterwards."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.errors import Unauthenticated
from fleetcron.wire.signature import SKEW_MAX, Request, Signed, canonical_request, verify

ACCESS_KEY = "AKEXAMPLE"
SECRET = "SKEXAMPLE"
DATE = "20260102T030405Z"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TASKS = "/v1/0123456789abcdef0123456789abcdef/schedule-task"


def signed_by_sdk(request: SdkRequest) -> tuple[Signed, Request]:
    """Sign as the vendor's SDK does, and take the request as it then goes over the wire."""
    headers: dict[str, str] = request.header_params
    headers.setdefault("X-Sdk-Date", DATE)
    Signer(BasicCredentials(ACCESS_KEY, SECRET)).sign(request)
    path, _, query = request.uri.partition("?")
    received = Request(
        method=request.method,
        path=path.encode(),
        query=query.encode(),
        headers=[(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        body=request.body or b"",
    )
    return Signed.read(headers["Authorization"]), received


def an_sdk_request(
    method: str = "POST",
    path: str = TASKS,
    query: list[tuple[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> SdkRequest:
    return SdkRequest(
        method=method,
        schema="http",
        host="localhost:8080",
        resource_path=path,
        query_params=query or [],
        header_params={"Content-Type": "application/json"} if headers is None else headers,
        body=body,
    )


def a_signed_request() -> tuple[Signed, Request]:
    headers = {"Content-Type": "application/json", "User-Agent": "ua"}
    return signed_by_sdk(an_sdk_request(query=[("limit", 5), ("offset", 0)], headers=headers, body=b'{"items":["a"]}'))


def accept(signed: Signed, request: Request, now: datetime = NOW, secret: str = SECRET) -> None:
    verify(signed, request, secret=secret, now=now)


def refuse(signed: Signed, request: Request, now: datetime = NOW, secret: str = SECRET, reason: str = "") -> None:
    with pytest.raises(Unauthenticated, match=f"^verify aksk signature fail.*{reason}"):
        verify(signed, request, secret=secret, now=now)


def with_header(request: Request, name: str, value: str | None) -> Request:
    """The request with that header set, or without it."""
    kept = [pair for pair in request.headers if pair[0] != name.encode()]
    added = [] if value is None else [(name.encode(), value.encode())]
    return msgspec.structs.replace(request, headers=kept + added)


def signed_by_hand(request: Request, names: tuple[str, ...], canonical: bytes) -> Signed:
    """Sign a canonical form that no SDK would write."""
    digest = hashlib.sha256(canonical).hexdigest()
    signature = Signer(BasicCredentials(ACCESS_KEY, SECRET))._sign_string_to_sign(
        f"SDK-HMAC-SHA256\n{DATE}\n{digest}", SECRET
    )
    return Signed(access_key=ACCESS_KEY, names=names, signature=signature)


def test_the_first_known_vector_holds() -> None:
    headers = {
        "content-type": b"application/json",
        "host": b"localhost:8080",
        "user-agent": b"ua",
        "x-project-id": b"0123456789abcdef0123456789abcdef",
        "x-sdk-date": DATE.encode(),
    }
    request = Request(
        method="GET",
        path=f"{TASKS}/62f48b59-0ebb-4b1e-ad35-f64948a0591b/execute-history".encode(),
        query=b"limit=5&offset=0",
        headers=[(name.encode(), value) for name, value in headers.items()],
        body=b"",
    )
    signature = "93aafaaabab2ae0571320f8ea4646a7e962a7cc7e7e3bb090339b8cbd12f9418"
    canonical = canonical_request(tuple(headers), headers, request)
    assert hashlib.sha256(canonical).hexdigest() == "6427452aa65355844525429596570c8c7ef071ef1d9936777d36d7b7102bc9bb"
    accept(Signed(access_key=ACCESS_KEY, names=tuple(headers), signature=signature), request)


def test_the_second_known_vector_holds() -> None:
    signed = Signed.read(
        "SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=content-type;host;x-sdk-date,"
        " Signature=b95e6c605f4bcac93e47794fb47b56c6bec07a94a573c407c5ca35109b3b0432"
    )
    headers = [("content-type", "application/json"), ("host", "localhost:8080"), ("x-sdk-date", DATE)]
    request = Request(
        method="POST",
        path=f"{TASKS}/actions/batch-delete".encode(),
        query=b"",
        headers=[(name.encode(), value.encode()) for name, value in headers],
        body=b'{"items": ["a"]}',
    )
    assert signed.access_key == ACCESS_KEY
    accept(signed, request)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SEGMENTS = st.lists(TEXT.filter(lambda text: "/" not in text), max_size=4)
VALUES = TEXT | st.integers() | st.booleans() | st.lists(TEXT, max_size=3)
HEADER_NAMES = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=8).filter(
    lambda name: name.lower() not in {"host", "authorization", "content-type", "x-sdk-date"}
)
HEADER_VALUES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=8)
CONTENT_TYPES = st.sampled_from(
    ["application/json", "application/json;charset=UTF-8", "application/bson", "text/plain"]
)


def a_header_map(headers: dict[str, str], content_type: str | None) -> dict[str, str]:
    """Headers whose names differ in more than case: others are one header on the wire."""
    distinct = {name.lower(): (name, value) for name, value in headers.items()}
    return dict(distinct.values()) | ({"Content-Type": content_type} if content_type else {})


SDK_REQUESTS = st.builds(
    an_sdk_request,
    method=st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE"]),
    path=SEGMENTS.map(lambda segments: "/" + "/".join(quote(segment, safe="") for segment in segments)),
    query=st.dictionaries(TEXT, VALUES, max_size=4).map(lambda query: list(query.items())),
    headers=st.builds(
        a_header_map, st.dictionaries(HEADER_NAMES, HEADER_VALUES, max_size=4), st.none() | CONTENT_TYPES
    ),
    body=st.binary(max_size=16),
)


@given(SDK_REQUESTS)
def test_whatever_the_sdk_signs_is_accepted(request_of_sdk: SdkRequest) -> None:
    accept(*signed_by_sdk(request_of_sdk))


def flips(raw: bytes) -> Iterator[bytes]:
    """Every text that differs in one bit."""
    for index, byte in enumerate(raw):
        for bit in range(8):
            yield raw[:index] + bytes([byte ^ 1 << bit]) + raw[index + 1 :]


@pytest.mark.parametrize("part", ["path", "query", "body"])
def test_one_bit_anywhere_in_path_query_or_body_is_noticed(part: str) -> None:
    signed, request = a_signed_request()
    accept(signed, request)
    for flipped in flips(getattr(request, part)):
        refuse(signed, msgspec.structs.replace(request, **{part: flipped}))


def test_one_bit_anywhere_in_a_signed_header_is_noticed() -> None:
    signed, request = a_signed_request()
    headers = list(request.headers)
    for index, (name, value) in enumerate(headers):
        if name.decode() in signed.names:
            changed = [(name, flipped) for flipped in flips(value)] + [(flipped, value) for flipped in flips(name)]
            for pair in changed:
                refuse(
                    signed, msgspec.structs.replace(request, headers=[*headers[:index], pair, *headers[index + 1 :]])
                )


def test_one_bit_anywhere_in_method_signature_or_secret_is_noticed() -> None:
    signed, request = a_signed_request()
    for flipped in flips(request.method.encode()):
        refuse(signed, msgspec.structs.replace(request, method=flipped.decode("latin-1")))
    for flipped in flips(SECRET.encode()):
        refuse(signed, request, secret=flipped.decode("latin-1"))
    for digit in range(64):
        other = "0" if signed.signature[digit] != "0" else "1"
        forged = signed.signature[:digit] + other + signed.signature[digit + 1 :]
        refuse(msgspec.structs.replace(signed, signature=forged), request)


def test_the_list_of_signed_headers_is_signed_itself() -> None:
    signed, request = a_signed_request()
    for name in signed.names:
        fewer = tuple(other for other in signed.names if other != name)
        refuse(msgspec.structs.replace(signed, names=fewer), request)
    refuse(msgspec.structs.replace(signed, names=signed.names[::-1]), request)


def test_headers_that_are_not_signed_may_change() -> None:
    signed, request = a_signed_request()
    accept(signed, with_header(request, "accept-encoding", "gzip"))
    accept(signed, with_header(request, "x-forwarded-for", "10.0.0.1"))


def test_no_header_but_the_date_has_to_be_signed() -> None:
    request = Request(method="GET", path=TASKS.encode(), query=b"", headers=[(b"x-sdk-date", DATE.encode())], body=b"")
    canonical = canonical_request(("x-sdk-date",), {"x-sdk-date": DATE.encode()}, request)
    accept(signed_by_hand(request, ("x-sdk-date",), canonical), request)


def test_a_date_that_is_not_signed_is_refused() -> None:
    headers = [(b"host", b"localhost"), (b"x-sdk-date", DATE.encode())]
    request = Request(method="GET", path=TASKS.encode(), query=b"", headers=headers, body=b"")
    canonical = canonical_request(("host",), {"host": b"localhost"}, request)
    refuse(signed_by_hand(request, ("host",), canonical), request, reason="x-sdk-date must be among")


def test_a_signed_header_must_come_exactly_once() -> None:
    signed, request = a_signed_request()
    for name, value in request.headers:
        if name.decode() in signed.names:
            missing = with_header(request, name.decode(), None)
            refuse(signed, missing, reason=f"{name.decode()} is missing")
            twice = msgspec.structs.replace(request, headers=[*request.headers, (name, value)])
            refuse(signed, twice, reason=f"{name.decode()} comes more than once")


def test_blanks_around_a_signed_value_do_not_count() -> None:
    signed, request = a_signed_request()
    accept(signed, with_header(request, "user-agent", " \tua "))
    refuse(signed, with_header(request, "user-agent", "u a"))


@pytest.mark.parametrize("direction", [1, -1])
def test_clocks_may_differ_by_a_quarter_of_an_hour(direction: int) -> None:
    signed, request = a_signed_request()
    accept(signed, request, now=NOW + direction * SKEW_MAX)
    late = NOW + direction * (SKEW_MAX + timedelta(seconds=1))
    refuse(signed, request, now=late, reason=f"server time:{late:%Y%m%dT%H%M%SZ}$")


@pytest.mark.parametrize(
    "date", ["", "now", "2026-01-02T03:04:05Z", "20260102T030405", "20261302T030405Z", "202612T345Z"]
)
def test_a_date_of_another_shape_is_refused(date: str) -> None:
    signed, request = a_signed_request()
    refuse(signed, with_header(request, "x-sdk-date", date), reason="is not written like")


def test_the_slash_that_is_only_signed_may_also_be_sent() -> None:
    signed, request = a_signed_request()
    accept(signed, msgspec.structs.replace(request, path=request.path + b"/"))
    refuse(signed, msgspec.structs.replace(request, path=request.path + b"//"))


def test_an_encoded_slash_is_no_slash() -> None:
    signed, request = signed_by_sdk(an_sdk_request("GET", "/v1/a/b"))
    refuse(signed, msgspec.structs.replace(request, path=b"/v1/a%2Fb"))


def test_encoding_more_than_needed_does_not_count() -> None:
    signed, request = signed_by_sdk(an_sdk_request("GET", "/v1/a~b", [("name", "ü ~")]))
    accept(signed, msgspec.structs.replace(request, path=b"/v1/%61%7eb", query=b"%6Eame=%c3%bc%20%7E"))


def test_bytes_that_are_no_text_are_told_apart() -> None:
    signed, request = signed_by_sdk(an_sdk_request("GET", "/v1/%EF%BF%BD", [("a", "\ufffd")]))
    refuse(signed, msgspec.structs.replace(request, path=b"/v1/%FF"))
    refuse(signed, msgspec.structs.replace(request, query=b"a=%FF"))


def test_parameters_may_come_in_any_order() -> None:
    signed, request = signed_by_sdk(an_sdk_request("GET", query=[("b", ["2", "10"]), ("a", True), ("c", "")]))
    assert request.query == b"a=true&b=10&b=2&c="
    accept(signed, msgspec.structs.replace(request, query=b"c&b=2&a=true&&b=10"))
    refuse(signed, msgspec.structs.replace(request, query=b"a=true&b=2&c="))
    refuse(signed, msgspec.structs.replace(request, query=b"a=true&b=10&b=2&b=2&c="))


def test_a_plus_in_the_query_is_a_space_and_not_a_plus() -> None:
    signed, request = signed_by_sdk(an_sdk_request("GET", query=[("name", "a b")]))
    accept(signed, msgspec.structs.replace(request, query=b"name=a+b"))
    signed, request = signed_by_sdk(an_sdk_request("GET", query=[("name", "a+b")]))
    assert request.query == b"name=a%2Bb"
    refuse(signed, msgspec.structs.replace(request, query=b"name=a+b"))


def test_a_plus_in_the_path_is_a_plus() -> None:
    signed, request = signed_by_sdk(an_sdk_request("GET", "/v1/a%2Bb"))
    accept(signed, msgspec.structs.replace(request, path=b"/v1/a+b"))
    refuse(signed, msgspec.structs.replace(request, path=b"/v1/a%20b"))


def test_a_body_that_is_no_json_may_go_unsigned() -> None:
    signed, request = signed_by_sdk(an_sdk_request(headers={"Content-Type": "text/plain"}, body=b"one"))
    assert dict(request.headers)[b"x-sdk-content-sha256"] == b"UNSIGNED-PAYLOAD"
    accept(signed, msgspec.structs.replace(request, body=b"two"))


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "application/bson", None]
)
def test_no_json_body_goes_unsigned(content_type: str | None) -> None:
    headers = {"x-sdk-content-sha256": "UNSIGNED-PAYLOAD"} | ({"content-type": content_type} if content_type else {})
    signed, request = signed_by_sdk(an_sdk_request(headers=headers, body=b"{}"))
    refuse(signed, request)


def test_a_body_goes_unsigned_only_if_its_type_is_signed() -> None:
    signed, request = signed_by_sdk(an_sdk_request(headers={"X-Sdk-Content-Sha256": "UNSIGNED-PAYLOAD"}, body=b"{}"))
    refuse(signed, with_header(request, "content-type", "text/plain"))


def test_a_said_hash_must_be_the_bodys_own() -> None:
    said = hashlib.sha256(b"one").hexdigest()
    signed, request = signed_by_sdk(an_sdk_request(headers={"X-Sdk-Content-Sha256": said}, body=b"one"))
    accept(signed, request)
    refuse(signed, msgspec.structs.replace(request, body=b"two"))


def dropped(part: str) -> Callable[[str], str]:
    return lambda text: text.replace(part, "", 1)


@pytest.mark.parametrize(
    "change",
    [
        dropped("SDK-HMAC-SHA256 "),
        dropped("Access=AKEXAMPLE, "),
        dropped("AKEXAMPLE"),
        dropped("SignedHeaders="),
        dropped("host;x-sdk-date"),
        dropped("Signature="),
        lambda text: text.upper(),
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text[:-1] + "é",
        lambda text: text.replace("SHA256", "SM3"),
        lambda text: text.replace("AKEXAMPLE", "AK\nEXAMPLE"),
        lambda text: "Basic " + text,
        lambda text: "",
    ],
)
def test_an_authorization_of_another_shape_is_refused(change: Callable[[str], str]) -> None:
    good = f"SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=host;x-sdk-date, Signature={'0' * 64}"
    Signed.read(good)
    with pytest.raises(Unauthenticated, match=r"^verify aksk signature fail"):
        Signed.read(change(good))


def test_an_authorization_says_whose_key_over_which_headers() -> None:
    signed = Signed.read(f"SDK-HMAC-SHA256 Access=AK_1,SignedHeaders=host;x-sdk-date,Signature={'a' * 64}")
    assert signed == Signed(access_key="AK_1", names=("host", "x-sdk-date"), signature="a" * 64)

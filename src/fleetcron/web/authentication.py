"""From a request's credentials to a caller: a signature, or else a token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fleetcron.control.access import Access
from fleetcron.domain.access import Caller
from fleetcron.errors import Unauthenticated
from fleetcron.wire.signature import ALGORITHM, Request, Signed, verify

TOKEN = "x-auth-token"  # noqa: S105  (the header's name)


def authenticate(access: Access, request: Request, headers: Mapping[str, str], now: datetime) -> Caller:
    """Say who sends a request.

    Where both a signature and a token are sent the signature decides, and a bad one is not made good by the token
    (house ruling 13). An Authorization header of another scheme is not ours to judge.

    Raises:
        Unauthenticated: no credentials, or they do not hold.
    """
    authorization = headers.get("authorization", "")
    if authorization.startswith(ALGORITHM):
        signed = Signed.read(authorization)
        secret, caller = access.signing_key(signed.access_key, now)
        verify(signed, request, secret=secret, now=now)
        return caller
    token = headers.get(TOKEN)
    if not token:
        raise Unauthenticated("x-auth-token not found")
    return access.caller_of_token(token, now)

"""From a request's credentials to a caller: a signature, or else a token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from fleetcron.control.access import Access
from fleetcron.control.throttle import Keys, Requests
from fleetcron.domain.access import Caller
from fleetcron.errors import BadSignature, Unauthenticated
from fleetcron.web.reception import Reception
from fleetcron.wire.signature import ALGORITHM, Request, Signed, verify

TOKEN = "x-auth-token"  # noqa: S105  (the header's name)
SECURITY_TOKEN = "x-security-token"  # noqa: S105  (the same)


class Gate:
    """Says who sends a request, and lets each caller in as often as the rate allows.

    With a ``reception``, tokens are another identity service's; signatures are always ours.
    """

    def __init__(self, access: Access, *, keys: Keys, requests: Requests, reception: Reception | None = None) -> None:
        self._access = access
        self._keys = keys
        self._requests = requests
        self._reception = reception

    async def admit(self, request: Request, headers: Mapping[str, str], now: datetime) -> Caller:
        """Say who sends a request.

        Where both a signature and a token are sent the signature decides, and a bad one is not made good by the token
        (house ruling 13). An Authorization header of another scheme is not ours to judge.

        Raises:
            Unauthenticated: no credentials, or they do not hold.
            Forbidden: another identity service knows the token, and it means nothing here.
            Throttled: the caller asks too often.
            Unavailable: the identity service does not answer.
        """
        authorization = headers.get("authorization", "")
        token = headers.get(TOKEN)
        if authorization.startswith(ALGORITHM):
            caller = self._signer(Signed.read(authorization), request, headers, now)
        elif not token:
            raise Unauthenticated("x-auth-token not found")
        elif self._reception is None:
            caller = self._access.caller_of_token(token, now)
        else:
            visitor = await self._reception.admit(token, now)
            caller = msgspec.structs.replace(visitor.caller, policies=visitor.policies)
        self._requests.take(caller.user_id, now)
        return caller

    def _signer(self, signed: Signed, request: Request, headers: Mapping[str, str], now: datetime) -> Caller:
        self._keys.check(signed.access_key, now)
        # Not every client covers this header with the signature; that it belongs to the key is what counts.
        security_token = headers.get(SECURITY_TOKEN) or None
        secret, caller = self._access.signing_key(signed.access_key, now, security_token=security_token)
        try:
            verify(signed, request, secret=secret, now=now)
        except BadSignature:
            # Only these: a client whose clock is wrong must not lock its own key.
            self._keys.failed(signed.access_key, now)
            raise
        self._keys.succeeded(signed.access_key)
        return caller

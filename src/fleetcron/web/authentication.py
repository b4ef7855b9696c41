"""From a request's credentials to a caller: a signature, or else a token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
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

    With a ``reception``, tokens are another identity service's; signatures are always ours. ``threads`` look up who
    it is where the database may keep them waiting; without, the event loop does.
    """

    def __init__(
        self,
        access: Access,
        *,
        keys: Keys,
        requests: Requests,
        reception: Reception | None = None,
        threads: Executor | None = None,
    ) -> None:
        self._access = access
        self._keys = keys
        self._requests = requests
        self._reception = reception
        self._threads = threads

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
            signed = Signed.read(authorization)
            if self._threads is None:
                caller = self._signer(signed, request, headers, now)
            else:
                caller = await self._in_thread(self._signer, signed, request, headers, now)
        elif not token:
            raise Unauthenticated("x-auth-token not found")
        elif self._reception is None:
            if self._threads is None:
                caller = self._access.caller_of_token(token, now)
            else:
                caller = await self._in_thread(self._access.caller_of_token, token, now)
        else:
            visitor = await self._reception.admit(token, now)
            caller = msgspec.structs.replace(visitor.caller, policies=visitor.policies)
        self._requests.take(caller.user_id, now)
        return caller

    async def _in_thread(self, look_up: Callable[..., Caller], *asked: object) -> Caller:
        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up, *asked)

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

"""Limits on what one caller may ask for: requests in a second, and wrong passwords and signatures before a wait.

All of it is kept in memory, by the process that answers: a restart forgets it, and each of several nodes counts alone.
A clock that was set back forgets as well, rather than keep anybody out for longer than was meant.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta
from pyrate_limiter import Rate, TokenBucket

from fleetcron.errors import Throttled, Unauthenticated

KEYS_MAX = 10_000
"""Callers, names, addresses or access keys that are remembered; beyond them the one longest unheard of is forgotten."""

KEY_LENGTH_MAX = 256
"""Of a remembered text, which is whatever was sent; no name and no address is longer."""

USER_FAILURES_MAX = 5
SOURCE_FAILURES_MAX = 20
FAILURES_WITHIN = timedelta(minutes=1)

BAD_SIGNATURES_MAX = 5
LOCKED_FOR = timedelta(minutes=5)

IPV6_HOST_BITS = 64
"""Of an address: whoever has one of them has all, so they count as one address."""

_MILLISECONDS: Final = 1000
_EMISSIONS: Final = TokenBucket()

Kept = TypeVar("Kept")


class RequestRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one caller may ask for: ``burst`` requests at once, and ``requests_per_second`` in the long run.

    Without ``requests_per_second`` there is no limit; without ``burst`` it is one second's worth.
    """

    requests_per_second: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    burst: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class Requests:
    """Counts each caller's requests in a token bucket of its own. For one thread alone: the one that takes requests."""

    def __init__(self, rate: RequestRate) -> None:
        per_second = rate.requests_per_second
        self._rates = [] if per_second is None else [Rate(per_second, _MILLISECONDS, burst=rate.burst)]
        self._buckets: _Latest[tuple[float, ...]] = _Latest()

    def take(self, caller_key: str, now: datetime) -> None:
        """Count one request.

        Raises:
            Throttled: it is one too many; it was not counted.
        """
        if not self._rates:
            return
        instant = int(now.timestamp() * _MILLISECONDS)
        state = self._buckets.get(caller_key) or _EMISSIONS.initial(self._rates)
        state, decision = _EMISSIONS.step(self._rates, state, instant, 1)
        if (decision.retry_after_ms or 0) > _MILLISECONDS:
            # A whole token comes in a second at the slowest: to wait for longer, the clock was set back.
            state, decision = _EMISSIONS.step(self._rates, _EMISSIONS.initial(self._rates), instant, 1)
        self._buckets.keep(caller_key, state)
        if not decision.allowed:
            raise Throttled((decision.retry_after_ms or 0) / _MILLISECONDS)


class SignIns:
    """Counts failed sign-ins by user name, known or not, and by the address they come from.

    ``check`` comes before the password is looked at, so those that are being looked at meanwhile are not counted yet:
    as many more can slip in as passwords are checked at once.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._users: _Latest[tuple[datetime, ...]] = _Latest()
        self._sources: _Latest[tuple[datetime, ...]] = _Latest()

    def check(self, user: str, source: str, now: datetime) -> None:
        """Let an attempt pass, unless too many have failed within FAILURES_WITHIN.

        Raises:
            Throttled: not before ``retry_after_seconds``, whatever the password.
        """
        with self._turn:
            _require(_recent(self._users, user, now), USER_FAILURES_MAX, now)
            _require(_recent(self._sources, _network(source), now), SOURCE_FAILURES_MAX, now)

    def failed(self, user: str, source: str, now: datetime) -> None:
        """Count an attempt with a wrong name or password."""
        network = _network(source)
        with self._turn:
            self._users.keep(user, (*_recent(self._users, user, now), now)[-USER_FAILURES_MAX:])
            self._sources.keep(network, (*_recent(self._sources, network, now), now)[-SOURCE_FAILURES_MAX:])

    def succeeded(self, user: str) -> None:
        """Forget the failures of a user who has signed in.

        Not those of the address: whoever has one password could otherwise guess at all others without end.
        """
        with self._turn:
            self._users.drop(user)


class Keys:
    """Locks an access key for LOCKED_FOR after more than BAD_SIGNATURES_MAX bad signatures one after the other.

    ``failed`` is for keys that exist: a text that is none would only take another one's place.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._bad: _Latest[tuple[int, datetime]] = _Latest()

    def check(self, access_key: str, now: datetime) -> None:
        """Let a request pass to have its signature verified.

        Raises:
            Unauthenticated: the key is locked, whatever the signature.
        """
        with self._turn:
            count, last = self._bad.get(access_key) or (0, now)
            if count <= BAD_SIGNATURES_MAX:
                return
            if last <= now < last + LOCKED_FOR:
                raise Unauthenticated("AK access failed to reach the limit,forbidden")
            self._bad.drop(access_key)

    def failed(self, access_key: str, now: datetime) -> None:
        """Count a bad signature."""
        with self._turn:
            count, _ = self._bad.get(access_key) or (0, now)
            self._bad.keep(access_key, (count + 1, now))

    def succeeded(self, access_key: str) -> None:
        """Forget the bad signatures of a key that has made a good one."""
        with self._turn:
            self._bad.drop(access_key)


class _Latest(Generic[Kept]):
    """Something for each of the KEYS_MAX keys that were last heard of."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def get(self, key: str) -> Kept | None:
        return self._kept.get(key[:KEY_LENGTH_MAX])

    def keep(self, key: str, what: Kept) -> None:
        key = key[:KEY_LENGTH_MAX]
        self._kept[key] = what
        self._kept.move_to_end(key)
        if len(self._kept) > KEYS_MAX:
            self._kept.popitem(last=False)

    def drop(self, key: str) -> None:
        self._kept.pop(key[:KEY_LENGTH_MAX], None)


def _network(source: str) -> str:
    """What counts as one address."""
    try:
        address = ip_address(source)
    except ValueError:
        return source
    if not isinstance(address, IPv6Address):
        return source
    return str(address.ipv4_mapped or int(address) >> IPV6_HOST_BITS)


def _recent(failures: _Latest[tuple[datetime, ...]], key: str, now: datetime) -> tuple[datetime, ...]:
    """The failures that still count."""
    return tuple(at for at in failures.get(key) or () if at <= now < at + FAILURES_WITHIN)


def _require(failures: tuple[datetime, ...], failures_max: int, now: datetime) -> None:
    if len(failures) >= failures_max:
        raise Throttled((failures[-failures_max] + FAILURES_WITHIN - now).total_seconds())

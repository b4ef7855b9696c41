"""Time zones by the names that operators write (house ruling 8)."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, timedelta, timezone, tzinfo
from functools import cache, lru_cache

from fleetcron.errors import Invalid

ZONE_NAME_LENGTH_MAX = 64
ZONES_CACHED_MAX = 1024
OFFSET_MAX = timedelta(hours=14)

_UTC_NAMES = frozenset({"UTC", "GMT", "Coordinated Universal Time"})
_GMT_OFFSET = re.compile(r"GMT([+-])([0-9]{1,2})(?::([0-5][0-9]))?")

# Files that stand among the zones and name no place: the machine's own zone, and "not yet set".
_NO_PLACE = frozenset({"localtime", "Factory"})


@lru_cache(maxsize=ZONES_CACHED_MAX)
def zone_of(name: str) -> tzinfo:
    """The zone called ``name``, spelled exactly so.

    Known are the IANA names, ``Coordinated Universal Time``, ``UTC``, ``GMT`` and fixed offsets of at most
    14 hours, east of Greenwich positive: ``GMT+8``, ``GMT+08:00``, ``GMT-3:30``.

    Raises:
        Invalid: ``zone`` names none of these; whatever the text, no other error leaves here.
    """
    if name in _UTC_NAMES:
        return UTC
    if offset := _GMT_OFFSET.fullmatch(name):
        return _fixed(*offset.groups(default="00"))
    # Asking the list first keeps paths, folders and the tables beside the zones away from the file system.
    if name not in zone_names():
        raise _unknown()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        # The list outlives the files: an update of the machine's zones may have taken this one away.
        raise _unknown() from error


@cache
def zone_names() -> frozenset[str]:
    """Every IANA name that ``zone_of`` knows, from the machine's zones and the ``tzdata`` package together."""
    names = zoneinfo.available_timezones() - _NO_PLACE
    return frozenset(name for name in names if len(name) <= ZONE_NAME_LENGTH_MAX)


def _fixed(sign: str, hours: str, minutes: str) -> timezone:
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset > OFFSET_MAX:
        raise Invalid("zone", "must lie within 14 hours of GMT, as in GMT+08:00")
    return timezone(-offset if sign == "-" else offset)


def _unknown() -> Invalid:
    return Invalid("zone", "must be a time zone such as Europe/London, UTC or GMT+08:00")

"""Time zones by the names that operators write."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain.zone import ZONE_NAME_LENGTH_MAX, zone_names, zone_of
from fleetcron.errors import Invalid

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def offset_of(name: str) -> timedelta | None:
    return NOON.astimezone(zone_of(name)).utcoffset()


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("Asia/Shanghai", 8),
        ("Europe/London", 1),
        ("America/Argentina/Buenos_Aires", -3),
        ("Asia/Kathmandu", 5.75),
        ("EST5EDT", -4),
        # POSIX turns the sign round in these, and only in these.
        ("Etc/GMT+8", -8),
        ("UTC", 0),
        ("GMT", 0),
        ("Coordinated Universal Time", 0),
        ("GMT+8", 8),
        ("GMT+08:00", 8),
        ("GMT+8:00", 8),
        ("GMT-3:30", -3.5),
        ("GMT-03:30", -3.5),
        ("GMT-00:30", -0.5),
        ("GMT+0", 0),
        ("GMT-0", 0),
        ("GMT0", 0),
        ("GMT+14:00", 14),
        ("GMT-14", -14),
    ],
)
def test_the_documented_names_are_zones(name: str, hours: float) -> None:
    assert offset_of(name) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", "/", "../UTC", "/usr/share/zoneinfo/UTC", "Europe/../UTC", "./UTC", "Europe//London"),
        *("America", "America/", "America/Argentina", "Etc", "posix/UTC", "right/UTC"),
        *("localtime", "posixrules", "Factory", "tzdata.zi", "zone.tab", "zone1970.tab", "leapseconds", "__init__.py"),
        *("europe/london", "utc", "Europe/London ", " UTC", "UTC\n", "UTC\0", "\ud800", "Zürich", "Mars/Olympus"),
        *("GMT+", "GMT+8:", "GMT+8:0", "GMT+008", "GMT+0800", "GMT+8:60", "GMT 8", "UTC+8", "+08:00", "GMT+٨"),
        *("GMT+14:01", "GMT-15", "GMT+99:59", "x" * ZONE_NAME_LENGTH_MAX, "x" * 500, "Europe/London" * 20),
    ],
)
def test_any_other_text_is_invalid_and_the_reason_shows_a_right_one(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        zone_of(name)
    assert caught.value.field == "zone"
    assert "GMT+08:00" in caught.value.reason


@given(st.text(max_size=80) | st.from_regex(r"\A(GMT|Etc/|\.\./)?[+-]?[0-9:/.]{0,8}\Z"))
def test_no_text_raises_anything_but_invalid(name: str) -> None:
    try:
        zone = zone_of(name)
    except Invalid:
        return
    assert NOON.astimezone(zone) == NOON


def test_every_listed_name_is_a_zone_that_tells_the_time() -> None:
    assert len(zone_names()) > 500
    for name in zone_names():
        assert NOON.astimezone(zone_of(name)) == NOON
        assert 1 <= len(name) <= ZONE_NAME_LENGTH_MAX


def test_a_zone_that_an_update_took_away_is_invalid(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("zones")
    (folder / "Gone").write_bytes(b"TZif but no more")
    zone_names.cache_clear()
    zoneinfo.reset_tzpath([str(folder)])
    try:
        assert "Gone" in zone_names()
        with pytest.raises(Invalid, match="zone must be"):
            zone_of("Gone")
        (folder / "Gone").unlink()
        with pytest.raises(Invalid, match="zone must be"):
            zone_of("Gone")
    finally:
        zoneinfo.reset_tzpath()
        zone_names.cache_clear()

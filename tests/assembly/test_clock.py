"""What time it is, and ids that go by it."""

from __future__ import annotations

from datetime import timedelta

from fleetcron.assembly.clock import elapsed, new_id, now


def test_the_clock_reads_utc_in_whole_milliseconds() -> None:
    for _ in range(1_000):
        instant = now()
        assert instant.utcoffset() == timedelta(0)
        assert instant.microsecond % 1_000 == 0


def test_elapsed_seconds_never_go_back() -> None:
    seconds = [elapsed() for _ in range(1_000)]
    assert seconds == sorted(seconds)
    assert seconds[-1] > seconds[0]


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))

from datetime import UTC, datetime, timedelta

from fleetcron.control.recent import REMEMBERED_MAX, REMEMBERED_SECONDS, Recent

NOW = datetime(2026, 3, 1, tzinfo=UTC)
A_MOMENT = timedelta(milliseconds=1)


def test_what_was_found_is_recalled_until_its_time_is_over() -> None:
    recent: Recent[int] = Recent()
    assert recent.remember("a", 1, NOW) == 1
    over = NOW + timedelta(seconds=REMEMBERED_SECONDS)
    assert recent.recall("a", NOW) == 1
    assert recent.recall("a", over - A_MOMENT) == 1
    assert recent.recall("a", over) is None


def test_a_clock_that_was_set_back_forgets() -> None:
    recent: Recent[int] = Recent()
    recent.remember("a", 1, NOW)
    assert recent.recall("a", NOW - A_MOMENT) is None


def test_forgetting_forgets_everything() -> None:
    recent: Recent[int] = Recent()
    recent.remember("a", 1, NOW)
    recent.forget()
    assert recent.recall("a", NOW) is None


def test_memory_is_bounded() -> None:
    recent: Recent[int] = Recent()
    for number in range(REMEMBERED_MAX * 2 + 1):
        recent.remember(str(number), number, NOW)
    assert len(recent._found) <= REMEMBERED_MAX
    assert recent.recall(str(REMEMBERED_MAX * 2), NOW) == REMEMBERED_MAX * 2

"""Limits on one caller: requests, failed sign-ins, bad signatures."""

from __future__ import annotations

import timeit
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, after
from fleetcron.control.throttle import (
    BAD_SIGNATURES_MAX,
    FAILURES_WITHIN,
    KEY_LENGTH_MAX,
    KEYS_MAX,
    LOCKED_FOR,
    SOURCE_FAILURES_MAX,
    USER_FAILURES_MAX,
    Keys,
    RequestRate,
    Requests,
    SignIns,
)
from fleetcron.errors import Throttled, Unauthenticated

HERE = "192.0.2.7"
MINUTE = FAILURES_WITHIN.total_seconds()
LOCK = LOCKED_FOR.total_seconds()
TAKE_SECONDS_MAX = 5e-6


def passes(requests: Requests, seconds: float, caller: str = "ada") -> bool:
    try:
        requests.take(caller, after(seconds))
    except Throttled:
        return False
    return True


def let_in(sign_ins: SignIns, user: str, source: str, seconds: float) -> bool:
    try:
        sign_ins.check(user, source, after(seconds))
    except Throttled:
        return False
    return True


def locked(keys: Keys, seconds: float, access_key: str = "AK") -> bool:
    try:
        keys.check(access_key, after(seconds))
    except Unauthenticated:
        return True
    return False


def test_without_a_rate_there_is_no_limit() -> None:
    requests = Requests(RequestRate())
    assert all(passes(requests, 0) for _ in range(10_000))


def test_a_burst_passes_and_then_the_rate() -> None:
    requests = Requests(RequestRate(requests_per_second=2, burst=5))
    assert [passes(requests, 0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [passes(requests, 0.5) for _ in range(2)] == [True, False]
    assert [passes(requests, 60) for _ in range(6)] == [True] * 5 + [False]


def test_without_a_burst_it_is_one_seconds_worth() -> None:
    requests = Requests(RequestRate(requests_per_second=3))
    assert [passes(requests, 0) for _ in range(4)] == [True] * 3 + [False]


def test_who_is_throttled_hears_when_to_come_again_and_is_right_to() -> None:
    requests = Requests(RequestRate(requests_per_second=4, burst=1))
    requests.take("ada", NOW)
    with pytest.raises(Throttled) as refusal:
        requests.take("ada", after(0.1))
    assert refusal.value.retry_after_seconds == pytest.approx(0.15)
    assert not passes(requests, 0.1 + refusal.value.retry_after_seconds - 0.002)
    assert passes(requests, 0.1 + refusal.value.retry_after_seconds)


def test_each_caller_has_its_own() -> None:
    requests = Requests(RequestRate(requests_per_second=1))
    assert passes(requests, 0, "ada")
    assert passes(requests, 0, "bob")
    assert not passes(requests, 0, "ada")


def test_a_clock_that_was_set_back_throttles_nobody_for_longer() -> None:
    requests = Requests(RequestRate(requests_per_second=1, burst=3))
    assert passes(requests, 3600)
    assert [passes(requests, 0) for _ in range(4)] == [True] * 3 + [False]


@given(
    rate=st.integers(1, 50),
    burst=st.integers(1, 50),
    gaps=st.lists(st.integers(0, 2000), max_size=100),
)
def test_never_more_passes_than_the_burst_and_the_rate_allow(rate: int, burst: int, gaps: list[int]) -> None:
    requests = Requests(RequestRate(requests_per_second=rate, burst=burst))
    at, passed = 0, 0
    for gap in gaps:
        at += gap
        passed += passes(requests, at / 1000)
        assert passed <= burst + rate * at / 1000


def test_a_count_costs_next_to_nothing() -> None:
    requests = Requests(RequestRate(requests_per_second=1_000_000, burst=1_000_000))
    took = min(timeit.repeat(lambda: requests.take("ada", NOW), number=2000, repeat=20)) / 2000
    assert took < TAKE_SECONDS_MAX


@pytest.mark.parametrize("rate", [{"requests_per_second": 0}, {"requests_per_second": 1, "burst": 0}, {"rate": 1}])
def test_a_rate_that_cannot_be_meant_is_refused(rate: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(rate, RequestRate)


@pytest.mark.parametrize("user", ["ada", "nobody", "", "x" * 100_000])
def test_after_so_many_failures_a_user_waits_known_or_not(user: str) -> None:
    sign_ins = SignIns()
    for n in range(USER_FAILURES_MAX):
        assert let_in(sign_ins, user, f"192.0.2.{n}", n)
        sign_ins.failed(user, f"192.0.2.{n}", after(n))
    with pytest.raises(Throttled) as refusal:
        sign_ins.check(user, "198.51.100.1", after(10))
    assert refusal.value.retry_after_seconds == MINUTE - 10
    assert not let_in(sign_ins, user, HERE, MINUTE - 0.001)
    assert let_in(sign_ins, user, HERE, MINUTE)


def test_an_attempt_that_was_throttled_does_not_prolong_the_wait() -> None:
    sign_ins = SignIns()
    for _ in range(USER_FAILURES_MAX):
        sign_ins.failed("ada", HERE, NOW)
    assert not any(let_in(sign_ins, "ada", HERE, n) for n in range(int(MINUTE)))
    assert let_in(sign_ins, "ada", HERE, MINUTE)


def test_one_who_waits_keeps_nobody_else_waiting() -> None:
    sign_ins = SignIns()
    for _ in range(USER_FAILURES_MAX):
        sign_ins.failed("ada", HERE, NOW)
    assert let_in(sign_ins, "bob", HERE, 0)


def test_a_sign_in_forgets_the_users_failures() -> None:
    sign_ins = SignIns()
    for _ in range(3):
        for _ in range(USER_FAILURES_MAX - 1):
            sign_ins.failed("ada", HERE, NOW)
        sign_ins.succeeded("ada")
    assert let_in(sign_ins, "ada", HERE, 0)


def test_an_address_waits_although_it_signs_in_with_its_own_password_meanwhile() -> None:
    sign_ins = SignIns()
    for n in range(SOURCE_FAILURES_MAX):
        assert let_in(sign_ins, f"victim-{n}", HERE, 0)
        sign_ins.failed(f"victim-{n}", HERE, NOW)
        sign_ins.succeeded("mallory")
    assert not let_in(sign_ins, "another", HERE, 0)
    assert let_in(sign_ins, "another", "198.51.100.1", 0)
    assert let_in(sign_ins, "another", HERE, MINUTE)


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
        ("192.0.2.7", "192.0.2.8", False),
        ("socket", "socket", True),
    ],
)
def test_addresses_that_one_host_may_choose_from_count_as_one(first: str, second: str, alike: bool) -> None:
    sign_ins = SignIns()
    for n in range(SOURCE_FAILURES_MAX):
        sign_ins.failed(f"victim-{n}", first, NOW)
    assert let_in(sign_ins, "another", second, 0) is not alike


def test_a_clock_that_was_set_back_lets_everybody_in() -> None:
    sign_ins = SignIns()
    for _ in range(USER_FAILURES_MAX):
        sign_ins.failed("ada", HERE, after(3600))
    assert let_in(sign_ins, "ada", HERE, 0)


def test_names_that_were_tried_are_remembered_within_bounds() -> None:
    sign_ins = SignIns()
    for n in range(KEYS_MAX + 100):
        sign_ins.failed(f"{n}-{'x' * 1000}", f"source-{n}", NOW)
    assert len(sign_ins._users._kept) == len(sign_ins._sources._kept) == KEYS_MAX
    assert max(map(len, sign_ins._users._kept)) == KEY_LENGTH_MAX


def test_callers_are_remembered_within_bounds() -> None:
    requests = Requests(RequestRate(requests_per_second=1))
    for n in range(KEYS_MAX + 100):
        requests.take(str(n), NOW)
    assert len(requests._buckets._kept) == KEYS_MAX
    assert not passes(requests, 0, str(KEYS_MAX)), "the newest ones are not forgotten"


def test_an_access_key_is_locked_after_more_than_so_many_bad_signatures() -> None:
    keys = Keys()
    for n in range(BAD_SIGNATURES_MAX + 1):
        assert not locked(keys, n)
        keys.failed("AK", after(n))
    with pytest.raises(Unauthenticated, match=r"^AK access failed to reach the limit,forbidden$"):
        keys.check("AK", after(BAD_SIGNATURES_MAX))
    assert locked(keys, BAD_SIGNATURES_MAX + LOCK - 0.001)
    assert not locked(keys, BAD_SIGNATURES_MAX + LOCK)
    assert not locked(keys, 0, "AK2")


def test_when_the_lock_is_over_counting_begins_anew() -> None:
    keys = Keys()
    for _ in range(BAD_SIGNATURES_MAX + 1):
        keys.failed("AK", NOW)
    assert not locked(keys, LOCK)
    for _ in range(BAD_SIGNATURES_MAX):
        keys.failed("AK", after(LOCK))
        assert not locked(keys, LOCK)
    keys.failed("AK", after(LOCK))
    assert locked(keys, LOCK)


def test_a_good_signature_forgets_the_bad_ones() -> None:
    keys = Keys()
    for _ in range(3):
        for _ in range(BAD_SIGNATURES_MAX):
            keys.failed("AK", NOW)
        keys.succeeded("AK")
    assert not locked(keys, 0)


def test_bad_signatures_count_however_far_apart() -> None:
    keys = Keys()
    for day in range(BAD_SIGNATURES_MAX + 1):
        keys.failed("AK", NOW + timedelta(days=day))
    assert locked(keys, BAD_SIGNATURES_MAX * 86_400)


def test_a_clock_that_was_set_back_unlocks() -> None:
    keys = Keys()
    for _ in range(BAD_SIGNATURES_MAX + 1):
        keys.failed("AK", after(3600))
    assert not locked(keys, 0)

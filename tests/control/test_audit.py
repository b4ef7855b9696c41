"""The audit log: what is written at once, what soon, what is forgotten, and who may read it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from builders import NOW, Clock, after, eventually
from fleetcron.control import audit as module
from fleetcron.control.audit import BATCH_MAX, OVERFLOW, WAITING_MAX, Audit
from fleetcron.domain.access import Caller
from fleetcron.domain.audit import PAGE_MAX, TEXT_LENGTH_MAX, AuditFilter, AuditRecord, Outcome
from fleetcron.errors import Forbidden, Unavailable
from fleetcron.store import audit as store
from fleetcron.store.database import Database
from fleetcron.store.sqlite import SqliteDatabase
from records import a_refusal, an_entry

ADMIN = Caller(user_id="id", user_name="admin", account_id="default", administrator=True, project_id=None)
ADA = Caller(user_id="id-of-ada", user_name="ada", account_id="default", administrator=False, project_id=None)
EVERYTHING = AuditFilter()


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database, 30)


@pytest.fixture
def running(audit: Audit, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Audit]:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)
    audit.start(clock)
    yield audit
    audit.stop()


def records(audit: Audit, only: AuditFilter = EVERYTHING) -> list[AuditRecord]:
    return audit.page(ADMIN, only).records


def test_what_was_allowed_is_on_record_at_once(audit: Audit) -> None:
    audit.record(an_entry())
    (record,) = records(audit)
    assert (record.record_id, record.user_name, record.decision) == (1, "ada", Outcome.ALLOWED)


def test_what_was_refused_is_on_record_soon(running: Audit) -> None:
    running.record(a_refusal(reason="No policy allows it."))
    (record,) = eventually(lambda: records(running))
    assert (record.decision, record.reason) == (Outcome.DENIED, "No policy allows it.")


def test_refusing_does_not_wait_for_the_database(audit: Audit, database: Database) -> None:
    with database.transaction():
        refusing = threading.Thread(target=audit.record, args=(a_refusal(),))
        refusing.start()
        refusing.join(10)
        assert not refusing.is_alive()
    assert audit.flush() == 1


def test_a_normal_end_loses_nothing(audit: Audit, clock: Clock) -> None:
    audit.start(clock)
    for second in range(BATCH_MAX + 50):
        audit.record(a_refusal(second))
    audit.stop()
    assert len(records(audit)) == PAGE_MAX
    assert records(audit)[0].record_id == BATCH_MAX + 50


def test_an_end_without_a_beginning_loses_nothing(audit: Audit) -> None:
    audit.record(a_refusal())
    audit.stop()
    assert len(records(audit)) == 1


def test_what_cannot_be_written_is_not_confirmed(audit: Audit, database: Database) -> None:
    database.close()
    with pytest.raises(Unavailable):
        audit.record(an_entry())


def test_an_end_without_a_database_is_an_end(audit: Audit, database: Database) -> None:
    audit.record(a_refusal())
    database.close()
    audit.stop()


def test_what_cannot_be_written_now_is_written_later(sqlite_database: SqliteDatabase) -> None:
    database, audit = sqlite_database, Audit(sqlite_database, 30)
    audit.record(a_refusal(1))
    audit.record(a_refusal(2))
    with database.transaction() as tx:
        tx.execute("ALTER TABLE audit RENAME TO gone")
    with pytest.raises(Unavailable):
        audit.flush()
    with database.transaction() as tx:
        tx.execute("ALTER TABLE gone RENAME TO audit")
    assert audit.flush() == 2
    assert [record.at for record in records(audit)] == [after(2), after(1)]


def test_a_text_that_not_every_database_can_keep_holds_up_no_other(audit: Audit) -> None:
    """What was refused is written in batches: one that cannot be written would be tried for ever."""
    audit.record(a_refusal(1, resource="/v1/p1/a\0b", user_name="\0"))
    audit.record(a_refusal(2))
    assert audit.flush() == 2
    assert [(record.resource, record.user_name) for record in records(audit)][1] == ("/v1/p1/a\ufffdb", "\ufffd")


def test_the_logs_own_thread_survives_a_database_that_does_not_answer(
    running: Audit, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with database.transaction() as tx:
        tx.execute("ALTER TABLE audit RENAME TO gone")
    running.record(a_refusal())
    eventually(lambda: "audit: records could not be written" in caplog.messages)
    with database.transaction() as tx:
        tx.execute("ALTER TABLE gone RENAME TO audit")
    assert len(eventually(lambda: records(running))) == 1


def test_a_flood_of_refusals_is_bounded_and_what_is_left_out_is_counted(audit: Audit) -> None:
    for second in range(WAITING_MAX + 7):
        audit.record(a_refusal(second))
    assert audit.flush() == BATCH_MAX
    (said,) = records(audit, AuditFilter(operation=OVERFLOW))
    assert said.reason == "7 refused calls are not on record: too many at once."
    assert said.at == after(BATCH_MAX - 1)
    while audit.flush():
        pass
    assert len(records(audit, AuditFilter(operation=OVERFLOW))) == 1
    assert records(audit)[0].record_id == WAITING_MAX + 1


def test_many_threads_write_each_record_once(audit: Audit) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(audit.record, [an_entry(n) for n in range(20)] + [a_refusal(n) for n in range(40)]))
        written = sum(threads.map(lambda _: audit.flush(), range(8)))
    assert written == 40
    assert sorted(record.record_id for record in records(audit)) == list(range(1, 61))


def test_texts_that_were_sent_are_cut(audit: Audit) -> None:
    audit.record(a_refusal(resource="/" + "x" * 10_000, user_name="é" * 10_000))
    audit.flush()
    (record,) = records(audit)
    assert len(record.resource) == len(record.user_name or "") == TEXT_LENGTH_MAX
    assert record.resource.endswith("x…")


def test_pages_joined_are_all_records_once(audit: Audit, database: Database) -> None:
    with database.transaction() as tx:
        store.append(tx, [an_entry(n // 3) for n in range(250)])
    seen: list[int] = []
    before = None
    while True:
        page = audit.page(ADMIN, EVERYTHING, before=before, limit=40)
        seen += [record.record_id for record in page.records]
        before = page.next_before
        if before is None:
            break
    assert seen == list(range(250, 0, -1))


def test_a_page_that_ends_with_the_last_record_is_the_last_page(audit: Audit) -> None:
    for second in range(4):
        audit.record(an_entry(second))
    assert audit.page(ADMIN, EVERYTHING, limit=4).next_before is None
    assert audit.page(ADMIN, EVERYTHING, limit=3).next_before == 2


def test_one_page_looks_at_no_more_than_its_share(
    audit: Audit, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKED_AT_MAX", 10)
    with database.transaction() as tx:
        store.append(tx, [an_entry(n, user_name="bob" if n in {3, 14} else "ada") for n in range(25)])
    only, before, pages = AuditFilter(user="bob"), None, []
    while True:
        page = audit.page(ADMIN, only, before=before)
        pages.append([record.record_id for record in page.records])
        before = page.next_before
        if before is None:
            break
    assert pages == [[], [15], [4]]


def test_a_page_is_at_most_so_long(audit: Audit, database: Database) -> None:
    with database.transaction() as tx:
        store.append(tx, [an_entry(n) for n in range(PAGE_MAX + 1)])
    assert len(audit.page(ADMIN, EVERYTHING, limit=PAGE_MAX + 1).records) == PAGE_MAX


def test_instants_bound_a_page_and_its_next(audit: Audit) -> None:
    for second in range(10):
        audit.record(an_entry(second))
    only = AuditFilter(since=after(2), until=after(8))
    first = audit.page(ADMIN, only, limit=4)
    second_page = audit.page(ADMIN, only, before=first.next_before)
    assert [record.record_id for record in first.records] == [8, 7, 6, 5]
    assert [record.record_id for record in second_page.records] == [4, 3]
    assert second_page.next_before is None
    # A place beyond the later bound does not lead out of it.
    assert [record.record_id for record in audit.page(ADMIN, only, before=10, limit=1).records] == [8]


def test_only_who_manages_the_account_may_read(audit: Audit) -> None:
    with pytest.raises(Forbidden):
        audit.page(ADA, EVERYTHING)


def test_records_are_forgotten_after_their_days_and_not_before(audit: Audit) -> None:
    for day in range(4):
        audit.record(an_entry(day * 86_400))
    assert audit.trim(NOW + timedelta(days=30)) == 0
    assert audit.trim(NOW + timedelta(days=31, seconds=1)) == 2
    assert [record.record_id for record in records(audit)] == [4, 3]
    assert audit.trim(NOW + timedelta(days=99)) == 2
    audit.record(an_entry())
    assert [record.record_id for record in records(audit)] == [5]


def test_much_is_forgotten_in_bounded_batches(
    audit: Audit, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIM_BATCH_MAX", 10)
    monkeypatch.setattr(module, "TRIM_BATCHES_MAX", 3)
    with database.transaction() as tx:
        store.append(tx, [an_entry(n) for n in range(45)])
    late = NOW + timedelta(days=99)
    assert [audit.trim(late), audit.trim(late), audit.trim(late)] == [30, 15, 0]


def test_the_logs_own_thread_forgets_what_is_over(running: Audit, audit: Audit, clock: Clock) -> None:
    running.stop()
    running.record(an_entry())
    clock.advance(31 * 86_400)
    again = Audit(audit._database, 30)
    again.start(clock)
    eventually(lambda: not records(again))
    again.stop()

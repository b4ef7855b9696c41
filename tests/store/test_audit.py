"""The audit log in the database: read in the order of time, and kept by the database itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from builders import NOW, after
from fleetcron.domain.audit import AuditEntry, AuditFilter, Outcome
from fleetcron.errors import Constrained
from fleetcron.store import audit as store
from fleetcron.store.database import Database, Transaction
from fleetcron.store.postgresql import PostgresqlDatabase
from fleetcron.store.sqlite import SqliteDatabase
from records import a_record, a_refusal, an_entry

ALL = AuditFilter()
ASKED = {
    **store._between(store.OLDEST, store.NEWEST),
    "steps": 1,
    "limit": 1,
    "account_id": "default",
    "user": None,
    "operation": None,
    "decisions": '[["denied"]]',
}


@pytest.fixture
def tx(database: Database) -> Iterator[Transaction]:
    with database.transaction() as tx:
        yield tx


def ids(tx: Transaction, only: AuditFilter = ALL, since: store.Place = store.OLDEST, **asked: int) -> list[int]:
    before = store.NEWEST if "before" not in asked else store.place_of(tx, asked["before"])
    found = store.page(tx, "default", only, since, before, limit=asked.get("limit", 100))
    return [record.record_id for record in found]


def append(tx: Transaction, *entries: AuditEntry) -> None:
    store.append(tx, list(entries))


def test_what_was_written_is_read_back(tx: Transaction) -> None:
    append(tx, an_entry())
    assert store.page(tx, "default", ALL, store.OLDEST, store.NEWEST, limit=1) == [a_record(1)]


def test_ids_are_dense_across_transactions_and_a_rollback(database: Database) -> None:
    with database.transaction() as tx:
        append(tx, an_entry(), an_entry(1))
    with database.transaction() as tx:
        append(tx, an_entry(2))
        tx.execute("ROLLBACK")
        tx.execute("BEGIN")
    with database.transaction() as tx:
        append(tx, an_entry(3))
        assert ids(tx) == [3, 2, 1]


def test_a_page_is_in_the_order_of_time_even_when_the_clock_was_set_back(tx: Transaction) -> None:
    append(tx, an_entry(10), an_entry(20), an_entry(5), an_entry(20))
    assert ids(tx) == [4, 2, 1, 3]
    assert ids(tx, before=2) == [1, 3]
    assert ids(tx, before=1, limit=1) == [3]
    assert ids(tx, before=3) == []


def test_an_instant_as_a_bound_includes_what_begins_at_it(tx: Transaction) -> None:
    append(tx, *(an_entry(second) for second in range(5)))
    assert ids(tx, since=store.place_at(after(3))) == [5, 4]
    found = store.page(tx, "default", ALL, store.OLDEST, store.place_at(after(1)), limit=9)
    assert [record.at for record in found] == [NOW]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (AuditFilter(user="ada"), [1, 2, 3]),
        (AuditFilter(user="id-of-bob"), [4]),
        (AuditFilter(user="a%"), []),
        (AuditFilter(operation="ShowUser"), [2]),
        (AuditFilter(decisions=(Outcome.DENIED,)), [3]),
        (AuditFilter(decisions=(Outcome.DENIED, Outcome.UNAUTHENTICATED)), [3, 5]),
        (AuditFilter(user="ada", decisions=(Outcome.ALLOWED,)), [1, 2]),
    ],
)
def test_a_filter_lets_only_its_own_through(tx: Transaction, only: AuditFilter, expected: list[int]) -> None:
    append(tx, an_entry(), an_entry(operation="ShowUser"), a_refusal(), an_entry(user_id="id-of-bob", user_name="bob"))
    append(tx, a_refusal(decision=Outcome.UNAUTHENTICATED, user_id=None, user_name=None, account_id=None))
    assert sorted(ids(tx, only)) == expected


def test_another_accounts_records_are_not_seen_but_nobodys_are(tx: Transaction) -> None:
    append(tx, an_entry(account_id="other"), a_refusal(account_id=None))
    assert ids(tx) == [2]


def test_so_many_steps_further_back_there_is_a_place_or_the_end(tx: Transaction) -> None:
    append(tx, *(an_entry(second) for second in range(5)))
    assert store.further_back(tx, store.OLDEST, store.NEWEST, steps=2) == store.place_of(tx, 3)
    assert store.further_back(tx, store.OLDEST, store.place_of(tx, 3), steps=1) == store.place_of(tx, 1)
    assert store.further_back(tx, store.OLDEST, store.NEWEST, steps=5) is None
    assert store.further_back(tx, store.place_at(after(4)), store.NEWEST, steps=1) is None


def test_a_page_begins_in_the_middle_of_the_index(sqlite_database: SqliteDatabase) -> None:
    """Or an export would look at all newer records again for each of its pages."""
    with sqlite_database.snapshot() as tx:
        for query in (store._PAGE, store._FURTHER):
            plan = [row[3] for row in tx.execute(f"EXPLAIN QUERY PLAN {query}", ASKED)]
            assert "audit_by_time (at>? AND at<?)" in plan[0]
            assert not [step for step in plan if "TEMP B-TREE" in step]


def test_a_page_begins_in_the_middle_of_the_index_of_postgresql(postgresql_database: PostgresqlDatabase) -> None:
    with postgresql_database.snapshot() as tx:
        for query in (store._PAGE, store._FURTHER):
            plan = "\n".join(row for (row,) in tx.execute(f"EXPLAIN {query}", ASKED))
            assert "audit_by_time" in plan
            assert "Sort" not in plan


def refuse(database: Database, tampering: str) -> None:
    with database.transaction() as tx:
        append(tx, an_entry(), an_entry(1), an_entry(2))
        before = tx.execute("SELECT * FROM audit").fetchall()
    with pytest.raises(Constrained), database.transaction() as tx:
        tx.execute(tampering)
    with database.snapshot() as tx:
        assert tx.execute("SELECT * FROM audit").fetchall() == before


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET user_name = 'mallory' WHERE record_id = 1",
        "UPDATE audit SET record_id = 9 WHERE record_id = 3",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE record_id = 3",
        "UPDATE audit_retention SET kept_from = 0",
        "UPDATE audit_retention SET kept_from = 5",
        "UPDATE audit_retention SET one = 2",
        "DELETE FROM audit_retention",
        "INSERT INTO audit SELECT * FROM audit WHERE record_id = 1",
        "INSERT INTO audit_retention VALUES (1, 4)",
    ],
)
def test_the_database_refuses_to_tamper_with_the_log(database: Database, tampering: str) -> None:
    refuse(database, tampering)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE OR REPLACE audit SET record_id = 1 WHERE record_id = 3",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE record_id = 1",
        "REPLACE INTO audit SELECT * FROM audit WHERE record_id = 3",
        "INSERT OR REPLACE INTO audit_retention VALUES (1, 4)",
    ],
)
def test_replacing_is_no_way_round(sqlite_database: SqliteDatabase, tampering: str) -> None:
    refuse(sqlite_database, tampering)


@pytest.mark.parametrize(
    "tampering",
    [
        "TRUNCATE audit",
        "TRUNCATE audit, audit_retention",
        "INSERT INTO audit SELECT * FROM audit WHERE record_id = 1 ON CONFLICT (record_id) DO UPDATE SET reason = 'x'",
        "INSERT INTO audit_retention VALUES (1, 4) ON CONFLICT (one) DO UPDATE SET kept_from = 4",
    ],
)
def test_neither_is_emptying(postgresql_database: PostgresqlDatabase, tampering: str) -> None:
    refuse(postgresql_database, tampering)


def test_nodes_that_write_together_leave_no_gap_and_lose_nothing(database: Database) -> None:
    def write(node: int) -> None:
        for second in range(20):
            with database.transaction() as tx:
                append(tx, an_entry(second, source=f"node-{node}"), a_refusal(second))

    with ThreadPoolExecutor(4) as nodes:
        list(nodes.map(write, range(4)))
    with database.snapshot() as tx:
        assert sorted(row[0] for row in tx.execute("SELECT record_id FROM audit")) == list(range(1, 161))


def test_the_refusal_holds_after_the_database_was_opened_again(tmp_path: Path) -> None:
    first = SqliteDatabase(tmp_path)
    with first.transaction() as tx:
        append(tx, an_entry())
    first.close()
    with sqlite3.connect(tmp_path / "fleetcron.sqlite3") as stranger, pytest.raises(sqlite3.IntegrityError):
        stranger.execute("DELETE FROM audit")
    stranger.close()


def test_a_gap_is_not_filled_again(database: Database) -> None:
    with database.transaction() as tx:
        append(tx, an_entry(), an_entry(1), an_entry(2))
        tx.execute("DROP TRIGGER audit_is_kept" + (" ON audit" if database.partitioned else ""))
        tx.execute("DELETE FROM audit WHERE record_id = 2")
    row = store.RECORDS.values(a_record(2))
    with pytest.raises(Constrained), database.transaction() as tx:
        tx.execute(store.RECORDS.insert, row)


def test_what_is_let_go_is_forgotten_and_nothing_else(tx: Transaction) -> None:
    append(tx, *(an_entry(second) for second in range(5)))
    store.let_go(tx, 4)
    assert store.delete_let_go(tx) == 3
    assert ids(tx) == [5, 4]
    assert store.delete_let_go(tx) == 0


def test_ids_go_on_when_all_has_been_forgotten(tx: Transaction) -> None:
    append(tx, an_entry(), an_entry(1))
    store.let_go(tx, 3)
    store.delete_let_go(tx)
    append(tx, an_entry(2))
    assert ids(tx) == [3]
    assert store.place_of(tx, 1) == store.OLDEST


def test_the_first_to_keep_is_the_first_that_is_young_enough(tx: Transaction) -> None:
    append(tx, an_entry(0), an_entry(1), an_entry(9), an_entry(2))
    assert store.first_to_keep(tx, NOW, 10) == 1
    assert store.first_to_keep(tx, after(2), 10) == 3
    assert store.first_to_keep(tx, after(2), 1) == 2
    assert store.first_to_keep(tx, NOW + timedelta(days=1), 10) == 5
    store.let_go(tx, 5)
    assert store.delete_let_go(tx) == 4
    assert store.first_to_keep(tx, NOW + timedelta(days=1), 10) == 5

"""PostgreSQL: the SQL that is written for both, locks, and servers and clients that go away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path

import psycopg
import pytest

from builders import a_task, eventually, insert_projects
from fleetcron.errors import BadSettings, Constrained, Unavailable
from fleetcron.store import postgresql as module
from fleetcron.store import tasks
from fleetcron.store.postgresql import PostgresqlDatabase, connected_to_fill, conninfo, migrate
from peers.postgresql import Postgresql, postgresql_peer

TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture
def database(postgresql_database: PostgresqlDatabase) -> PostgresqlDatabase:
    """An empty database with the projects p1 and p2."""
    return postgresql_database


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Postgresql]:
    """A server of the test's own, to be stopped as it likes; what it has committed survives that."""
    with postgresql_peer(tmp_path) as postgresql:
        yield postgresql


def test_the_clock_is_the_servers_in_whole_milliseconds(database: PostgresqlDatabase) -> None:
    with database.snapshot() as tx:
        before = tx.execute("SELECT clock_timestamp()").fetchone()
        said = database.now()
        after = tx.execute("SELECT clock_timestamp()").fetchone()
    assert before is not None
    assert after is not None
    assert before[0] - timedelta(milliseconds=1) < said <= after[0]
    assert (said.tzinfo, said.microsecond % 1000) == (UTC, 0)


def test_a_turn_that_somebody_has_is_waited_for_or_passed_over(database: PostgresqlDatabase) -> None:
    with ThreadPoolExecutor(1) as other:

        def try_it() -> bool:
            with database.transaction() as tx:
                return tx.try_turn("one")

        def take_it() -> int:
            with database.transaction() as tx:
                tx.take_turn("one")
                return len(tx.execute("SELECT 1 FROM tasks").fetchall())

        with database.transaction() as tx:
            tx.take_turn("one")
            assert not other.submit(try_it).result()
            assert tx.try_turn("one")
            waiting = other.submit(take_it)
            tasks.insert(tx, a_task())
        # Whoever waited sees what was written in the turn before its own.
        assert waiting.result() == 1
        assert other.submit(try_it).result()


def test_a_row_that_is_locked_can_be_passed_over(database: PostgresqlDatabase) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task("t1"))
        tasks.insert(tx, a_task("t2"))
    with database.transaction() as one, database.transaction() as two:
        one.execute("SELECT 1 FROM tasks WHERE task_id = 't1' FOR UPDATE")
        left = two.execute("SELECT task_id FROM tasks ORDER BY task_id FOR UPDATE SKIP LOCKED").fetchall()
        assert left == [("t2",)]


def test_a_constraint_is_said_in_one_line_when_the_block_ends(database: PostgresqlDatabase) -> None:
    with database.transaction() as tx:
        tasks.insert(tx, a_task())
    with pytest.raises(Constrained, match="tasks_pkey") as refused, database.transaction() as tx:
        tasks.insert(tx, a_task())
    assert "\n" not in refused.value.reason
    with database.snapshot() as tx:
        assert tx.execute("SELECT 1 FROM tasks").fetchall() == [(1,)]


def test_the_first_use_after_a_crash_of_the_server_works(own: Postgresql) -> None:
    url = own.create_database()
    migrate(url)
    with closing(PostgresqlDatabase(url, connections_max=4)) as database:
        ready = threading.Barrier(4)

        def use(_: int) -> None:
            with database.snapshot():
                ready.wait()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(use, range(4)))
        own.restart_immediately()
        with database.transaction() as tx:
            insert_projects(tx)
        with database.snapshot() as tx:
            assert tx.execute("SELECT count(*) FROM projects").fetchone() == (2,)


def test_what_was_under_way_in_a_crash_of_the_server_is_unavailable_and_undone(own: Postgresql) -> None:
    url = own.create_database()
    migrate(url)

    def write_over_a_crash(database: PostgresqlDatabase) -> None:
        with database.transaction() as tx:
            insert_projects(tx)
            own.restart_immediately()
            insert_projects(tx)

    with closing(PostgresqlDatabase(url)) as database:
        with pytest.raises(Unavailable):
            write_over_a_crash(database)
        with database.snapshot() as tx:
            assert tx.execute("SELECT count(*) FROM projects").fetchone() == (0,)


def test_a_refused_login_says_what_the_server_says_and_no_password(
    own: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POOL_WAIT_SECONDS", 0.5)
    url = psycopg.conninfo.conninfo_to_dict(own.create_database())
    stranger = f"postgresql://stranger:hush@/{url['dbname']}?host={url['host']}&port={url['port']}"
    with pytest.raises(Unavailable, match="stranger") as refused:
        PostgresqlDatabase(stranger)
    assert "hush" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_server_that_is_gone_is_unavailable_until_it_is_back(
    own: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POOL_WAIT_SECONDS", 0.5)
    url = own.create_database()
    migrate(url)
    with closing(PostgresqlDatabase(url)) as database:
        own.stop()
        for ask in (database.now, database.snapshot().__enter__, database.transaction().__enter__):
            with pytest.raises(Unavailable, match="does not answer"):
                ask()
        with pytest.raises(Unavailable):
            migrate(url)
        own.start()
        assert eventually(lambda: answers(database))
    own.stop()
    with pytest.raises(Unavailable):
        PostgresqlDatabase(url)
    own.start()


def answers(database: PostgresqlDatabase) -> bool:
    try:
        database.now()
    except Unavailable:
        return False
    return True


def test_whoever_freezes_in_a_transaction_keeps_nobody_waiting_for_long(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._SESSION, "idle_in_transaction_session_timeout", "200ms")

    def freeze(database: PostgresqlDatabase, waiting: threading.Event) -> None:
        with database.transaction() as tx:
            tx.take_turn("one")
            waiting.set()
            # The other one goes on while this one still stands here: its session was ended.
            assert gone_on.wait(20)
            tx.execute("SELECT 1")

    gone_on = threading.Event()
    with closing(PostgresqlDatabase(migrated_url)) as database, ThreadPoolExecutor(1) as other:
        held = threading.Event()

        def go_on() -> None:
            held.wait()
            with database.transaction() as tx:
                tx.take_turn("one")
            gone_on.set()

        waiting = other.submit(go_on)
        with pytest.raises(Unavailable):
            freeze(database, held)
        waiting.result()
        with database.transaction() as tx:
            assert tx.try_turn("one")


def test_migrating_again_does_nothing_and_several_at_once_follow_one_another(postgresql_url: str) -> None:
    with ThreadPoolExecutor(3) as nodes:
        taken = [*nodes.map(migrate, [postgresql_url] * 3)]
    steps = len(module._steps())
    assert sorted(taken, key=len) == [[], [], [*range(1, steps + 1)]]
    PostgresqlDatabase(postgresql_url).close()


def test_a_database_without_the_schema_is_refused_and_left_as_it_is(postgresql_url: str) -> None:
    with pytest.raises(BadSettings, match="run `fleetcron migrate`"):
        PostgresqlDatabase(postgresql_url)
    with pytest.raises(BadSettings, match="run `fleetcron migrate`"), connected_to_fill(postgresql_url):
        pass
    with psycopg.connect(postgresql_url) as connection:
        assert connection.execute(TABLES).fetchone() == (0,)


def test_a_newer_schema_is_refused(migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        connection.execute("INSERT INTO schema_steps (number, applied_at) VALUES (999, now())")
    for use in (PostgresqlDatabase, migrate):
        with pytest.raises(BadSettings, match="newer than this fleetcron"):
            use(migrated_url)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:Tr0ub4dor@h/n",
        "sqlite:Tr0ub4dor",
        "postgresql://u:Tr0ub4dor@h:port/n?nonsense=1",
        "postgresql://u:%zzTr0ub4dor@h/n",
        "postgresql://u:Tr0ub4dor &3@h/n",
        "postgresql://u:p@Tr0ub4dor@h/n",
        "postgresql://u:Tr0ub4dor/3@h/n",
        "postgresql://u:Tr0ub4dor@h/n?connect_timeout=soon",
        "",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BadSettings, match="database") as refusal:
        conninfo(url)
    assert "Tr0ub4dor" not in str(refusal.value)


def test_what_the_url_says_wins(migrated_url: str) -> None:
    assert "connect_timeout=3" in conninfo(f"{migrated_url}?connect_timeout=3")
    assert "connect_timeout=5" in conninfo(migrated_url)
    assert "target_session_attrs=any" in conninfo(f"{migrated_url}?target_session_attrs=any")


def test_of_several_hosts_the_one_that_takes_changes_is_meant(migrated_url: str) -> None:
    assert "target_session_attrs=read-write" in conninfo(migrated_url)


def test_what_a_list_names_is_looked_up_one_by_one_however_empty_the_table_was(database: PostgresqlDatabase) -> None:
    with database.transaction() as tx:
        rows = tx.execute(
            """
            EXPLAIN UPDATE subtasks SET ticket = r.value ->> 2 FROM json_each(?) r
            WHERE subtasks.execution_id = (r.value ->> 0) AND subtasks.ordinal = CAST(r.value ->> 1 AS BIGINT)
            """,
            ("[]",),
        ).fetchall()
    plan = "\n".join(line for (line,) in rows)
    assert plan.index("Function Scan on rows_of") < plan.index("Index Scan")
    assert "Index Cond: ((execution_id = " in plan
    assert "Join Filter" not in plan

"""Whoever moves house takes everything along, and finds it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import argon2
import msgspec
import psycopg
import pytest

from builders import NOW, a_group, a_server, a_subtask, a_task, an_execution
from fleetcron.control.access import Access
from fleetcron.control.audit import Audit
from fleetcron.control.founding import Founding
from fleetcron.control.history import History
from fleetcron.control.passwords import Passwords
from fleetcron.control.policies import Policies
from fleetcron.domain.access import Caller, Holder
from fleetcron.domain.audit import AuditFilter
from fleetcron.domain.execution import Evidence, Status
from fleetcron.domain.fleet import Endpoint
from fleetcron.errors import BadSettings, Constrained
from fleetcron.store import executions, fleet, subtasks, tasks
from fleetcron.store.database import Database, Transaction
from fleetcron.store.postgresql import PostgresqlDatabase, migrate
from fleetcron.store.sqlite import FILE_NAME, SqliteDatabase
from fleetcron.store.transfer import TABLES, Moved, move
from fleetcron.store.vault import KEYS_NAME, open_vault
from records import a_refusal, an_entry

CHEAP = Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
DOCUMENT = '{"Version":"1.1","Statement":[{"Effect":"Allow","Action":["workspace:*:*"]}]}'
DAY = timedelta(days=1)
FOUNDING = Founding(
    regions=("north", "south"), project_id="p1", admin_password="pass", access_key="AK", secret_key="the secret"
)
ADMIN = Caller(user_id="u", user_name="admin", account_id="default", administrator=True, project_id=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder of a service that has been used and is stopped."""
    folder = tmp_path / "data"
    with closing(SqliteDatabase(folder)) as database:
        live(database)
    return folder


@pytest.fixture
def url(postgresql_url: str) -> str:
    """An empty database with the schema."""
    migrate(postgresql_url)
    return postgresql_url


@pytest.fixture
def moved(folder: Path, url: str) -> Iterator[PostgresqlDatabase]:
    """The database into which that service's folder was moved."""
    move(folder, url, lambda *_: None)
    with closing(PostgresqlDatabase(url)) as database:
        yield database


def id_at(instant: datetime) -> str:
    milliseconds = int(instant.timestamp() * 1000)
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-7000-8000-000000000000"


def live(database: Database) -> None:
    """Let there be something in every table."""
    access = Access(database, CHEAP)
    access.establish(NOW, FOUNDING)
    _, admin = access.signing_key("AK", NOW)
    user = access.create_user(
        admin, name="ädä", password="own", description="\u2603 'n' \"m\"\n", enabled=True, now=NOW
    )
    access.sign_in("ädä", "default", "own", None, NOW)
    policies = Policies(database)
    policy = policies.create_policy(admin, name="own", description=None, regional=True, document=DOCUMENT, now=NOW)
    policies.attach(admin, Holder(user_id=user.user_id, project_id="p1"), policy.policy_id, NOW)
    with database.transaction() as tx:
        fleet.replace_inventory(tx, "p1", [a_server(1, group_id="g1"), a_server(2)], [a_group("g1")])
        fleet.replace_endpoints(tx, [Endpoint(name="lab", driver="simulated").reach()])
        tx.execute("INSERT INTO user_groups VALUES ('ug', 'default', 'ops', NULL, '2026-03-01T12:00:00.000Z')")
        tx.execute("INSERT INTO memberships VALUES ('ug', ?)", (user.user_id,))
        tasks.insert(tx, a_task(first_ordinal=3, last_ordinal=62))
        for ordinal in range(3, 63):
            fire_at = NOW - (62 - ordinal) * DAY
            fire(tx, ordinal, fire_at)
    audit = Audit(database, 30)
    for second in range(3):
        audit.record(an_entry(second))
    audit.record(a_refusal(9, reason="a\\b\tc"))
    audit.flush()
    audit.trim(NOW + 30 * DAY + timedelta(seconds=1))


def fire(tx: Transaction, ordinal: int, fire_at: datetime) -> None:
    """An execution that has ended, but the last one."""
    key = id_at(fire_at)
    over = {"ended_at": fire_at, "began_at": fire_at, "status": Status.SUCCESS} if ordinal < 62 else {}
    execution = an_execution(key, ordinal=ordinal, fire_at=fire_at, total=2, succeeded=2 if over else 0, **over)
    executions.insert(tx, [execution])
    evidence = {"evidence": Evidence.BOOT_MARKER_CHANGED} if over else {}
    subtasks.insert(tx, [a_subtask(number, key, **over, **evidence) for number in (1, 2)])
    if over:
        executions.seal(tx, [(execution, f'{{"n":{ordinal},"\u2603":"\\\\"}}'.encode())])
    else:
        subtasks.dispatch(tx, subtasks.waiting(tx, 1, NOW), NOW)


def rows(database: Database, table: str) -> list[tuple[object, ...]]:
    with database.snapshot() as tx:
        columns = [name for (name, *_) in tx.execute(f"SELECT * FROM {table} LIMIT 0").description]  # type: ignore[attr-defined]  # noqa: S608
        return sorted(tx.execute(f"SELECT {', '.join(sorted(columns))} FROM {table}"), key=repr)  # noqa: S608


def pages(database: Database) -> object:
    """All that people are told of the past."""
    history = History(database)
    told = []
    for offset in range(0, 60, 7):
        count, page = history.executions(ADMIN, "p1", "t1", offset=offset, limit=7)
        told.append((count, page))
    details = [history.subtasks(ADMIN, "p1", id_at(NOW - days * DAY), offset=0, limit=100) for days in range(60)]
    audit = Audit(database, 30).page(ADMIN, AuditFilter())
    return msgspec.json.encode([[(n, [str(one) for one in page]) for n, page in told], str(details), str(audit)])


def test_every_table_of_both_databases_is_moved(folder: Path, url: str) -> None:
    with closing(SqliteDatabase(folder)) as database, database.snapshot() as tx:
        here = {name for (name,) in tx.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    with psycopg.connect(url) as connection:
        there = connection.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition"
        ).fetchall()
    assert here == set(TABLES)
    assert {name for (name,) in there} == {*TABLES, "schema_steps"}


def test_what_arrives_is_what_was_there_row_by_row(folder: Path, moved: PostgresqlDatabase) -> None:
    with closing(SqliteDatabase(folder)) as source:
        for table in TABLES:
            there = rows(source, table)
            assert there != [], table
            assert rows(moved, table) == there


def test_the_past_reads_the_same_byte_for_byte(folder: Path, moved: PostgresqlDatabase) -> None:
    with closing(SqliteDatabase(folder)) as source:
        assert pages(moved) == pages(source)


def test_executions_lie_in_their_months_at_once(moved: PostgresqlDatabase) -> None:
    with moved.snapshot() as tx:
        for table in ("executions", "subtasks"):
            assert tx.execute(f"SELECT count(*) FROM {table}_others").fetchone() == (0,)  # noqa: S608
            assert tx.execute(f"SELECT count(*) FROM {table}_2026_02").fetchone() != (0,)  # noqa: S608


def test_whoever_came_in_before_comes_in_with_the_same_password_and_key(
    folder: Path, moved: PostgresqlDatabase
) -> None:
    access = Access(moved, CHEAP, open_vault(moved, folder / KEYS_NAME))
    access.sign_in("ädä", "default", "own", None, NOW)
    assert access.signing_key("AK", NOW)[0] == "the secret"
    again = access.establish(NOW, Founding(regions=("north", "south")))
    assert (again.admin_password, again.access_key, again.project_id) == (None, None, None)


def test_without_the_file_of_keys_nothing_starts(folder: Path, moved: PostgresqlDatabase, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="FLEETCRON_SECRET_KEYS_FILE"):
        open_vault(moved)
    (folder / KEYS_NAME).rename(tmp_path / "elsewhere")
    with pytest.raises(BadSettings, match="does not exist"):
        open_vault(moved, folder / KEYS_NAME)


def test_the_audit_log_goes_on_where_it_was_and_is_kept_as_before(moved: PostgresqlDatabase) -> None:
    audit = Audit(moved, 30)
    before = [record.record_id for record in audit.page(ADMIN, AuditFilter()).records]
    assert before == [4, 3, 2]
    audit.record(an_entry(99))
    assert audit.page(ADMIN, AuditFilter()).records[0].record_id == 5
    for tampering in ("DELETE FROM audit", "UPDATE audit SET reason = 'x'", "UPDATE audit_retention SET kept_from = 1"):
        with pytest.raises(Constrained, match=r"append-only|only moves on"), moved.transaction() as tx:
            tx.execute(tampering)


def test_progress_is_told_to_the_last_row(folder: Path, url: str) -> None:
    told: list[tuple[str, int, int]] = []
    moved = move(folder, url, lambda *said: told.append(said))
    assert moved.texts_mended == 0
    assert {table: total for table, gone, total in told if gone == total} == moved.rows
    assert (moved.rows["executions"], moved.rows["subtasks"], moved.rows["audit"]) == (60, 120, 3)
    assert list(dict.fromkeys(table for table, *_ in told)) == list(TABLES)


def test_a_second_move_is_refused_and_changes_nothing(folder: Path, moved: PostgresqlDatabase, url: str) -> None:
    before = rows(moved, "executions")
    with pytest.raises(BadSettings, match="is not empty: there are rows in accounts"):
        move(folder, url, lambda *_: None)
    assert rows(moved, "executions") == before


def test_a_move_that_breaks_off_leaves_nothing(folder: Path, url: str) -> None:
    def break_off(table: str, *_: int) -> None:
        if table == "audit":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        move(folder, url, break_off)
    with closing(PostgresqlDatabase(url)) as database:
        assert [table for table in TABLES if rows(database, table)] == ["audit_retention"]
        with database.snapshot() as tx:
            assert tx.execute("SELECT to_regclass('executions_2026_02')").fetchone() == (None,)
    assert isinstance(move(folder, url, lambda *_: None), Moved)


def test_a_count_that_differs_is_found_before_anything_is_kept(folder: Path, url: str) -> None:
    """Say, a rule of the database's own that leaves rows out."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE TRIGGER leave_out BEFORE INSERT ON live_actions FOR EACH ROW EXECUTE FUNCTION leave_out()"
        )
    with pytest.raises(BadSettings, match="of 1 rows in live_actions, 0 have arrived"):
        move(folder, url, lambda *_: None)
    with closing(PostgresqlDatabase(url)) as database:
        assert rows(database, "accounts") == []


def test_a_folder_in_use_is_refused_and_one_without_a_database_too(folder: Path, url: str, tmp_path: Path) -> None:
    with closing(SqliteDatabase(folder)), pytest.raises(BadSettings, match="in use"):
        move(folder, url, lambda *_: None)
    with pytest.raises(BadSettings, match="no database"):
        move(tmp_path, url, lambda *_: None)


def test_a_database_without_the_schema_is_refused(folder: Path, postgresql_url: str) -> None:
    before = (folder / FILE_NAME).read_bytes()
    with pytest.raises(BadSettings, match="run `fleetcron migrate`"):
        move(folder, postgresql_url, lambda *_: None)
    assert (folder / FILE_NAME).read_bytes() == before


def test_a_text_that_cannot_be_kept_is_mended_and_counted(folder: Path, url: str) -> None:
    with closing(SqliteDatabase(folder)) as source, source.transaction() as tx:
        tx.execute("UPDATE tasks SET name = ?, description = ?", ("a\0b", "\0"))
    assert move(folder, url, lambda *_: None).texts_mended == 2
    with closing(PostgresqlDatabase(url)) as database, database.snapshot() as tx:
        assert tx.execute("SELECT name, description FROM tasks").fetchall() == [("a\ufffdb", "\ufffd")]

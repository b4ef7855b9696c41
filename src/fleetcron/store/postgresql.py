"""PostgreSQL as the system of record: many processes on many machines, one truth.

Rows are locked where they are read to be changed, and what has no row to lock takes a turn (an advisory lock).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.types.numeric import Int2Dumper
from psycopg_pool import ConnectionPool, PoolTimeout

from fleetcron.errors import BadSettings, Constrained, Unavailable
from fleetcron.store.database import Many, Parameters
from fleetcron.store.dialect import in_postgresql
from fleetcron.store.rows import json_of

CONNECTIONS_MAX = 16
POOL_WAIT_SECONDS = 5.0
# A pool that goes on pauses twice as long each time; one that gives up soon tries anew for whoever asks next.
RECONNECT_SECONDS_MAX = 2.0

# A frozen process must not keep what others wait for: the server ends whatever stands idle in a transaction, and
# nobody waits longer for a lock than for that.
_SESSION: Final = {
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "6s",
    "statement_timeout": "30s",
    # Every statement here is meant to walk an index. A plan must not turn into a scan of history because the
    # statistics are a day old.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    # A scan that is switched off makes a plan look so dear that it would be compiled: longer than it takes to run.
    "jit": "off",
    "timezone": "UTC",
}
_CONNECTION: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # Of several hosts, the one that is the primary now: a standby answers too, and takes nothing.
    "target_session_attrs": "read-write",
}
_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_MIGRATING = "migrate"


class PostgresqlTransaction:
    """A connection in a transaction, speaking the SQL that is written for both databases."""

    __slots__ = ("_connection",)

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Parameters = (), /) -> psycopg.Cursor[Any]:
        """Run one statement."""
        return self._connection.execute(in_postgresql(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> None:
        """Run one statement for each of many parameters, without waiting for each answer."""
        many = list(parameters)
        if many:
            self._connection.cursor().executemany(in_postgresql(sql), many)

    def write(self, many: Many, rows: Sequence[Parameters], /) -> None:
        """Run a statement for many rows at once."""
        if rows:
            self.execute(many.all, (json_of(rows),))

    def take_turn(self, name: str) -> None:
        """Wait until nobody else, on whatever node, has this turn, and keep it until the transaction ends."""
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (name,))

    def try_turn(self, name: str) -> bool:
        """Take this turn if nobody else has it; whether it is ours until the transaction ends."""
        row = self._connection.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", (name,)).fetchone()
        return row is not None and bool(row[0])


class PostgresqlDatabase:
    """The system of record behind a URL, with a pool of connections that any thread may use.

    Raises:
        BadSettings: the URL cannot be meant, or the schema is not this version's; says how to put it right.
        Unavailable: the server does not answer.
    """

    answers_at_once = False
    folder = None
    partitioned = True

    def __init__(self, url: str, *, connections_max: int = CONNECTIONS_MAX) -> None:
        self._pool = ConnectionPool(
            conninfo(url),
            min_size=1,
            max_size=connections_max,
            timeout=POOL_WAIT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS_MAX,
            kwargs={"autocommit": True},
            configure=_configure,
            open=False,
        )
        self._tries_max = connections_max + 1
        try:
            self._pool.open(wait=True, timeout=POOL_WAIT_SECONDS)
            with self.snapshot() as tx:
                _check_schema(_steps_done(tx))
        except PoolTimeout as error:
            self.close()
            # The pool keeps to itself why it has no connection: one more try says it, a refused login for one.
            with _answering(), psycopg.connect(conninfo(url), connect_timeout=2):
                pass
            raise Unavailable(f"the database does not answer: {error}") from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[PostgresqlTransaction]:
        """Read and write, all or nothing: committed when the block ends, rolled back when it raises.

        Raises:
            Constrained: a constraint of the database holds against what was written.
            Unavailable: the database does not answer; if that was at the end, it may have committed nevertheless.
        """
        with self._begun(_WRITE) as tx:
            yield tx

    @contextmanager
    def snapshot(self) -> Iterator[PostgresqlTransaction]:
        """Read only, as of one moment: bounds and rows that are read in it belong together.

        Raises:
            Unavailable: the database cannot be read now.
        """
        with self._begun(_READ) as tx:
            yield tx

    @contextmanager
    def overwriting(self) -> Iterator[PostgresqlTransaction]:
        """A transaction like any other: what lies in the server's files and in its log is the server's concern."""
        with self.transaction() as tx:
            yield tx

    def now(self) -> datetime:
        """The database's clock, in the whole milliseconds that it keeps: what all engines go by.

        Raises:
            Unavailable: the database does not answer.
        """
        with _answering(), self._connection("SELECT clock_timestamp()") as (_, first):
            ((at,),) = first.fetchall()
        said: datetime = at.astimezone(UTC)
        return said.replace(microsecond=said.microsecond // 1000 * 1000)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close(timeout=1.0)

    @contextmanager
    def _begun(self, begin: str) -> Iterator[PostgresqlTransaction]:
        with _answering(), self._connection(begin) as (connection, _):
            try:
                yield PostgresqlTransaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _connection(self, first: str) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Cursor[Any]]]:
        """A connection on which ``first`` has gone well, and what came of it.

        After a restart of the server every connection in the pool is a dead one; as long as nothing was said on it,
        the next one will do.
        """
        for tries_left in range(self._tries_max - 1, -1, -1):
            connection = self._pool.getconn()
            try:
                said = connection.execute(first)
                break
            except psycopg.OperationalError:
                self._pool.putconn(connection)
                if not tries_left:
                    raise
        else:
            raise Unavailable("the database does not answer")
        try:
            yield connection, said
        finally:
            self._pool.putconn(connection)


def migrate(url: str) -> list[int]:
    """Bring the schema behind a URL up to date, each step in a transaction of its own; the numbers of the steps.

    Several may be started at once: they follow one another.

    Raises:
        BadSettings: the schema is newer than this fleetcron knows, or the URL cannot be meant.
        Unavailable: the server does not answer.
    """
    taken = []
    with _answering(), psycopg.connect(conninfo(url), autocommit=True) as connection:
        connection.execute("SET lock_timeout = 0; SET statement_timeout = 0")
        connection.execute("SELECT pg_advisory_lock(hashtext(%s))", (_MIGRATING,))
        done = _steps_done(PostgresqlTransaction(connection))
        steps = _steps()
        if done > len(steps):
            raise _newer(done, len(steps))
        for number, step in enumerate(steps[done:], start=done + 1):
            with connection.transaction():
                connection.execute(step)
                connection.execute("INSERT INTO schema_steps (number, applied_at) VALUES (%s, now())", (number,))
            taken.append(number)
    return taken


@contextmanager
def connected_to_fill(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own for what takes as long as it takes, in a transaction: committed when the block ends.

    Raises:
        BadSettings: the URL cannot be meant, or the schema is not this version's; says how to put it right.
        Unavailable: the server does not answer.
    """
    with _answering(), psycopg.connect(conninfo(url)) as connection:
        connection.execute("SET timezone = 'UTC'; SET lock_timeout = '6s'; SET statement_timeout = 0")
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        _check_schema(_steps_done(PostgresqlTransaction(connection)))
        yield connection


def conninfo(url: str) -> str:
    """The URL with what every connection of ours is told.

    Raises:
        BadSettings: it is no ``postgresql://`` URL.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise BadSettings("database", "must be a URL like postgresql://user:password@host:5432/name")
    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        given = {"port": "unread"}
    numbers = [str(given.get(name, 0)).replace(",", "") for name in ("port", "connect_timeout")]
    if "@" in str(given.get("host")) or not all(number.isdecimal() for number in numbers):
        # What libpq says of it quotes the password, or takes a part of it for the host.
        hint = "a password has %25 %2F %3A %40 %23 %3F %20 for its % / : @ # ? and spaces, and port is a number"
        raise BadSettings("database", f"cannot be read as a PostgreSQL URL: {hint}")
    return psycopg.conninfo.make_conninfo("", **{**_CONNECTION, **given})


class _TruthDumper(Dumper):
    """Truths are 0 and 1, as in SQLite."""

    oid = Int2Dumper.oid

    def dump(self, obj: bool) -> Buffer:  # noqa: FBT001  (psycopg's signature)
        return b"1" if obj else b"0"


def _configure(connection: psycopg.Connection[Any]) -> None:
    connection.adapters.register_dumper(bool, _TruthDumper)
    settings = "; ".join(f"SET {name} = '{value}'" for name, value in _SESSION.items())
    connection.execute(settings)


@contextmanager
def _answering() -> Iterator[None]:
    """Say in our words that the database does not answer, or that a constraint is its answer."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise Constrained(_first_line(error)) from error
    except (psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError, PoolTimeout) as error:
        # Internal is, for one, that it only reads: a standby, or whoever writes in a snapshot.
        raise Unavailable(f"the database does not answer: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _steps() -> list[str]:
    folder = files("fleetcron.store") / "migrations" / "postgresql"
    found = sorted((step for step in folder.iterdir() if step.name.endswith(".sql")), key=lambda step: step.name)
    return [step.read_text() for step in found]


def _steps_done(tx: PostgresqlTransaction) -> int:
    known = tx.execute("SELECT to_regclass('schema_steps') IS NOT NULL").fetchall() == [(True,)]
    return int(tx.execute("SELECT coalesce(max(number), 0) FROM schema_steps").fetchall()[0][0]) if known else 0


def _check_schema(done: int) -> None:
    wanted = len(_steps())
    if done < wanted:
        raise BadSettings("database", f"its schema is {done}, this fleetcron needs {wanted}: run `fleetcron migrate`")
    if done > wanted:
        raise _newer(done, wanted)


def _newer(done: int, known: int) -> BadSettings:
    return BadSettings("database", f"its schema {done} is newer than this fleetcron knows ({known})")

"""What a use case may ask of whichever database is the system of record: transactions, snapshots, and SQL.

SQL is written once, in what SQLite and PostgreSQL both speak, by these conventions; ``sqlite`` and ``postgresql``
each make of it what they need.

- Parameters are ``?`` or ``:name``. One that is only compared with NULL needs ``CAST(… AS TEXT)``.
- ``FOR UPDATE`` and ``FOR UPDATE SKIP LOCKED`` (``OF`` a table where there are several) end a SELECT of rows that are
  read to be changed. SQLite drops them: there one writer at a time is the lock.
- What is written of many rows at once is a ``Many``.
- ``json_each(?)`` with ``value ->> 0``, ``value ->> 1`` reads many rows out of one parameter, a JSON array of arrays;
  numbers are ``CAST(value ->> 1 AS BIGINT)``.
- Text is ordered by its bytes, ``lower`` knows ASCII, truths are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec

Parameters = Sequence[Any] | Mapping[str, Any]


class Many(msgspec.Struct, frozen=True, kw_only=True):
    """One statement for many rows, said twice; ``rows.Rows`` makes them.

    ``each`` is for one row, whose values are its parameters. ``all`` reads all rows out of one parameter, as
    ``json_each(?) r``: where every statement has to be planned and asked for, one for a thousand rows takes a quarter
    of the work.
    """

    each: str
    all: str


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:  # noqa: ANN401  (a row is what its SELECT names)
        """The next row as a tuple, None after the last."""
        ...

    def fetchall(self) -> list[Any]:
        """The rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""
        ...


class Transaction(Protocol):
    """What a use case holds while its transaction lasts."""

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> object:
        """Run one statement for each of many parameters."""
        ...

    def write(self, many: Many, rows: Sequence[Parameters], /) -> None:
        """Run a statement for many rows, of which none names what another one names."""
        ...

    def take_turn(self, name: str) -> None:
        """Wait until nobody else, on whatever node, has this turn, and keep it until the transaction ends."""
        ...

    def try_turn(self, name: str) -> bool:
        """Take this turn if nobody else has it; whether it is ours until the transaction ends."""
        ...


class Database(Protocol):
    """The system of record.

    ``answers_at_once`` tells that a snapshot never waits for the network or for a writer, so that an event loop may
    read in it. ``folder`` is where its files lie, None where that is the concern of a server. ``partitioned`` tells
    that history lies in months, each a part of its table.
    """

    @property
    def answers_at_once(self) -> bool:
        """Whether a snapshot never waits."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where its files lie."""
        ...

    @property
    def partitioned(self) -> bool:
        """Whether history lies in months."""
        ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Read and write, all or nothing: committed when the block ends, rolled back when it raises.

        Raises:
            Constrained: a constraint of the database holds against what was written.
            Unavailable: the database does not answer; if that was at the end, it may have committed nevertheless.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Transaction]:
        """Read only, as of one moment: bounds and rows that are read in it belong together.

        Raises:
            Unavailable: the database cannot be read now.
        """
        ...

    def overwriting(self) -> AbstractContextManager[Transaction]:
        """A transaction that leaves nothing of what it writes over, as far as the database's files are ours."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...

"""The peer is what it says: a PostgreSQL whose databases are apart, and that keeps what it has committed."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from peers.postgresql import Postgresql, postgresql_peer


def test_a_database_is_fresh_and_the_services_own(postgresql: Postgresql, postgresql_url: str) -> None:
    other = postgresql.create_database()
    with psycopg.connect(other) as connection:
        connection.execute("CREATE TABLE notes (note TEXT)")
    with psycopg.connect(postgresql_url) as connection:
        assert connection.execute("SELECT to_regclass('notes')").fetchone() == (None,)
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchone() == (False,)
    postgresql.drop_database(other)


def test_a_database_can_be_a_copy(postgresql: Postgresql) -> None:
    template = postgresql.create_database()
    with psycopg.connect(template) as connection:
        connection.execute("CREATE TABLE notes (note TEXT)")
        connection.execute("INSERT INTO notes VALUES ('kept')")
    url = postgresql.create_database(template=template.rpartition("/")[2])
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT note FROM notes").fetchall() == [("kept",)]
        connection.execute("DROP TABLE notes")
    postgresql.drop_database(url)
    postgresql.drop_database(template)


def test_text_is_sorted_as_people_do_unless_its_bytes_are_asked_for(
    postgresql: Postgresql, postgresql_url: str
) -> None:
    with psycopg.connect(postgresql_url) as connection:
        compared = connection.execute("""SELECT 'a' < 'B', 'a' < 'B' COLLATE "C" """).fetchone()
    # Version 14 knows no such order by default.
    assert compared == (postgresql.version >= 15, False)


def test_an_immediate_restart_keeps_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    with postgresql_peer(tmp_path) as postgresql:
        url, pid = postgresql.create_database(), postgresql.pid
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE notes (note TEXT)")
            connection.execute("INSERT INTO notes VALUES ('committed')")
        with psycopg.connect(url) as unfinished:
            unfinished.execute("INSERT INTO notes VALUES ('not committed')")
            postgresql.restart_immediately()
            with pytest.raises(psycopg.OperationalError):
                unfinished.execute("SELECT 1")
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT note FROM notes").fetchall() == [("committed",)]
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW max_connections").fetchone() == ("200",)
        assert postgresql.pid != pid


def test_a_stopped_one_answers_nobody_until_it_is_started(tmp_path: Path) -> None:
    with postgresql_peer(tmp_path, settings={"fsync": "off"}) as postgresql:
        url = postgresql.create_database()
        # One who is connected is not waited for.
        with psycopg.connect(url) as idle:
            postgresql.stop()
            assert idle.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(url)
        postgresql.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("off",)


def test_a_stranger_is_not_let_in(postgresql: Postgresql, postgresql_url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgresql_url.replace("of-fleetcron", "guessed"))


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    with postgresql_peer(tmp_path, settings={"fsync": "off"}) as postgresql:
        pid, folder = postgresql.pid, postgresql.folder
        assert folder.exists()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)

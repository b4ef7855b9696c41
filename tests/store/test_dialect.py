"""What is written for both databases says the same in PostgreSQL."""

from __future__ import annotations

import pytest

from fleetcron.store.dialect import in_postgresql


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("SELECT ?, ?", "SELECT %s, %s"),
        ("a = :a AND b = :b_2", "a = %(a)s AND b = %(b_2)s"),
        ("a LIKE '100%' ESCAPE '\\' AND b % 2 = ?", "a LIKE '100%%' ESCAPE '\\' AND b %% 2 = %s"),
        ("'12:30 it''s ? :no' || ?", "'12:30 it''s ? :no' || %s"),
        ("? -- why? :because\n, ?", "%s -- why? :because\n, %s"),
        ("FROM json_each(?) WHERE value ->> 1 = ?", "FROM rows_of(%s) WHERE value ->> 1 = %s"),
        ("my_json_each(?)", "my_json_each(%s)"),
        (
            "a IN (SELECT value ->> 0 FROM json_each(:a))",
            "a = ANY (ARRAY(SELECT value ->> 0 FROM rows_of(%(a)s)))",
        ),
        (
            "a NOT IN (SELECT value ->> 0 FROM json_each(?))",
            "a NOT IN (SELECT value ->> 0 FROM rows_of(%s))",
        ),
    ],
)
def test_sql_is_put_into_what_psycopg_and_postgresql_read(written: str, read: str) -> None:
    assert in_postgresql(written) == read


def test_a_text_is_put_once() -> None:
    said = in_postgresql("SELECT ? -- once")
    assert in_postgresql("SELECT ? -- once") is said

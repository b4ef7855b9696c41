"""The SQL that is written for both databases (``database``), put into what PostgreSQL and psycopg read."""

from __future__ import annotations

import re

_TOKENS = re.compile(r"'[^']*'|--[^\n]*|(?P<name>:\w+)|(?P<mark>\?)|(?P<rows>\bjson_each\()")
# A list in one parameter. Said like this it is looked up in an index key by key; said as IN it is a join, which turns
# into a scan of whatever the statistics believe to be next to empty.
_LISTED = re.compile(r"(?<!NOT )IN \((SELECT value ->> 0 FROM json_each\((?:\?|:\w+)\))\)")
_translated: dict[str, str] = {}


def in_postgresql(sql: str) -> str:
    """The SQL that is written for both databases as psycopg and PostgreSQL read it; each text is put once."""
    text = _translated.get(sql)
    if text is None:
        text = _translated[sql] = _TOKENS.sub(_token, _LISTED.sub(r"= ANY (ARRAY(\1))", sql).replace("%", "%%"))
    return text


def _token(found: re.Match[str]) -> str:
    if found["name"]:
        return f"%({found['name'][1:]})s"
    if found["mark"]:
        return "%s"
    return "rows_of(" if found["rows"] else found[0]

"""Options of the commands that run something, and how such a command ends."""

from __future__ import annotations

import pytest

from fleetcron.cli.exits import Exit, Failure, Misuse
from fleetcron.cli.processes import Record, announce, run_to_the_end
from fleetcron.errors import BadSettings, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadSettings("site", "is none"), Exit.USAGE),
        (PermissionError("no"), Exit.USAGE),
        (Unavailable("the database does not answer"), Exit.UNAVAILABLE),
    ],
)
def test_what_cannot_go_on_ends_with_its_reason(error: Exception, code: Exit) -> None:
    def run() -> None:
        raise error

    with pytest.raises(Failure) as failure:
        run_to_the_end(run)
    assert (failure.value.code, str(failure.value)) == (code, str(error))


def test_a_database_that_is_not_said_is_misuse_with_the_ways_to_say_it() -> None:
    assert Record(database="postgresql://host/name").url() == "postgresql://host/name"
    for nothing in (None, ""):
        with pytest.raises(Misuse, match="FLEETCRON_DATABASE"):
            Record(database=nothing).url()


def test_whoever_starts_one_is_told_where_its_health_is(capsys: pytest.CaptureFixture[str]) -> None:
    announce("http://127.0.0.1:8775", what="The engine")
    assert capsys.readouterr().out == "The engine is running. Health: http://127.0.0.1:8775/health/ready\n"

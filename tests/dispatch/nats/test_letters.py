from __future__ import annotations

import msgspec
import pytest

from builders import NOW, after
from fleetcron.dispatch.contract import Began, Command, Event, Settled, Submitted, TakenUp, Verdict
from fleetcron.dispatch.nats.letters import (
    LETTER_BYTES_MAX,
    VERSION,
    Unreadable,
    read_command,
    read_events,
    read_verdicts,
    write_command,
    write_event,
    write_events,
    write_verdicts,
)
from fleetcron.domain.execution import Evidence, ResultCode
from fleetcron.domain.task import TaskType

COMMAND = Command(
    execution_id="e1",
    ordinal=1,
    server_id="s",
    endpoint="lab",
    handle="h",
    task_type=TaskType.REINSTALL_OS,
    enforcement=True,
    start_until=after(300),
    began_at=NOW,
    settle_until=after(900),
    boot_marker="b",
    ticket='{"é": "\\u0000"}',
    sends=2,
    again=True,
)
EVENTS: list[Event] = [
    TakenUp(execution_id="e1", ordinal=1, attempt="a"),
    Began(
        execution_id="e1",
        ordinal=2,
        attempt="a",
        began_at=NOW,
        settle_until=after(9),
        boot_marker=None,
        sends=1,
    ),
    Submitted(execution_id="e1", ordinal=3, attempt="a", ticket="é"),
    Settled(execution_id="e1", ordinal=4, attempt="a", ended_at=NOW, evidence=Evidence.ACCEPTED),
    Settled(execution_id="e1", ordinal=5, attempt="a", ended_at=NOW, result_code=ResultCode.FAILED, result_message="x"),
]


def test_a_command_arrives_as_it_was_sent() -> None:
    assert read_command(write_command(COMMAND)) == COMMAND


def test_events_arrive_as_they_were_said_under_the_name_of_their_batch() -> None:
    letter = read_events(write_events("b1", map(write_event, EVENTS)))
    assert (letter.batch, list(letter.events)) == ("b1", EVENTS)


def test_verdicts_arrive_as_they_were_given() -> None:
    verdicts = [Verdict(), Verdict(refused="no", over=True), Verdict(left=COMMAND)]
    (letter,) = map(read_verdicts, write_verdicts("b1", verdicts))
    assert (letter.batch, letter.first, list(letter.verdicts)) == ("b1", 0, verdicts)


def test_long_verdicts_go_into_several_messages_that_say_where_they_begin() -> None:
    long = Verdict(left=msgspec.structs.replace(COMMAND, ticket="t" * (LETTER_BYTES_MAX // 4)))
    written = write_verdicts("b1", [long] * 10)
    read = [read_verdicts(letter) for letter in written]
    assert max(map(len, written)) < 2 * LETTER_BYTES_MAX
    assert len(read) > 1
    assert [verdict for letter in read for verdict in letter.verdicts] == [long] * 10
    assert [letter.first for letter in read] == [sum(len(one.verdicts) for one in read[:n]) for n in range(len(read))]


@pytest.mark.parametrize("letter", [b"", b"{}", b"\x80", msgspec.msgpack.encode({"version": VERSION})])
def test_what_is_none_of_ours_is_unreadable(letter: bytes) -> None:
    for read in (read_command, read_events, read_verdicts):
        with pytest.raises(Unreadable):
            read(letter)


@pytest.mark.parametrize("said", [{"version": 2, "command": None}, {"version": 2, "order": "of the future"}])
def test_what_is_of_another_version_is_unreadable_and_says_so(said: dict[str, object]) -> None:
    with pytest.raises(Unreadable, match="of version 2, and we read 1"):
        read_command(msgspec.msgpack.encode(said))


def test_a_field_of_a_later_version_that_may_be_passed_over_is() -> None:
    said = msgspec.msgpack.decode(write_command(COMMAND))
    assert read_command(msgspec.msgpack.encode(said | {"colour": "blue"})) == COMMAND

"""What the socket turns away; heads without an end are tried in tests/web/test_attempts.py."""

from fleetcron.assembly.protocol import HEAD_BYTES_MAX, HEAD_SECONDS_MAX, BoundedHead


def test_a_head_may_be_as_large_as_one_read_and_no_larger_than_memory_bears() -> None:
    assert 256 * 1024 < HEAD_BYTES_MAX <= 1024 * 1024
    assert 5 < HEAD_SECONDS_MAX <= 60


def test_a_connection_begins_with_a_head() -> None:
    assert BoundedHead._in_head

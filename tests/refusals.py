"""How the command line refuses a start."""

from __future__ import annotations

import pytest

from fleetcron.cli import main


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """The exit code and the message of a command that refuses, and prints nothing else."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    assert printed.out == ""
    return ended.value.code, printed.err

"""Options that are shared are the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from fleetcron.cli.app import COMMANDS, load
from fleetcron.cli.exits import Misuse
from fleetcron.cli.options import Consent, Output, Stretch, grouped


def leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  (the library hides its type)
    for word, one in getattr(command, "commands", {}).items():
        yield from leaves(f"{name} {word}", one)
    if not hasattr(command, "commands"):
        yield name, command


# These do not ask a service: they are it, or its wings, or are for while it is stopped.
OFFLINE = {"serve", "api", "engine", "worker", "migrate", "import", "secrets"}
LEAVES = [leaf for name in COMMANDS if name not in OFFLINE for leaf in leaves(name, load(name))]


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=[name for name, _ in LEAVES])
def test_every_command_that_asks_the_service_can_print_json(name: str, command: Any) -> None:  # noqa: ANN401  (as above)
    assert "--json" in {word for option in command.params for word in option.opts}


def test_every_command_says_what_it_does() -> None:
    assert [name for name, command in LEAVES if not command.help] == []


def test_a_group_of_options_arrives_as_one_value() -> None:
    app = typer.Typer()
    seen: list[object] = []

    @app.command()
    @grouped
    def ask(name: Annotated[str, typer.Argument()], *, stretch: Stretch, output: Output) -> None:
        seen.extend([name, stretch, output])

    assert CliRunner().invoke(app, ["x", "--limit", "7", "--json"]).exit_code == 0
    assert seen == ["x", Stretch(offset=0, limit=7, all=False), Output(json=True)]


def test_nobody_is_asked_who_said_yes_or_has_no_terminal() -> None:
    Consent(yes=True).ask("Delete?", on_terminal=True)
    Consent().ask("Delete?", on_terminal=False)
    Consent(yes=True).demand("Reinstall?", on_terminal=False)


def test_what_cannot_be_undone_needs_a_yes_where_nobody_can_be_asked() -> None:
    with pytest.raises(Misuse, match="Reinstall\\? Say --yes"):
        Consent().demand("Reinstall?", on_terminal=False)


def test_whoever_does_not_consent_is_stopped() -> None:
    app = typer.Typer()

    @app.command()
    def ask() -> None:
        Consent().ask("Delete?", on_terminal=True)

    runner = CliRunner()
    assert runner.invoke(app, [], input="n\n").exit_code == 1
    assert runner.invoke(app, [], input="y\n").exit_code == 0

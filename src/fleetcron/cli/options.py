"""Options that several commands share: each group of them is a dataclass, written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fleetcron.cli.exits import Misuse
from fleetcron.wire.fields import PAGE_DEFAULT, PAGE_MAX

DATA_DIR: Final = Path("~/.local/share/fleetcron")
"""Where a service keeps its data if nobody says otherwise: what serves it and what seals its secrets must agree."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """How an answer is to be printed."""

    json: Annotated[bool, typer.Option("--json", help="Print the API's JSON and nothing else.")] = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which project is meant; None is the first one of whoever asks."""

    project: Annotated[
        str | None,
        typer.Option(metavar="ID", envvar="FLEETCRON_PROJECT_ID", help="The project; by default your first one."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Which stretch of a list is asked for."""

    offset: Annotated[int, typer.Option(min=0, help="Pass over so many.")] = 0
    limit: Annotated[int, typer.Option(min=1, max=PAGE_MAX, help="Show so many.")] = PAGE_DEFAULT
    all: Annotated[bool, typer.Option("--all", help="Show all from the offset on, page after page.")] = False


@dataclass(frozen=True, kw_only=True)
class Consent:
    """Whether to go ahead without asking."""

    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False

    def ask(self, question: str, *, on_terminal: bool) -> None:
        """Ask, on a terminal and unless told not to.

        Raises:
            typer.Abort: the answer is no.
        """
        if on_terminal and not self.yes:
            typer.confirm(question, abort=True, err=True)

    def demand(self, question: str, *, on_terminal: bool) -> None:
        """Ask as ``ask`` does; where nobody can be asked, only a yes said beforehand will do.

        Raises:
            typer.Abort: the answer is no.
            Misuse: there is no terminal, and no yes.
        """
        if not (on_terminal or self.yes):
            raise Misuse(f"{question} Say --yes: without a terminal nobody can be asked")
        self.ask(question, on_terminal=on_terminal)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take whole groups: each of its parameters that is a dataclass becomes that one's options."""
    parameters = inspect.signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {name: one.annotation for name, one in parameters.items() if is_dataclass(one.annotation)}
    fields = {name: inspect.signature(group, eval_str=True).parameters for name, group in groups.items()}

    @functools.wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401  (whatever the options are)
        made = {name: group(**{field: values.pop(field) for field in fields[name]}) for name, group in groups.items()}
        command(**values, **made)

    own = [one for name, one in parameters.items() if name not in groups]
    shared = [one for group in fields.values() for one in group.values()]
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    return run

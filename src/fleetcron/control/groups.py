"""Groups of users: to what is attached to a group, all who are in it are bound."""

from __future__ import annotations

import secrets
from datetime import datetime

import msgspec

from fleetcron.control import users
from fleetcron.control.administration import changing, require_management
from fleetcron.domain.access import GROUPS_MAX, Caller, Group, User
from fleetcron.errors import Conflict, NotFound
from fleetcron.store import policies as store
from fleetcron.store.database import Database, Transaction


class Groups:
    """What administrators ask about groups; everybody else is Forbidden.

    What belongs to another account is NotFound, as what is not there.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_group(self, caller: Caller, *, name: str, description: str | None, now: datetime) -> Group:
        """Make a group that nobody is in.

        Raises:
            Conflict: the account has a group of this name, or as many as it may.
        """
        require_management(caller, account_id=caller.account_id)
        group = Group(
            group_id=secrets.token_hex(16),
            account_id=caller.account_id,
            name=name,
            description=description or None,
            created_at=now,
        )
        with changing(self._database) as tx:
            if len(store.list_groups(tx, caller.account_id)) >= GROUPS_MAX:
                raise Conflict(f"The account has {GROUPS_MAX} groups, which is the most it may have.")
            if not store.insert_group(tx, group):
                raise _taken(name)
        return group

    def list_groups(self, caller: Caller, name: str | None = None) -> list[Group]:
        """The account's groups by name; with ``name``, that one or none."""
        require_management(caller, account_id=caller.account_id)
        with self._database.snapshot() as tx:
            return store.list_groups(tx, caller.account_id, name=name)

    def show_group(self, caller: Caller, group_id: str) -> Group:
        """One group."""
        require_management(caller, account_id=caller.account_id)
        with self._database.snapshot() as tx:
            return _group(tx, caller, group_id)

    def update_group(
        self, caller: Caller, group_id: str, *, name: str | None = None, description: str | None = None
    ) -> Group:
        """Change what is not None; an empty description clears it.

        Raises:
            Conflict: the account has another group of this name.
        """
        require_management(caller, account_id=caller.account_id)
        with changing(self._database) as tx:
            known = _group(tx, caller, group_id)
            if name not in {None, known.name} and store.list_groups(tx, caller.account_id, name=name):
                raise _taken(str(name))
            changed = msgspec.structs.replace(
                known,
                name=known.name if name is None else name,
                description=known.description if description is None else description or None,
            )
            store.update_group(tx, changed)
        return changed

    def delete_group(self, caller: Caller, group_id: str) -> None:
        """Forget a group and what is attached to it; who was in it stays a user."""
        require_management(caller, account_id=caller.account_id)
        with changing(self._database) as tx:
            store.delete_group(tx, _group(tx, caller, group_id).group_id)

    def add_member(self, caller: Caller, group_id: str, user_id: str) -> None:
        """Put a user into a group; one who is in it stays in it."""
        with changing(self._database) as tx:
            store.insert_member(tx, *_pair(tx, caller, group_id, user_id))

    def remove_member(self, caller: Caller, group_id: str, user_id: str) -> None:
        """Take a user out of a group.

        Raises:
            NotFound: it is not in it.
        """
        with changing(self._database) as tx:
            if not store.delete_member(tx, *_pair(tx, caller, group_id, user_id)):
                raise _no_member(user_id)

    def check_member(self, caller: Caller, group_id: str, user_id: str) -> None:
        """Do nothing if a user is in a group.

        Raises:
            NotFound: it is not.
        """
        with self._database.snapshot() as tx:
            if not store.has_member(tx, *_pair(tx, caller, group_id, user_id)):
                raise _no_member(user_id)

    def list_members(self, caller: Caller, group_id: str) -> list[User]:
        """The users in a group, by name."""
        require_management(caller, account_id=caller.account_id)
        with self._database.snapshot() as tx:
            return store.list_members(tx, _group(tx, caller, group_id).group_id)

    def list_groups_of(self, caller: Caller, user_id: str) -> list[Group]:
        """The groups that a user is in; users may ask about themselves."""
        require_management(caller, account_id=caller.account_id, user_id=user_id)
        with self._database.snapshot() as tx:
            return store.list_groups_of(tx, users.own(tx, caller, user_id).user_id)


def _taken(name: str) -> Conflict:
    return Conflict(f"The account already has a group named {name}.")


def _no_member(user_id: str) -> NotFound:
    return NotFound("member", user_id)


def _pair(tx: Transaction, caller: Caller, group_id: str, user_id: str) -> tuple[str, str]:
    """A group and a user of the caller's account, if the caller manages it."""
    require_management(caller, account_id=caller.account_id)
    return _group(tx, caller, group_id).group_id, users.own(tx, caller, user_id).user_id


def _group(tx: Transaction, caller: Caller, group_id: str) -> Group:
    group = store.find_group(tx, group_id)
    if group is None or group.account_id != caller.account_id:
        raise NotFound("group", group_id)
    return group

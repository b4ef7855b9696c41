"""Policies: those that an account writes itself, those that are predefined, and to whom they are attached."""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import lru_cache

import msgspec

from fleetcron.control import users
from fleetcron.control.administration import changing, require_management
from fleetcron.domain.access import (
    ATTACHMENTS_MAX,
    POLICIES_MAX,
    Attachment,
    Caller,
    Holder,
    Policy,
    Predefined,
)
from fleetcron.domain.decision import Named
from fleetcron.domain.policy import Document, document_text, read_document
from fleetcron.domain.predefined import PREDEFINED
from fleetcron.errors import Conflict, NotFound
from fleetcron.store import access
from fleetcron.store import policies as store
from fleetcron.store.database import Database, Transaction

DOCUMENTS_REMEMBERED_MAX = 512

AnyPolicy = Policy | Predefined


class Policies:
    """What administrators ask about policies; everybody else is Forbidden.

    A policy is named by its id, a predefined one by its name. What belongs to another account is NotFound, as what is
    not there; another account's place is Forbidden.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_policy(
        self,
        caller: Caller,
        *,
        name: str,
        description: str | None,
        regional: bool,
        document: bytes | str,
        now: datetime,
    ) -> Policy:
        """Write a policy for the caller's account.

        Raises:
            Invalid: the document is malformed; names the place in it.
            Conflict: there is a policy of this name, or as many as there may be.
        """
        require_management(caller, account_id=caller.account_id)
        policy = Policy(
            policy_id=secrets.token_hex(16),
            account_id=caller.account_id,
            name=name,
            description=description or None,
            regional=regional,
            document=document_text(read_document(document)),
            created_at=now,
            updated_at=now,
        )
        with changing(self._database) as tx:
            known = store.list_policies(tx, caller.account_id)
            if len(known) >= POLICIES_MAX:
                raise Conflict(f"The account has {POLICIES_MAX} policies, which is the most it may have.")
            if name in PREDEFINED or not store.insert_policy(tx, policy):
                raise _taken(name)
        return policy

    def list_policies(self, caller: Caller, name: str | None = None) -> list[Policy]:
        """The account's own policies by name; with ``name``, that one or none."""
        require_management(caller, account_id=caller.account_id)
        with self._database.snapshot() as tx:
            return store.list_policies(tx, caller.account_id, name=name)

    def list_known(self, caller: Caller, name: str | None = None) -> list[AnyPolicy]:
        """All that can be attached, the predefined ones first; with ``name``, that one or none."""
        own = self.list_policies(caller, name)
        return [*(_predefined(one) for one in PREDEFINED if name in {None, one}), *own]

    def show_policy(self, caller: Caller, policy: str) -> tuple[Policy, int]:
        """One of the account's own policies, and how many times it is attached."""
        require_management(caller, account_id=caller.account_id)
        with self._database.snapshot() as tx:
            return _own(tx, caller, policy), store.count_attachments(tx, policy)

    def show_known(self, caller: Caller, policy: str) -> AnyPolicy:
        """One policy, predefined or the account's own."""
        require_management(caller, account_id=caller.account_id)
        return _predefined(policy) if policy in PREDEFINED else self.show_policy(caller, policy)[0]

    def update_policy(
        self,
        caller: Caller,
        policy: str,
        *,
        name: str | None = None,
        description: str | None = None,
        regional: bool | None = None,
        document: bytes | str | None = None,
        now: datetime,
    ) -> Policy:
        """Change what is not None of one of the account's own policies; an empty description clears it.

        Raises:
            Invalid: the document is malformed; names the place in it.
            Conflict: there is another policy of this name.
        """
        require_management(caller, account_id=caller.account_id)
        said = {
            "name": name,
            "description": description,
            "regional": regional,
            "document": None if document is None else document_text(read_document(document)),
        }
        changes = {field: value for field, value in said.items() if value is not None}
        with changing(self._database) as tx:
            known = _own(tx, caller, policy)
            if name not in {None, known.name} and (
                name in PREDEFINED or store.list_policies(tx, caller.account_id, name=name)
            ):
                raise _taken(str(name))
            changed = msgspec.structs.replace(known, **changes, updated_at=now)
            changed = msgspec.structs.replace(changed, description=changed.description or None)
            store.update_policy(tx, changed)
        return changed

    def delete_policy(self, caller: Caller, policy: str) -> None:
        """Forget one of the account's own policies.

        Raises:
            Conflict: it is attached to somebody.
        """
        require_management(caller, account_id=caller.account_id)
        with changing(self._database) as tx:
            known = _own(tx, caller, policy)
            count = store.count_attachments(tx, policy)
            if count:
                raise Conflict(f"Policy {known.name} is attached {count} times; detach it first.")
            store.delete_policy(tx, policy)

    def attach(self, caller: Caller, holder: Holder, policy: str, now: datetime) -> None:
        """Let a policy count for a holder from now on; one that does already goes on to.

        Raises:
            Conflict: the user or the group has as many policies as it may.
        """
        with changing(self._database) as tx:
            attachment = _attachment(tx, caller, holder, policy, now)
            if not store.has_attachment(tx, attachment) and store.count_held(tx, holder) >= ATTACHMENTS_MAX:
                raise Conflict(f"{ATTACHMENTS_MAX} policies are attached already, which is the most there may be.")
            store.insert_attachment(tx, attachment)

    def detach(self, caller: Caller, holder: Holder, policy: str, now: datetime) -> None:
        """Let a policy count for a holder no more.

        Raises:
            NotFound: it is not attached to this holder in this place.
        """
        with changing(self._database) as tx:
            if not store.delete_attachment(tx, _attachment(tx, caller, holder, policy, now)):
                raise NotFound("attachment of policy", policy)

    def check(self, caller: Caller, holder: Holder, policy: str, now: datetime) -> None:
        """Do nothing if a policy is attached to this holder in just this place.

        Raises:
            NotFound: it is not.
        """
        with self._database.snapshot() as tx:
            if not store.has_attachment(tx, _attachment(tx, caller, holder, policy, now)):
                raise NotFound("attachment of policy", policy)

    def list_attached(self, caller: Caller, holder: Holder) -> list[AnyPolicy]:
        """The policies that are attached to this holder in just this place, the oldest first."""
        with self._database.snapshot() as tx:
            _require_holder(tx, caller, holder)
            attached = store.list_attachments(tx, holder)
            found = [_attached(tx, one) for one in attached]
        return [one for one in found if one is not None]


def of_caller(tx: Transaction, caller: Caller, project_id: str | None) -> tuple[Named, ...]:
    """The policies that count for a caller in a project, or in the account as a whole, by name.

    Its own, its groups', and of both those that are attached for the account or for this project; and those that its
    identity service's roles stand for. Each comes once.
    """
    found = dict(store.list_documents(tx, caller.user_id, project_id))
    found.update(dict.fromkeys(caller.policies))
    # A name that this version no longer knows allows nothing.
    return tuple(
        [
            (name, PREDEFINED[name] if text is None else _read(text))
            for name, text in found.items()
            if text is not None or name in PREDEFINED
        ]
    )


@lru_cache(maxsize=DOCUMENTS_REMEMBERED_MAX)
def _read(text: str) -> Document:
    """Reading takes a hundred times as long as deciding, and most calls are held against the same few policies."""
    return read_document(text)


def _taken(name: str) -> Conflict:
    return Conflict(f"There already is a policy named {name}.")


def _predefined(name: str) -> Predefined:
    return Predefined(name=name, document=document_text(PREDEFINED[name]))


def _attached(tx: Transaction, attachment: Attachment) -> AnyPolicy | None:
    """What is attached; None for a predefined policy that this version no longer knows."""
    if attachment.policy_id is not None:
        return store.find_policy(tx, attachment.policy_id)
    name = attachment.predefined or ""
    return _predefined(name) if name in PREDEFINED else None


def _own(tx: Transaction, caller: Caller, policy: str) -> Policy:
    known = store.find_policy(tx, policy)
    if known is None or known.account_id != caller.account_id:
        raise NotFound("policy", policy)
    return known


def _attachment(tx: Transaction, caller: Caller, holder: Holder, policy: str, now: datetime) -> Attachment:
    """What binds a policy that is there to a holder who is there, if the caller may see to it."""
    _require_holder(tx, caller, holder)
    return Attachment(
        policy_id=None if policy in PREDEFINED else _own(tx, caller, policy).policy_id,
        predefined=policy if policy in PREDEFINED else None,
        user_id=holder.user_id,
        group_id=holder.group_id,
        project_id=holder.project_id,
        created_at=now,
    )


def _require_holder(tx: Transaction, caller: Caller, holder: Holder) -> None:
    """See that the caller manages the place, and that the user or the group is one of the account's."""
    account_id = holder.account_id
    if holder.project_id is not None:
        project = access.find_project(tx, holder.project_id)
        account_id = None if project is None else project.account_id
    require_management(caller, account_id=account_id, project_id=holder.project_id)
    if holder.user_id is not None:
        users.own(tx, caller, holder.user_id)
    if holder.group_id is not None:
        group = store.find_group(tx, holder.group_id)
        if group is None or group.account_id != caller.account_id:
            raise NotFound("group", holder.group_id)

"""Callers whom another identity service vouches for: whom its tokens stand for here, and what they may."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from fleetcron.control.recent import Recent
from fleetcron.control.tokens import digest_of
from fleetcron.domain.access import Caller
from fleetcron.domain.predefined import PREDEFINED
from fleetcron.errors import BadSettings, Forbidden, StaleToken
from fleetcron.identity.contract import Identity, Validated
from fleetcron.store import access as store
from fleetcron.store.database import Database


class Visitor(msgspec.Struct, frozen=True, kw_only=True):
    """A caller who is no user of the account: the predefined ``policies`` hold for it, by name, and no others do."""

    caller: Caller
    policies: tuple[str, ...]
    expires_at: datetime


class Visitors:
    """Whom the tokens of another identity service stand for.

    A token has to be for a project whose id is also one of ours, and the user to have a role there that stands for a
    policy; whoever comes with less is turned away here. What the service said is believed for as long as ``Recent``
    remembers it.

    Raises:
        BadSettings: a role stands for a policy that does not exist.
    """

    def __init__(self, database: Database, identity: Identity, policies_by_role: Mapping[str, str]) -> None:
        for role, policy in policies_by_role.items():
            if policy not in PREDEFINED:
                raise BadSettings(f"identity.roles.{role}", f"must be one of {', '.join(PREDEFINED)}")
        self._database = database
        self._identity = identity
        self._policies_by_role = policies_by_role
        self._recent: Recent[Visitor] = Recent()

    def recall(self, token: str, now: datetime) -> Visitor | None:
        """Who bears this token, if that was found a moment ago; never waits.

        Raises:
            StaleToken: it has expired since.
        """
        visitor = self._recent.recall(digest_of(token), now)
        if visitor is not None and visitor.expires_at <= now:
            raise StaleToken("The token must be updated.")
        return visitor

    def admit(self, token: str, now: datetime) -> Visitor:
        """Ask who bears this token; takes as long as the identity service does.

        Raises:
            Unauthenticated: it does not hold; a StaleToken, if it has expired.
            Forbidden: it is not for one of our projects, or no role of the user's stands for a policy.
            Unavailable: the service does not answer.
        """
        visitor = self._visitor(self._identity.validate(token, now))
        # As of when it was asked for: however long the answer took, it is not believed for longer.
        return self._recent.remember(digest_of(token), visitor, now)

    def _visitor(self, said: Validated) -> Visitor:
        if said.project_id is None:
            raise Forbidden(f"The token of user {said.user_name} is not for a project.")
        with self._database.snapshot() as tx:
            project = store.find_project(tx, said.project_id)
        if project is None:
            raise Forbidden(f"User {said.user_name} has no access to the project {said.project_id}.")
        policies = tuple(dict.fromkeys(p for role, p in self._policies_by_role.items() if role in said.roles))
        if not policies:
            raise Forbidden(f"No role of user {said.user_name} in project {said.project_id} stands for a policy here.")
        caller = Caller(
            user_id=said.user_id,
            user_name=said.user_name,
            account_id=project.account_id,
            administrator=False,
            project_id=project.project_id,
        )
        return Visitor(caller=caller, policies=policies, expires_at=said.expires_at)

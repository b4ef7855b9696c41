"""What the operations of the identity API do: signing in, projects, users and access keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from fleetcron.errors import Invalid, NotFound
from fleetcron.web.call import Answer, Call, Deed
from fleetcron.wire.access import say_domains, say_projects, say_version
from fleetcron.wire.tokens import SUBJECT_TOKEN, SignIn, say_token
from fleetcron.wire.users import (
    ByUser,
    NewCredential,
    NewUser,
    UserChanges,
    say_credential,
    say_new_credential,
    say_user,
    say_users,
)


def list_versions(call: Call) -> Answer:
    """Where version 3 is."""
    return _answer({"versions": {"values": [say_version(_base(call))]}})


def show_version(call: Call) -> Answer:
    """Where version 3 is, asked at its own address."""
    return _answer({"version": say_version(_base(call))})


def sign_in(call: Call) -> Answer:
    """Give a token for a password."""
    body: SignIn = call.body
    user = body.user()
    account = user.domain.id or user.domain.name or ""
    plain, signed_in = call.ground.access.sign_in(user.name, account, user.password, body.scope(), call.now)
    return _answer(say_token(signed_in), status=201, headers={SUBJECT_TOKEN: plain})


def check_token(call: Call) -> Answer:
    """Say what a token stands for."""
    subject = _subject(call)
    try:
        signed_in = call.ground.access.check_token(call.asker, subject, call.now)
    except NotFound as error:
        raise NotFound(SUBJECT_TOKEN, "in the request") from error
    return _answer(say_token(signed_in), headers={SUBJECT_TOKEN: subject})


def revoke_token(call: Call) -> Answer:
    """End a token."""
    try:
        call.ground.access.revoke_token(call.asker, _subject(call), call.now)
    except NotFound as error:
        raise NotFound(SUBJECT_TOKEN, "in the request") from error
    return Answer(status=204)


def list_projects(call: Call) -> Answer:
    """The projects of the caller's account."""
    return _answer(say_projects(call.ground.access.projects(call.asker, call.query.name), _base(call)))


def list_own_projects(call: Call) -> Answer:
    """The same, as Keystone's clients ask for them when they choose a scope."""
    return _answer(say_projects(call.ground.access.projects(call.asker), _base(call)))


def list_domains(call: Call) -> Answer:
    """The caller's account."""
    return _answer(say_domains(call.ground.access.domains(call.asker), _base(call)))


def create_user(call: Call) -> Answer:
    """Make a user in the caller's account."""
    new: NewUser = call.body.user
    if new.domain_id not in {None, call.asker.account_id}:
        raise Invalid("user.domain_id", "must be the caller's own account")
    user = call.ground.access.create_user(
        call.asker,
        name=new.name,
        password=new.password,
        description=new.description,
        enabled=new.enabled,
        now=call.now,
    )
    return _answer({"user": say_user(user, _base(call))}, status=201)


def list_users(call: Call) -> Answer:
    """The users of the caller's account."""
    return _answer(say_users(call.ground.access.list_users(call.asker, call.query.name), _base(call)))


def show_user(call: Call) -> Answer:
    """One user."""
    user = call.ground.access.show_user(call.asker, call.path["user_id"])
    return _answer({"user": say_user(user, _base(call))})


def update_user(call: Call) -> Answer:
    """Change a user."""
    changes: UserChanges = call.body.user
    user = call.ground.access.update_user(
        call.asker,
        call.path["user_id"],
        password=None if changes.password is msgspec.UNSET else changes.password,
        description=None if changes.description is msgspec.UNSET else changes.description,
        enabled=None if changes.enabled is msgspec.UNSET else changes.enabled,
    )
    return _answer({"user": say_user(user, _base(call))})


def delete_user(call: Call) -> Answer:
    """Forget a user."""
    call.ground.access.delete_user(call.asker, call.path["user_id"])
    return Answer(status=204)


def create_access_key(call: Call) -> Answer:
    """Make an access key, and show its secret this once."""
    new: NewCredential = call.body.credential
    key = call.ground.access.create_access_key(
        call.asker, user_id=new.user_id, description=new.description, now=call.now
    )
    return _answer(say_new_credential(key), status=201)


def list_access_keys(call: Call) -> Answer:
    """A user's access keys."""
    query: ByUser = call.query
    keys = call.ground.access.list_access_keys(call.asker, query.user_id)
    return _answer({"credentials": [say_credential(key) for key in keys]})


def show_access_key(call: Call) -> Answer:
    """One access key."""
    key = call.ground.access.show_access_key(call.asker, call.path["access_key"])
    return _answer({"credential": say_credential(key)})


def delete_access_key(call: Call) -> Answer:
    """Forget an access key."""
    call.ground.access.delete_access_key(call.asker, call.path["access_key"])
    return Answer(status=204)


DEEDS: Final[Mapping[str, Deed]] = {
    "KeystoneListVersions": list_versions,
    "KeystoneShowVersion": show_version,
    "KeystoneCreateUserTokenByPassword": sign_in,
    "KeystoneValidateToken": check_token,
    "KeystoneRevokeToken": revoke_token,
    "KeystoneListProjects": list_projects,
    "KeystoneListAuthProjects": list_own_projects,
    "KeystoneListAuthDomains": list_domains,
    "KeystoneCreateUser": create_user,
    "KeystoneListUsers": list_users,
    "KeystoneShowUser": show_user,
    "KeystoneUpdateUserByAdmin": update_user,
    "KeystoneDeleteUser": delete_user,
    "CreatePermanentAccessKey": create_access_key,
    "ListPermanentAccessKeys": list_access_keys,
    "ShowPermanentAccessKey": show_access_key,
    "DeletePermanentAccessKey": delete_access_key,
}


def _answer(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status=status, body=msgspec.json.encode(body), headers=headers or {})


def _base(call: Call) -> str:
    """The service's address as the caller knows it."""
    return f"http://{call.headers.get('host', 'localhost')}"


def _subject(call: Call) -> str:
    """The token that is asked about, which is not the one that asks."""
    subject = call.headers.get(SUBJECT_TOKEN.lower())
    if subject is None:
        raise Invalid(SUBJECT_TOKEN, "is required")
    return subject

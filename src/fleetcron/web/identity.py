"""What the operations of the identity API do: signing in, projects, users and access keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetcron.control.authorisation import ASKING
from fleetcron.domain.access import Caller, SignedIn
from fleetcron.errors import Invalid, NotFound, Unauthenticated
from fleetcron.web.call import Answer, Call, Deed
from fleetcron.web.replies import answer, base, told
from fleetcron.wire.access import say_domain, say_domains, say_project, say_projects, say_version
from fleetcron.wire.tokens import SUBJECT_TOKEN, PasswordMethod, SignIn, say_token
from fleetcron.wire.users import (
    ByUser,
    NewCredential,
    NewUser,
    TemporaryToken,
    UserChanges,
    say_credential,
    say_new_credential,
    say_temporary_credential,
    say_user,
    say_users,
)


def list_versions(call: Call) -> Answer:
    """Where version 3 is."""
    return answer({"versions": {"values": [say_version(base(call))]}})


def show_version(call: Call) -> Answer:
    """Where version 3 is, asked at its own address."""
    return answer({"version": say_version(base(call))})


def sign_in(call: Call) -> Answer:
    """Give a token for a password, or for a token with another scope."""
    body: SignIn = call.body
    method = body.method()
    access = call.ground.access
    if isinstance(method, PasswordMethod):
        user = method.user
        account = user.domain.id or user.domain.name or ""
        call.ground.sign_ins.check(user.name, call.source, call.now)
        try:
            plain, signed_in = access.sign_in(user.name, account, user.password, body.scope(), call.now)
        except Unauthenticated:
            call.ground.sign_ins.failed(user.name, call.source, call.now)
            raise
        call.ground.sign_ins.succeeded(user.name)
    else:
        plain, signed_in = access.exchange(method.id, body.scope(), call.now)
    _now_known(signed_in)
    return answer(say_token(signed_in, base(call), call.query), status=201, headers={SUBJECT_TOKEN: plain})


def _now_known(signed_in: SignedIn) -> None:
    """Tell the audit log who has signed in: until now the call was nobody's."""
    asking = ASKING.get()
    if asking is not None:
        asking.caller = Caller(
            user_id=signed_in.user.user_id,
            user_name=signed_in.user.name,
            account_id=signed_in.user.account_id,
            administrator=signed_in.user.administrator,
            project_id=None,
        )


def check_token(call: Call) -> Answer:
    """Say what a token stands for."""
    subject = _subject(call)
    try:
        signed_in = call.ground.access.check_token(call.asker, subject, call.now)
    except NotFound as error:
        raise NotFound(SUBJECT_TOKEN, "in the request") from error
    return answer(say_token(signed_in, base(call), call.query), headers={SUBJECT_TOKEN: subject})


def revoke_token(call: Call) -> Answer:
    """End a token."""
    try:
        call.ground.access.revoke_token(call.asker, _subject(call), call.now)
    except NotFound as error:
        raise NotFound(SUBJECT_TOKEN, "in the request") from error
    return Answer(status=204)


def list_projects(call: Call) -> Answer:
    """The projects of the caller's account."""
    return answer(say_projects(call.ground.access.projects(call.asker, call.query.name), base(call)))


def show_project(call: Call) -> Answer:
    """One project."""
    project = call.ground.access.show_project(call.asker, call.project_id)
    return answer({"project": say_project(project, base(call))})


def list_projects_of_user(call: Call) -> Answer:
    """The projects that a user may sign in to."""
    return answer(say_projects(call.ground.access.projects_of(call.asker, call.path["user_id"]), base(call)))


def list_own_projects(call: Call) -> Answer:
    """The same, as Keystone's clients ask for them when they choose a scope."""
    return answer(say_projects(call.ground.access.projects(call.asker), base(call)))


def list_own_domains(call: Call) -> Answer:
    """The caller's account."""
    return answer(say_domains(call.ground.access.domains(call.asker), base(call)))


def list_domains(call: Call) -> Answer:
    """The same, as Keystone's clients ask for an account by its name."""
    return answer(say_domains(call.ground.access.domains(call.asker, call.query.name), base(call)))


def show_domain(call: Call) -> Answer:
    """The caller's account, by its id."""
    domain_id = call.path["domain_id"]
    for account in call.ground.access.domains(call.asker):
        if account.account_id == domain_id:
            return answer({"domain": say_domain(account, base(call))})
    raise NotFound("domain", domain_id)


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
    return answer({"user": say_user(user, base(call))}, status=201)


def list_users(call: Call) -> Answer:
    """The users of the caller's account."""
    return answer(say_users(call.ground.access.list_users(call.asker, call.query.name), base(call)))


def show_user(call: Call) -> Answer:
    """One user."""
    user = call.ground.access.show_user(call.asker, call.path["user_id"])
    return answer({"user": say_user(user, base(call))})


def update_user(call: Call) -> Answer:
    """Change a user."""
    changes: UserChanges = call.body.user
    user = call.ground.access.update_user(
        call.asker,
        call.path["user_id"],
        password=told(changes.password),
        description=told(changes.description),
        enabled=told(changes.enabled),
    )
    return answer({"user": say_user(user, base(call))})


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
    return answer(say_new_credential(key), status=201)


def list_access_keys(call: Call) -> Answer:
    """A user's access keys."""
    query: ByUser = call.query
    keys = call.ground.access.list_access_keys(call.asker, query.user_id)
    return answer({"credentials": [say_credential(key) for key in keys]})


def show_access_key(call: Call) -> Answer:
    """One access key."""
    key = call.ground.access.show_access_key(call.asker, call.path["access_key"])
    return answer({"credential": say_credential(key)})


def delete_access_key(call: Call) -> Answer:
    """Forget an access key."""
    call.ground.access.delete_access_key(call.asker, call.path["access_key"])
    return Answer(status=204)


def create_temporary_key(call: Call) -> Answer:
    """Make an access key for the caller that ends by itself."""
    asked: TemporaryToken = call.body.auth.identity.token
    access = call.ground.access
    if asked.id is not None and access.caller_of_token(asked.id, call.now).user_id != call.asker.user_id:
        raise Invalid("auth.identity.token.id", "must be the caller's own token")
    key = access.create_temporary_key(call.asker, asked.duration_seconds, call.now)
    return answer(say_temporary_credential(key), status=201)


DEEDS: Final[Mapping[str, Deed]] = {
    "KeystoneListVersions": list_versions,
    "KeystoneShowVersion": show_version,
    "KeystoneCreateUserTokenByPassword": sign_in,
    "KeystoneValidateToken": check_token,
    "KeystoneRevokeToken": revoke_token,
    "KeystoneListProjects": list_projects,
    "KeystoneShowProject": show_project,
    "KeystoneListProjectsForUser": list_projects_of_user,
    "KeystoneListDomains": list_domains,
    "KeystoneShowDomain": show_domain,
    "KeystoneListAuthProjects": list_own_projects,
    "KeystoneListAuthDomains": list_own_domains,
    "KeystoneCreateUser": create_user,
    "KeystoneListUsers": list_users,
    "KeystoneShowUser": show_user,
    "KeystoneUpdateUserByAdmin": update_user,
    "KeystoneDeleteUser": delete_user,
    "CreatePermanentAccessKey": create_access_key,
    "ListPermanentAccessKeys": list_access_keys,
    "ShowPermanentAccessKey": show_access_key,
    "DeletePermanentAccessKey": delete_access_key,
    "CreateTemporaryAccessKeyByToken": create_temporary_key,
}


def _subject(call: Call) -> str:
    """The token that is asked about, which is not the one that asks."""
    subject = call.headers.get(SUBJECT_TOKEN.lower())
    if subject is None:
        raise Invalid(SUBJECT_TOKEN, "is required")
    return subject

"""What the operations on policies do, and on to whom they are attached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from fleetcron.domain.access import Holder
from fleetcron.web.call import Answer, Call, Deed
from fleetcron.web.replies import answer, base, told
from fleetcron.wire.policies import PolicyChanges, RolesQuery, say_role, say_roles


def list_permissions(call: Call) -> Answer:
    """All the policies that can be attached."""
    query: RolesQuery = call.query
    policies = call.ground.policies
    name = query.display_name or query.name
    if query.domain_id is None:
        found = policies.list_known(call.asker, name)
    else:
        found = [*policies.list_policies(call.asker, name)] if query.domain_id == call.asker.account_id else []
    return answer(say_roles(found, f"{base(call)}/v3/roles", base(call), query))


def show_permission(call: Call) -> Answer:
    """One policy, predefined or the account's own."""
    policy = call.ground.policies.show_known(call.asker, call.path["role_id"])
    return answer({"role": say_role(policy, base(call))})


def create_policy(call: Call) -> Answer:
    """Write a policy of the account's own."""
    new = call.body.role
    policy = call.ground.policies.create_policy(
        call.asker,
        name=new.display_name,
        description=new.description,
        regional=new.type == "XA",
        document=bytes(new.policy),
        now=call.now,
    )
    return answer({"role": say_role(policy, base(call))}, status=201)


def list_policies(call: Call) -> Answer:
    """The account's own policies."""
    found = call.ground.policies.list_policies(call.asker)
    return answer(say_roles(found, f"{base(call)}/v3.0/OS-ROLE/roles", base(call), call.query))


def show_policy(call: Call) -> Answer:
    """One of the account's own policies, and how many times it is attached."""
    policy, count = call.ground.policies.show_policy(call.asker, call.path["role_id"])
    return answer({"role": {**say_role(policy, base(call)), "references": count}})


def update_policy(call: Call) -> Answer:
    """Change one of the account's own policies."""
    changes: PolicyChanges = call.body.role
    policy = call.ground.policies.update_policy(
        call.asker,
        call.path["role_id"],
        name=told(changes.display_name),
        description=told(changes.description),
        regional=None if changes.type is msgspec.UNSET else changes.type == "XA",
        document=None if isinstance(changes.policy, msgspec.UnsetType) else bytes(changes.policy),
        now=call.now,
    )
    return answer({"role": say_role(policy, base(call))})


def delete_policy(call: Call) -> Answer:
    """Forget one of the account's own policies."""
    call.ground.policies.delete_policy(call.asker, call.path["role_id"])
    return answer({"message": "Delete success"})


def list_attached(call: Call) -> Answer:
    """The policies that are attached to the holder in the path."""
    holder = _holder(call)
    kind, key = ("users", holder.user_id) if holder.user_id else ("groups", holder.group_id)
    place = f"domains/{holder.account_id}" if holder.account_id else f"projects/{holder.project_id}"
    found = call.ground.policies.list_attached(call.asker, holder)
    return answer(say_roles(found, f"{base(call)}/v3/{place}/{kind}/{key}/roles", base(call)))


def attach(call: Call) -> Answer:
    """Let the policy in the path count for the holder in the path."""
    call.ground.policies.attach(call.asker, _holder(call), call.path["role_id"], call.now)
    return Answer(status=204)


def check(call: Call) -> Answer:
    """Say by the status alone whether it does."""
    call.ground.policies.check(call.asker, _holder(call), call.path["role_id"], call.now)
    return Answer(status=204)


def detach(call: Call) -> Answer:
    """Let it count no more."""
    call.ground.policies.detach(call.asker, _holder(call), call.path["role_id"], call.now)
    return Answer(status=204)


DEEDS: Final[Mapping[str, Deed]] = {
    "KeystoneListPermissions": list_permissions,
    "KeystoneShowPermission": show_permission,
    "CreateCloudServiceCustomPolicy": create_policy,
    "ListCustomPolicies": list_policies,
    "ShowCustomPolicy": show_policy,
    "UpdateCloudServiceCustomPolicy": update_policy,
    "DeleteCustomPolicy": delete_policy,
    **{
        id_: deed
        for place in ("Domain", "Project")
        for holder in ("Group", "User")
        for id_, deed in (
            (f"KeystoneList{place}PermissionsFor{holder}", list_attached),
            (f"KeystoneAssociate{holder}With{place}Permission", attach),
            (f"KeystoneCheck{place}PermissionFor{holder}", check),
            (f"KeystoneRemove{place}PermissionFrom{holder}", detach),
        )
    },
}


def _holder(call: Call) -> Holder:
    """For whom and where, as the path says."""
    path = call.path
    return Holder(
        user_id=path.get("user_id"),
        group_id=path.get("group_id"),
        account_id=path.get("domain_id"),
        project_id=path.get("project_id"),
    )

"""Groups of users, policies, and to whom policies are attached, in the database."""

from __future__ import annotations

from fleetcron.domain.access import Attachment, Group, Holder, Policy, User
from fleetcron.store.access import USERS
from fleetcron.store.database import Transaction
from fleetcron.store.rows import Rows

GROUPS = Rows(Group, "user_groups")
POLICIES = Rows(Policy, "policies")
ATTACHMENTS = Rows(Attachment, "attachments")

_GROUP = f"SELECT {GROUPS.columns} FROM user_groups"  # noqa: S608  (names are our own fields)
_POLICY = f"SELECT {POLICIES.columns} FROM policies"  # noqa: S608  (the same)
_USER = f"SELECT {USERS.columns} FROM users"  # noqa: S608  (the same)

_DOCUMENTS = """
    SELECT coalesce(p.name, a.predefined), p.document
    FROM attachments a LEFT JOIN policies p ON p.policy_id = a.policy_id
    WHERE (a.user_id = :user_id OR a.group_id IN (SELECT group_id FROM memberships WHERE user_id = :user_id))
    AND (a.project_id IS NULL OR a.project_id = :project_id)
    ORDER BY 1
"""
_GROUPS_OF = f"{_GROUP} WHERE group_id IN (SELECT group_id FROM memberships WHERE user_id = ?) ORDER BY name"  # noqa: S608  (the same)
_MEMBERS = f"{_USER} WHERE user_id IN (SELECT user_id FROM memberships WHERE group_id = ?) ORDER BY name"  # noqa: S608  (the same)
# No id is empty, and what has none equals what has none; the terms are those of the index one_attachment.
_HELD = """
    FROM attachments
    WHERE coalesce(user_id, '') = coalesce(:user_id, '') AND coalesce(group_id, '') = coalesce(:group_id, '')
"""
_HERE = f"{_HELD} AND coalesce(project_id, '') = coalesce(:project_id, '')"
_JUST_SO = f"""
    {_HERE} AND coalesce(policy_id, '') = coalesce(:policy_id, '')
    AND coalesce(predefined, '') = coalesce(:predefined, '')
"""
_ATTACHED = f"SELECT {ATTACHMENTS.columns} {_HERE} ORDER BY created_at, coalesce(policy_id, predefined)"


def list_documents(tx: Transaction, user_id: str, project_id: str | None) -> list[tuple[str, str | None]]:
    """The policies that count for a user in a project, its groups' among them: each one's name and text.

    The text of a predefined policy is None. With ``project_id`` None, those that count in the account alone are left.
    Asked by every call of a user who is no administrator. One that is attached several times comes several times.
    """
    return tx.execute(_DOCUMENTS, {"user_id": user_id, "project_id": project_id}).fetchall()


def insert_group(tx: Transaction, group: Group) -> bool:
    """Write a new group; False where the account has one of this name (UNIQUE account_id, name)."""
    cursor = tx.execute(f"{GROUPS.insert} ON CONFLICT (account_id, name) DO NOTHING", GROUPS.values(group))
    return cursor.rowcount == 1


def find_group(tx: Transaction, group_id: str) -> Group | None:
    """The group, if it exists."""
    row = tx.execute(f"{_GROUP} WHERE group_id = ?", (group_id,)).fetchone()
    return None if row is None else GROUPS.read(row)


def list_groups(tx: Transaction, account_id: str, *, name: str | None = None) -> list[Group]:
    """The account's groups by name; with ``name``, the one of that name or none."""
    rows = tx.execute(
        f"{_GROUP} WHERE account_id = ? AND (CAST(? AS TEXT) IS NULL OR name = ?) ORDER BY name",
        (account_id, name, name),
    )
    return [GROUPS.read(row) for row in rows]


def list_groups_of(tx: Transaction, user_id: str) -> list[Group]:
    """The groups that a user is in, by name."""
    return [GROUPS.read(row) for row in tx.execute(_GROUPS_OF, (user_id,))]


def update_group(tx: Transaction, group: Group) -> None:
    """Write what may change of a group: name and description."""
    tx.execute(
        "UPDATE user_groups SET name = ?, description = ? WHERE group_id = ?",
        (group.name, group.description, group.group_id),
    )


def delete_group(tx: Transaction, group_id: str) -> None:
    """Forget a group, who is in it and what is attached to it (ON DELETE CASCADE)."""
    tx.execute("DELETE FROM user_groups WHERE group_id = ?", (group_id,))


def insert_member(tx: Transaction, group_id: str, user_id: str) -> None:
    """Put a user into a group; one who is in it stays in it."""
    tx.execute("INSERT INTO memberships (group_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING", (group_id, user_id))


def has_member(tx: Transaction, group_id: str, user_id: str) -> bool:
    """Whether a user is in a group."""
    row = tx.execute("SELECT 1 FROM memberships WHERE group_id = ? AND user_id = ?", (group_id, user_id)).fetchone()
    return row is not None


def list_members(tx: Transaction, group_id: str) -> list[User]:
    """The users in a group, by name."""
    return [USERS.read(row) for row in tx.execute(_MEMBERS, (group_id,))]


def delete_member(tx: Transaction, group_id: str, user_id: str) -> bool:
    """Take a user out of a group; False where it was not in it."""
    cursor = tx.execute("DELETE FROM memberships WHERE group_id = ? AND user_id = ?", (group_id, user_id))
    return cursor.rowcount == 1


def insert_policy(tx: Transaction, policy: Policy) -> bool:
    """Write a new policy; False where the account has one of this name (UNIQUE account_id, name)."""
    cursor = tx.execute(f"{POLICIES.insert} ON CONFLICT (account_id, name) DO NOTHING", POLICIES.values(policy))
    return cursor.rowcount == 1


def find_policy(tx: Transaction, policy_id: str) -> Policy | None:
    """The policy, if it exists."""
    row = tx.execute(f"{_POLICY} WHERE policy_id = ?", (policy_id,)).fetchone()
    return None if row is None else POLICIES.read(row)


def list_policies(tx: Transaction, account_id: str, *, name: str | None = None) -> list[Policy]:
    """The account's own policies by name; with ``name``, the one of that name or none."""
    rows = tx.execute(
        f"{_POLICY} WHERE account_id = ? AND (CAST(? AS TEXT) IS NULL OR name = ?) ORDER BY name",
        (account_id, name, name),
    )
    return [POLICIES.read(row) for row in rows]


def update_policy(tx: Transaction, policy: Policy) -> None:
    """Write what may change of a policy: everything but whose it is and since when."""
    tx.execute(
        "UPDATE policies SET name = ?, description = ?, regional = ?, document = ?, updated_at = ? WHERE policy_id = ?",
        (*POLICIES.values(policy)[2:6], POLICIES.values(policy)[7], policy.policy_id),
    )


def delete_policy(tx: Transaction, policy_id: str) -> None:
    """Forget a policy; the database refuses where it is attached to somebody (REFERENCES policies)."""
    tx.execute("DELETE FROM policies WHERE policy_id = ?", (policy_id,))


def count_attachments(tx: Transaction, policy_id: str) -> int:
    """How many times a policy is attached to somebody."""
    (count,) = tx.execute("SELECT count(*) FROM attachments WHERE policy_id = ?", (policy_id,)).fetchone()
    return int(count)


def insert_attachment(tx: Transaction, attachment: Attachment) -> None:
    """Attach a policy; one that is attached stays as it is (one_attachment)."""
    tx.execute(f"{ATTACHMENTS.insert} ON CONFLICT DO NOTHING", ATTACHMENTS.values(attachment))


def has_attachment(tx: Transaction, attachment: Attachment) -> bool:
    """Whether a policy is attached just so, whenever that was done."""
    row = tx.execute(f"SELECT 1 {_JUST_SO}", _names(attachment)).fetchone()
    return row is not None


def list_attachments(tx: Transaction, holder: Holder) -> list[Attachment]:
    """What is attached to a holder in just this place, the oldest first."""
    held = {"user_id": holder.user_id, "group_id": holder.group_id, "project_id": holder.project_id}
    return [ATTACHMENTS.read(row) for row in tx.execute(_ATTACHED, held)]


def count_held(tx: Transaction, holder: Holder) -> int:
    """How many policies are attached to a user or a group, in whatever place."""
    (count,) = tx.execute(
        f"SELECT count(*) {_HELD}", {"user_id": holder.user_id, "group_id": holder.group_id}
    ).fetchone()
    return int(count)


def delete_attachment(tx: Transaction, attachment: Attachment) -> bool:
    """Detach a policy; False where it was not attached just so."""
    cursor = tx.execute(f"DELETE {_JUST_SO}", _names(attachment))
    return cursor.rowcount == 1


def _names(attachment: Attachment) -> dict[str, str | None]:
    return {
        "user_id": attachment.user_id,
        "group_id": attachment.group_id,
        "project_id": attachment.project_id,
        "policy_id": attachment.policy_id,
        "predefined": attachment.predefined,
    }

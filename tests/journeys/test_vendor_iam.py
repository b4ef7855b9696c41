"""The vendor's identity SDK, unchanged, sees to users, groups, policies and keys, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkiam import v3 as iam
from huaweicloudsdkiam.v3 import IamClient
from huaweicloudsdkworkspaceapp.v1 import (
    ListScheduleTasksRequest,
    ListServersRequest,
    ListTaskExecuteHistoryRequest,
    WorkspaceAppClient,
)

from running import Running

Client = Any
"""The SDKs publish no types."""

READ_ONLY = "Workspace ReadOnlyAccess"
Made = Callable[[str], str]


@pytest.fixture
def admin(service: Running) -> Client:
    return an_iam(service, service.access_key, service.secret_key)


def an_iam(service: Running, access_key: str, secret_key: str, security_token: str | None = None) -> Client:
    credentials = GlobalCredentials(access_key, secret_key, "default").with_iam_endpoint(service.url)
    if security_token:
        credentials = credentials.with_security_token(security_token)
    return IamClient.new_builder().with_credentials(credentials).with_endpoint(service.url).build()


def a_workspace(service: Running, access_key: str, secret_key: str, security_token: str | None = None) -> Client:
    credentials = BasicCredentials(access_key, secret_key, service.project_id)
    if security_token:
        credentials = credentials.with_security_token(security_token)
    return WorkspaceAppClient.new_builder().with_credentials(credentials).with_endpoint(service.url).build()


def refused(ask: Any, request: object) -> ClientRequestException:  # noqa: ANN401  (a method of an untyped client)
    with pytest.raises(ClientRequestException) as caught:
        ask(request)
    error = caught.value
    assert error.request_id
    return error


@pytest.fixture
def a_user(admin: Client) -> Iterator[Made]:
    """Makes a user and gives its id; all of them are gone after the test."""
    made: list[str] = []

    def make(name: str) -> str:
        option = iam.KeystoneCreateUserOption(name=name, domain_id="default", password=f"{name}s password")
        body = iam.KeystoneCreateUserRequestBody(user=option)
        made.append(admin.keystone_create_user(iam.KeystoneCreateUserRequest(body=body)).user.id)
        return made[-1]

    yield make
    for user_id in made:
        admin.keystone_delete_user(iam.KeystoneDeleteUserRequest(user_id))


def a_key(admin: Client, user_id: str) -> Client:
    option = iam.CreateCredentialOption(user_id=user_id, description="for tests")
    body = iam.CreatePermanentAccessKeyRequestBody(credential=option)
    return admin.create_permanent_access_key(iam.CreatePermanentAccessKeyRequest(body=body)).credential


def a_group(admin: Client, name: str) -> str:
    option = iam.KeystoneCreateGroupOption(name=name, domain_id="default", description="of tests")
    body = iam.KeystoneCreateGroupRequestBody(group=option)
    return str(admin.keystone_create_group(iam.KeystoneCreateGroupRequest(body=body)).group.id)


def a_role(name: str, effect: str, *actions: str) -> iam.ServicePolicyRoleOption:
    statement = [iam.ServiceStatement(effect=effect, action=list(actions))]
    policy = iam.ServicePolicy(version="1.1", statement=statement)
    return iam.ServicePolicyRoleOption(display_name=name, type="XA", description="of tests", policy=policy)


def a_policy(admin: Client, name: str, effect: str, *actions: str) -> str:
    body = iam.CreateCloudServiceCustomPolicyRequestBody(role=a_role(name, effect, *actions))
    return str(admin.create_cloud_service_custom_policy(iam.CreateCloudServiceCustomPolicyRequest(body=body)).role.id)


def test_projects_are_listed(admin: Client, service: Running) -> None:
    projects = admin.keystone_list_projects(iam.KeystoneListProjectsRequest()).projects
    assert [(one.id, one.name) for one in projects] == [(service.project_id, "cn-north-4")]
    assert admin.keystone_list_projects(iam.KeystoneListProjectsRequest(name="nowhere-1")).projects == []
    shown = admin.keystone_show_project(iam.KeystoneShowProjectRequest(service.project_id)).project
    assert (shown.name, shown.domain_id) == ("cn-north-4", "default")


def test_a_user_comes_works_and_goes(admin: Client, service: Running) -> None:
    option = iam.KeystoneCreateUserOption(
        name="carol", domain_id="default", password="carols password", description="ops"
    )
    body = iam.KeystoneCreateUserRequestBody(user=option)
    user = admin.keystone_create_user(iam.KeystoneCreateUserRequest(body=body)).user
    assert (user.name, user.enabled, user.domain_id) == ("carol", True, "default")
    assert [one.id for one in admin.keystone_list_users(iam.KeystoneListUsersRequest(name="carol")).users] == [user.id]
    assert admin.keystone_show_user(iam.KeystoneShowUserRequest(user.id)).user.name == "carol"
    assert refused(admin.keystone_create_user, iam.KeystoneCreateUserRequest(body=body)).status_code == 409
    projects = admin.keystone_list_projects_for_user(iam.KeystoneListProjectsForUserRequest(user.id)).projects
    assert [one.id for one in projects] == [service.project_id]

    made = a_key(admin, user.id)
    listed = admin.list_permanent_access_keys(iam.ListPermanentAccessKeysRequest(user_id=user.id)).credentials
    assert [(one.access, one.status) for one in listed] == [(made.access, "active")]

    hers = a_workspace(service, made.access, made.secret)
    assert refused(hers.list_servers, ListServersRequest()).status_code == 403

    changes = iam.KeystoneUpdateUserByAdminRequestBody(user=iam.KeystoneUpdateUserOption(enabled=False))
    request = iam.KeystoneUpdateUserByAdminRequest(user.id, changes)
    assert admin.keystone_update_user_by_admin(request).user.enabled is False
    assert refused(hers.list_servers, ListServersRequest()).status_code == 401

    admin.delete_permanent_access_key(iam.DeletePermanentAccessKeyRequest(access_key=made.access))
    admin.keystone_delete_user(iam.KeystoneDeleteUserRequest(user_id=user.id))
    assert refused(admin.keystone_show_user, iam.KeystoneShowUserRequest(user.id)).status_code == 404


def test_a_user_who_is_no_administrator_manages_nobody(admin: Client, service: Running, a_user: Made) -> None:
    made = a_key(admin, a_user("dave"))
    his = an_iam(service, made.access, made.secret)
    error = refused(his.keystone_list_users, iam.KeystoneListUsersRequest())
    assert error.status_code == 403
    assert "dave" in error.error_msg
    own = his.list_permanent_access_keys(iam.ListPermanentAccessKeysRequest()).credentials
    assert [one.access for one in own] == [made.access]


def test_a_group_in_a_project_lets_its_users_in(admin: Client, service: Running, a_user: Made) -> None:
    user_id = a_user("erin")
    made = a_key(admin, user_id)
    hers = a_workspace(service, made.access, made.secret)
    group_id = a_group(admin, "readers")
    place = {"project_id": service.project_id, "group_id": group_id, "role_id": READ_ONLY}
    admin.keystone_associate_group_with_project_permission(
        iam.KeystoneAssociateGroupWithProjectPermissionRequest(**place)
    )
    admin.keystone_check_project_permission_for_group(iam.KeystoneCheckProjectPermissionForGroupRequest(**place))
    error = refused(hers.list_servers, ListServersRequest())
    assert (error.status_code, "workspace:server:list" in error.error_msg) == (403, True)

    admin.keystone_add_user_to_group(iam.KeystoneAddUserToGroupRequest(group_id, user_id))
    admin.keystone_check_user_in_group(iam.KeystoneCheckUserInGroupRequest(group_id, user_id))
    assert hers.list_servers(ListServersRequest()).count == 3
    listed = admin.keystone_list_project_permissions_for_group(
        iam.KeystoneListProjectPermissionsForGroupRequest(service.project_id, group_id)
    )
    assert [role.display_name for role in listed.roles] == [READ_ONLY]
    members = admin.keystone_list_users_for_group_by_admin(iam.KeystoneListUsersForGroupByAdminRequest(group_id))
    assert [user.name for user in members.users] == ["erin"]
    groups = admin.keystone_list_groups_for_user(iam.KeystoneListGroupsForUserRequest(user_id)).groups
    assert [group.name for group in groups] == ["readers"]

    admin.keystone_remove_user_from_group(iam.KeystoneRemoveUserFromGroupRequest(group_id, user_id))
    assert refused(hers.list_servers, ListServersRequest()).status_code == 403
    admin.keystone_remove_project_permission_from_group(iam.KeystoneRemoveProjectPermissionFromGroupRequest(**place))
    admin.keystone_delete_group(iam.KeystoneDeleteGroupRequest(group_id))
    assert admin.keystone_list_groups(iam.KeystoneListGroupsRequest(name="readers")).groups == []


def test_a_custom_policy_allows_what_it_names_and_a_deny_wins(admin: Client, service: Running, a_user: Made) -> None:
    user_id = a_user("frank")
    made = a_key(admin, user_id)
    his = a_workspace(service, made.access, made.secret)
    group_id = a_group(admin, "limited")
    admin.keystone_add_user_to_group(iam.KeystoneAddUserToGroupRequest(group_id, user_id))
    policy_id = a_policy(admin, "records only", "Allow", "workspace:scheduledTasks:listRecords")
    place = {"domain_id": "default", "group_id": group_id}
    admin.keystone_associate_group_with_domain_permission(
        iam.KeystoneAssociateGroupWithDomainPermissionRequest(**place, role_id=policy_id)
    )
    history = ListTaskExecuteHistoryRequest(task_id="no-such-task")
    assert refused(his.list_task_execute_history, history).status_code == 404, "allowed, and not there"
    assert refused(his.list_schedule_tasks, ListScheduleTasksRequest()).status_code == 403

    body = iam.UpdateCloudServiceCustomPolicyRequestBody(
        role=a_role("records never", "Deny", "workspace:scheduledTasks:listR*")
    )
    changed = admin.update_cloud_service_custom_policy(
        iam.UpdateCloudServiceCustomPolicyRequest(role_id=policy_id, body=body)
    ).role
    assert (changed.display_name, changed.policy.statement[0].effect) == ("records never", "Deny")
    admin.keystone_associate_group_with_domain_permission(
        iam.KeystoneAssociateGroupWithDomainPermissionRequest(**place, role_id=READ_ONLY)
    )
    assert his.list_schedule_tasks(ListScheduleTasksRequest()).status_code == 200
    error = refused(his.list_task_execute_history, history)
    assert (error.status_code, "explicit deny" in error.error_msg) == (403, True)

    error = refused(admin.delete_custom_policy, iam.DeleteCustomPolicyRequest(policy_id))
    assert error.status_code == 409
    assert admin.show_custom_policy(iam.ShowCustomPolicyRequest(policy_id)).role.references == 1
    admin.keystone_remove_domain_permission_from_group(
        iam.KeystoneRemoveDomainPermissionFromGroupRequest(**place, role_id=policy_id)
    )
    admin.delete_custom_policy(iam.DeleteCustomPolicyRequest(policy_id))
    admin.keystone_delete_group(iam.KeystoneDeleteGroupRequest(group_id))
    assert refused(his.list_schedule_tasks, ListScheduleTasksRequest()).status_code == 403


def test_policies_are_listed_and_shown(admin: Client) -> None:
    policy_id = a_policy(admin, "listed", "Allow", "workspace:*:get*")
    own = admin.list_custom_policies(iam.ListCustomPoliciesRequest(page=1, per_page=300))
    assert policy_id in [role.id for role in own.roles]
    assert own.total_number == len(own.roles)
    known = admin.keystone_list_permissions(iam.KeystoneListPermissionsRequest(display_name="Workspace FullAccess"))
    assert [role.flag for role in known.roles] == ["fine_grained"]
    shown = admin.keystone_show_permission(iam.KeystoneShowPermissionRequest("Workspace FullAccess")).role
    assert shown.policy.statement[0].effect == "Allow"
    admin.delete_custom_policy(iam.DeleteCustomPolicyRequest(policy_id))
    assert refused(admin.show_custom_policy, iam.ShowCustomPolicyRequest(policy_id)).status_code == 404


def test_a_malformed_policy_is_a_typed_error(admin: Client) -> None:
    body = iam.CreateCloudServiceCustomPolicyRequestBody(role=a_role("broken", "Perhaps", "workspace:*:*"))
    request = iam.CreateCloudServiceCustomPolicyRequest(body=body)
    error = refused(admin.create_cloud_service_custom_policy, request)
    assert error.status_code == 400
    assert "policy.Statement[0].Effect" in error.error_msg


def test_a_temporary_key_works_with_its_security_token_alone(admin: Client, service: Running) -> None:
    token = iam.IdentityToken(duration_seconds=900)
    auth = iam.TokenAuth(identity=iam.TokenAuthIdentity(methods=["token"], token=token))
    body = iam.CreateTemporaryAccessKeyByTokenRequestBody(auth=auth)
    request = iam.CreateTemporaryAccessKeyByTokenRequest(body=body)
    made, other = (admin.create_temporary_access_key_by_token(request).credential for _ in range(2))

    known = a_workspace(service, made.access, made.secret, made.securitytoken)
    assert known.list_servers(ListServersRequest()).count == 3
    for security_token in (None, "guessed", other.securitytoken):
        unknown = a_workspace(service, made.access, made.secret, security_token)
        error = refused(unknown.list_servers, ListServersRequest())
        assert (error.status_code, error.error_code) == (401, "APIGW.0301")
    again = an_iam(service, made.access, made.secret, made.securitytoken)
    assert refused(again.create_temporary_access_key_by_token, request).status_code == 403

    for access_key in (made.access, other.access):
        admin.delete_permanent_access_key(iam.DeletePermanentAccessKeyRequest(access_key=access_key))
    assert refused(known.list_servers, ListServersRequest()).status_code == 401

"""Policy documents: what is read, what is given back, and how malformed ones are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain.policy import (
    ACTIONS_MAX,
    DOCUMENT_SIZE_BYTES_MAX,
    PATTERN_LENGTH_MAX,
    RESOURCES_MAX,
    SID_LENGTH_MAX,
    STATEMENTS_MAX,
    Effect,
    document_text,
    folded,
    read_document,
)
from fleetcron.errors import Invalid

ALLOW = {"Effect": "Allow", "Action": ["workspace:*:*"]}
LIST = "workspace:scheduledTasks:list"


def a_policy(*statements: object, version: object = "5.0") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


Raw = bytes | str | Mapping[str, Any]


def refusal_of(raw: Raw) -> Invalid:
    with pytest.raises(Invalid) as refused:
        read_document(raw)
    assert refused.value.reason.startswith("must ")
    return refused.value


@pytest.mark.parametrize("version", ["1.1", "5.0"])
def test_a_statement_is_read_whole(version: str) -> None:
    statement = {
        "Sid": "first",
        "Effect": "Deny",
        "NotAction": [LIST],
        "NotResource": ["workspace:*:*:scheduledTask:*"],
        "Condition": {"StringEquals": {"g:UserName": "alice"}},
    }
    document = read_document(a_policy(statement, version=version))
    (read,) = document.statements
    assert (document.version, read.sid, read.effect) == (version, "first", Effect.DENY)
    assert (read.all_but_actions, read.all_but_resources, len(read.conditions)) == (True, True, 1)


TEXT = '{ "Version":"1.1",\n "Statement":[{"Action":["workspace:*:*"],"Effect":"Allow","Sid":"\\u00e9é"}] }\n'


@pytest.mark.parametrize("raw", [TEXT, TEXT.encode()])
def test_a_text_is_given_back_to_the_character(raw: bytes | str) -> None:
    assert document_text(read_document(raw)) == TEXT


@given(sid=st.text(max_size=20).filter(lambda text: text.isprintable()))
def test_an_object_comes_back_the_same(sid: str) -> None:
    policy = a_policy(ALLOW | {"Sid": sid})
    text = document_text(read_document(policy))
    assert json.loads(text) == policy
    assert document_text(read_document(text)) == text


@pytest.mark.parametrize(
    "action", ["*", "*:*:*", "workspace:*:*", "workspace:scheduledTasks:list*", "obs:bucket:Get?", "iam:a_b:c-d"]
)
def test_an_action_may_have_wildcards(action: str) -> None:
    assert read_document(a_policy({"Effect": "Allow", "Action": [action]})).statements


@pytest.mark.parametrize(
    "resource",
    ["*", "*:*:*:*:*", "obs:*:*:object:my-bucket/my-object/*", "iam::a:user:alice", "workspace:r:a:server:1:2"],
)
def test_a_resource_has_five_parts_or_is_a_star(resource: str) -> None:
    assert read_document(a_policy(ALLOW | {"Resource": [resource]})).statements


def test_the_case_of_an_action_counts_in_the_services_name_alone() -> None:
    (statement,) = read_document(a_policy({"Effect": "Allow", "Action": ["workspace:ScheduledTASKS:L?st"]})).statements
    assert statement.applies(folded(LIST), {})
    assert statement.applies(folded("workspace:SCHEDULEDTASKS:LIST"), {})
    assert not statement.applies(folded("Workspace:scheduledTasks:list"), {})


def test_an_identifier_with_colons_does_not_pass_for_another_type() -> None:
    (statement,) = read_document(a_policy(ALLOW | {"Resource": ["workspace:*:*:serverGroup:*"]})).statements
    assert statement.names_resource("workspace:r:a:serverGroup:1:2")
    assert not statement.names_resource("workspace:r:a:server:x:serverGroup:1")


FIRST = "policy.Statement[0]"


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (a_policy(ALLOW, version="1.0"), "policy.Version"),
        (a_policy(ALLOW, version=5.0), "policy.Version"),
        (a_policy(ALLOW, version=["5.0"]), "policy.Version"),
        ({"Statement": [ALLOW]}, "policy.Version"),
        ({"Version": "5.0"}, "policy.Statement"),
        ({"Version": "5.0", "Statement": ALLOW}, "policy.Statement"),
        ({"Version": "1.1", "Statement": ALLOW}, "policy.Statement"),
        (a_policy(), "policy.Statement"),
        (a_policy(*[ALLOW] * (STATEMENTS_MAX + 1)), "policy.Statement"),
        (a_policy(ALLOW) | {"Id": "x"}, "policy.Id"),
        (a_policy(ALLOW, "x"), "policy.Statement[1]"),
        (a_policy(ALLOW | {"effect": "Allow"}), f"{FIRST}.effect"),
        (a_policy(ALLOW | {"x" * 999: 1}), f"{FIRST}." + "x" * 64),
        (a_policy(ALLOW | {"Principal": {"IAM": ["a"]}}), f"{FIRST}.Principal"),
        (a_policy({"Action": ["*"]}), f"{FIRST}.Effect"),
        (a_policy(ALLOW | {"Effect": "allow"}), f"{FIRST}.Effect"),
        (a_policy(ALLOW | {"Effect": ["Allow"]}), f"{FIRST}.Effect"),
        (a_policy({"Effect": "Allow"}), f"{FIRST}.Action"),
        (a_policy(ALLOW | {"NotAction": ["*"]}), f"{FIRST}.NotAction"),
        (a_policy(ALLOW | {"Resource": ["*"], "NotResource": ["*"]}), f"{FIRST}.NotResource"),
        (a_policy(ALLOW | {"Action": []}), f"{FIRST}.Action"),
        (a_policy(ALLOW | {"Action": "workspace:*:*"}), f"{FIRST}.Action"),
        (a_policy(ALLOW | {"Action": None}), f"{FIRST}.Action"),
        (a_policy(ALLOW | {"Action": ["*", 1]}), f"{FIRST}.Action[1]"),
        (a_policy(ALLOW | {"Action": ["*"] * (ACTIONS_MAX + 1)}), f"{FIRST}.Action"),
        (a_policy(ALLOW | {"Action": ["workspace:x:" + "y" * PATTERN_LENGTH_MAX]}), f"{FIRST}.Action[0]"),
        (a_policy(ALLOW | {"Action": ["workspace:*"]}), f"{FIRST}.Action[0]"),
        (a_policy(ALLOW | {"Action": ["Workspace:*:*"]}), f"{FIRST}.Action[0]"),
        (a_policy(ALLOW | {"Action": ["workspace:a:b:c"]}), f"{FIRST}.Action[0]"),
        (a_policy(ALLOW | {"Action": ["workspace:*:*\n"]}), f"{FIRST}.Action[0]"),
        (a_policy({"Effect": "Deny", "NotAction": ["*", ""]}), f"{FIRST}.NotAction[1]"),
        (a_policy(ALLOW | {"Resource": []}), f"{FIRST}.Resource"),
        (a_policy(ALLOW | {"Resource": {"uri": ["/iam/agencies/1"]}}), f"{FIRST}.Resource"),
        (a_policy(ALLOW | {"Resource": ["*"] * (RESOURCES_MAX + 1)}), f"{FIRST}.Resource"),
        (a_policy(ALLOW | {"Resource": ["workspace:*:server:*"]}), f"{FIRST}.Resource[0]"),
        (a_policy(ALLOW | {"Resource": ["workspace:*:*:server:"]}), f"{FIRST}.Resource[0]"),
        (a_policy(ALLOW | {"NotResource": ["*", "server"]}), f"{FIRST}.NotResource[1]"),
        (a_policy(ALLOW | {"Sid": 1}), f"{FIRST}.Sid"),
        (a_policy(ALLOW | {"Sid": None}), f"{FIRST}.Sid"),
        (a_policy(ALLOW | {"Sid": "x" * (SID_LENGTH_MAX + 1)}), f"{FIRST}.Sid"),
        (a_policy(ALLOW | {"Condition": {}}), f"{FIRST}.Condition"),
        (a_policy(ALLOW | {"Condition": None}), f"{FIRST}.Condition"),
        (
            a_policy(ALLOW, ALLOW | {"Condition": {"StringEquals": {"g:UserName": [1]}}}),
            "policy.Statement[1].Condition.StringEquals.g:UserName[0]",
        ),
    ],
)
def test_a_malformed_policy_is_refused_with_its_place(raw: Mapping[str, Any], place: str) -> None:
    assert refusal_of(raw).field == place
    assert refusal_of(json.dumps(raw)).field == place


@pytest.mark.parametrize(
    "raw",
    [
        *("", "{", "null", "[]", '"policy"', "1", "NaN", '{"Version": Infinity}', "{'Version': '5.0'}"),
        *(b"", b"\xff\xfe", b"\xef\xbb\xbf{}", '{"Version": "5.0\ud800"}', "1" * 10_000, "[" * 16_000),
        *({"Version": {1}}, {"Version": float("nan")}, {"Version": "\ud800"}),
        json.dumps(a_policy(ALLOW)) + " " * DOCUMENT_SIZE_BYTES_MAX,
        json.dumps(a_policy(ALLOW)).encode("utf-16"),
        '{"Version":"5.0","Version":"5.0","Statement":[{"Effect":"Allow","Action":["*"]}]}',
        '{"Version":"5.0","Statement":[{"Effect":"Deny","Effect":"Allow","Action":["*"]}]}',
    ],
    ids=lambda raw: repr(raw)[:40],
)
def test_what_is_no_single_object_of_json_is_refused(raw: Raw) -> None:
    assert refusal_of(raw).field == "policy"


words = st.sampled_from(
    ["Version", "5.0", "Statement", "Effect", "Allow", "Action", "*", "Condition", "Null", "g:UserId"]
)
things = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(statement=things, version=things)
def test_whatever_is_given_nothing_but_invalid_is_raised(statement: object, version: object) -> None:
    for raw in (a_policy(statement), a_policy(ALLOW, version=version)):
        with suppress(Invalid):
            assert document_text(read_document(raw)) == json.dumps(raw, separators=(",", ":"))

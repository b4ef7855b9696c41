"""The laws of a decision: deny wins, an allow never takes away, order makes no difference."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcron.domain.decision import Allowed, Denied, Named, Question, Verdict, decide, sentence
from fleetcron.domain.policy import read_document

LIST_RECORDS = "workspace:scheduledTasks:listRecords"
TASK = "workspace:r:acc:scheduledTask:1"
SERVER = "workspace:r:acc:server:1"
GROUP = "workspace:r:acc:serverGroup:1"

Raw = dict[str, Any]


def a_statement(effect: str, **fields: object) -> Raw:
    return {"Effect": effect, **({} if "NotAction" in fields else {"Action": ["workspace:*:*"]}), **fields}


def named(name: str, *statements: Raw) -> Named:
    return name, read_document({"Version": "5.0", "Statement": list(statements)})


def a_question(*resources: str, action: str = LIST_RECORDS, **context: str) -> Question:
    return Question(action=action, resources=resources, context={f"g:{key}": value for key, value in context.items()})


ALLOW_ALL = named("everything", a_statement("Allow"))
ALLOW_TASKS = named("tasks", a_statement("Allow", Resource=["workspace:*:*:scheduledTask:*"]))
ALLOW_SERVERS = named("servers", a_statement("Allow", Resource=["workspace:*:*:server:*"]))
DENY_SERVERS = named("no servers", a_statement("Deny", Resource=["workspace:*:*:server:*"]))


@pytest.mark.parametrize(
    ("documents", "question", "verdict"),
    [
        ([], a_question(), Denied(explicit=False, by=None, resource=None)),
        ([], a_question(TASK), Denied(explicit=False, by=None, resource=TASK)),
        ([ALLOW_ALL], a_question(TASK), Allowed(by="everything")),
        ([ALLOW_ALL, ALLOW_TASKS], a_question(TASK), Allowed(by="everything")),
        ([ALLOW_SERVERS, ALLOW_TASKS], a_question(TASK, SERVER), Allowed(by="tasks")),
        ([ALLOW_TASKS], a_question(TASK, SERVER), Denied(explicit=False, by=None, resource=SERVER)),
        ([ALLOW_ALL, DENY_SERVERS], a_question(TASK, GROUP), Allowed(by="everything")),
        ([ALLOW_ALL, DENY_SERVERS], a_question(GROUP, SERVER), Denied(explicit=True, by="no servers", resource=SERVER)),
        # A deny is told even where something before it is not allowed either.
        ([DENY_SERVERS], a_question(TASK, SERVER), Denied(explicit=True, by="no servers", resource=SERVER)),
        ([ALLOW_ALL], a_question(TASK, action="obs:bucket:list"), Denied(explicit=False, by=None, resource=TASK)),
    ],
)
def test_a_verdict_names_the_policy_and_the_resource(
    documents: Sequence[Named], question: Question, verdict: Verdict
) -> None:
    assert decide(documents, question) == verdict


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({}, True),
        ({"Resource": ["*"]}, True),
        ({"Resource": [TASK, "*"]}, True),
        ({"Resource": ["*:*:*:*:*"]}, False),
        ({"Resource": ["workspace:*:*:scheduledTask:*"]}, False),
        ({"NotResource": [TASK]}, False),
        ({"NotResource": ["*"]}, False),
    ],
)
def test_without_a_resource_only_a_star_or_no_resource_at_all_names_it(fields: Raw, allowed: bool) -> None:
    verdict = decide([named("p", a_statement("Allow", **fields))], a_question())
    assert isinstance(verdict, Allowed) is allowed


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"NotAction": ["workspace:*:list*"]}, False),
        ({"NotAction": ["workspace:scheduledTasks:LISTRECORDS"]}, False),
        ({"NotAction": ["workspace:*:delete", "obs:*:*"]}, True),
        ({"NotResource": [TASK]}, False),
        ({"NotResource": [SERVER]}, True),
    ],
)
def test_not_action_and_not_resource_name_the_rest(fields: Raw, allowed: bool) -> None:
    verdict = decide([named("p", a_statement("Allow", **fields))], a_question(TASK))
    assert isinstance(verdict, Allowed) is allowed


def test_a_statement_counts_only_where_its_conditions_hold() -> None:
    at_work = {"DateGreaterThanEquals": {"g:CurrentTime": "2026-01-01T08:00:00Z"}}
    documents = [
        ALLOW_ALL,
        named("not alice", a_statement("Deny", Condition={"StringEquals": {"g:username": "alice"}})),
    ]
    assert decide(documents, a_question(TASK, UserName="bob")) == Allowed(by="everything")
    assert decide(documents, a_question(TASK, UserName="alice")) == Denied(explicit=True, by="not alice", resource=TASK)
    documents = [named("at work", a_statement("Allow", Condition=at_work))]
    assert isinstance(decide(documents, a_question(TASK, CurrentTime="2026-01-01T08:00:00Z")), Allowed)
    assert isinstance(decide(documents, a_question(TASK, CurrentTime="2026-01-01T07:59:59Z")), Denied)


@pytest.mark.parametrize(
    ("denied", "refusal"),
    [
        (
            Denied(explicit=False, by=None, resource=TASK),
            f"{TASK} because no identity-based policy allows the {{}} action.",
        ),
        (Denied(explicit=True, by="p", resource=TASK), f"{TASK} with an explicit deny in the identity-based policy."),
        (Denied(explicit=True, by="p", resource=None), "* with an explicit deny in the identity-based policy."),
    ],
)
def test_a_denial_is_said_in_the_vendors_words(denied: Denied, refusal: str) -> None:
    begin = f"User: iam::acc:user:alice is not authorized to perform: {LIST_RECORDS} on resource: "
    assert sentence(denied, "iam::acc:user:alice", a_question(TASK)) == begin + refusal.format(LIST_RECORDS)


actions = st.sampled_from(
    ["*", "workspace:*:*", "workspace:scheduledTasks:list*", LIST_RECORDS, "workspace:*:delete", "workspace:server:?et"]
)
resources = st.sampled_from(["*", TASK, SERVER, "workspace:*:acc:server*:*", "workspace:?:*:*:1", "workspace:*:*:*:2"])
conditions = st.sampled_from(
    [
        {"StringEquals": {"g:UserName": "alice"}},
        {"StringNotLike": {"g:UserName": "ali"}},
        {"Null": {"g:UserName": "true"}},
    ]
)
statements = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Allow", "Deny"])}, optional={"Condition": conditions}
).flatmap(
    lambda fields: st.tuples(
        st.sampled_from(["Action", "NotAction"]),
        st.lists(actions, min_size=1, max_size=2),
        st.sampled_from(["Resource", "NotResource", None]),
        st.lists(resources, min_size=1, max_size=2),
    ).map(lambda drawn: fields | {drawn[0]: drawn[1]} | ({drawn[2]: drawn[3]} if drawn[2] else {}))
)
policies = st.lists(st.lists(statements, min_size=1, max_size=3), max_size=3)
questions = st.builds(
    Question,
    action=st.sampled_from([LIST_RECORDS, "workspace:scheduledTasks:delete", "workspace:server:get"]),
    resources=st.lists(st.sampled_from([TASK, SERVER, GROUP]), max_size=3).map(tuple),
    context=st.sampled_from([{}, {"g:UserName": "alice"}, {"G:USERNAME": "bob"}]),
)


def documents_of(drawn: list[list[Raw]]) -> list[Named]:
    return [named(f"p{number}", *one) for number, one in enumerate(drawn)]


def names(statement: Raw, question: Question, resource: str | None) -> bool:
    """The reference: what a statement names, said as plainly as can be and without a thought for speed."""

    def listed(key: str, text: str) -> bool:
        return any(
            one == "*" or all(map(fnmatchcase, text.split(":"), one.split(":"))) for one in statement.get(key, [])
        )

    user = {key.lower(): value for key, value in question.context.items()}.get("g:username")
    expected = {
        None: True,
        "StringEquals": user == "alice",
        "StringNotLike": user is not None and user != "alice",
        "Null": user is None,
    }
    if not expected[next(iter(statement.get("Condition", {None: None})))]:
        return False
    if listed("Action", question.action) is ("NotAction" in statement and not listed("NotAction", question.action)):
        return False
    if resource is None:
        return "NotResource" not in statement and "*" in statement.get("Resource", ["*"])
    if "NotResource" in statement:
        return not listed("NotResource", resource)
    return "Resource" not in statement or listed("Resource", resource)


@given(drawn=policies, question=questions)
def test_a_decision_is_what_the_rule_says(drawn: list[list[Raw]], question: Question) -> None:
    everything = [statement for policy in drawn for statement in policy]
    effects = [
        {statement["Effect"] for statement in everything if names(statement, question, resource)}
        for resource in question.resources or (None,)
    ]
    verdict = decide(documents_of(drawn), question)
    if any("Deny" in one for one in effects):
        assert isinstance(verdict, Denied)
        assert verdict.explicit
    elif all("Allow" in one for one in effects):
        assert isinstance(verdict, Allowed)
    else:
        assert isinstance(verdict, Denied)
        assert not verdict.explicit


@given(drawn=policies, question=questions)
def test_a_deny_always_wins(drawn: list[list[Raw]], question: Question) -> None:
    forbidding = named("forbidding", {"Effect": "Deny", "Action": [question.action]})
    for documents in ([forbidding, *documents_of(drawn)], [*documents_of(drawn), forbidding]):
        verdict = decide(documents, question)
        assert isinstance(verdict, Denied)
        assert verdict.explicit


@given(drawn=policies, question=questions, more=statements)
def test_another_allow_never_takes_anything_away(drawn: list[list[Raw]], question: Question, more: Raw) -> None:
    before = decide(documents_of(drawn), question)
    after = decide([*documents_of(drawn), named("more", more | {"Effect": "Allow"})], question)
    if isinstance(before, Allowed) or before.explicit:
        assert after == before


@given(drawn=policies, question=questions, data=st.data())
def test_the_order_of_statements_makes_no_difference(
    drawn: list[list[Raw]], question: Question, data: st.DataObject
) -> None:
    shuffled = [data.draw(st.permutations(policy)) for policy in drawn]
    assert decide(documents_of(shuffled), question) == decide(documents_of(drawn), question)


@given(drawn=policies, question=questions, data=st.data())
def test_the_order_of_policies_changes_no_more_than_the_name(
    drawn: list[list[Raw]], question: Question, data: st.DataObject
) -> None:
    shuffled = decide(data.draw(st.permutations(documents_of(drawn))), question)
    verdict = decide(documents_of(drawn), question)
    assert type(shuffled) is type(verdict)
    if isinstance(verdict, Denied) and isinstance(shuffled, Denied):
        assert (shuffled.explicit, shuffled.resource) == (verdict.explicit, verdict.resource)

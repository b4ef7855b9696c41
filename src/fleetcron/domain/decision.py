"""Whether policies let somebody do something: an explicit deny wins, then an allow, and nothing else allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleetcron.domain.policy import Document, Effect, Statement, folded

Named = tuple[str, Document]
"""A policy and what it is called."""

_Applying = list[tuple[str, Statement]]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to do.

    ``action`` is written as ``service:type:operation``; ``resources`` are the URNs of everything it touches, none
    where the action has no type of resource. ``context`` is what is known of the request under condition keys, whose
    case does not count; a key that is not there, or has no values, is unknown.
    """

    action: str
    resources: tuple[str, ...] = ()
    context: Mapping[str, str | tuple[str, ...]] = {}


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """It may be done; ``by`` is the policy that allows the first of the resources."""

    by: str


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """It may not be done with ``resource`` (None: the action has none): no policy allows it, or ``by`` forbids it."""

    explicit: bool
    by: str | None
    resource: str | None


Verdict = Allowed | Denied


def decide(documents: Sequence[Named], question: Question) -> Verdict:
    """The verdict of all the policies together.

    Every resource has to be allowed, be it by different policies, and none may be denied. The order of statements
    makes no difference; where several policies decide alike, the first is named.
    """
    denies, allows = _applying(documents, question)
    resources = question.resources or (None,)
    for resource in resources:
        if (denier := _first(denies, resource)) is not None:
            return Denied(explicit=True, by=denier, resource=resource)
    allowers = []
    for resource in resources:
        if (allower := _first(allows, resource)) is None:
            return Denied(explicit=False, by=None, resource=resource)
        allowers.append(allower)
    return Allowed(by=allowers[0])


def sentence(denied: Denied, principal: str, question: Question) -> str:
    """Why not, in IAM's words; ``principal`` is who asked."""
    resource = denied.resource or "*"
    refusal = f"User: {principal} is not authorized to perform: {question.action} on resource: {resource}"
    if denied.explicit:
        return f"{refusal} with an explicit deny in the identity-based policy."
    return f"{refusal} because no identity-based policy allows the {question.action} action."


def _applying(documents: Sequence[Named], question: Question) -> tuple[_Applying, _Applying]:
    action = folded(question.action)
    context = {
        key.lower(): (values,) if isinstance(values, str) else values for key, values in question.context.items()
    }
    denies: _Applying = []
    allows: _Applying = []
    for name, document in documents:
        for statement in document.statements:
            if statement.applies(action, context):
                (denies if statement.effect is Effect.DENY else allows).append((name, statement))
    return denies, allows


def _first(statements: Iterable[tuple[str, Statement]], resource: str | None) -> str | None:
    for name, statement in statements:
        if statement.names_resource(resource):
            return name
    return None

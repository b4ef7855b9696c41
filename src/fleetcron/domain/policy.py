"""Policies in IAM's own language: documents of version 1.1 and 5.0, read strictly, and what their statements name.

Both versions mean the same by the same words. A document that is read holds: nothing in it is left to find out when
somebody asks, and a malformed one is refused with the place at which it is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Literal, NoReturn, cast

import msgspec

from fleetcron.domain.condition import Condition, Context, read_conditions, read_texts
from fleetcron.domain.wildcard import Wildcards, wildcards
from fleetcron.errors import Invalid

DOCUMENT_SIZE_BYTES_MAX = 16_384
STATEMENTS_MAX = 50
ACTIONS_MAX = 100
RESOURCES_MAX = 100
PATTERN_LENGTH_MAX = 256
"""Characters of an action or a resource."""

SID_LENGTH_MAX = 128

Version = Literal["1.1", "5.0"]

_VERSIONS: Final = ("1.1", "5.0")
_STATEMENT_KEYS: Final = ("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition")
_ACTION_COLONS = 2
_RESOURCE_COLONS = 4
_ACTION = re.compile(r"\*|(?:[a-z][a-z0-9-]*|\*)(?::[A-Za-z0-9_*?-]+){2}")
_RESOURCE = re.compile(r"\*|(?:[a-z][a-z0-9-]*|\*):[^:\s]*:[^:\s]*:[^:\s]+:\S+")
_ECHOED_LENGTH_MAX = 64


class Effect(StrEnum):
    """What a statement does with what it names."""

    ALLOW = "Allow"
    DENY = "Deny"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of a policy. ``resources`` None names every resource.

    With ``all_but_actions`` or ``all_but_resources`` it names whatever the patterns leave over.
    """

    sid: str | None
    effect: Effect
    actions: Wildcards
    all_but_actions: bool
    resources: Wildcards | None
    all_but_resources: bool
    conditions: tuple[Condition, ...]

    def applies(self, action: str, context: Context) -> bool:
        """Whether it speaks of this action, given as ``folded`` makes it, and the request meets every condition."""
        if self.actions.match(action) is self.all_but_actions:
            return False
        for condition in self.conditions:  # noqa: SIM110 - asked for every request: half the time of all(...)
            if not condition.holds(context):
                return False
        return True

    def names_resource(self, resource: str | None) -> bool:
        """Whether it speaks of this resource's URN; None stands for an action without a type of resource.

        Such an action is named by ``Resource: ["*"]`` and by a statement without any resource, by nothing else.
        """
        if self.resources is None:
            return True
        if resource is None:
            return self.resources.everything and not self.all_but_resources
        return self.resources.match(resource) is not self.all_but_resources


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that was read; ``text`` is how it was written."""

    version: Version
    statements: tuple[Statement, ...]
    text: str


def read_document(raw: bytes | str | Mapping[str, Any]) -> Document:
    """The policy that ``raw`` says: JSON in UTF-8, or the object that such JSON is.

    Actions are ``service:type:operation``, resources ``service:region:account:type:path``; ``*`` stands for all.

    Raises:
        Invalid: it is malformed; ``field`` is the place, such as ``policy.Statement[0].Effect``, ``reason`` the fix.
    """
    text = _text_of(raw)
    fields = _object(_parsed(text), "policy", ("Version", "Statement"))
    version = fields.get("Version")
    if version not in _VERSIONS:
        raise Invalid("policy.Version", 'must be "5.0" for an identity policy or "1.1" for a custom policy')
    listed = fields.get("Statement")
    if not isinstance(listed, list) or not 0 < len(listed) <= STATEMENTS_MAX:
        raise Invalid("policy.Statement", f"must be a list of 1 to {STATEMENTS_MAX} statements")
    statements = tuple(_statement(one, f"policy.Statement[{index}]") for index, one in enumerate(listed))
    return Document(version=version, statements=statements, text=text)


def document_text(document: Document) -> str:
    """The document as it was written, to the character; one that was read from an object as compact JSON."""
    return document.text


def folded(action: str) -> str:
    """The action as statements compare it: case counts in the service's name and nowhere else."""
    service, colon, rest = action.partition(":")
    return service + colon + rest.lower()


def _text_of(raw: bytes | str | Mapping[str, Any]) -> str:
    try:
        if isinstance(raw, Mapping):
            raw = json.dumps(raw, ensure_ascii=False, separators=(",", ":"))
        encoded = raw.encode() if isinstance(raw, str) else raw
        text = encoded.decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("policy", "must be JSON in UTF-8") from error
    if len(encoded) > DOCUMENT_SIZE_BYTES_MAX:
        raise Invalid("policy", f"must have at most {DOCUMENT_SIZE_BYTES_MAX} bytes")
    return text


def _parsed(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise Invalid("policy", f"must be JSON: {error}") from error
    except (ValueError, RecursionError) as error:
        raise Invalid("policy", "must be JSON without endless numbers or nesting") from error


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        # Readers of JSON differ in which of two they keep: one could be reviewed and the other obeyed.
        if name in fields:
            raise Invalid("policy", f"must name {name[:_ECHOED_LENGTH_MAX]} once within one object")
        fields[name] = value
    return fields


def _refuse_constant(constant: str) -> NoReturn:
    raise Invalid("policy", f"must be JSON, which has no {constant}")


def _object(raw: object, place: str, known: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(raw, dict):
        raise Invalid(place, f"must be an object with {' and '.join(known[:2])}")
    for name in raw:
        if name not in known:
            raise Invalid(f"{place}.{name[:_ECHOED_LENGTH_MAX]}", f"must go: known here are {', '.join(known)}")
    return raw


def _statement(raw: object, place: str) -> Statement:
    if isinstance(raw, dict) and "Principal" in raw:
        raise Invalid(f"{place}.Principal", "must go: a policy speaks of those to whom it is attached")
    fields = _object(raw, place, _STATEMENT_KEYS)
    if fields.get("Effect") not in tuple(Effect):
        raise Invalid(f"{place}.Effect", "must be Allow or Deny")
    if "Action" not in fields and "NotAction" not in fields:
        raise Invalid(f"{place}.Action", "must be there, or NotAction in its stead")
    _refuse_both(fields, "Action", place)
    _refuse_both(fields, "Resource", place)
    return Statement(
        sid=_sid(fields, place),
        effect=Effect(cast("str", fields["Effect"])),
        actions=_actions(fields, place),
        all_but_actions="NotAction" in fields,
        resources=_resources(fields, place),
        all_but_resources="NotResource" in fields,
        conditions=read_conditions(fields["Condition"], f"{place}.Condition") if "Condition" in fields else (),
    )


def _refuse_both(fields: dict[str, object], name: str, place: str) -> None:
    if name in fields and f"Not{name}" in fields:
        raise Invalid(f"{place}.Not{name}", f"must not stand beside {name}: keep one of them")


def _sid(fields: dict[str, object], place: str) -> str | None:
    if "Sid" not in fields:
        return None
    sid = fields["Sid"]
    if not isinstance(sid, str) or len(sid) > SID_LENGTH_MAX:
        raise Invalid(f"{place}.Sid", f"must be a text of at most {SID_LENGTH_MAX} characters")
    return sid


def _actions(fields: dict[str, object], place: str) -> Wildcards:
    place = f"{place}.{'NotAction' if 'NotAction' in fields else 'Action'}"
    raw = fields.get("NotAction", fields.get("Action"))
    actions = read_texts(raw, place, length_max=PATTERN_LENGTH_MAX, count_max=ACTIONS_MAX)
    _check(_ACTION, actions, place, "must be * or service:type:operation, the service in lower case")
    return wildcards(map(folded, actions), colons=_ACTION_COLONS)


def _resources(fields: dict[str, object], place: str) -> Wildcards | None:
    if "Resource" not in fields and "NotResource" not in fields:
        return None
    place = f"{place}.{'NotResource' if 'NotResource' in fields else 'Resource'}"
    raw = fields.get("NotResource", fields.get("Resource"))
    resources = read_texts(raw, place, length_max=PATTERN_LENGTH_MAX, count_max=RESOURCES_MAX)
    _check(_RESOURCE, resources, place, "must be * or service:region:account:type:path, such as obs:*:*:bucket:*")
    return wildcards(resources, colons=_RESOURCE_COLONS)


def _check(form: re.Pattern[str], texts: tuple[str, ...], place: str, reason: str) -> None:
    for index, text in enumerate(texts):
        if not form.fullmatch(text):
            raise Invalid(f"{place}[{index}]", reason)

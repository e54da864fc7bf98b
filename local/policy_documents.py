"""The Deny statements of a bucket's policy: parse them, and match them with a request.

Sources: "IAM JSON policy elements reference" (IAM User Guide) and "Policies and permissions in Amazon S3" (Amazon S3
User Guide). What this module cannot evaluate raises PolicyError instead of having no effect.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator

ARN = "arn:aws:s3:::"
ACTION = re.compile(r"\*|s3:[A-Za-z*?]+", re.IGNORECASE)
PRINCIPAL = re.compile(r"\*|\d{12}|arn:aws:(?:iam|sts)::\d{12}:[^*?]+")
ELEMENTS = frozenset({"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"})
USER_ID = "${aws:userid}"
_TEXT_KEYS = frozenset({"aws:principalaccount", "s3:prefix", "s3:delimiter"})
CONDITION_KEYS = {
    "bool": frozenset({"aws:securetransport"}),
    "stringequals": _TEXT_KEYS,
    "stringnotequals": _TEXT_KEYS,
    # Requests without TLS have no TLS version.
    "numericlessthan": frozenset({"s3:tlsversion"}),
    "null": frozenset({"s3:if-none-match"}),
}


class PolicyError(Exception):
    """A policy is malformed, or a Deny statement has an element that cannot be evaluated here."""


@dataclass(frozen=True)
class Caller:
    """Who sent a request. `user_id` is the value of aws:userid: the id of a user or account, or `role id:session`."""

    arn: str
    account: str
    is_root: bool
    user_id: str


@dataclass(frozen=True)
class Request:
    """One permission that a request needs; `context` has the values of condition keys, in lower case."""

    action: str
    resource: str
    context: Mapping[str, str]


@dataclass(frozen=True)
class Denial:
    """A Deny statement. `actions` and `resources` are patterns; a negated list matches what no pattern matches.

    A resource can contain the variable USER_ID.
    """

    principals: tuple[str, ...]
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]
    negated_actions: bool = False
    negated_resources: bool = False

    def applies(self, request: Request, caller: Caller) -> bool:
        """Whether the statement denies the request of this caller."""
        return (
            _any_match(self.actions, request.action) != self.negated_actions
            and _any_match(self._resources(caller), request.resource) != self.negated_resources
            and all(_holds(*condition, request.context) for condition in self.conditions)
            and any(iam_evaluator._principal_matches({"AWS": name}, caller.arn) for name in self.principals)
        )

    def _resources(self, caller: Caller) -> Iterable[re.Pattern[str]]:
        return (_resource_pattern(resource, caller.user_id) for resource in self.resources)


def _any_match(patterns: Iterable[re.Pattern[str]], value: str) -> bool:
    return any(pattern.fullmatch(value) for pattern in patterns)


def _holds(operator: str, key: str, values: tuple[str, ...], context: Mapping[str, str]) -> bool:
    """Whether a condition holds; a key without a value satisfies only StringNotEquals, and Null with `true`."""
    actual = context.get(key)
    if operator == "null":
        return ("true" if actual is None else "false") in values
    if operator == "stringnotequals":
        return actual not in values
    if actual is None:
        return False
    if operator == "numericlessthan":
        return any(float(actual) < float(value) for value in values)
    return actual in (value.lower() if operator == "bool" else value for value in values)


@functools.lru_cache(maxsize=64)
def denials(policy: str) -> tuple[Denial, ...]:
    """Return the Deny statements of a policy. Raises PolicyError."""
    try:
        document = json.loads(policy)
    except ValueError as error:
        raise PolicyError("Policies must be valid JSON and the first byte must be '{'") from error
    statements = document.get("Statement") if isinstance(document, dict) else None
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements:
        raise PolicyError("Could not parse the policy: Statement is empty!")
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise PolicyError("Invalid effect: a statement must allow or deny")
    return tuple(_denial(statement) for statement in statements if statement["Effect"] == "Deny")


def _denial(statement: dict[str, Any]) -> Denial:
    if unknown := statement.keys() - ELEMENTS:
        raise PolicyError(f"The embedded AWS cannot evaluate {', '.join(sorted(unknown))} in a Deny statement")
    actions, negated_actions = _either(statement, "Action")
    resources, negated_resources = _either(statement, "Resource")
    if wrong := [action for action in actions if not ACTION.fullmatch(action)]:
        raise PolicyError(f"Policy has invalid action {wrong[0]}")
    for resource in resources:
        if (resource != "*" and not resource.startswith(ARN)) or "${" in resource.replace(USER_ID, ""):
            raise PolicyError(f"Policy has invalid resource {resource}")
    return Denial(
        tuple(_principals(statement.get("Principal"))),
        tuple(_pattern(action, re.IGNORECASE) for action in actions),
        tuple(resources),
        tuple(_conditions(statement.get("Condition", {}))),
        negated_actions,
        negated_resources,
    )


def _either(statement: dict[str, Any], name: str) -> tuple[list[str], bool]:
    """The values of `name` or of Not`name`, and whether it is the second."""
    if (name in statement) == (f"Not{name}" in statement):
        raise PolicyError(f"A statement must have either {name} or Not{name}")
    negated = name not in statement
    return _texts(statement[f"Not{name}" if negated else name], name), negated


def _texts(value: Any, what: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) for one in values):
        raise PolicyError(f"{what} must be a string or a list of strings")
    return values


def _principals(principal: Any) -> list[str]:
    names = _texts(principal, "Principal") if principal == "*" else []
    if isinstance(principal, dict) and principal.keys() == {"AWS"}:
        names = _texts(principal["AWS"], "Principal")
    if not names or not all(PRINCIPAL.fullmatch(name) for name in names):
        raise PolicyError(f"Invalid principal in policy, or one that the embedded AWS cannot evaluate: {principal}")
    return names


def _conditions(conditions: Any) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    if not isinstance(conditions, dict) or not all(isinstance(keys, dict) for keys in conditions.values()):
        raise PolicyError("Condition must be an object of objects")
    for operator, keys in conditions.items():
        for key, value in keys.items():
            if key.lower() not in CONDITION_KEYS.get(operator.lower(), ()):
                raise PolicyError(
                    f"The embedded AWS cannot evaluate the condition {operator} {key} of a Deny statement"
                )
            values = value if isinstance(value, list) else [value]
            texts = [str(one).lower() if isinstance(one, (bool, float)) else one for one in values]
            if operator.lower() == "null" and not set(texts) <= {"true", "false"}:
                raise PolicyError("The value of Null must be true or false")
            yield operator.lower(), key.lower(), tuple(_texts(texts, "Condition"))


@functools.lru_cache(maxsize=256)
def _resource_pattern(text: str, user_id: str) -> re.Pattern[str]:
    """The pattern of a resource for one caller. The value of a variable is compared literally."""
    return re.compile(re.escape(user_id).join(_pattern(part).pattern for part in text.split(USER_ID)), re.DOTALL)


def _pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """The expression of a pattern with `*` and `?`, which match any characters, newlines included."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(letter) or re.escape(letter) for letter in text), re.DOTALL | flags)

"""Which statements of a policy the recorded calls need.

A call needs an action or a resource of a statement when nothing else in the policies of its principal allows it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator

VARIABLE = re.compile(r"\$\{([^${}]+)\}")
Statement = Mapping[str, Any]
# A statement by its position, and one action or one resource of it.
Part = tuple[int, str]


@dataclass(frozen=True)
class Call:
    """A call as local/recorded_calls.py writes it."""

    principal: str
    action: str
    resource: str
    context: Mapping[str, Any]
    keys: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the role or user that called."""
        return self.principal.split("/")[1] if ":assumed-role/" in self.principal else self.principal.split("/")[-1]

    def matches(self, statement: Statement, action: str, resource: str) -> bool:
        """Whether an Allow statement with one action and one resource allows the call."""
        replaced = VARIABLE.sub(lambda found: str(self.keys.get(found[1].lower(), found[0])), resource)
        document = {"Statement": {**statement, "Action": action, "Resource": replaced}}
        context = iam_evaluator.EvalContext(
            principal_arn=self.principal,
            principal_type="AssumedRole",
            principal_account="000000000000",
            action=self.action,
            resource_arn=self.resource,
            region="eu-west-1",
            secure_transport=self.context.get("aws:securetransport") == "true",
            service_context=dict(self.context),
            principal_keys=dict(self.keys),
        )
        return bool(
            iam_evaluator.evaluate(context, [iam_evaluator.parse_policy_document(document)]).decision == "Allow"
        )


def read_calls(file: Path) -> list[Call]:
    """Read the calls that an embedded AWS recorded."""
    return [Call(**json.loads(line)) for line in file.read_text().splitlines()]


def parts(statement: Statement, name: str) -> list[str]:
    """The actions or the resources of a statement; `name` is Action or Resource."""
    found = statement[name]
    return [found] if isinstance(found, str) else list(found)


def needed(statements: list[Statement], calls: Iterable[Call]) -> set[Part]:
    """The actions and resources of statements without which one of the calls would be denied."""
    found: set[Part] = set()
    for call in calls:
        matched = {
            (number, action, resource)
            for number, statement in enumerate(statements)
            if statement["Effect"] == "Allow"
            for action in parts(statement, "Action")
            if iam_evaluator.fnmatch_iam(call.action, action)
            for resource in parts(statement, "Resource")
            if call.matches(statement, action, resource)
        }
        for kept in ({(number, action) for number, action, _ in matched}, {(one[0], one[2]) for one in matched}):
            if len(kept) == 1:
                found |= kept
    return found


def unneeded(statements: list[Statement], calls: Iterable[Call]) -> list[Part]:
    """The actions and resources of statements that none of the calls needs."""
    every = [
        (number, part)
        for number, statement in enumerate(statements)
        for name in ("Action", "Resource")
        for part in parts(statement, name)
    ]
    used = needed(statements, calls)
    return [part for part in every if part not in used]

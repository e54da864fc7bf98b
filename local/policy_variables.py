"""IAM: replace the policy variables of the caller in the resources of a statement.

Patch: ministack compares `${aws:userid}` and other variables literally, so a statement about folders of the caller
matches none (IAM User Guide, "IAM policy elements: Variables and tags"). No value of such a variable has a wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ministack.core import iam_evaluator

from local import patches

# No ARN has this character.
_NO_RESOURCE = "\0"
_VARIABLE = re.compile(r"\$\{([^${}]+)\}")


def _replaced(resources: Iterable[str], keys: Mapping[str, Any]) -> list[str]:
    """The resources with the value of each variable in `keys`; one with a variable without a value matches nothing.

    `${*}`, `${?}` and `${$}` are no variables; they stay.
    """

    def value(found: re.Match[str]) -> str:
        return found[0] if found[1] in ("*", "?", "$") else str(keys.get(found[1].lower(), _NO_RESOURCE))

    return [_VARIABLE.sub(value, resource) for resource in resources]


def install() -> None:
    """Apply the patch."""

    def first_match(ctx: Any, stmts: list[Any], effect: str) -> Any:
        replaced = [
            replace(
                one,
                resources=_replaced(one.resources, ctx.principal_keys),
                not_resources=_replaced(one.not_resources, ctx.principal_keys),
            )
            for one in stmts
        ]
        return original(ctx, replaced, effect)

    original = patches.replace(iam_evaluator, "_first_match", "ctx stmts effect", first_match)

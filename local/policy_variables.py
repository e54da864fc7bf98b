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

_VARIABLE = re.compile(r"\$\{([^${}]+)\}")


def _replaced(resources: Iterable[str], keys: Mapping[str, Any]) -> list[str]:
    """The resources with the value of each variable in `keys`; a variable without a value stays."""
    return [_VARIABLE.sub(lambda found: str(keys.get(found[1].lower(), found[0])), resource) for resource in resources]


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

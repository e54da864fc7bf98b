"""A change set in words: what CloudFormation will add, change, replace and delete."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import ChangeTypeDef, ResourceChangeTypeDef

ADD, CHANGE, REPLACE, MAY_REPLACE, DELETE, KEEP = "add", "change", "REPLACE", "may replace", "DELETE", "leave behind"
ORDER = (DELETE, REPLACE, MAY_REPLACE, KEEP, CHANGE, ADD)
_KEPT = ("Retain", "ReplaceAndRetain")


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource; `causes` are the names of the properties that differ."""

    action: str
    logical_id: str
    kind: str
    causes: tuple[str, ...] = ()

    @property
    def is_destructive(self) -> bool:
        """Whether a resource is, or may be, deleted."""
        return self.action in (DELETE, REPLACE, MAY_REPLACE)

    def __str__(self) -> str:
        """Return one line."""
        line = f"{self.action:<12} {self.logical_id} ({self.kind})"
        return f"{line}: {', '.join(self.causes)}" if self.causes else line


Approve = Callable[[str, Sequence[ResourceChange]], None]
"""Called with the name of a stack and its changes before they are made; raises an error to prevent them."""


def accept(_stack: str, _changes: Sequence[ResourceChange]) -> None:
    """Approve every change."""


def describe_changes(stack: str, changes: Sequence[ResourceChange] | None) -> Iterator[str]:
    """Yield lines about the changes of a stack; None is no change, an empty sequence one of outputs or tags only."""
    if changes is None:
        yield f"{stack}: unchanged"
        return
    lost = sum(change.is_destructive for change in changes)
    summary = f"{len(changes)} resources" if changes else "outputs or tags only"
    yield f"{stack}: {summary}" + (f", {lost} of them DELETED OR REPLACED" if lost else "")
    yield from (f"  {change}" for change in changes)


def confirm(place: str, *, yes: bool, progress: Callable[[str], None] = print) -> Approve:
    """Return an Approve that prints the changes and asks; with `yes` it only prints.

    `place` names the account and the region. Raises DeployError for another answer than `yes`, and where nobody can
    answer.
    """

    def approve(stack: str, changes: Sequence[ResourceChange]) -> None:
        for line in describe_changes(stack, changes):
            progress(line)
        if yes:
            return
        if not sys.stdin.isatty():
            raise DeployError(f"{stack} was not changed: nobody can confirm these changes here. YES=1 confirms them.")
        if input(f"Change {stack} in {place}? Type yes: ").strip().lower() != "yes":
            raise DeployError(f"{stack} was not changed.")

    return approve


def read_changes(changes: "Iterable[ChangeTypeDef]") -> list[ResourceChange]:
    """Return the changes of a change set, the destructive ones first."""
    read = [_read(change["ResourceChange"]) for change in changes if "ResourceChange" in change]
    return sorted(read, key=lambda change: (ORDER.index(change.action), change.logical_id))


def planned_creation(resources: "Iterable[tuple[str, str]]") -> list[ResourceChange]:
    """Return the changes that create a stack from (logical id, type) of its resources."""
    return [ResourceChange(ADD, logical_id, kind) for logical_id, kind in sorted(resources)]


def _read(change: "ResourceChangeTypeDef") -> ResourceChange:
    names = {
        str(target.get("Name") or target.get("Attribute", ""))
        for detail in change.get("Details", [])
        if (target := detail.get("Target", {}))
    }
    return ResourceChange(
        _action(change),
        change["LogicalResourceId"],
        change["ResourceType"],
        tuple(sorted(name for name in names if name)),
    )


def _action(change: "ResourceChangeTypeDef") -> str:
    """Return the action. `Conditional` means that CloudFormation knows only while it updates ("ResourceChange")."""
    if change["Action"] == "Remove":
        return KEEP if change.get("PolicyAction") in _KEPT else DELETE
    if change["Action"] in ("Add", "Import"):
        return ADD
    return {"True": REPLACE, "Conditional": MAY_REPLACE}.get(change.get("Replacement", ""), CHANGE)

"""The states that a photo goes through in classify-photo, by outcome, and the Lambdas that they invoke."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from operate.errors import CommandError
from workflows import graph

# The states that an execution with this outcome enters, in order. Between them it takes the shortest way.
WAYPOINTS = {
    "model": ("ReturnDecision",),
    "reviewer": ("PrepareReview", "DecideByReviewer", "AssignBay"),
    "fallback": ("PrepareReview", "DecideByFallback", "AssignBay"),
    "rejected": ("RejectPhoto",),
    "excess": ("RejectExcessPhoto",),
}
# The execution of retrain-model that each hour finds no new labels.
NOTHING_NEW = ("SkipTraining", "EnsureScalingPolicy", "ReturnRejection")
# An ARN, or the substitution of the file that is not deployed yet.
_FUNCTION = re.compile(r"\$\{(?P<logical>\w+)FunctionArn\}|:function:scones-[^-:]+-(?P<name>[a-z-]+)")


@dataclass(frozen=True)
class Path:
    """An execution without retries: its states in order, and the functions that they invoke, such as `assign-bay`."""

    states: tuple[str, ...]
    functions: tuple[str, ...]

    @property
    def transitions(self) -> int:
        """The state transitions that are charged: one into each state, and the end."""
        return len(self.states) + 1


def paths(definition: dict[str, Any]) -> dict[str, Path]:
    """Return the path of each outcome in the definition of classify-photo.

    Raises CommandError when there is no way to one of the states in WAYPOINTS.
    """
    return {outcome: _path(definition, outcome, waypoints) for outcome, waypoints in WAYPOINTS.items()}


def nothing_new(definition: dict[str, Any]) -> Path:
    """Return the path of the execution of retrain-model that finds nothing new. Raises CommandError."""
    return _path(definition, "nothing new", NOTHING_NEW)


def _path(definition: dict[str, Any], outcome: str, waypoints: Iterable[str]) -> Path:
    states = [str(definition["StartAt"])]
    for waypoint in waypoints:
        found = _shortest(definition["States"], states[-1], waypoint)
        if found is None:
            raise CommandError(
                f"The deployed workflow has no way from {states[-1]} to {waypoint}, which the outcome {outcome} "
                "needs. Deploy the version of this checkout, or adapt operate/cost_paths.py."
            )
        states += found
    functions = [name for state in states if (name := _function(definition["States"][state]))]
    return Path(tuple(states), tuple(functions))


def _shortest(states: dict[str, Any], start: str, end: str) -> list[str] | None:
    """Return the states after `start` on the shortest way to `end`, which may follow catchers; None without a way."""
    queue = deque([(start, list[str]())])
    seen = {start}
    while queue:
        name, way = queue.popleft()
        if name == end:
            return way
        for _, target in graph.targets(states[name]):
            if target not in seen:
                seen.add(target)
                queue.append((target, [*way, target]))
    return None


def _function(state: dict[str, Any]) -> str | None:
    """Return the name of the function that a state invokes, such as `classify-photo`; None for other states."""
    found = _FUNCTION.search(str(state.get("Parameters", {}).get("FunctionName", "")))
    if found is None:
        return None
    return found["name"] or re.sub(r"(?<!^)(?=[A-Z])", "-", found["logical"]).lower()

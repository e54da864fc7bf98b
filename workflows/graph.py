"""What can be wrong with a definition before it ever runs, found in the rendered JSON and said in sentences.

cfn-lint does not follow `Next`, and the embedded AWS accepts nearly everything; on AWS the same mistakes refuse the
deployment or, worse, wait for the day a transient error happens.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from workflows.errors import TRANSIENT

Definition = dict[str, Any]

PAYLOADS = ("Parameters", "ResultSelector", "ItemSelector")
CONTEXT_PATH = re.compile(r"\$\$\.[A-Za-z.]+")
TERMINAL = ("Succeed", "Fail")
WILDCARDS = ("States.ALL", "States.TaskFailed")
CONTEXT = {
    "Execution": {"Id", "Name", "Input", "StartTime", "RoleArn", "RedriveCount", "RedriveTime"},
    "State": {"Name", "EnteredTime", "RetryCount"},
    "StateMachine": {"Id", "Name"},
    "Task": {"Token"},
    "Map": {"Item"},
}


def problems(definition: Definition, where: str = "") -> list[str]:
    """Every mistake found, each as one sentence that names the state; none means the graph is sound."""
    return [
        *_dangling(definition, where),
        *_unreachable(definition, where),
        *_endless(definition, where),
        *(sentence for name, state in definition["States"].items() for sentence in _state_problems(name, state, where)),
    ]


def walk(definition: Definition) -> list[str]:
    """The names of the states that can be reached, in breadth-first order from StartAt."""
    reached: dict[str, None] = {}
    waiting = deque([definition.get("StartAt", "")])
    while waiting:
        name = waiting.popleft()
        if name in reached or name not in definition["States"]:
            continue
        reached[name] = None
        waiting.extend(target for _, target in targets(definition["States"][name]))
    return list(reached)


def targets(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a state can go: (how, name) with how one of Next, Choice, Default and Catch."""
    if "Next" in state:
        yield "Next", state["Next"]
    for choice in state.get("Choices", ()):
        if "Next" in choice:
            yield "Choice", choice["Next"]
    if "Default" in state:
        yield "Default", state["Default"]
    for catcher in state.get("Catch", ()):
        if "Next" in catcher:
            yield "Catch", catcher["Next"]


def inner(state: dict[str, Any]) -> Iterator[tuple[str, Definition]]:
    """The state machines inside a Map or Parallel state, with a word for each."""
    for key in ("Iterator", "ItemProcessor"):
        if key in state:
            yield key, state[key]
    for number, branch in enumerate(state.get("Branches", ()), start=1):
        yield f"branch {number}", branch


def service(state: dict[str, Any]) -> str:
    """The service a task calls: `lambda`, `sagemaker`, `aws-sdk:sagemaker`, …"""
    resource = str(state.get("Resource", ""))
    if ":::" not in resource:
        return "lambda" if ":lambda:" in resource else ""
    parts = resource.split(":::", 1)[1].split(":")
    return f"aws-sdk:{parts[1]}" if parts[0] == "aws-sdk" and len(parts) > 1 else parts[0]


def _dangling(definition: Definition, where: str) -> Iterator[str]:
    states = definition["States"]
    if definition.get("StartAt") not in states:
        yield f"{where}StartAt names {definition.get('StartAt')!r}, which is no state."
    for name, state in states.items():
        for how, target in targets(state):
            if target not in states:
                yield f"{where}{name}: its {how} names {target!r}, which is no state."


def _unreachable(definition: Definition, where: str) -> Iterator[str]:
    reached = set(walk(definition))
    for name in definition["States"]:
        if name not in reached:
            yield f"{where}{name}: no way leads to this state."


def _endless(definition: Definition, where: str) -> Iterator[str]:
    """States from which no end can be reached; a state machine without any terminal state is the plain case."""
    states = definition["States"]
    ends = {name for name, state in states.items() if state.get("End") or state.get("Type") in TERMINAL}
    if not ends:
        yield f"{where or 'The state machine '}has no terminal state, so it never ends."
        return
    grown = True
    while grown:
        more = {n for n, s in states.items() if n not in ends and any(t in ends for _, t in targets(s))}
        ends |= more
        grown = bool(more)
    for name in walk(definition):
        if name not in ends:
            yield f"{where}{name}: no end can be reached from here."


def _state_problems(name: str, state: dict[str, Any], where: str) -> Iterator[str]:
    kind = state.get("Type")
    leaves = "Next" in state or state.get("End") is True
    if kind in TERMINAL:
        if leaves:
            yield f"{where}{name}: a {kind} state ends the execution and may not have Next or End."
    elif kind == "Choice":
        if leaves:
            yield f"{where}{name}: a Choice goes on through its Choices and Default, not through Next or End."
        if "Default" not in state:
            yield f"{where}{name}: a Choice without Default fails the execution when no rule matches."
    elif not leaves:
        yield f"{where}{name}: has neither Next nor End."
    if kind == "Task":
        yield from _task_problems(name, state, where)
    yield from _wildcard_problems(name, state, where)
    used = {path for field in PAYLOADS for path in _context_paths(state.get(field))}
    for path in sorted(used):
        if not _context_known(path):
            yield f"{where}{name}: {path} is nothing the context object has."
    if "$$.Task.Token" in used and not str(state.get("Resource", "")).endswith(".waitForTaskToken"):
        yield f"{where}{name}: uses $$.Task.Token but does not wait for it (.waitForTaskToken)."
    for field in PAYLOADS:
        for key, value in _leaves(state.get(field)):
            is_path = value.startswith(("$", "States.")) and not value.startswith("${")
            if key.endswith(".$") and not is_path:
                yield f"{where}{name}: {key!r} needs a path or an intrinsic function, not {value!r}."
            if not key.endswith(".$") and is_path:
                yield f"{where}{name}: {key!r} is the text {value!r}; a path needs the key '{key}.$'."
    for word, definition in inner(state):
        yield from problems(definition, f"{where}{name}, {word}: ")


def _task_problems(name: str, state: dict[str, Any], where: str) -> Iterator[str]:
    if not {"TimeoutSeconds", "TimeoutSecondsPath"} & state.keys():
        yield f"{where}{name}: has no timeout, so a lost answer would hold the execution for a year."
    retried = {
        error
        for retrier in state.get("Retry", ())
        if retrier.get("MaxAttempts", 3) > 0
        for error in retrier.get("ErrorEquals", ())
    }
    called = service(state)
    if called not in TRANSIENT:
        unknown = called or state.get("Resource")
        yield f"{where}{name}: no transient errors are listed for {unknown!r}; add them to workflows/errors.py."
        return
    missing = [error for error in TRANSIENT[called] if error not in retried]
    if missing and not retried & set(WILDCARDS):
        yield f"{where}{name}: does not retry {', '.join(missing)}, which pass by themselves."


def _wildcard_problems(name: str, state: dict[str, Any], where: str) -> Iterator[str]:
    for field in ("Retry", "Catch"):
        entries = state.get(field, ())
        for number, entry in enumerate(entries, start=1):
            errors = entry.get("ErrorEquals", ())
            if "States.ALL" in errors and (len(errors) > 1 or number < len(entries)):
                yield f"{where}{name}: States.ALL must stand alone in the last {field} entry."


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every (key, text) inside a payload template."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, key)
    elif isinstance(value, str):
        yield key, value


def _context_paths(value: Any) -> Iterator[str]:
    """Every `$$.…` path in a payload template, also inside intrinsic functions."""
    for _, text in _leaves(value):
        yield from CONTEXT_PATH.findall(text)


def _context_known(path: str) -> bool:
    _, group, *rest = path.split(".")
    fields = CONTEXT.get(group.split("[")[0])
    return fields is not None and (not rest or rest[0].split("[")[0] in fields)

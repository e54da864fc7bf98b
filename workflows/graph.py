"""Static checks of a definition, for mistakes that neither cfn-lint nor the embedded AWS reports.

cfn-lint does not follow `Next`, and the embedded AWS accepts nearly everything. AWS rejects a definition with some of
these mistakes; the others fail an execution at its first transient error.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from workflows.errors import TRANSIENT

Definition = dict[str, Any]
State = dict[str, Any]

PAYLOAD_TEMPLATES = ("Parameters", "ResultSelector", "ItemSelector")
# Fields of a Map with a payload template inside.
NESTED_TEMPLATES = (("ItemReader", "Parameters"), ("ItemBatcher", "BatchInput"), ("ResultWriter", "Parameters"))
DISTRIBUTED_FIELDS = (
    *("ItemReader", "ItemBatcher", "ResultWriter", "Label", "ToleratedFailurePercentage", "ToleratedFailureCount"),
    *("ToleratedFailurePercentagePath", "ToleratedFailureCountPath"),
)
INPUT_TYPES = ("CSV", "JSON", "JSONL", "MANIFEST", "PARQUET")
BATCH_LIMITS = {
    *("MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath"),
}
CONTEXT_PATH = re.compile(r"\$\$\.[A-Za-z.]+")
TERMINAL = ("Succeed", "Fail")
WILDCARDS = ("States.ALL", "States.TaskFailed")
# "Accessing execution data from the Context object in Step Functions", AWS Step Functions Developer Guide.
CONTEXT_FIELDS = {
    "Execution": {"Id", "Name", "Input", "StartTime", "RoleArn", "RedriveCount", "RedriveTime"},
    "State": {"Name", "EnteredTime", "RetryCount"},
    "StateMachine": {"Id", "Name"},
    "Task": {"Token"},
    "Map": {"Item"},
}


def problems(definition: Definition, prefix: str = "") -> list[str]:
    """Return one sentence per mistake in the definition, which names the state; empty when there is none.

    `prefix` starts each sentence; it names the states around a nested definition.
    """
    return [
        *_missing_targets(definition, prefix),
        *_unreachable_states(definition, prefix),
        *_endless_states(definition, prefix),
        *(problem for name, state in definition["States"].items() for problem in _state_problems(name, state, prefix)),
    ]


def reachable(definition: Definition) -> list[str]:
    """Return the names of the reachable states, in breadth-first order from StartAt."""
    reached: dict[str, None] = {}
    queue = deque([definition.get("StartAt", "")])
    while queue:
        name = queue.popleft()
        if name in reached or name not in definition["States"]:
            continue
        reached[name] = None
        queue.extend(target for _, target in targets(definition["States"][name]))
    return list(reached)


def targets(state: State) -> Iterator[tuple[str, str]]:
    """Yield the transitions of a state as (field, name of the next state); field is Next, Choice, Default or Catch."""
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


def catch_targets(state: State) -> list[str]:
    """Return the targets of a state's catchers, each once."""
    return list(dict.fromkeys(target for field, target in targets(state) if field == "Catch"))


def nested_definitions(state: State) -> Iterator[tuple[str, Definition]]:
    """Yield (label, definition) for each state machine inside a Map or Parallel state."""
    for key in ("Iterator", "ItemProcessor"):
        if key in state:
            yield key, state[key]
    for number, branch in enumerate(state.get("Branches", ()), start=1):
        yield f"branch {number}", branch


def service(state: State) -> str:
    """Return the service of a task, such as `lambda`, `sagemaker` or `aws-sdk:sagemaker`; empty when unknown."""
    resource = str(state.get("Resource", ""))
    if ":::" not in resource:
        return "lambda" if ":lambda:" in resource else ""
    parts = resource.split(":::", 1)[1].split(":")
    return f"aws-sdk:{parts[1]}" if parts[0] == "aws-sdk" and len(parts) > 1 else parts[0]


def _missing_targets(definition: Definition, prefix: str) -> Iterator[str]:
    states = definition["States"]
    if definition.get("StartAt") not in states:
        yield f"{prefix}StartAt names {definition.get('StartAt')!r}, which does not exist."
    for name, state in states.items():
        for field, target in targets(state):
            if target not in states:
                yield f"{prefix}{name}: its {field} names {target!r}, which does not exist."


def _unreachable_states(definition: Definition, prefix: str) -> Iterator[str]:
    reached = set(reachable(definition))
    for name in definition["States"]:
        if name not in reached:
            yield f"{prefix}{name}: is unreachable."


def _endless_states(definition: Definition, prefix: str) -> Iterator[str]:
    """The states from which no terminal state can be reached."""
    states = definition["States"]
    ending = {name for name, state in states.items() if state.get("End") or state.get("Type") in TERMINAL}
    if not ending:
        yield f"{prefix or 'The state machine '}has no terminal state, so it never ends."
        return
    grown = True
    while grown:
        more = {n for n, s in states.items() if n not in ending and any(t in ending for _, t in targets(s))}
        ending |= more
        grown = bool(more)
    for name in reachable(definition):
        if name not in ending:
            yield f"{prefix}{name}: no terminal state can be reached from here."


def _state_problems(name: str, state: State, prefix: str) -> Iterator[str]:
    found = [*_transition_problems(state), *_wildcard_problems(state), *_payload_problems(state)]
    if state.get("Type") == "Task":
        found += _task_problems(state)
    if state.get("Type") == "Map":
        found += _map_problems(state)
    yield from (f"{prefix}{name}: {problem}" for problem in found)
    for label, definition in nested_definitions(state):
        yield from problems(definition, f"{prefix}{name}, {label}: ")


def _transition_problems(state: State) -> Iterator[str]:
    kind = state.get("Type")
    has_exit = "Next" in state or state.get("End") is True
    if kind in TERMINAL and has_exit:
        yield f"a {kind} state ends the execution and may not have Next or End."
    if kind == "Choice" and has_exit:
        yield "a Choice continues with its Choices and Default; it may not have Next or End."
    if kind == "Choice" and "Default" not in state:
        yield "a Choice without Default fails the execution when no rule matches."
    if kind not in (*TERMINAL, "Choice") and not has_exit:
        yield "has neither Next nor End."


def _task_problems(state: State) -> Iterator[str]:
    if not {"TimeoutSeconds", "TimeoutSecondsPath"} & state.keys():
        yield "has no timeout, so a lost response would keep the execution running for a year."
    retried = {
        error
        for retrier in state.get("Retry", ())
        if retrier.get("MaxAttempts", 3) > 0
        for error in retrier.get("ErrorEquals", ())
    }
    called = service(state)
    if called not in TRANSIENT:
        unknown = called or state.get("Resource")
        yield f"no transient errors are listed for {unknown!r}; add them to workflows/errors.py."
        return
    missing = [error for error in TRANSIENT[called] if error not in retried]
    if missing and not retried & set(WILDCARDS):
        yield f"does not retry the transient errors {', '.join(missing)}."


def _map_problems(state: State) -> Iterator[str]:
    """Mistakes of a Map, most of which AWS reports only when the state runs."""
    processor = state.get("ItemProcessor") or state.get("Iterator")
    if not processor:
        yield "has no ItemProcessor."
        return
    distributed = processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
    if distributed and not {"MaxConcurrency", "MaxConcurrencyPath"} & state.keys():
        yield "has no MaxConcurrency, so everything behind it gets up to 10,000 requests at a time."
    for field in DISTRIBUTED_FIELDS:
        if field in state and not distributed:
            yield f"{field} needs the mode DISTRIBUTED."
    for field in ("MaxConcurrency", "ToleratedFailurePercentage", "ToleratedFailureCount"):
        if field in state and f"{field}Path" in state:
            yield f"has both {field} and {field}Path."
    if distributed and "ResultWriter" not in state:
        yield "has no ResultWriter, so results of more than 256 KiB fail it."
    reader = state.get("ItemReader", {})
    config = reader.get("ReaderConfig", {})
    if reader and not str(reader.get("Resource")).endswith((":s3:getObject", ":s3:listObjectsV2")):
        yield f"its ItemReader cannot call {reader.get('Resource')}."
    elif str(reader.get("Resource")).endswith(":s3:getObject") and config.get("InputType") not in INPUT_TYPES:
        yield f"its InputType is {config.get('InputType')!r}; it is one of {', '.join(INPUT_TYPES)}."
    if config.get("InputType") == "CSV" and "CSVHeaderLocation" not in config:
        yield "its ItemReader has no CSVHeaderLocation."
    if "ItemBatcher" in state and not state["ItemBatcher"].keys() & BATCH_LIMITS:
        yield "its ItemBatcher has no limit."


def _wildcard_problems(state: State) -> Iterator[str]:
    for field in ("Retry", "Catch"):
        entries = state.get(field, ())
        for number, entry in enumerate(entries, start=1):
            errors = entry.get("ErrorEquals", ())
            if "States.ALL" in errors and (len(errors) > 1 or number < len(entries)):
                yield f"States.ALL must be the only error of the last {field} entry."


def _payload_problems(state: State) -> Iterator[str]:
    """Mistakes in payload templates: unknown context paths, tokens without a wait, keys that do not fit the values."""
    templates = [state.get(field) for field in PAYLOAD_TEMPLATES]
    templates += [state.get(field, {}).get(inner) for field, inner in NESTED_TEMPLATES]
    texts = [pair for template in templates for pair in _texts(template)]
    context_paths = {path for _, text in texts for path in CONTEXT_PATH.findall(text)}
    for path in sorted(context_paths):
        if not _exists_in_context(path):
            yield f"the context object has no {path}."
    if "$$.Task.Token" in context_paths and not str(state.get("Resource", "")).endswith(".waitForTaskToken"):
        yield "uses $$.Task.Token but does not wait for it (.waitForTaskToken)."
    for key, text in texts:
        is_path = text.startswith(("$", "States.")) and not text.startswith("${")
        if key.endswith(".$") and not is_path:
            yield f"{key!r} needs a path or an intrinsic function, not {text!r}."
        if not key.endswith(".$") and is_path:
            yield f"{key!r} is the text {text!r}; a path needs the key '{key}.$'."


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text inside a payload template, as (key, text)."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield key, value


def _exists_in_context(path: str) -> bool:
    _, group, *rest = path.split(".")
    fields = CONTEXT_FIELDS.get(group)
    return fields is not None and (not rest or rest[0] in fields)

"""The page of a workflow: its definition as a Mermaid flowchart, which GitHub renders, and a table of its states.

Solid arrows are transitions, labelled with the condition of a Choice; dashed arrows are caught errors. When many states
send their errors to one state, a label in each of these states replaces the arrow, to keep the chart readable.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from workflows import graph

# The most dashed arrows that one state gets.
MAX_CATCH_ARROWS = 2

# Opening and closing bracket of the node, by the type of the state.
SHAPES = {
    "Map": ("[[", "]]"),
    "Choice": ("{{", "}}"),
    "Wait": ("[/", "/]"),
    "Succeed": ("([", "])"),
    "Fail": ("([", "])"),
}
RECTANGLE = ("[", "]")

# Fill and border by the service that a task calls, or by the type of the state.
COLOURS = {
    "lambda": ("#fff4e0", "#c77700"),
    "sagemaker": ("#e3f5ef", "#0b8a68"),
    "messaging": ("#fde8f0", "#b81f63"),
    "Map": ("#efe9fb", "#6b45b0"),
    "Choice": ("#e8effc", "#3465b4"),
    "Pass": ("#f4f4f2", "#8a8a84"),
    "Wait": ("#f4f4f2", "#8a8a84"),
    "Succeed": ("#e2f3df", "#2f7d26"),
    "Fail": ("#fbe3e1", "#b3261e"),
}
LEGEND = (
    "Orange: Lambda. Green: SageMaker. Pink: SQS and EventBridge. Violet: Map. Blue: Choice. Grey: Pass and Wait."
    " Dashed arrow: a caught error."
)


def render_page(name: str, definition: graph.Definition) -> str:
    """Return the Markdown page of workflow `name`: its flowchart and the comments of its states."""
    rows = [f"| `{state}` | {definition['States'][state]['Comment']} |" for state in graph.reachable(definition)]
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{definition['Comment']} Generated from the definition by `python -m workflows`.",
            "",
            "```mermaid",
            render_flowchart(definition),
            "```",
            "",
            LEGEND,
            "",
            "| State | Purpose |",
            "|---|---|",
            *rows,
            "",
        ]
    )


def render_flowchart(definition: graph.Definition) -> str:
    """Return the Mermaid text of a definition, without a final newline.

    Raises:
        ValueError: a Choice compares with an operator that `_condition` does not know.
    """
    states = definition["States"]
    names = graph.reachable(definition)
    catches = Counter(target for name in names for target in graph.catch_targets(states[name]))
    crowded = {target for target, count in catches.items() if count > MAX_CATCH_ARROWS}
    lines = [
        "flowchart TD",
        *(f"    {_node(name, states[name], crowded)}" for name in names),
        *(f"    {arrow}" for name in names for arrow in _arrows(name, states[name], crowded)),
        *(f"    classDef {kind} fill:{fill},stroke:{stroke},color:#22252a" for kind, (fill, stroke) in COLOURS.items()),
    ]
    return "\n".join(lines)


def _node(name: str, state: dict[str, Any], crowded: set[str]) -> str:
    notes = [f"error → {target}" for target in graph.catch_targets(state) if target in crowded]
    opening, closing = SHAPES.get(state["Type"], RECTANGLE)
    label = "<br/>".join([name, *(f"<small>{note}</small>" for note in notes)])
    return f'{_identifier(name)}{opening}"{label}"{closing}:::{_kind(state)}'


def _arrows(name: str, state: dict[str, Any], crowded: set[str]) -> Iterator[str]:
    source = _identifier(name)
    if "Next" in state:
        yield f"{source} --> {_identifier(state['Next'])}"
    for rule in state.get("Choices", ()):
        yield f'{source} -->|"{_condition(rule)}"| {_identifier(rule["Next"])}'
    if "Default" in state:
        yield f'{source} -->|"else"| {_identifier(state["Default"])}'
    for catcher in state.get("Catch", ()):
        if catcher["Next"] not in crowded:
            errors = ["any error" if error == "States.ALL" else error for error in catcher["ErrorEquals"]]
            yield f'{source} -.->|"{"<br/>".join(errors)}"| {_identifier(catcher["Next"])}'


def _condition(rule: dict[str, Any]) -> str:
    """The rule of a Choice as a label. IsPresent is omitted where it only guards another comparison."""
    for operator in ("And", "Or"):
        if operator in rule:
            parts = [part for part in rule[operator] if "IsPresent" not in part]
            return f"{'<br/>and' if operator == 'And' else ' or'} ".join(map(_condition, parts))
    operator, operand = next((key, value) for key, value in rule.items() if key not in ("Variable", "Next"))
    field = str(rule["Variable"]).rsplit(".", 1)[-1]
    match operator:
        case "BooleanEquals":
            return "yes" if operand else "no"
        case "StringEquals":
            return str(operand) or f"no {field}"
        case "StringEqualsPath":
            return f"{field} = {operand}"
        case "NumericLessThan":
            return f"{field} &lt; {operand}"
        case "IsPresent" | "IsNull":
            return "yes" if operand == (operator == "IsPresent") else "no"
        case "IsString":
            return f"{field} is a string"
    raise ValueError(f"The flowchart has no label for the operator {operator}; add it to workflows/mermaid.py.")


def _identifier(name: str) -> str:
    """A state's name without the characters that Mermaid rejects in an identifier."""
    return name.removesuffix("?")


def _kind(state: dict[str, Any]) -> str:
    if state["Type"] != "Task":
        return str(state["Type"])
    service = graph.service(state).removeprefix("aws-sdk:")
    return "messaging" if service in ("sqs", "events") else service

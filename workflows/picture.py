"""A picture of a workflow, drawn from its definition: layers from StartAt downwards, as SVG.

The four steps of Sugiyama, Tagawa and Toda ("Methods for Visual Understanding of Hierarchical System Structures"): turn
the loops' back edges round, give each state a layer, order the layers so that few edges cross, place the boxes.
Errors that many states send to one place are written into the boxes instead of drawn, or nothing else would be seen.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from statistics import fmean
from typing import Any

from workflows import graph

BOX_HEIGHT, LAYER_GAP, BOX_GAP, MARGIN = 34, 34, 22, 16
NOTE_HEIGHT = 13
LETTER, PADDING = 7.0, 26
MOST_DRAWN_CATCHES = 2
SWEEPS = 24
PULLS = {"Next": 3.0, "Choice": 2.0, "Default": 1.5, "Catch": 0.4}

# Fill and line by what a state does; the mark is drawn before the name.
LOOKS = {
    "lambda": ("#fff4e0", "#c77700", "λ"),
    "sagemaker": ("#e3f5ef", "#0b8a68", "◆"),
    "sqs": ("#fde8f0", "#b81f63", "✉"),
    "events": ("#fde8f0", "#b81f63", "⚡"),
    "Choice": ("#e8effc", "#3465b4", ""),
    "Pass": ("#f4f4f2", "#8a8a84", ""),
    "Wait": ("#f4f4f2", "#8a8a84", "◷"),
    "Succeed": ("#e2f3df", "#2f7d26", "✓"),
    "Fail": ("#fbe3e1", "#b3261e", "✕"),
}
PLAIN = ("#ffffff", "#555555", "")

STYLE = (
    "text{font:12px -apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#22252a;text-anchor:middle}"
    ".note,.label{font-size:9.5px;fill:#6a6f76}.label{paint-order:stroke;stroke:#fff;stroke-width:3px}"
    "path{fill:none;stroke:#7b8087;stroke-width:1.2}path.Catch{stroke:#b3261e;stroke-dasharray:4 3;opacity:.75}"
)


@dataclass
class Box:
    """A state, or a bend of an edge that passes a layer (`name` is empty then)."""

    name: str
    layer: int
    width: float = 0
    x: float = 0
    y: float = 0
    height: float = 0
    notes: list[str] = field(default_factory=list)


@dataclass
class Edge:
    """From state to state through `way`, top to bottom; `upwards` when the workflow runs against the layers."""

    source: str
    target: str
    how: str
    label: str = ""
    upwards: bool = False
    way: list[Box] = field(default_factory=list)


def draw(definition: graph.Definition) -> str:
    """The SVG text of a definition's graph, the same for the same definition."""
    states = definition["States"]
    names = graph.walk(definition)
    edges, notes = _edges(states, names)
    _turn_back_edges(definition["StartAt"], names, edges)
    layers = _layers(names, edges)
    boxes = {
        name: Box(name, layers[name], _width(states[name], name, notes[name]), notes=notes[name]) for name in names
    }
    rows = _rows(boxes, edges)
    _order(rows, edges)
    _place(rows, edges)
    return _svg(definition, states, list(boxes.values()), rows, edges)


def _edges(states: dict[str, Any], names: list[str]) -> tuple[list[Edge], dict[str, list[str]]]:
    """The edges to draw, one per pair of states, and the caught errors to write down instead."""
    caught = [target for name in names for how, target in set(graph.targets(states[name])) if how == "Catch"]
    crowded = {target for target in caught if caught.count(target) > MOST_DRAWN_CATCHES}
    edges: dict[tuple[str, str], Edge] = {}
    notes: dict[str, list[str]] = defaultdict(list)
    for name in names:
        rules = states[name].get("Choices", [])
        labels = {("Choice", rule["Next"]): _said(rule) for rule in rules} | {
            ("Default", states[name].get("Default")): "else"
        }
        for how, target in graph.targets(states[name]):
            if how == "Catch" and target in crowded:
                note = f"error → {target}"
                if note not in notes[name]:
                    notes[name].append(note)
                continue
            edges.setdefault((name, target), Edge(name, target, how, labels.get((how, target), "")))
    return list(edges.values()), notes


def _said(rule: Any) -> str:
    """A rule in a word or two: the text it compares with, or yes and no."""
    if isinstance(rule, list):
        return next((said for said in map(_said, rule) if said), "")
    if not isinstance(rule, dict):
        return ""
    if "StringEquals" in rule:
        return str(rule["StringEquals"])
    if "BooleanEquals" in rule:
        return "yes" if rule["BooleanEquals"] else "no"
    for operator in ("And", "Or"):
        if operator in rule:
            return _said(rule[operator])
    return ""


def _turn_back_edges(start: str, names: list[str], edges: list[Edge]) -> None:
    leaving = defaultdict(list)
    for edge in edges:
        leaving[edge.source].append(edge)
    state: dict[str, str] = {}

    def visit(name: str) -> None:
        state[name] = "open"
        for edge in leaving[name]:
            if state.get(edge.target) == "open":
                edge.upwards = True
            elif edge.target not in state:
                visit(edge.target)
        state[name] = "done"

    for name in (start, *names):
        if name not in state:
            visit(name)


def _ends(edge: Edge) -> tuple[str, str]:
    """The upper and the lower end."""
    return (edge.target, edge.source) if edge.upwards else (edge.source, edge.target)


def _layers(names: list[str], edges: list[Edge]) -> dict[str, int]:
    """The length of the longest way to each state."""
    layers = dict.fromkeys(names, 0)
    for _ in names:
        for edge in edges:
            upper, lower = _ends(edge)
            layers[lower] = max(layers[lower], layers[upper] + 1)
    return layers


def _rows(boxes: dict[str, Box], edges: list[Edge]) -> list[list[Box]]:
    """Boxes and bends by layer; fills in each edge's way."""
    rows: list[list[Box]] = [[] for _ in range(max(box.layer for box in boxes.values()) + 1)]
    for box in boxes.values():
        rows[box.layer].append(box)
    for edge in edges:
        upper, lower = (boxes[name] for name in _ends(edge))
        bends = [Box("", layer, 6) for layer in range(upper.layer + 1, lower.layer)]
        for bend in bends:
            rows[bend.layer].append(bend)
        edge.way = [upper, *bends, lower]
    return rows


def _neighbours(edges: list[Edge]) -> tuple[dict[int, list[Box]], dict[int, list[Box]]]:
    above: dict[int, list[Box]] = defaultdict(list)
    below: dict[int, list[Box]] = defaultdict(list)
    for edge in edges:
        for upper, lower in pairwise(edge.way):
            below[id(upper)].append(lower)
            above[id(lower)].append(upper)
    return above, below


def _order(rows: list[list[Box]], edges: list[Edge]) -> None:
    """Sorts each row by the middle of its neighbours, down and up, and keeps the order with the fewest crossings."""
    above, below = _neighbours(edges)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        near, order = (above, rows[1:]) if sweep % 2 == 0 else (below, rows[-2::-1])
        for row in order:
            place = {id(box): index for other in rows for index, box in enumerate(other)}
            middle = {
                id(box): sum(place[id(n)] for n in near[id(box)]) / len(near[id(box)])
                if near[id(box)]
                else place[id(box)]
                for box in row
            }
            row.sort(key=lambda box, middle=middle: middle[id(box)])  # type: ignore[misc]  # bound per row
        if (crossings := _crossings(rows, below)) < fewest:
            best, fewest = [list(row) for row in rows], crossings
    for row, ordered in zip(rows, best, strict=True):
        row[:] = ordered


def _crossings(rows: list[list[Box]], below: dict[int, list[Box]]) -> int:
    crossings = 0
    for row, next_row in pairwise(rows):
        place = {id(box): index for index, box in enumerate(next_row)}
        ends = [place[id(lower)] for box in row for lower in sorted(below[id(box)], key=lambda b: place[id(b)])]
        crossings += sum(a > b for index, a in enumerate(ends) for b in ends[index + 1 :])
    return crossings


def _place(rows: list[list[Box]], edges: list[Edge]) -> None:
    """Pulls every box towards its neighbours as far as its row lets it; hardest along the plain way and at bends."""
    pulls: dict[int, list[tuple[Box, float]]] = defaultdict(list)
    for edge in edges:
        for upper, lower in pairwise(edge.way):
            pull = PULLS.get(edge.how, 1.0) * (
                1 if upper.name and lower.name else 1.5 if upper.name or lower.name else 3
            )
            pulls[id(upper)].append((lower, pull))
            pulls[id(lower)].append((upper, pull))
    y = float(MARGIN)
    for row in rows:
        x = 0.0
        for box in row:
            box.x, x = x + box.width / 2, x + box.width + BOX_GAP
            box.height = (BOX_HEIGHT + NOTE_HEIGHT * len(box.notes)) if box.name else 0
            box.y = y
        y += max(box.height for box in row) + LAYER_GAP
    for _ in range(300):
        for row in [*rows, *rows[::-1]]:
            _settle(row, [fmean([near.x for near, _ in pulls[id(box)]], [p for _, p in pulls[id(box)]]) for box in row])
    left = min(box.x - box.width / 2 for row in rows for box in row)
    for row in rows:
        for box in row:
            box.x += MARGIN - left


def _settle(row: list[Box], wanted: list[float]) -> None:
    """The positions closest to those wanted, in order and without overlap: neighbours that collide share the mean."""
    groups: list[tuple[float, float, list[Box], list[float]]] = []  # sum of offsets wanted, count, boxes, offsets
    for box, want in zip(row, wanted, strict=True):
        groups.append((want, 1, [box], [0.0]))
        while len(groups) > 1:
            (sum_a, n_a, boxes_a, offs_a), (sum_b, n_b, boxes_b, offs_b) = groups[-2:]
            gap = offs_a[-1] + (boxes_a[-1].width + boxes_b[0].width) / 2 + BOX_GAP
            if sum_a / n_a + gap <= sum_b / n_b:
                break
            joined = sum_a + sum_b - gap * n_b
            groups[-2:] = [(joined, n_a + n_b, boxes_a + boxes_b, offs_a + [gap + off for off in offs_b])]
    for total, count, boxes, offsets in groups:
        for box, offset in zip(boxes, offsets, strict=True):
            box.x = total / count + offset


def _width(state: dict[str, Any], name: str, notes: list[str]) -> float:
    mark = _look(state)[2]
    return max(len(name) * LETTER + PADDING + (12 if mark else 0), *(len(note) * 5.2 + 14 for note in notes), 0)


def _look(state: dict[str, Any]) -> tuple[str, str, str]:
    kind = graph.service(state).removeprefix("aws-sdk:") if state["Type"] == "Task" else state["Type"]
    return LOOKS.get(kind, PLAIN)


def _svg(
    definition: graph.Definition, states: dict[str, Any], boxes: list[Box], rows: list[list[Box]], edges: list[Edge]
) -> str:
    everything = [box for row in rows for box in row]
    width = max(box.x + box.width / 2 for box in everything) + MARGIN
    height = max(box.y + box.height for box in everything) + MARGIN
    marker = '<marker id="{0}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    arrow = marker + '<path d="M0,0.5L7,4L0,7.5z" style="fill:{1};stroke:none"/></marker>'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img">',
        f"<title>{escape(definition.get('Comment', ''))}</title><style>{STYLE}</style>",
        f"<defs>{arrow.format('next', '#7b8087')}{arrow.format('caught', '#b3261e')}</defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        *(_line(edge) for edge in edges),
        *(_box(box, states[box.name]) for box in boxes),
        *(_label(edge) for edge in edges if edge.label),
    ]
    return "\n".join([*parts, "</svg>", ""])


def _line(edge: Edge) -> str:
    first, *middle, last = edge.way
    points = [
        (first.x, first.y + first.height),
        *((bend.x, bend.y + BOX_HEIGHT / 2) for bend in middle),
        (last.x, last.y),
    ]
    if edge.upwards:
        points.reverse()
    (x, y), *rest = points
    path = f"M{x:.1f},{y:.1f}"
    for next_x, next_y in rest:
        half = (y + next_y) / 2
        path += f"C{x:.1f},{half:.1f} {next_x:.1f},{half:.1f} {next_x:.1f},{next_y:.1f}"
        x, y = next_x, next_y
    kind = ("Catch", "caught") if edge.how == "Catch" else ("Next", "next")
    return f'<path class="{kind[0]}" d="{path}" marker-end="url(#{kind[1]})"/>'


def _label(edge: Edge) -> str:
    """On the edge, two thirds of the way to the next layer."""
    here, there = (edge.way[-1], edge.way[-2]) if edge.upwards else (edge.way[0], edge.way[1])
    y = here.y - LAYER_GAP * 0.5 if edge.upwards else here.y + here.height + LAYER_GAP * 0.62
    x = here.x + (there.x - here.x) * 0.68
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{escape(edge.label)}</text>'


def _box(box: Box, state: dict[str, Any]) -> str:
    fill, line, mark = _look(state)
    left, right, top, bottom = box.x - box.width / 2, box.x + box.width / 2, box.y, box.y + box.height
    shape = f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="7"'
    if state["Type"] == "Choice":
        mid = (top + bottom) / 2
        corners = [
            (left, mid),
            (left + 11, top),
            (right - 11, top),
            (right, mid),
            (right - 11, bottom),
            (left + 11, bottom),
        ]
        shape = f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in corners)}"'
    name = f'<tspan fill="{line}">{mark}</tspan> {escape(box.name)}' if mark else escape(box.name)
    notes = "".join(
        f'<text class="note" x="{box.x:.1f}" y="{top + BOX_HEIGHT + 4 + NOTE_HEIGHT * row:.1f}">{escape(note)}</text>'
        for row, note in enumerate(box.notes)
    )
    shape += f' fill="{fill}" stroke="{line}" stroke-width="1.2"/>'
    return (
        f"<g><title>{escape(state.get('Comment', ''))}</title>{shape}"
        f'<text x="{box.x:.1f}" y="{top + BOX_HEIGHT / 2 + 4:.1f}">{name}</text>{notes}</g>'
    )

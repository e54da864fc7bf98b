"""The body of a CloudWatch dashboard: its JSON Schema, and the metrics that it names.

Source: "Dashboard Body Structure and Syntax", Amazon CloudWatch API Reference, for the widgets that deploy/ uses;
"CloudWatch search expression syntax", Amazon CloudWatch User Guide.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LINES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"type": "number"}, "label": {"type": "string"}},
        "additionalProperties": False,
    },
}
_AXIS = {
    "type": "object",
    "properties": {
        "label": {"type": "string"},
        "min": {"type": "number"},
        "max": {"type": "number"},
        "showUnits": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_RELATIVE = {"type": "string", "pattern": "^-P(\\d+[MWD]|T\\d+[HM])$"}
_METRIC = {
    "type": "object",
    "required": ["title", "region", "metrics"],
    "properties": {
        "title": {"type": "string"},
        "region": {"type": "string", "minLength": 1},
        "view": {"enum": ["timeSeries", "singleValue", "gauge", "bar", "pie", "table"]},
        # A minute, or a multiple of it; 1, 5, 10, 20, 30 only for metrics of high resolution.
        "period": {"type": "integer", "multipleOf": 60, "minimum": 60},
        "start": _RELATIVE,
        "stacked": {"type": "boolean"},
        "sparkline": {"type": "boolean"},
        "yAxis": {"type": "object", "properties": {"left": _AXIS, "right": _AXIS}, "additionalProperties": False},
        "annotations": {"type": "object", "properties": {"horizontal": _LINES}, "additionalProperties": False},
        "metrics": {"type": "array", "minItems": 1, "maxItems": 500, "items": {"type": "array", "minItems": 1}},
    },
    "additionalProperties": False,
}
_ALARM = {
    "type": "object",
    "required": ["title", "alarms"],
    "properties": {
        "title": {"type": "string"},
        "sortBy": {"enum": ["default", "stateUpdatedTimestamp", "timestamp"]},
        "alarms": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": "^arn:aws:cloudwatch:[a-z0-9-]+:\\d{12}:alarm:.+$"},
        },
    },
    "additionalProperties": False,
}
_TEXT = {
    "type": "object",
    "required": ["markdown"],
    "properties": {"markdown": {"type": "string"}},
    "additionalProperties": False,
}


def _widget(kind: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "properties"],
        "properties": {
            "type": {"const": kind},
            "x": {"type": "integer", "minimum": 0, "maximum": 23},
            "y": {"type": "integer", "minimum": 0},
            "width": {"type": "integer", "minimum": 1, "maximum": 24},
            "height": {"type": "integer", "minimum": 1, "maximum": 1000},
            "properties": properties,
        },
        "additionalProperties": False,
    }


SCHEMA = {
    "type": "object",
    "required": ["widgets"],
    "properties": {
        "start": _RELATIVE,
        "periodOverride": {"enum": ["auto", "inherit"]},
        "widgets": {
            "type": "array",
            "maxItems": 500,
            "items": {"oneOf": [_widget("metric", _METRIC), _widget("alarm", _ALARM), _widget("text", _TEXT)]},
        },
    },
    "additionalProperties": False,
}
# What may stand after the dimensions of a metric, or alone for an expression.
OPTIONS = {"expression", "id", "label", "stat", "period", "visible", "yAxis", "color"}
_STATISTIC = re.compile(r"Average|Sum|Minimum|Maximum|SampleCount|p\d{1,2}(\.\d+)?")
_ID = re.compile(r"[a-z][A-Za-z0-9_]*")
_SEARCH = re.compile(r"SEARCH\('\{([^}]+)\} ([^']*)', '(\w+)', (\d+)\)")
# A term with a designator, which matches the value of a dimension, or without, which matches any text exactly.
_TERM = re.compile(r'(NOT )?(?:([A-Za-z0-9]+)=)?"([^"]*)"')


@dataclass(frozen=True)
class Metric:
    """A metric: `dimensions` as pairs of name and value."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> "Metric":
        """Return the metric with these dimensions."""
        return cls(namespace, name, frozenset(dimensions.items()))


@dataclass(frozen=True)
class Search:
    """A search: metrics whose dimensions have exactly the names `dimensions`, and the values `wanted`.

    The name in `wanted` is empty for the value of any dimension.
    """

    namespace: str
    name: str
    dimensions: frozenset[str]
    wanted: frozenset[tuple[str, str]]

    def finds(self, metrics: Collection[Metric]) -> list[Metric]:
        """Return the metrics that it finds."""
        return [
            one
            for one in metrics
            if (one.namespace, one.name) == (self.namespace, self.name)
            and {name for name, _ in one.dimensions} == self.dimensions
            and all(self._has(one, *term) for term in self.wanted)
        ]

    @staticmethod
    def _has(metric: Metric, name: str, value: str) -> bool:
        return any(value == found and name in ("", key) for key, found in metric.dimensions)


def named(body: Mapping[str, Any]) -> Iterator[tuple[str, Metric | Search]]:
    """Yield each metric and each search of a dashboard with the title of its widget.

    Raises AssertionError for an entry that CloudWatch would refuse, or an expression with an unknown id.
    """
    for widget in body["widgets"]:
        if widget["type"] != "metric":
            continue
        title = widget["properties"]["title"]
        entries = widget["properties"]["metrics"]
        options = [entry[-1] for entry in entries]
        ids = [one["id"] for one in options]
        assert len(set(ids)) == len(ids), f"{title}: two metrics have one id"
        for entry, one in zip(entries, options, strict=True):
            assert set(one) <= OPTIONS, f"{title}: unknown fields {set(one) - OPTIONS}"
            assert _ID.fullmatch(one["id"]), f"{title}: id {one['id']}"
            if "expression" in one:
                assert entry == [one], title
                yield from ((title, found) for found in _searches(one["expression"], ids, title))
            else:
                namespace, name, *pairs = entry[:-1]
                assert len(pairs) % 2 == 0, f"{title}: a dimension without a value"
                assert _STATISTIC.fullmatch(one["stat"]), f"{title}: statistic {one['stat']}"
                yield title, Metric.of(namespace, name, dict(zip(pairs[::2], pairs[1::2], strict=True)))


def _searches(expression: str, ids: Collection[str], title: str) -> Iterator[Search]:
    if "SEARCH" not in expression:
        assert set(re.findall(r"[a-z]\w*", expression)) <= set(ids), f"{title}: {expression} names no other metric"
        return
    found = _SEARCH.search(expression)
    assert found, f"{title}: {expression} is no search"
    assert re.fullmatch(r"(SUM\()?@\)?", expression.replace(found[0], "@")), f"{title}: {expression}"
    # "If a namespace or dimension name includes spaces or non-alphanumeric characters, enclose it with double quotes".
    names = found[1].split(",")
    assert all(name.isalnum() or re.fullmatch(r'"[^"]+"', name) for name in names), f"{title}: names without quotes"
    namespace, *dimensions = [name.strip('"') for name in names]
    assert _STATISTIC.fullmatch(found[3]), title
    assert int(found[4]) % 60 == 0, title
    terms = _TERM.findall(found[2])
    assert _TERM.sub("", found[2]).strip() == "", f"{title}: {found[2]}"
    ((_, _, name),) = [term for term in terms if term[1] == "MetricName"]
    wanted = {(key, value) for excluded, key, value in terms if key != "MetricName" and not excluded}
    assert {key for _, key, _ in terms} - {"MetricName", ""} <= set(dimensions), f"{title}: an unknown dimension"
    yield Search(namespace, name, frozenset(dimensions), frozenset(wanted))

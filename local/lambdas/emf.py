"""Publish the metrics that a function writes into its log in CloudWatch's embedded metric format.

Source: "Specification: Embedded metric format", Amazon CloudWatch User Guide.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from ministack.services import cloudwatch

from local import patches


def parse_metrics(text: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield (namespace, MetricData of PutMetricData) for each directive of each embedded metric line in `text`.

    A list of values becomes Values, each with count 1; a metric without a value in the line is skipped.
    """
    for line in text.splitlines():
        if '"_aws"' not in line or not line.lstrip().startswith("{"):
            continue
        try:
            record = json.loads(line)
            timestamp_s = record["_aws"]["Timestamp"] / 1000
            directives = record["_aws"]["CloudWatchMetrics"]
        except (ValueError, KeyError, TypeError):
            continue
        for directive in directives:
            yield directive["Namespace"], list(_data(record, directive, timestamp_s))


def _data(record: dict[str, Any], directive: dict[str, Any], timestamp_s: float) -> Iterator[dict[str, Any]]:
    for names in directive.get("Dimensions") or [[]]:
        if not all(name in record for name in names):
            continue
        dimensions = [{"Name": name, "Value": str(record[name])} for name in names]
        for metric in directive.get("Metrics", ()):
            value = record.get(metric["Name"])
            datum = {
                "MetricName": metric["Name"],
                "Dimensions": dimensions,
                "Unit": metric.get("Unit", "None"),
                "Timestamp": timestamp_s,
            }
            if isinstance(value, list) and value:
                yield {**datum, "Values": value, "Counts": [1.0] * len(value)}
            elif isinstance(value, int | float):
                yield {**datum, "Value": value}


def publish(text: str) -> None:
    """Publish the metrics in `text` in the account and region of the calling thread."""
    for namespace, data in parse_metrics(text):
        put_metric_data(namespace, data)


def put_metrics(namespace: str, dimensions: dict[str, str], values: dict[str, tuple[float, str]]) -> None:
    """Publish metrics, given as {name: (value, unit)}, in the account and region of the calling thread."""
    pairs = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    now = time.time()
    put_metric_data(
        namespace,
        [
            {"MetricName": name, "Dimensions": pairs, "Value": value, "Unit": unit, "Timestamp": now}
            for name, (value, unit) in values.items()
        ],
    )


def put_metric_data(namespace: str, data: list[dict[str, Any]]) -> None:
    """Call PutMetricData in the account and region of the calling thread; alarms are evaluated."""
    if data:
        cloudwatch._put_metric_data({}, {"Namespace": namespace, "MetricData": data}, False, True)


def install() -> None:
    """Check that ministack has the function that `put_metric_data` calls."""
    original = patches.replace(cloudwatch, "_put_metric_data", "params cbor_data is_cbor is_json", lambda *_: None)
    cloudwatch._put_metric_data = original

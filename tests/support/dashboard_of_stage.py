"""The dashboard of a stage as CloudFormation would create it."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from deploy.templates import load_alarms, load_template
from tests.support.change_sets import physical_ids
from tests.support.cloudformation_templates import Resolver
from tests.support.dashboard_body import Metric


@cache
def _resolver(stage: str) -> Resolver:
    template = load_template("app")
    parameters = {name: str(one.get("Default", f"scones-{stage}-x")) for name, one in template["Parameters"].items()}
    parameters |= {"Stage": stage}
    return Resolver(template, parameters, physical_ids(f"scones-{stage}", template, parameters))


def resolved_dashboard(stage: str = "dev") -> dict[str, Any]:
    """Return the body of the dashboard."""
    properties = _resolver(stage).resolve(load_template("app")["Resources"]["Dashboard"]["Properties"])
    body: dict[str, Any] = json.loads(properties["DashboardBody"])
    return body


def metrics_of_alarms(stage: str = "dev") -> Iterator[tuple[str, Metric]]:
    """Yield the metric of each alarm with the name of the alarm."""
    for name, alarm in load_alarms().items():
        namespace, metric = alarm["Metric"].split()
        yield name, Metric.of(namespace, metric, _resolver(stage).resolve(alarm["Dimensions"]))

"""Alarms that went off since a model was deployed."""

from datetime import datetime
from typing import TYPE_CHECKING

from functions.shared.errors import SconesError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

# Drift is a property of the photos, not of the new model, and may have started the retraining.
IGNORED_ALARM = "drift"


class AlarmAfterPromotion(SconesError):
    """An alarm of the stage went off after a new model was deployed."""


def check_alarms(prefix: str, since: datetime, cloudwatch: "CloudWatchClient") -> None:
    """Raise AlarmAfterPromotion naming the alarms with this prefix that went off in the second of `since` or later."""
    # DescribeAlarms returns times in whole seconds.
    since = since.replace(microsecond=0)
    names = []
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix, StateValue="ALARM"):
        for alarm in [*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())]:
            changed = alarm.get("StateUpdatedTimestamp")
            if IGNORED_ALARM not in alarm["AlarmName"].lower() and (changed is None or changed >= since):
                names.append(alarm["AlarmName"])
    if names:
        raise AlarmAfterPromotion(f"alarms went off since the new model was deployed: {', '.join(sorted(names))}")

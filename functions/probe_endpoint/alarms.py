"""Alarms that went off since a model was deployed."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from functions.shared.errors import SconesError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


class AlarmAfterPromotion(SconesError):
    """An alarm of the stage went off after a new model was deployed."""


def check_alarms(watched: Sequence[str], since: datetime, cloudwatch: "CloudWatchClient") -> None:
    """Raise AlarmAfterPromotion naming those of the `watched` alarms that went off in the second of `since` or later.

    Only what a model can cause is watched: the alarm on drift, for instance, may have started the retraining.
    """
    # DescribeAlarms returns times in whole seconds.
    since = since.replace(microsecond=0)
    names = []
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNames=list(watched), StateValue="ALARM"):
        for alarm in [*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())]:
            changed = alarm.get("StateUpdatedTimestamp")
            if changed is None or changed >= since:
                names.append(alarm["AlarmName"])
    if names:
        raise AlarmAfterPromotion(f"alarms went off since the new model was deployed: {', '.join(sorted(names))}")

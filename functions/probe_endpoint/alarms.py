"""Alarms that went off since a model began to serve."""

from datetime import datetime

from functions.shared.aws import Client
from functions.shared.errors import SconesError

# What drifts are the photos; that alarm may well be why the model was retrained.
NOT_THE_MODELS_FAULT = "drift"


class AlarmAfterPromotion(SconesError):
    """An alarm of the stage went off in the first minutes of a new model."""


def check_alarms(prefix: str, since: datetime, cloudwatch: Client) -> None:
    """Raise AlarmAfterPromotion naming the alarms with this prefix that went off in the second of `since` or later."""
    # The query protocol gives the time of a change in whole seconds.
    since = since.replace(microsecond=0)
    ringing = []
    for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix, StateValue="ALARM"):
        for alarm in [*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())]:
            changed = alarm.get("StateUpdatedTimestamp")
            if NOT_THE_MODELS_FAULT not in alarm["AlarmName"].lower() and (changed is None or changed >= since):
                ringing.append(alarm["AlarmName"])
    if ringing:
        raise AlarmAfterPromotion(f"went off since the new model serves: {', '.join(sorted(ringing))}")

"""CloudWatch alarms: evaluation by dimensions and periods, missing data, state changes as events.

Sources: "Using Amazon CloudWatch alarms", "Alarm events and EventBridge".

Patches in ministack's `cloudwatch`:
- `_evaluate_alarm` mixes the data of all dimensions and periods, ignores TreatMissingData, and runs only when data
  arrives. AWS evaluates each alarm periodically on its own metric.
- `_evaluate_all_alarms` evaluates every alarm in every PutMetricData, which took 8 ms of each photo.
- `_set_alarm_state` is undone by the next data point. On AWS the state lasts until the next evaluation.
- `_dispatch_alarm_actions` notifies SNS only, whatever the policy of the topic says. AWS also publishes an event, and
  the topic has to allow cloudwatch.amazonaws.com ("Notifying users on alarm changes"). Actions can be suppressed
  (local/suppressed_alarms.py).
"""

from __future__ import annotations

import itertools
import json
import logging
import operator
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import get_account_id, request_scope
from ministack.services import cloudwatch, eventbridge, sns

from local import authorization, patches, suppressed_alarms

logger = logging.getLogger("local.alarms")
SERVICE = "cloudwatch.amazonaws.com"
EVALUATE_S = 5.0
# New data is evaluated after this time at the latest.
EVALUATE_NEW_DATA_S = 0.5
# A state from SetAlarmState lasts until the next evaluation, on AWS some seconds to a minute.
MANUAL_STATE_S = 30.0
# Data points may arrive out of order. The search for points of a period ends at points that are older by this.
LATE_DATA_S = 300.0
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_manual_until: dict[str, float] = {}
_new_data = threading.Event()


def period_values(alarm: dict[str, Any], now: float) -> list[float | None]:
    """Return the statistic of an alarm in each evaluation period, newest first; None for a period without data."""
    dimensions = cloudwatch._dims_key({pair["Name"]: pair["Value"] for pair in alarm.get("Dimensions") or ()})
    points = cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], dimensions)) or []
    period, count = alarm["Period"], alarm["EvaluationPeriods"]
    oldest = now - period * count
    recent = list(itertools.takewhile(lambda point: point["Timestamp"] > oldest - LATE_DATA_S, reversed(points)))
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    found: list[float | None] = []
    for index in range(count):
        end = now - period * index
        inside = [point for point in recent if end - period < point["Timestamp"] <= end]
        found.append(cloudwatch._stat_value(cloudwatch._calc_stats(inside), statistic, inside) if inside else None)
    return found


def next_state(alarm: dict[str, Any], found: list[float | None]) -> tuple[str, str] | None:
    """Return state and reason for the values of the periods; None when the alarm keeps its state."""
    breaches = COMPARE[alarm["ComparisonOperator"]]
    threshold, missing = alarm["Threshold"], alarm.get("TreatMissingData") or "missing"
    present = [value for value in found if value is not None]
    if not present and missing in ("missing", "ignore"):
        return None if missing == "ignore" else ("INSUFFICIENT_DATA", "Insufficient Data: no datapoints were received.")
    breaching = sum(breaches(value, threshold) for value in present)
    if missing == "breaching":
        breaching += len(found) - len(present)
    needed = min(alarm.get("DatapointsToAlarm") or len(found), len(found))
    if missing == "missing":
        needed = min(needed, len(present))
    if not present:
        plural = "" if len(found) == 1 else "s"
        treated = "Breaching" if missing == "breaching" else "NonBreaching"
        reason = (
            f"Threshold Crossed: no datapoints were received for {len(found)} period{plural} and {len(found)} missing "
            f"datapoint{plural} {'was' if not plural else 'were'} treated as [{treated}]."
        )
        return ("ALARM" if missing == "breaching" else "OK"), reason
    reason = f"Threshold Crossed: {breaching} of {len(found)} datapoints {present} breach the threshold ({threshold})."
    return ("ALARM" if breaching >= max(1, needed) else "OK"), reason


def evaluate(alarm: dict[str, Any]) -> None:
    """Evaluate one metric alarm."""
    if not alarm.get("Namespace") or not alarm.get("MetricName") or alarm.get("ComparisonOperator") not in COMPARE:
        return
    now = time.time()
    if now < _manual_until.get(alarm["AlarmArn"], 0.0):
        return
    outcome = next_state(alarm, period_values(alarm, now))
    if outcome is None or outcome[0] == alarm["StateValue"]:
        return
    before, (alarm["StateValue"], alarm["StateReason"]) = alarm["StateValue"], outcome
    alarm["StateUpdatedTimestamp"] = int(now)
    cloudwatch._record_history(alarm["AlarmName"], before, *outcome)
    cloudwatch._dispatch_alarm_actions(alarm, before, *outcome)
    cloudwatch._evaluate_parent_alarms(alarm)


def _publish_event(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
    """Publish "CloudWatch Alarm State Change" on the default bus."""
    stamp = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "+0000"
    configuration: dict[str, Any] = {"description": alarm.get("AlarmDescription") or ""}
    if alarm.get("MetricName"):
        dimensions = {pair["Name"]: pair["Value"] for pair in alarm.get("Dimensions") or ()}
        metric = {"namespace": alarm["Namespace"], "name": alarm["MetricName"], "dimensions": dimensions}
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
        detail = {"metric": metric, "period": alarm["Period"], "stat": statistic}
        configuration["metrics"] = [{"id": str(uuid.uuid4()), "metricStat": detail, "returnData": True}]
    else:
        configuration["alarmRule"] = alarm.get("AlarmRule", "")
    entry = {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Resources": [alarm["AlarmArn"]],
        "Detail": json.dumps(
            {
                "alarmName": alarm["AlarmName"],
                "state": {"value": new_state, "reason": reason, "timestamp": stamp},
                "previousState": {"value": old_state, "timestamp": stamp},
                "configuration": configuration,
            }
        ),
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def _with_allowed_actions(alarm: dict[str, Any]) -> dict[str, Any]:
    """Return the alarm without the topics that do not let CloudWatch publish, when IAM is enforced."""
    if not authorization.always():
        return alarm
    allowed = dict(alarm)
    for name in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        allowed[name] = []
        for arn in alarm.get(name) or ():
            source = alarm["AlarmArn"]
            if ":sns:" in arn and not sns.topic_policy_allows(arn, SERVICE, source, get_account_id()):
                logger.warning("The policy of %s does not allow %s to publish for %s.", arn, SERVICE, source)
            else:
                allowed[name].append(arn)
    return allowed


def _evaluate_all() -> None:
    while True:
        _new_data.wait(EVALUATE_S)
        time.sleep(EVALUATE_NEW_DATA_S)
        _new_data.clear()
        for (account, region, _name), alarm in cloudwatch._alarms.all_items():
            with request_scope(account, region):
                evaluate(alarm)
        suppressed_alarms.perform_due()


def install() -> None:
    """Apply the patches of this module."""

    def dispatch(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
        suppressed_alarms.act_or_wait(
            alarm,
            new_state,
            lambda: original_dispatch(_with_allowed_actions(alarm), old_state, new_state, reason),
        )
        _publish_event(alarm, old_state, new_state, reason)

    def set_state(params: Any, cbor_data: Any, is_cbor: bool, is_json: bool = False) -> Any:
        name = cbor_data.get("AlarmName") if is_cbor or is_json else cloudwatch._p(params, "AlarmName")
        alarm = cloudwatch._alarms.get(name)
        if alarm is not None:
            _manual_until[alarm["AlarmArn"]] = time.time() + MANUAL_STATE_S
        return original_set(params, cbor_data, is_cbor, is_json)

    patches.expect(sns, "topic_policy_allows", "topic_arn service source_arn source_account")
    patches.replace(cloudwatch, "_evaluate_alarm", "alarm", evaluate)
    patches.replace(cloudwatch, "_evaluate_all_alarms", "", _new_data.set)
    original_dispatch = patches.replace(
        cloudwatch, "_dispatch_alarm_actions", "alarm old_state new_state reason", dispatch
    )
    original_set = patches.replace(cloudwatch, "_set_alarm_state", "params cbor_data is_cbor is_json", set_state)
    suppressed_alarms.install()
    threading.Thread(target=_evaluate_all, name="alarms", daemon=True).start()

"""How SageMaker puts a challenger into service: the traffic that it gets first, and the alarms that end it.

Sources: "Deployment guardrails for updating models in production", Amazon SageMaker AI Developer Guide;
DeploymentConfig, Amazon SageMaker API Reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sagemaker.type_defs import BlueGreenUpdatePolicyTypeDef

# As long as the workflow polls the endpoint (workflows/endpoint_states.py).
LONGEST_S = 3000
NO_ALARM = "none"


@dataclass(frozen=True)
class Rollout:
    """The settings of a rollout.

    With two instances or more, `canary_percent` of the traffic goes to the challenger for `seconds`; then, and with one
    instance at once, all of it, and the old instances are kept for `seconds`. `alarms` are monitored all the time.
    """

    canary_percent: int
    seconds: int
    instances: int
    alarms: Sequence[str] = ()

    def as_deployment_config(self) -> dict[str, Any]:
        """Return the DeploymentConfig of UpdateEndpoint.

        Without alarms nothing is monitored, so SageMaker does not wait.

        >>> Rollout(50, 120, 1).as_deployment_config()["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
        {'Type': 'ALL_AT_ONCE', 'WaitIntervalInSeconds': 0}
        """
        seconds = self.seconds if self.alarms else 0
        policy: BlueGreenUpdatePolicyTypeDef = {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": seconds,
            "MaximumExecutionTimeoutInSeconds": LONGEST_S,
        }
        if not self.alarms:
            return {"BlueGreenUpdatePolicy": policy}
        if self.instances > 1:
            policy["TrafficRoutingConfiguration"] = {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": self.canary_percent},
                "WaitIntervalInSeconds": seconds,
            }
        monitored = {"Alarms": [{"AlarmName": name} for name in self.alarms]}
        return {"BlueGreenUpdatePolicy": policy, "AutoRollbackConfiguration": monitored}


def usable_alarms(names: Sequence[str], cloudwatch: "CloudWatchClient") -> list[str]:
    """Return those of the alarms that exist and are not in ALARM, sorted.

    SageMaker ends a deployment at once for an alarm that the model in production has set off: then no better model
    could be deployed. Raises ClientError.
    """
    wanted = [name for name in names if name != NO_ALARM]
    if not wanted:
        return []
    found = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNames=wanted, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    alarms = (alarm for page in found for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())))
    return sorted(alarm["AlarmName"] for alarm in alarms if alarm["StateValue"] != "ALARM")

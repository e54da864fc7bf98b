"""Deployments of an endpoint: how traffic shifts from the old fleet to the new one, and the alarms that end it.

Sources: "Deployment guardrails for updating models in production" and "Auto-Rollback Configuration and Monitoring",
Amazon SageMaker AI Developer Guide; DeploymentConfig, TrafficRoutingConfig and CapacitySize, Amazon SageMaker API
Reference. AWS shifts the traffic by instances; here it is shifted by share, as one process stands for all instances.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ministack.services import cloudwatch

from local.sagemaker.errors import SageMakerError, validation_error

POLL_S = 0.25
LARGEST_STEP, LEAST_LINEAR_STEP = 0.5, 0.1


@dataclass(frozen=True)
class Step:
    """The new fleet gets `share` of the traffic, in (0, 1]; alarms are monitored for `wait_s` seconds."""

    share: float
    wait_s: float


@dataclass(frozen=True)
class Deployment:
    """The steps of a deployment; the last one has all traffic. `alarms` are the names of those that roll it back."""

    steps: tuple[Step, ...] = (Step(1.0, 0.0),)
    alarms: tuple[str, ...] = ()

    def tripped(self) -> list[str]:
        """Return the names of the alarms that are in ALARM."""
        found = ((name, cloudwatch._alarms.get(name) or {}) for name in self.alarms)
        return [name for name, alarm in found if alarm.get("StateValue") == "ALARM"]

    def bake(self, step: Step, stopped: threading.Event) -> list[str]:
        """Wait for the time of a step; return the alarms that went off, which end it."""
        deadline = time.monotonic() + step.wait_s
        while not (tripped := self.tripped()) and (left := deadline - time.monotonic()) > 0:
            if stopped.wait(min(POLL_S, left)):
                break
        return tripped


def read_deployment(config: Mapping[str, Any], counts: Mapping[str, int]) -> Deployment:
    """Return the deployment that a DeploymentConfig describes, for variants of `counts` instances.

    Raises ValidationException when a step is larger than half of the instances or smaller than one of them.
    """
    if "RollingUpdatePolicy" in config:
        text = "The embedded AWS does not implement RollingUpdatePolicy; pass BlueGreenUpdatePolicy."
        raise SageMakerError("UnknownOperationException", text)
    alarms = tuple(alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", ()))
    if missing := [name for name in alarms if name not in cloudwatch._alarms]:
        raise validation_error(f"The CloudWatch alarms {', '.join(missing)} do not exist.")
    policy = config.get("BlueGreenUpdatePolicy")
    if policy is None:
        return Deployment(alarms=alarms)
    routing, last_wait_s = policy["TrafficRoutingConfiguration"], float(policy.get("TerminationWaitInSeconds", 0))
    total_s = policy.get("MaximumExecutionTimeoutInSeconds")
    steps = (*_first_steps(routing, counts), Step(1.0, last_wait_s))
    if total_s is not None and total_s <= sum(step.wait_s for step in steps):
        raise validation_error("MaximumExecutionTimeoutInSeconds must be larger than the total waiting time.")
    return Deployment(steps, alarms)


def _first_steps(routing: Mapping[str, Any], counts: Mapping[str, int]) -> list[Step]:
    kind, wait_s = routing["Type"], float(routing["WaitIntervalInSeconds"])
    field = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(kind)
    if field is None:
        return []
    if field not in routing:
        raise validation_error(f"{field} is required for traffic routing of type {kind}.")
    size, fewest = routing[field], min(counts.values())
    share = size["Value"] / (100 if size["Type"] == "CAPACITY_PERCENT" else fewest)
    least = LEAST_LINEAR_STEP if kind == "LINEAR" else 0.0
    if not least <= share <= LARGEST_STEP or share * fewest < 1:
        raise validation_error(
            f"{field} is {share:.0%} of {fewest} instances; it must be at least one instance"
            + (f" and {least:.0%}" if least else "")
            + f", and at most {LARGEST_STEP:.0%} of the variant's total instance count."
        )
    if kind == "CANARY":
        return [Step(share, wait_s)]
    return [Step(number * share, wait_s) for number in range(1, 10) if number * share < 1]

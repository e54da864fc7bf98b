"""What `make retrain` shows while a new model is put into service: alarms, share of the traffic, time left."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3

from functions.shared.sagemaker import find_endpoint
from operate.terminal import duration

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_stepfunctions.type_defs import HistoryEventTypeDef

POLL_S = 2.0
# The states of retrain-model between which the traffic shifts.
UPDATE, UPDATED, FAILED, BAKE, BAKED = (
    *("UpdateEndpoint", "ProbeEndpoint", "ReportEndpointNotInService"),
    *("Bake", "ProbeAgain"),
)


@dataclass
class Phase:
    """A time in which alarms are monitored: the new model has `percent` of the traffic until `ends`."""

    name: str
    percent: int
    ends: datetime

    def __str__(self) -> str:
        """Return the phase with the time left."""
        left = max(0.0, (self.ends - datetime.now(UTC)).total_seconds())
        return f"{self.name}: the new model has {self.percent}% of the traffic, {duration(left)} left"


@dataclass
class RolloutDisplay:
    """Follows the rollout of one execution of retrain-model. `endpoint` is the name of the endpoint."""

    endpoint: str
    sagemaker: "SageMakerClient" = field(default_factory=lambda: boto3.client("sagemaker"))
    cloudwatch: "CloudWatchClient" = field(default_factory=lambda: boto3.client("cloudwatch"))
    _config: dict[str, Any] = field(default_factory=dict)
    _phase: Phase | None = None
    _updating: bool = False
    _baking_since: list[datetime] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)
    _polled: float = 0.0
    _in_alarm: list[str] = field(default_factory=list)

    def see(self, event: "HistoryEventTypeDef") -> None:
        """Take notice of an event of the execution."""
        entered = event.get("stateEnteredEventDetails", {})
        state = entered.get("name")
        if state not in (UPDATE, UPDATED, FAILED, BAKE, BAKED):
            return
        prepared = json.loads(entered.get("input", "{}")).get("prepared", {})
        self._phase, self._updating = None, state == UPDATE
        if state == UPDATE:
            self._config, self._baking_since = prepared["rollout"], []
            self._lines.append(f"the endpoint is updated; alarms that stop it: {', '.join(self.alarms) or 'none'}")
        elif state == FAILED:
            self._lines.append(f"the new model is not in service: {self._failure_reason()}")
        elif state == BAKE:
            self._start(Phase("bake", 100, event["timestamp"] + timedelta(seconds=prepared["bake_s"])))
        elif state == BAKED:
            self._lines.append("the bake has ended; the alarms since its beginning decide now")

    def poll(self) -> list[str]:
        """Return the lines to print since the last call."""
        if (self._updating or self._phase) and time.monotonic() - self._polled >= POLL_S:
            self._polled = time.monotonic()
            if self._updating:
                self._find_phase()
            self._find_alarms()
        lines, self._lines = self._lines, []
        return lines

    def note(self) -> str:
        """Return the phase and the time that is left; empty when nothing is monitored."""
        return str(self._phase) if self._phase else ""

    @property
    def alarms(self) -> list[str]:
        """The names of the alarms that are monitored."""
        return [alarm["AlarmName"] for alarm in self._config.get("AutoRollbackConfiguration", {}).get("Alarms", ())]

    def _find_phase(self) -> None:
        found = find_endpoint(self.endpoint, self.sagemaker)
        if found is None:
            return
        variants = found.get("PendingDeploymentSummary", {}).get("ProductionVariants", ())
        for status in (status for variant in variants for status in variant.get("VariantStatus", ())):
            began = status.get("StartTime")
            if status["Status"] == "Baking" and began and began not in self._baking_since:
                self._baking_since.append(began)
                self._start(self._phase_since(began))

    def _phase_since(self, began: datetime) -> Phase:
        """Return the phase of the newest baking period: a canary has two of them."""
        policy = self._config["BlueGreenUpdatePolicy"]
        routing = policy["TrafficRoutingConfiguration"]
        if routing["Type"] == "CANARY" and len(self._baking_since) == 1:
            seconds = timedelta(seconds=routing["WaitIntervalInSeconds"])
            return Phase("canary", routing["CanarySize"]["Value"], began + seconds)
        seconds = timedelta(seconds=policy.get("TerminationWaitInSeconds", 0))
        return Phase("old instances are kept", 100, began + seconds)

    def _start(self, phase: Phase) -> None:
        self._phase = phase
        self._lines.append(str(phase))

    def _find_alarms(self) -> None:
        """Add a line when the alarms that are in ALARM have changed."""
        if not self.alarms:
            return
        found = self.cloudwatch.describe_alarms(
            AlarmNames=self.alarms, AlarmTypes=["MetricAlarm", "CompositeAlarm"], StateValue="ALARM"
        )
        names = sorted(alarm["AlarmName"] for alarm in (*found["MetricAlarms"], *found["CompositeAlarms"]))
        if names != self._in_alarm:
            self._lines.append(f"in ALARM: {', '.join(names) or 'none any more'}")
            self._in_alarm = names

    def _failure_reason(self) -> str:
        found = find_endpoint(self.endpoint, self.sagemaker)
        if found is None:
            return "there is no endpoint"
        serves = f"the endpoint is {found['EndpointStatus']} with {found['EndpointConfigName']}"
        return f"{found.get('FailureReason') or 'SageMaker gave no reason'} ({serves})"

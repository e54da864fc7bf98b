"""What a number of photos per day costs each month, and how much of each quota they use at the busiest time.

The figures come from `prices.json` (list prices and quotas, each with its source), `usage.json` (what a photo uses) and
the definition of classify-photo. A month has 730 hours.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operate import cost_paths

_HERE = Path(__file__).parent
HOURS, DAYS = 730.0, 730 / 24


@dataclass(frozen=True)
class Stage:
    """What is deployed: one instance type and target, memory in MB and milliseconds by function, number of alarms.

    `hourly_transitions` are those of the execution of retrain-model that each hour finds nothing new.
    """

    definition: dict[str, Any]
    hourly_transitions: int
    instance_type: str
    min_instances: int
    target_per_minute: float
    indexes: int
    alarms: int
    memory_mb: Mapping[str, int]
    lambda_ms: Mapping[str, float]


@dataclass(frozen=True)
class Part:
    """The monthly cost of one part in US dollars; `fixed` is the part of it that is paid without any photo."""

    name: str
    usd: float
    fixed: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Quota:
    """How much of a quota the busiest hour uses; `share` above 1 means that it does not suffice."""

    name: str
    used: float
    limit: float
    then: str

    @property
    def share(self) -> float:
        """The used part of the quota."""
        return self.used / self.limit


class Cost:
    """The cost of a number of photos per day with these shares of outcomes, which add up to 1."""

    def __init__(self, stage: Stage, photos_per_day: float, shares: Mapping[str, float] | None = None) -> None:
        """`shares` default to the measured ones."""
        self.stage = stage
        self.prices = _read("prices.json")
        self.usage = read_usage()
        self.shares = dict(shares or self.usage["shares"]["of"])
        self.photos_per_day = photos_per_day
        self.photos = photos_per_day * DAYS
        self.paths = cost_paths.paths(stage.definition)
        self.per_s = photos_per_day / 86400
        self.peak_per_s = self.per_s * float(self.usage["busiest_hour"]["value"])

    def _price(self, name: str) -> float:
        return float(self.prices["prices"][name]["usd"])

    def _mean(self, values: Mapping[str, float]) -> float:
        """The mean over the outcomes of one photo."""
        return sum((self.shares[outcome] * value for outcome, value in values.items()), 0.0)

    def _calls(self, name: str) -> float:
        return self._mean({outcome: calls[name] for outcome, calls in self.usage["calls"]["of"].items()})

    @property
    def transitions(self) -> float:
        """State transitions per photo."""
        return self._mean({outcome: path.transitions for outcome, path in self.paths.items()})

    @property
    def lambda_s(self) -> float:
        """Seconds of Lambda functions per photo."""
        seconds = {
            outcome: sum(self.stage.lambda_ms[name] for name in path.functions) / 1000
            for outcome, path in self.paths.items()
        }
        return self._mean(seconds)

    @property
    def key_units(self) -> float:
        """Write units per photo on one key of one index: every update writes the whole record again."""
        return self._mean(
            {
                outcome: calls["photo_updates"] * math.ceil(calls["record_bytes"] / 1024)
                for outcome, calls in self.usage["calls"]["of"].items()
            }
        )

    @property
    def write_units(self) -> float:
        """Write units per photo: the table of the photos with its indexes, and the table of the uploads per minute."""
        return self.key_units * (1 + self.stage.indexes) + self._calls("count_updates")

    @property
    def instances(self) -> int:
        """The endpoint's instances in the mean hour."""
        return self._instances(self.per_s)

    @property
    def peak_instances(self) -> int:
        """The endpoint's instances in the busiest hour."""
        return self._instances(self.peak_per_s)

    def _instances(self, photos_per_s: float) -> int:
        needed = math.ceil(photos_per_s * 60 * self._calls("invocations") / self.stage.target_per_minute)
        return max(self.stage.min_instances, needed)

    def parts(self) -> list[Part]:
        """Return the parts of the monthly cost, the most expensive one first."""
        found = [
            self._step_functions(),
            self._lambda(),
            self._endpoint(),
            self._dynamodb(),
            *self._s3(),
            self._events(),
            self._observability(),
            self._retraining(),
        ]
        return sorted(found, key=lambda part: -part.usd)

    def _step_functions(self) -> Part:
        usd = self.photos * self.transitions * self._price("state_transition")
        fixed = self.stage.hourly_transitions * HOURS * self._price("state_transition")
        return Part("Step Functions", usd + fixed, fixed, f"{self.transitions:.1f} transitions per photo")

    def _lambda(self) -> Part:
        gb_s = self._mean(
            {
                outcome: sum(
                    self.stage.lambda_ms[name] / 1000 * self.stage.memory_mb[name] / 1024 for name in path.functions
                )
                for outcome, path in self.paths.items()
            }
        )
        invocations = self._mean({outcome: len(path.functions) for outcome, path in self.paths.items()})
        usd = gb_s * self._price("lambda_gb_second") + invocations * self._price("lambda_request")
        return Part("Lambda", self.photos * usd, why=f"{invocations:.1f} invocations, {self.lambda_s * 1000:.0f} ms")

    def _endpoint(self) -> Part:
        hour = float(self.prices["prices"]["endpoint_hour"]["usd"][self.stage.instance_type])
        received_gb = self.photos * self._calls("invocations") * self.usage["photo_mb"]["value"] / 1000
        fixed = self.stage.min_instances * HOURS * hour
        usd = self.instances * HOURS * hour + received_gb * self._price("endpoint_gb")
        return Part("endpoint", usd, fixed, f"{self.instances} × {self.stage.instance_type}, and data into it")

    def _dynamodb(self) -> Part:
        usd = self.photos * self.write_units * self._price("dynamodb_write_unit")
        return Part("DynamoDB writes", usd, why=f"{self.write_units:.0f} write units per photo")

    def _s3(self) -> list[Part]:
        requests = self._price("s3_put") + self._calls("gets") * self._price("s3_get")
        gb = self.photos_per_day * self.usage["photo_days"]["value"] * self.usage["photo_mb"]["value"] / 1000
        stored = Part("S3 storage", gb * self._price("s3_gb_month"), why=f"{gb:,.0f} GB after a year")
        return [Part("S3 requests", self.photos * requests, why="one upload, one read"), stored]

    def _events(self) -> Part:
        events, messages = self._calls("events"), self._calls("messages")
        # A message is sent, received and deleted.
        usd = events * self._price("event") + 3 * messages * self._price("sqs_request")
        return Part("EventBridge and SQS", self.photos * usd, why=f"{events:.2f} events per photo")

    def _observability(self) -> Part:
        kb, traces = self.usage["log_kb"], self.usage["traces"]
        logged = self._mean(
            {
                outcome: len(path.functions) * kb["per_lambda"] + len(path.states) * kb["per_state"]
                for outcome, path in self.paths.items()
            }
        )
        fixed = self.usage["metrics"]["value"] * self._price("metric_month")
        fixed += (self.stage.alarms + self.usage["scaling_alarms"]["value"]) * self._price("alarm_month")
        fixed += self._price("dashboard_month")
        usd = self.photos * logged / 1e6 * self._price("log_gb")
        first_of_seconds = min(self.photos, HOURS * 3600)
        usd += (first_of_seconds + (self.photos - first_of_seconds) * traces["share"]) * self._price("trace")
        return Part(
            "CloudWatch and X-Ray", usd + fixed, fixed, f"{logged:.0f} kB of logs, traces, metrics, alarms, dashboard"
        )

    def _retraining(self) -> Part:
        usd = self.usage["retraining"]["hours_per_month"] * self._price("training_hour")
        return Part("retraining", usd, usd, "weekly")

    def quotas(self) -> list[Quota]:
        """Return the quotas, the one that is used most first. Each names what to change when it does not suffice."""
        known = self.prices["quotas"]
        writes = "write the record less often: an index with fewer attributes, or keys of day and shard"
        used = {
            "executions_per_s": (
                self.peak_per_s,
                "raise the quota StartExecution; start batches with a Distributed Map",
            ),
            "transitions_per_s": (self.peak_per_s * self.transitions, "raise the quota StateTransition"),
            "lambda_concurrency": (self.peak_per_s * self.lambda_s, "raise the quota of concurrent executions"),
            "dynamodb_index_key_units_per_s": (self.peak_per_s * self.key_units, writes),
            "dynamodb_table_units_per_s": (self.peak_per_s * self.write_units, "raise the quota of the table"),
            "events_per_s": (self.peak_per_s * self._calls("events"), "raise the quota PutEvents"),
            "s3_puts_per_s": (self.peak_per_s, "nothing: S3 splits the prefix"),
        }
        found = [
            Quota(known[name]["name"], amount, float(known[name]["limit"]), then)
            for name, (amount, then) in used.items()
        ]
        return sorted(found, key=lambda quota: -quota.share)

    def reviewers(self) -> float:
        """Return the number of people who answer review requests all day, eight hours each."""
        asked = self.shares["reviewer"] + self.shares["fallback"]
        hours: float = self.photos_per_day * asked * self.usage["review_s"]["value"] / 3600
        return hours / 8

    def usual_design(self) -> list[Part]:
        """Return the parts of the design with three Lambdas and the photo in the state, with the same endpoint."""
        usual = self.usage["usual_design"]
        seconds, memory = usual["lambda_ms"] / 1000, usual["memory_mb"] / 1024
        lambdas = seconds * memory * self._price("lambda_gb_second") + usual["states"] * self._price("lambda_request")
        transitions = (usual["states"] + 1) * self._price("state_transition")
        return [
            Part("Step Functions", self.photos * transitions, why=f"{usual['states'] + 1} transitions per photo"),
            Part("Lambda", self.photos * lambdas, why=f"{usual['states']} invocations, {usual['lambda_ms']} ms"),
            self._endpoint(),
            *self._s3(),
        ]


def read_usage() -> dict[str, Any]:
    """Return the content of usage.json."""
    usage: dict[str, Any] = _read("usage.json")
    return usage


def _read(name: str) -> Any:
    return json.loads((_HERE / name).read_text(encoding="utf-8"))

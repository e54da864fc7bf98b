"""The runs of retrain-model and their verdicts, also those that promoted no model.

Step Functions keeps an execution for 90 days after its end. Its output has the verdict, the checks and the metrics; the
paired differences are in the evaluation report of the run, an object of the ML bucket.
"""

import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from console.aws import Aws
from console.aws_errors import explain
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.checks import Check

log = logging.getLogger(__name__)

MAX_RUNS = 30
RUNNING, SUCCEEDED = "RUNNING", "SUCCEEDED"
REPAIRED = "EndpointRepaired"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True)
class Run:
    """One execution of retrain-model.

    `request` is its input, `output` its output, empty while it runs and after it failed; `error` is why it failed.
    """

    name: str
    arn: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    request: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def model_version(self) -> str | None:
        """The version of the challenger, None when none was trained or the run did not say."""
        version = self.output.get("model_version")
        return str(version) if version else None

    @property
    def outcome(self) -> str:
        """How it ended: `promoted`, `rejected`, `dry run`, `endpoint repaired`, or the status of the execution."""
        if self.status != SUCCEEDED:
            return self.status.lower().replace("_", " ")
        special = {"DryRun": "dry run", REPAIRED: "endpoint repaired"}
        return special.get(str(self.output.get("reason")), str(self.output.get("outcome") or "succeeded"))

    @property
    def reason(self) -> str:
        """The reason of a rejection or the name of the error; empty for a promotion."""
        return str(self.output.get("reason") or "")

    @property
    def verdict(self) -> str:
        """The verdict as a sentence, or why the run failed; empty while it runs."""
        return str(self.output.get("verdict") or self.error)

    @property
    def trigger(self) -> str:
        """What started it: `manual`, `schedule`, `labels`, `drift` or `repair`."""
        return str(self.request.get("trigger") or "manual")

    @property
    def checks(self) -> list[Check]:
        """The checks of the verdict, those that failed first; empty without a verdict."""
        found = [Check.from_state(one) for one in self.output.get("checks") or ()]
        return sorted(found, key=lambda check: check.passed)

    @property
    def failed_checks(self) -> int:
        """How many checks of the verdict failed."""
        return sum(not check.passed for check in self.checks)


class Retrainings:
    """Reads the runs of one stage. Its methods can be called from any thread."""

    def __init__(self, deployed: Deployed, aws: Aws) -> None:
        """Read the executions of retrain-model, and reports in the ML bucket only."""
        self._deployed = deployed
        self._aws = aws
        self._ended: dict[str, Run] = {}
        self._reports: dict[str, Mapping[str, Any]] = {}
        self._lock = threading.Lock()

    def list_newest(self) -> tuple[list[Run], str]:
        """Return at most MAX_RUNS runs, the newest first, and why AWS returned none of them, or an empty text."""
        try:
            listed = self._aws.stepfunctions.list_executions(
                stateMachineArn=self._deployed.retrain_model_arn, maxResults=MAX_RUNS
            )["executions"]
            return list(self._read_all(one["executionArn"] for one in listed)), ""
        except (ClientError, BotoCoreError) as error:
            return [], explain(error)

    def get(self, name: str, *, rollback: bool = False) -> Run | None:
        """Return the run of an execution's name, or None. Raises ClientError, BotoCoreError.

        With `rollback`, it is one of rollback-model, whose output has an outcome and a verdict, too.
        """
        if not _NAME.fullmatch(name):
            return None
        workflow = self._deployed.rollback_model_arn if rollback else self._deployed.retrain_model_arn
        arn = workflow.replace(":stateMachine:", ":execution:")
        return next(self._read_all([f"{arn}:{name}"]), None)

    def report(self, run: Run) -> tuple[Mapping[str, Any], str]:
        """Return the evaluation report of a run and why there is none; one of both is empty."""
        uri = urlsplit(str(run.output.get("evaluation") or ""))
        if not uri.path:
            return {}, "This run compared no models."
        if uri.scheme != "s3" or uri.netloc != self._deployed.ml_bucket:
            return {}, "The evaluation report is not in the ML bucket of this stage."
        with self._lock:
            if run.arn in self._reports:
                return self._reports[run.arn], ""
        try:
            content = self._aws.s3.get_object(Bucket=uri.netloc, Key=uri.path.lstrip("/"))["Body"].read()
            found = json.loads(content)
        except (ClientError, BotoCoreError) as error:
            return {}, f"The evaluation report cannot be read. {explain(error)}"
        except ValueError as error:
            log.warning("the evaluation report of %s is not JSON: %s", run.name, error)
            return {}, "The evaluation report is not JSON."
        if not isinstance(found, dict):
            return {}, "The evaluation report is not a JSON object."
        with self._lock:
            self._reports[run.arn] = found
        return found, ""

    def _read_all(self, arns: Any) -> Iterator[Run]:
        """Yield the runs of ARNs; one that Step Functions no longer keeps is left out."""
        for arn in arns:
            with self._lock:
                known = self._ended.get(arn)
            if known:
                yield known
                continue
            try:
                described = self._aws.stepfunctions.describe_execution(executionArn=arn)
            except ClientError as error:
                if error_code(error) == "ExecutionDoesNotExist":
                    continue
                raise
            run = _parse(described)
            if run.status != RUNNING:  # nothing about it changes any more
                with self._lock:
                    self._ended[arn] = run
            yield run


def _parse(described: Mapping[str, Any]) -> Run:
    error = ": ".join(str(described[part]) for part in ("error", "cause") if described.get(part))
    return Run(
        name=described["name"],
        arn=described["executionArn"],
        status=described["status"],
        started_at=described["startDate"],
        ended_at=described.get("stopDate"),
        request=_parse_object(described.get("input")),
        output=_parse_object(described.get("output")),
        error=error,
    )


def _parse_object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:  # written by another workflow: shown as a run without figures
        return {}
    return value if isinstance(value, dict) else {}

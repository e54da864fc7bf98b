"""One CloudFormation stack: deployed with change sets, with its events as progress, and deleted."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.exceptions import ClientError

from deploy.artefacts import upload_once
from deploy.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackEventTypeDef
    from mypy_boto3_s3 import S3Client

POLL_S = 0.5
# A stack of this size takes three to five minutes on AWS.
LIMIT_S = 1800
_BODY_LIMIT = 51_200
UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")

Progress = Callable[[str], None]


class Stack:
    """The CloudFormation stack of one name in the current account and region."""

    def __init__(self, name: str, progress: Progress = print) -> None:
        """`progress` is called with one line of text per change."""
        self.name = name
        self._progress = progress
        self._cloudformation: CloudFormationClient = boto3.client("cloudformation")

    def status(self) -> str | None:
        """Return the status of the stack, or None when there is no stack."""
        try:
            stacks = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return str(stacks[0]["StackStatus"]) if stacks[0]["StackStatus"] != "DELETE_COMPLETE" else None

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the stack. Raises DeployError when it is not deployed."""
        if self.status() in (None, "REVIEW_IN_PROGRESS"):
            raise DeployError(f"There is no stack {self.name} here. Run `make deploy` first.")
        stack = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def is_created(self) -> bool:
        """Whether the stack has all its resources, also during and after an update."""
        return (self.status() or "").startswith(("CREATE_COMPLETE", "UPDATE_"))

    def parameters(self) -> dict[str, str]:
        """Return the present values of the parameters; none when there is no stack."""
        if self.status() is None:
            return {}
        stack = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        return {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}

    def created_at(self) -> datetime:
        """Return the time when the stack was created. The stack must exist."""
        return self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["CreationTime"]

    def set_parameter(self, name: str, value: str) -> bool:
        """Change one parameter of the deployed template; return False when it has this value already.

        Raises DeployError with CloudFormation's reason.
        """
        present = self.parameters()
        if present.get(name) == value:
            return False
        kept: list[ParameterTypeDef] = [
            {"ParameterKey": other, "UsePreviousValue": True} for other in sorted(present) if other != name
        ]
        return self._change("UPDATE", [*kept, {"ParameterKey": name, "ParameterValue": value}])

    def deploy(self, template: dict[str, Any], parameters: dict[str, str], bucket: str | None = None) -> bool:
        """Create or update the stack; return False when nothing changed.

        CloudFormation reads a template that is too long for a request from `bucket`. Raises DeployError with
        CloudFormation's reason.
        """
        source = self._template_source(json.dumps(template, separators=(",", ":")), bucket)
        status = self.status()
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            self._progress(f"{self.name}: an earlier creation failed ({status}); deleting the stack")
            self.delete()
            status = None
        creating = status in (None, "REVIEW_IN_PROGRESS")
        values: list[ParameterTypeDef] = [
            {"ParameterKey": key, "ParameterValue": value} for key, value in sorted(parameters.items())
        ]
        if self._change("CREATE" if creating else "UPDATE", values, source):
            return True
        self._progress(f"{self.name}: unchanged")
        return False

    def _template_source(self, body: str, bucket: str | None) -> dict[str, str]:
        """Return the argument of CreateChangeSet with the template, which is uploaded when it is too long."""
        if len(body) <= _BODY_LIMIT:
            return {"TemplateBody": body}
        if bucket is None:
            raise DeployError(
                f"The template of {self.name} has {len(body)} bytes; CloudFormation accepts {_BODY_LIMIT}."
            )
        s3: S3Client = boto3.client("s3")
        key = f"{self.name}-{hashlib.sha256(body.encode()).hexdigest()[:20]}.template.json"
        upload_once(s3, bucket, key, body.encode())
        return {"TemplateURL": f"{s3.meta.endpoint_url}/{bucket}/{key}"}

    def _change(
        self,
        kind: Literal["CREATE", "UPDATE"],
        parameters: "list[ParameterTypeDef]",
        source: Mapping[str, str] | None = None,
    ) -> bool:
        """Execute a change set with a template, by default the deployed one; return False without changes."""
        template: Any = source or {"UsePreviousTemplate": True}
        change_set = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{int(time.time() * 1000)}",
            ChangeSetType=kind,
            **template,
            Parameters=parameters,
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": "system", "Value": "scones-vehicles"}, {"Key": "stack", "Value": self.name}],
        )["Id"]
        if not self._has_changes(change_set):
            self._cloudformation.delete_change_set(ChangeSetName=change_set)
            return False
        self._progress(f"{self.name}: {'creating' if kind == 'CREATE' else 'updating'}")
        seen = {event["EventId"] for event in self._events(self.name)} if kind == "UPDATE" else set()
        self._cloudformation.execute_change_set(ChangeSetName=change_set)
        self._follow(self.name, seen, ("CREATE_COMPLETE", "UPDATE_COMPLETE"))
        return True

    def delete(self) -> bool:
        """Delete the stack; return False when there was none. Buckets in it must be empty."""
        if self.status() is None:
            self._progress(f"{self.name}: does not exist")
            return False
        stack_id = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackId"]
        seen = {event["EventId"] for event in self._events(stack_id)}
        self._progress(f"{self.name}: deleting")
        self._cloudformation.delete_stack(StackName=stack_id)
        self._follow(stack_id, seen, ("DELETE_COMPLETE",))
        return True

    def _has_changes(self, change_set: str) -> bool:
        """Wait until the change set is created; return whether it has changes. Raises DeployError."""
        for _ in _poll(LIMIT_S):
            plan = self._cloudformation.describe_change_set(ChangeSetName=change_set)
            if plan["Status"] == "CREATE_COMPLETE":
                return True
            if plan["Status"] == "FAILED":
                reason = plan.get("StatusReason", "")
                if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                    return False
                raise DeployError(f"CloudFormation rejected the change set of {self.name}: {reason}")
        raise DeployError(f"CloudFormation did not create the change set of {self.name} in {LIMIT_S} s. Try again.")

    def _follow(self, stack: str, seen: set[str], expected: tuple[str, ...]) -> None:
        """Report events until the operation ends. `stack` is the id of a stack that is deleted, else its name."""
        failures: list[str] = []
        for _ in _poll(LIMIT_S):
            status = self._cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
            for event in reversed([event for event in self._events(stack) if event["EventId"] not in seen]):
                seen.add(event["EventId"])
                state = event["ResourceStatus"]
                if state.endswith("FAILED"):
                    failures.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', state)}")
                if not state.endswith("IN_PROGRESS"):
                    self._progress(f"  {state.lower().replace('_', ' '):<20} {event['LogicalResourceId']}")
            if not status.endswith("IN_PROGRESS"):
                break
        else:
            raise DeployError(
                f"{self.name} is {status} after {LIMIT_S} s. The CloudFormation console shows its events."
            )
        if status not in expected:
            reasons = "\n  ".join(failures) or "see its events in the CloudFormation console"
            raise DeployError(f"{self.name} ended as {status}:\n  {reasons}")

    def _events(self, stack: str) -> "list[StackEventTypeDef]":
        """Return the events of the stack, newest first."""
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
        return [event for page in pages for event in page["StackEvents"]]


def _poll(limit_s: float) -> Iterator[None]:
    """Yield every POLL_S seconds, at most for `limit_s`."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        yield
        time.sleep(POLL_S)

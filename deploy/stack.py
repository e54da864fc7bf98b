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
from deploy.changes import Approve, ResourceChange, accept, planned_creation, read_changes
from deploy.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackEventTypeDef, StackTypeDef
    from mypy_boto3_s3 import S3Client

# The value of the tag `system` of every resource.
SYSTEM = "scones-vehicles"
POLL_S = 0.5
# A stack of this size takes three to five minutes on AWS.
LIMIT_S = 1800
_BODY_LIMIT = 51_200
UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
# The creation failed; what the stack still has can only be deleted.
FAILED_CREATION = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")

Progress = Callable[[str], None]


class Stack:
    """The CloudFormation stack of one name in the current account and region."""

    def __init__(self, name: str, progress: Progress = print) -> None:
        """`progress` is called with one line of text per change."""
        self.name = name
        self._progress = progress
        self._uploaded_template: tuple[str, str] | None = None
        self._cloudformation: CloudFormationClient = boto3.client("cloudformation")

    def _description(self) -> "StackTypeDef | None":
        """Return what CloudFormation tells about the stack, or None when there is no stack."""
        try:
            stack = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return stack if stack["StackStatus"] != "DELETE_COMPLETE" else None

    def status(self) -> str | None:
        """Return the status of the stack, or None when there is no stack."""
        stack = self._description()
        return str(stack["StackStatus"]) if stack else None

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the stack. Raises DeployError when it is not deployed."""
        stack = self._description()
        if stack is None or stack["StackStatus"] == "REVIEW_IN_PROGRESS":
            raise DeployError(f"There is no stack {self.name} here. Run `make deploy` first.")
        return _values(stack, "Output")

    def present_outputs(self) -> dict[str, str]:
        """Return the outputs that the stack has; none when there is no stack."""
        return _values(self._description(), "Output")

    def is_created(self) -> bool:
        """Whether the stack has all its resources, also during and after an update."""
        return (self.status() or "").startswith(("CREATE_COMPLETE", "UPDATE_"))

    def parameters(self) -> dict[str, str]:
        """Return the present values of the parameters; none when there is no stack."""
        return _values(self._description(), "Parameter")

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

    def present_parameters(self) -> dict[str, str]:
        """Return the parameters that an update can keep: those of a stack that was created, or none."""
        stack = self._description()
        return _values(stack, "Parameter") if stack and stack["StackStatus"] in UPDATABLE else {}

    def resources(self, kind: str) -> dict[str, str]:
        """Return the physical ids of the resources of a type that the stack still has, by logical id.

        Unlike the outputs, they are known in every status, and empty when there is no stack.
        """
        if self.status() is None:
            return {}
        pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return {
            found["LogicalResourceId"]: found["PhysicalResourceId"]
            for page in pages
            for found in page["StackResourceSummaries"]
            if found["ResourceType"] == kind
            and found["ResourceStatus"] != "DELETE_COMPLETE"
            and found.get("PhysicalResourceId")
        }

    def check_idle(self) -> None:
        """Raise DeployError when an operation on the stack is in progress."""
        status = self.status() or ""
        if status.endswith("IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise DeployError(f"{self.name} is {status}: another command changes it. Run this one when it has ended.")

    def check_deployable(self) -> None:
        """Raise DeployError when the stack can be neither created nor updated, with what to do."""
        self.check_idle()
        status = self.status()
        if status == "DELETE_FAILED":
            raise DeployError(
                f"{self.name} is DELETE_FAILED: somebody began to delete it, and a part of it is left. "
                "Run `make destroy` to finish (with DATA=yes if the data was to be deleted), then `make deploy`."
            )
        if status == "UPDATE_ROLLBACK_FAILED":
            raise DeployError(
                f"{self.name} is UPDATE_ROLLBACK_FAILED: an update failed, and so did its rollback. Read the reason "
                f"in its events, remove it, run `aws cloudformation continue-update-rollback --stack-name {self.name}`."
            )

    def deploy(
        self,
        template: dict[str, Any],
        parameters: Mapping[str, str],
        bucket: str | None = None,
        approve: Approve = accept,
    ) -> bool:
        """Create or update the stack; return False when nothing changed.

        A parameter that is not in `parameters` keeps its value; a new one has the template's default. CloudFormation
        reads a template that is too long for a request from `bucket`. `approve` sees the changes before they are made.
        Raises DeployError with CloudFormation's reason.
        """
        self.check_deployable()
        source = self._template_source(json.dumps(template, separators=(",", ":")), bucket)
        if (status := self.status()) in FAILED_CREATION:
            self._progress(f"{self.name}: its creation failed earlier ({status}); deleting what is left of it")
            self.delete()
        kind, values = self._request(template, parameters)
        if self._change(kind, values, source, approve):
            return True
        self._progress(f"{self.name}: unchanged")
        return False

    def plan(
        self, template: dict[str, Any], parameters: Mapping[str, str], bucket: str | None = None
    ) -> list[ResourceChange] | None:
        """Return what `deploy` would change, None for nothing. Raises DeployError as `deploy` does.

        The change set of a stack that does not exist would create an empty one, so its plan is read from the template.
        """
        self.check_deployable()
        kind, values = self._request(template, parameters)
        if kind == "CREATE":
            resources = template["Resources"]
            return planned_creation((name, resource["Type"]) for name, resource in resources.items())
        source = self._template_source(json.dumps(template, separators=(",", ":")), bucket)
        change_set = self._create_change_set(kind, values, source)
        try:
            return self._read_change_set(change_set)
        finally:
            self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
            self._remove_uploaded_template()

    def _request(
        self, template: Mapping[str, Any], parameters: Mapping[str, str]
    ) -> "tuple[Literal['CREATE', 'UPDATE'], list[ParameterTypeDef]]":
        """Return the type of the change set, and the parameters: a value, or that the present one is kept."""
        values: list[ParameterTypeDef] = [
            {"ParameterKey": name, "ParameterValue": value} for name, value in sorted(parameters.items())
        ]
        present = self.present_parameters()
        kept = sorted(set(present) & set(template.get("Parameters", {})) - set(parameters))
        values += [{"ParameterKey": name, "UsePreviousValue": True} for name in kept]
        return "UPDATE" if self.status() in UPDATABLE else "CREATE", values

    def _template_source(self, body: str, bucket: str | None) -> dict[str, str]:
        """Return the argument of CreateChangeSet with the template, which is uploaded when it is too long."""
        if len(body) <= _BODY_LIMIT:
            return {"TemplateBody": body}
        if bucket is None:
            raise DeployError(f"The template of {self.name} has {len(body)} bytes, more than {_BODY_LIMIT}.")
        s3: S3Client = boto3.client("s3")
        key = f"{self.name}-{hashlib.sha256(body.encode()).hexdigest()[:20]}.template.json"
        if upload_once(s3, bucket, key, body.encode()):
            self._uploaded_template = (bucket, key)
        return {"TemplateURL": f"{s3.meta.endpoint_url}/{bucket}/{key}"}

    def _remove_uploaded_template(self) -> None:
        """Remove the template if it was uploaded for a plan."""
        if self._uploaded_template is not None:
            bucket, key = self._uploaded_template
            s3: S3Client = boto3.client("s3")
            version = s3.head_object(Bucket=bucket, Key=key)["VersionId"]
            s3.delete_object(Bucket=bucket, Key=key, VersionId=version)

    def _change(
        self,
        kind: Literal["CREATE", "UPDATE"],
        parameters: "list[ParameterTypeDef]",
        source: Mapping[str, str] | None = None,
        approve: Approve = accept,
    ) -> bool:
        """Execute a change set with a template, by default the deployed one; return False without changes."""
        change_set = self._create_change_set(kind, parameters, source)
        try:
            if (changes := self._read_change_set(change_set)) is not None:
                approve(self.name, changes)
        except BaseException:
            self._discard(change_set, kind)
            raise
        if changes is None:
            self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
            return False
        self._progress(f"{self.name}: {'creating' if kind == 'CREATE' else 'updating'}")
        seen = {event["EventId"] for event in self._events(self.name)} if kind == "UPDATE" else set()
        self._cloudformation.execute_change_set(StackName=self.name, ChangeSetName=change_set)
        self._follow(self.name, seen, ("CREATE_COMPLETE", "UPDATE_COMPLETE"))
        return True

    def _create_change_set(
        self,
        kind: Literal["CREATE", "UPDATE"],
        parameters: "list[ParameterTypeDef]",
        source: Mapping[str, str] | None,
    ) -> str:
        template: Any = source or {"UsePreviousTemplate": True}
        return self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{int(time.time() * 1000)}",
            ChangeSetType=kind,
            **template,
            Parameters=parameters,
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": "system", "Value": SYSTEM}, {"Key": "stack", "Value": self.name}],
        )["Id"]

    def _discard(self, change_set: str, kind: str) -> None:
        """Delete a change set that is not executed, and the empty stack that one of type CREATE has made."""
        self._cloudformation.delete_change_set(StackName=self.name, ChangeSetName=change_set)
        if kind == "CREATE" and self.status() == "REVIEW_IN_PROGRESS":
            try:
                self._cloudformation.delete_stack(StackName=self.name)
            except ClientError as error:
                # Who deploys the data stack may not delete it (deploy/templates/people.yaml).
                if error.response["Error"]["Code"] != "AccessDenied":
                    raise
                self._progress(f"{self.name}: an empty stack is left, which the next `make deploy` uses")

    def protect(self, protected: bool) -> None:
        """Protect the stack against deletion, by anybody, or end that. There must be a stack."""
        stack = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        if stack.get("EnableTerminationProtection", False) != protected:
            self._cloudformation.update_termination_protection(
                StackName=self.name, EnableTerminationProtection=protected
            )
            self._progress(f"{self.name}: {'protected' if protected else 'no longer protected'} against deletion")

    def delete(self) -> bool:
        """Delete the stack, or go on with an earlier deletion that failed; return False when there was none.

        Buckets in it must be empty. Raises DeployError with CloudFormation's reason.
        """
        self.check_idle()
        stack = self._description()
        if stack is None:
            self._progress(f"{self.name}: does not exist")
            return False
        stack_id = stack["StackId"]
        seen = {event["EventId"] for event in self._events(stack_id)}
        self._progress(f"{self.name}: deleting")
        self._cloudformation.delete_stack(StackName=stack_id)
        self._follow(stack_id, seen, ("DELETE_COMPLETE",))
        return True

    def _read_change_set(self, change_set: str) -> list[ResourceChange] | None:
        """Wait until the change set is created; return its changes, or None when nothing would change.

        The list is empty when only outputs or tags change. Raises DeployError.
        """
        for _ in _poll(LIMIT_S):
            page = self._cloudformation.describe_change_set(StackName=self.name, ChangeSetName=change_set)
            if page["Status"] == "FAILED":
                reason = page.get("StatusReason", "")
                if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                    return None
                raise DeployError(f"CloudFormation rejected the change set of {self.name}: {reason}")
            if page["Status"] == "CREATE_COMPLETE":
                paginator = self._cloudformation.get_paginator("describe_change_set")
                pages = paginator.paginate(StackName=self.name, ChangeSetName=change_set)
                return read_changes(change for page in pages for change in page["Changes"])
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
            raise DeployError(f"{self.name} is {status} after {LIMIT_S} s. CloudFormation's console shows its events.")
        if status not in expected:
            reasons = "\n  ".join(failures) or "see its events in the CloudFormation console"
            raise DeployError(f"{self.name} ended as {status}:\n  {reasons}")

    def _events(self, stack: str) -> "list[StackEventTypeDef]":
        """Return the events of the stack, newest first."""
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
        return [event for page in pages for event in page["StackEvents"]]


def _values(stack: Any, kind: Literal["Output", "Parameter"]) -> dict[str, str]:
    return {one[f"{kind}Key"]: one[f"{kind}Value"] for one in (stack or {}).get(f"{kind}s", [])}


def _poll(limit_s: float) -> Iterator[None]:
    """Yield every POLL_S seconds, at most for `limit_s`."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        yield
        time.sleep(POLL_S)

"""CloudFormation in this process: stacks with the statuses of AWS, whose operations can be made to fail.

It replaces the answers of boto3's clients (botocore's event `before-call`), so that every request is one that botocore
accepts, and every answer has the shape of botocore's service model. `on_create` and `on_delete` are called with the
type and the properties of a resource; a test creates in moto what a deployment uses.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.support import stubbed_services
from tests.support.change_sets import Request, physical_ids, refused, request_parameters, resource_changes
from tests.support.cloudformation_templates import ACCOUNT, REGION, Resolver
from tests.support.stubbed_services import Reply, checked

_PAGE = 5


@dataclass
class FakeStack:
    """One stack; `resources` have the template's fields, `id` and `status`."""

    name: str
    id: str
    status: str = "REVIEW_IN_PROGRESS"
    template: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    protected: bool = False


class FakeCloudFormation:
    """All stacks of the account.

    `failing` are the logical ids that cannot be created or updated, `stuck` those that cannot be deleted, `calls` the
    names of the operations that were called. `is_working` is true during a call, which may call other services.
    """

    def __init__(self) -> None:
        """There is no stack at first."""
        self.stacks: dict[str, FakeStack] = {}
        self.change_sets: dict[str, dict[str, Any]] = {}
        self.failing: set[str] = set()
        self.stuck: set[str] = set()
        self.rollback_fails = False
        self.calls: list[str] = []
        self.is_working = False
        self.on_create: Callable[[str, dict[str, Any]], None] = lambda kind, properties: None
        self.on_delete: Callable[[str, dict[str, Any]], None] = lambda kind, properties: None

    def set_status(self, name: str, status: str) -> None:
        """Put a stack into a status, without its operation."""
        self.stacks[name].status = status

    @contextmanager
    def installed(self) -> Iterator["FakeCloudFormation"]:
        """Answer the clients of the default session during the block."""
        boto3.setup_default_session()
        boto3.DEFAULT_SESSION.events.register("before-call.cloudformation", self._answer)
        try:
            yield self
        finally:
            boto3.setup_default_session()

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> Reply:
        """Call the method named after the operation; `params` is the serialized request of the query API."""
        self.calls.append(model.name)
        self.is_working = True
        try:
            return checked(model, getattr(self, f"_{model.name}")(Request(params["body"])))
        except ClientError as error:
            return stubbed_services.refused(error)
        finally:
            self.is_working = False

    def _stack(self, name: str) -> FakeStack:
        for stack in self.stacks.values():
            if name in (stack.name, stack.id) and (name == stack.id or stack.status != "DELETE_COMPLETE"):
                return stack
        raise refused(f"Stack with id {name} does not exist")

    def _DescribeStacks(self, request: Request) -> dict[str, Any]:
        stack = self._stack(request["StackName"])
        described = {
            "StackName": stack.name,
            "StackId": stack.id,
            "StackStatus": stack.status,
            "CreationTime": datetime.now(UTC),
            "EnableTerminationProtection": stack.protected,
            "Tags": stack.tags,
            "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in stack.parameters.items()],
            "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in stack.outputs.items()],
        }
        return {"Stacks": [described]}

    def _DescribeStackEvents(self, request: Request) -> dict[str, Any]:
        return {"StackEvents": list(reversed(self._stack(request["StackName"]).events))}

    def _ListStackResources(self, request: Request) -> dict[str, Any]:
        stack = self._stack(request["StackName"])
        return {
            "StackResourceSummaries": [
                {
                    "LogicalResourceId": name,
                    "PhysicalResourceId": resource["id"],
                    "ResourceType": resource["Type"],
                    "ResourceStatus": resource["status"],
                    "LastUpdatedTimestamp": datetime.now(UTC),
                }
                for name, resource in stack.resources.items()
            ]
        }

    def _UpdateTerminationProtection(self, request: Request) -> dict[str, Any]:
        stack = self._stack(request["StackName"])
        stack.protected = request["EnableTerminationProtection"] == "true"
        return {"StackId": stack.id}

    def _CreateChangeSet(self, request: Request) -> dict[str, Any]:
        name, kind = request["StackName"], request["ChangeSetType"]
        present = self.stacks.get(name)
        exists = present is not None and present.status not in ("DELETE_COMPLETE", "REVIEW_IN_PROGRESS")
        if kind == "CREATE" and exists:
            raise refused(f"Stack [{name}] already exists and cannot be created again with the changeSet")
        if kind == "UPDATE" and not exists:
            raise refused(f"Stack [{name}] does not exist")
        if present is not None and exists and not present.status.endswith("_COMPLETE"):
            raise refused(f"Stack:{present.id} is in {present.status} state and can not be updated.")
        if present is None or not exists:
            id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{self.calls.count('CreateChangeSet')}"
            present = self.stacks[name] = FakeStack(name, id)
        template = self._template(request, present)
        parameters = request_parameters(template, request, present.parameters)
        resolver = Resolver(template, parameters, physical_ids(name, template, parameters))
        new, outputs = resolver.resources(), resolver.outputs()
        old = {one: resource for one, resource in present.resources.items() if resource["status"] != "DELETE_COMPLETE"}
        id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{request['ChangeSetName']}/1"
        self.change_sets[id] = {
            "stack": present,
            "kind": kind,
            "template": template,
            "parameters": parameters,
            "changes": resource_changes(old, new),
            "outputs": outputs,
            "empty": old.keys() == new.keys() and not resource_changes(old, new) and outputs == present.outputs,
            "tags": [{"Key": k, "Value": v} for k, v in request.pairs("Tags", "Key", "Value")],
        }
        return {"Id": id, "StackId": present.id}

    def _template(self, request: Request, stack: FakeStack) -> dict[str, Any]:
        if request.get("UsePreviousTemplate") == "true":
            return stack.template
        if url := request.get("TemplateURL"):
            bucket, key = url.split("/", 3)[3].split("/", 1)
            body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        else:
            body = request["TemplateBody"]
            if len(body) > 51_200:
                raise refused("Member must have length less than or equal to 51200")
        template: dict[str, Any] = json.loads(body)
        return template

    def _DescribeChangeSet(self, request: Request) -> dict[str, Any]:
        planned = self.change_sets[request["ChangeSetName"]]
        if planned["empty"]:
            return {"Status": "FAILED", "StatusReason": "The submitted information didn't contain changes."}
        first = int(request.get("NextToken") or 0)
        last = first + _PAGE
        more = {"NextToken": str(last)} if last < len(planned["changes"]) else {}
        return {"Status": "CREATE_COMPLETE", "Changes": planned["changes"][first:last], **more}

    def _DeleteChangeSet(self, request: Request) -> dict[str, Any]:
        del self.change_sets[request["ChangeSetName"]]
        return {}

    def _ExecuteChangeSet(self, request: Request) -> dict[str, Any]:
        planned = self.change_sets.pop(request["ChangeSetName"])
        stack, creating = planned["stack"], planned["kind"] == "CREATE"
        kind = "CREATE" if creating else "UPDATE"
        template, parameters = planned["template"], planned["parameters"]
        resolver = Resolver(template, parameters, physical_ids(stack.name, template, parameters))
        wanted = resolver.resources()
        done: list[str] = []
        for change in (one["ResourceChange"] for one in planned["changes"]):
            name = change["LogicalResourceId"]
            if name in self.failing:
                _event(stack, name, f"{kind}_FAILED", "Resource handler returned message: no")
                self._roll_back(stack, done, creating=creating)
                return {}
            if change["Action"] == "Remove":
                self._remove(stack, name)
                continue
            resource = wanted[name]
            if change["Action"] == "Add":
                self.on_create(resource["Type"], resource["Properties"])
                done.append(name)
            state = "CREATE_COMPLETE" if change["Action"] == "Add" else "UPDATE_COMPLETE"
            stack.resources[name] = {**resource, "id": resolver.physical_id(name), "status": state}
            _event(stack, name, state)
        stack.template, stack.parameters = template, parameters
        stack.outputs, stack.tags = planned["outputs"], planned["tags"]
        stack.status = f"{kind}_COMPLETE"
        _event(stack, stack.name, stack.status)
        return {}

    def _roll_back(self, stack: FakeStack, created: list[str], *, creating: bool) -> None:
        prefix = "" if creating else "UPDATE_"
        for name in created:
            self._remove(stack, name)
        stack.status = f"{prefix}ROLLBACK_{'FAILED' if self.rollback_fails else 'COMPLETE'}"
        _event(stack, stack.name, stack.status)

    def _remove(self, stack: FakeStack, name: str) -> bool:
        """Delete one resource; return whether it is gone."""
        resource = stack.resources[name]
        if resource.get("DeletionPolicy") == "Retain":
            resource["status"] = "DELETE_SKIPPED"
            return True
        try:
            if name in self.stuck:
                raise refused("Resource handler returned message: it is in use")
            self.on_delete(resource["Type"], resource["Properties"])
        except ClientError as error:
            resource["status"] = "DELETE_FAILED"
            _event(stack, name, "DELETE_FAILED", str(error))
            return False
        resource["status"] = "DELETE_COMPLETE"
        _event(stack, name, "DELETE_COMPLETE")
        return True

    def _DeleteStack(self, request: Request) -> dict[str, Any]:
        stack = self._stack(request["StackName"])
        if stack.protected:
            raise refused(f"Stack [{stack.id}] cannot be deleted while TerminationProtection is enabled")
        left = [name for name, resource in stack.resources.items() if resource["status"] != "DELETE_COMPLETE"]
        removed = [self._remove(stack, name) for name in reversed(left)]
        stack.status = "DELETE_COMPLETE" if all(removed) else "DELETE_FAILED"
        _event(stack, stack.name, stack.status)
        return {}


def _event(stack: FakeStack, logical_id: str, status: str, reason: str = "") -> None:
    stack.events.append(
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "EventId": f"{stack.name}-{len(stack.events)}",
            "LogicalResourceId": logical_id,
            "ResourceStatus": status,
            "ResourceStatusReason": reason,
            "Timestamp": datetime.now(UTC),
        }
    )

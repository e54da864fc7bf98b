"""The requests and the contents of change sets, for FakeCloudFormation."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.support.cloudformation_templates import Resolver

# Properties whose change makes CloudFormation create another resource.
NAMES = (
    "BucketName", "TableName", "QueueName", "FunctionName", "StateMachineName", "TopicName", "LogGroupName", "Name",
)  # fmt: skip


class Request(dict[str, str]):
    """The form fields of a request of the query API."""

    def pairs(self, name: str, key: str, value: str) -> list[tuple[str, str]]:
        """Return the entries of a list of structures with two members; a missing second one is empty."""
        found, number = [], 1
        while (first := self.get(f"{name}.member.{number}.{key}")) is not None:
            found.append((first, self.get(f"{name}.member.{number}.{value}", "")))
            number += 1
        return found


def request_parameters(template: dict[str, Any], request: Request, present: Mapping[str, str]) -> dict[str, str]:
    """Return the values of all parameters of a template. Raises ClientError as CloudFormation does."""
    values = dict(request.pairs("Parameters", "ParameterKey", "ParameterValue"))
    kept = [name for name, flag in request.pairs("Parameters", "ParameterKey", "UsePreviousValue") if flag == "true"]
    declared = template.get("Parameters", {})
    if unknown := sorted(values.keys() - declared.keys()):
        raise refused(f"Parameters: {unknown} do not exist in the template")
    for name in kept:
        if name not in present:
            raise refused(f"Invalid input for parameter key {name}. Cannot specify usePreviousValue as true")
        values[name] = present[name]
    for name, one in declared.items():
        values.setdefault(name, str(one["Default"]) if "Default" in one else "")
        if "Default" not in one and not values[name]:
            raise refused(f"Parameters: [{name}] must have values")
        if values[name] not in one.get("AllowedValues", [values[name]]):
            raise refused(f"Template error: parameter {name} must be one of {one['AllowedValues']}")
    return values


def resource_changes(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the changes as DescribeChangeSet has them."""
    changes: list[dict[str, Any]] = []
    for name in (one for one in new if one not in old):
        changes.append({"Action": "Add", "LogicalResourceId": name, "ResourceType": new[name]["Type"]})
    for name in sorted(old.keys() - new.keys()):
        policy = "Retain" if old[name].get("DeletionPolicy") == "Retain" else "Delete"
        changes.append(
            {
                "Action": "Remove",
                "LogicalResourceId": name,
                "ResourceType": old[name]["Type"],
                "PolicyAction": policy,
            }
        )
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name]["Properties"], new[name]["Properties"]
        differing = sorted(one for one in before.keys() | after.keys() if before.get(one) != after.get(one))
        if differing:
            details = [
                {"Target": {"Attribute": "Properties", "Name": one}, "Evaluation": "Static"} for one in differing
            ]
            changes.append(
                {
                    "Action": "Modify",
                    "LogicalResourceId": name,
                    "ResourceType": new[name]["Type"],
                    "Replacement": "True" if set(differing) & set(NAMES) else "False",
                    "Scope": ["Properties"],
                    "Details": details,
                }
            )
    return [{"Type": "Resource", "ResourceChange": change} for change in changes]


def physical_ids(stack: str, template: dict[str, Any], parameters: dict[str, str]) -> Callable[[str], str]:
    """Return a function from logical to physical ids: the name that the template gives, or one of CloudFormation's."""

    def physical_id(logical_id: str) -> str:
        resource = template["Resources"][logical_id]
        properties = resource.get("Properties", {})
        given = next((properties[name] for name in NAMES if name in properties), None)
        if given is None:
            return f"{stack}-{logical_id}-1ABCDEFGHIJK"
        name = str(Resolver(template, parameters, physical_id).resolve(given))
        if resource["Type"] == "AWS::Events::Rule" and "EventBusName" in properties:
            return f"{Resolver(template, parameters, physical_id).resolve(properties['EventBusName'])}|{name}"
        return name

    return physical_id


def refused(message: str) -> ClientError:
    """Return the error of CloudFormation with this message."""
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "CloudFormation")

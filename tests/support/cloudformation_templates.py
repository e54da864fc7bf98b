"""Resolve the functions of a CloudFormation template, as far as the templates of deploy/ use them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ACCOUNT, REGION = "123456789012", "eu-west-1"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
_REMOVED = object()


@dataclass(frozen=True)
class Resolver:
    """A template with the values of its parameters; `physical_id` is asked for the resources."""

    template: Mapping[str, Any]
    parameters: Mapping[str, str]
    physical_id: Callable[[str], str]

    def resources(self) -> dict[str, Any]:
        """Return the resources whose condition holds, with resolved properties."""
        return {
            name: {**resource, "Properties": self.resolve(resource.get("Properties", {}))}
            for name, resource in self.template["Resources"].items()
            if self._holds(resource.get("Condition"))
        }

    def outputs(self) -> dict[str, str]:
        """Return the outputs by name."""
        outputs = self.template.get("Outputs", {})
        return {
            name: str(self.resolve(one["Value"])) for name, one in outputs.items() if self._holds(one.get("Condition"))
        }

    def resolve(self, value: Any) -> Any:
        """Return a value of the template with its functions replaced."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not _REMOVED]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return _REMOVED if argument == "AWS::NoValue" else self._ref(argument)
            if name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), argument)
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not _REMOVED}

    def _ref(self, name: str) -> str:
        if name in PSEUDO:
            return PSEUDO[name]
        return self.parameters[name] if name in self.parameters else self.physical_id(name)

    def _function(self, name: str, argument: Any) -> Any:
        if name == "If":
            return self.resolve(argument[1 if self._holds(argument[0]) else 2])
        if name == "Sub":
            return re.sub(r"\$\{([^!}]+)\}", lambda found: self._part(found[1]), argument).replace("${!", "${")
        if name == "GetAtt":
            return self._attribute(*argument)
        if name == "Split":
            return str(self.resolve(argument[1])).split(argument[0])
        raise NotImplementedError(f"Fn::{name}")

    def _part(self, name: str) -> str:
        return self._attribute(*name.split(".")) if "." in name else self._ref(name)

    def _attribute(self, resource: str, attribute: str) -> str:
        physical = self.physical_id(resource)
        return f"arn:aws:fake:::{physical}" if attribute == "Arn" else physical

    def _holds(self, condition: Any) -> bool:
        """Whether a condition holds: its name, None for no condition, or Fn::Equals, Fn::Not, Fn::And, Fn::Or."""
        if condition is None:
            return True
        if isinstance(condition, str):
            return self._holds(self.template["Conditions"][condition])
        ((name, arguments),) = condition.items()
        if name == "Condition":
            return self._holds(arguments)
        if name == "Fn::Equals":
            first, second = (str(self.resolve(one)) for one in arguments)
            return first == second
        held = [self._holds(one) for one in arguments]
        return {"Fn::Not": not held[0], "Fn::And": all(held), "Fn::Or": any(held)}[name]

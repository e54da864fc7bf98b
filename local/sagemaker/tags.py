"""Tags of SageMaker's resources, by ARN."""

from __future__ import annotations

from typing import Any


class Tags:
    """The operations on tags, and the tags of Create operations."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, str]] = {}

    def add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self.tags.setdefault(request["ResourceArn"], {})
        tags.update({tag["Key"]: tag["Value"] for tag in request["Tags"]})
        return {"Tags": self._as_list(tags)}

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self._as_list(self.tags.get(request["ResourceArn"], {}))}

    def delete_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        for key in request["TagKeys"]:
            self.tags.get(request["ResourceArn"], {}).pop(key, None)
        return {}

    def add_from_create(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        """Add the tags of a Create operation whose response is the ARN of the new resource."""
        if request.get("Tags") and len(answer) == 1:
            (address,) = answer.values()
            self.add_tags({"ResourceArn": address, "Tags": request["Tags"]})

    @staticmethod
    def _as_list(tags: dict[str, str]) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in tags.items()]

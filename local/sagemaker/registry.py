"""The model registry: model package groups and model packages."""

from __future__ import annotations

import threading
import time
from typing import Any

from local.sagemaker.aws import arn, publish_event
from local.sagemaker.errors import SageMakerError, validation_error
from local.sagemaker.records import Records, page

UPDATABLE = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "AdditionalInferenceSpecificationsToAdd",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)


class Registry:
    """The operations on model packages and groups. A package is kept as its request with version, ARN and status."""

    def __init__(self) -> None:
        self.groups: Records[dict[str, Any]] = Records()
        self.packages: Records[dict[str, Any]] = Records()
        self._lock = threading.Lock()

    def create_model_package_group(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        group = {
            **request,
            "ModelPackageGroupArn": arn("model-package-group", name),
            "ModelPackageGroupStatus": "Completed",
            "CreationTime": time.time(),
            "next_version": 1,
        }
        taken = validation_error(f"Model Package Group already exists: {group['ModelPackageGroupArn']}")
        self.groups.add(name, group, lambda: taken)
        return {"ModelPackageGroupArn": group["ModelPackageGroupArn"]}

    def describe_model_package_group(self, request: dict[str, Any]) -> dict[str, Any]:
        group = self._group(request["ModelPackageGroupName"])
        hidden = ("Tags", "next_version")
        return {**{key: value for key, value in group.items() if key not in hidden}, "CreatedBy": {}}

    def delete_model_package_group(self, request: dict[str, Any]) -> dict[str, Any]:
        group = self._group(request["ModelPackageGroupName"])
        if any(package.get("ModelPackageGroupName") == group["ModelPackageGroupName"] for package in self.packages):
            raise SageMakerError(
                "ConflictException",
                "Model Package Group cannot be deleted since it still contains Model Packages: "
                f"{group['ModelPackageGroupArn']}",
            )
        self.groups.remove(group["ModelPackageGroupName"])
        return {}

    def list_model_package_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        shown = (
            "ModelPackageGroupName",
            "ModelPackageGroupArn",
            "ModelPackageGroupDescription",
            "CreationTime",
            "ModelPackageGroupStatus",
        )
        items = [{key: group[key] for key in shown if key in group} for group in self.groups]
        chosen, more = page(request, items, "ModelPackageGroupName")
        return {"ModelPackageGroupSummaryList": chosen, **more}

    def create_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        now = time.time()
        package: dict[str, Any] = {**request, "CreationTime": now, "ModelPackageStatus": "Completed"}
        package["ModelPackageStatusDetails"] = {"ValidationStatuses": [], "ImageScanStatuses": []}
        if "ModelPackageGroupName" in request:
            group = self._group(request["ModelPackageGroupName"].rpartition("/")[2])
            with self._lock:
                version, group["next_version"] = group["next_version"], group["next_version"] + 1
            name = group["ModelPackageGroupName"]
            package |= {
                "ModelPackageGroupName": name,
                "ModelPackageVersion": version,
                "ModelPackageArn": arn("model-package", f"{name.lower()}/{version}"),
                "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
            }
        elif "ModelPackageName" in request:
            package["ModelPackageArn"] = arn("model-package", request["ModelPackageName"].lower())
        else:
            raise validation_error("Either ModelPackageName or ModelPackageGroupName must be provided.")
        taken = validation_error(f"Model Package already exists: {package['ModelPackageArn']}")
        self.packages.add(package["ModelPackageArn"], package, lambda: taken)
        self._publish_state_change(package)
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def describe_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        package = self.find(request["ModelPackageName"])
        # DescribeModelPackage must return a name; for a versioned package it is that of its group.
        name = package.get("ModelPackageName", package.get("ModelPackageGroupName"))
        hidden = ("Tags", "ClientToken")
        return {**{key: value for key, value in package.items() if key not in hidden}, "ModelPackageName": name}

    def update_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        package = self.find(request["ModelPackageArn"])
        metadata = {**package.get("CustomerMetadataProperties", {}), **request.get("CustomerMetadataProperties", {})}
        for name in request.get("CustomerMetadataPropertiesToRemove", ()):
            metadata.pop(name, None)
        changes = {name: request[name] for name in UPDATABLE if name in request}
        package.update(changes, LastModifiedTime=time.time())
        if metadata:
            package["CustomerMetadataProperties"] = metadata
        if "ModelApprovalStatus" in changes:
            self._publish_state_change(package)
        return {"ModelPackageArn": package["ModelPackageArn"]}

    def delete_model_package(self, request: dict[str, Any]) -> dict[str, Any]:
        package = self.find(request["ModelPackageName"])
        self.packages.remove(package["ModelPackageArn"])
        return {}

    def list_model_packages(self, request: dict[str, Any]) -> dict[str, Any]:
        group = request.get("ModelPackageGroupName", "").rpartition("/")[2]
        if group:
            self._group(group)
        kind = request.get("ModelPackageType", "Versioned" if group else "Unversioned")
        shown = (
            "ModelPackageName",
            "ModelPackageGroupName",
            "ModelPackageVersion",
            "ModelPackageArn",
            "ModelPackageDescription",
            "CreationTime",
            "ModelPackageStatus",
            "ModelApprovalStatus",
        )
        items = []
        for package in self.packages:
            versioned = "ModelPackageVersion" in package
            if kind != "Both" and versioned != (kind == "Versioned"):
                continue
            if group and package.get("ModelPackageGroupName") != group:
                continue
            if package.get("ModelApprovalStatus") != request.get(
                "ModelApprovalStatus", package.get("ModelApprovalStatus")
            ):
                continue
            items.append({key: package[key] for key in shown if key in package})
        chosen, more = page(request, items, "ModelPackageArn")
        return {"ModelPackageSummaryList": chosen, **more}

    def find(self, name: str) -> dict[str, Any]:
        """Return a package by its ARN or name; raises ValidationException when it does not exist."""
        address = name if name.startswith("arn:") else arn("model-package", name.lower())
        return self.packages.require(address, validation_error(f"ModelPackage {address} does not exist."))

    def _group(self, name: str) -> dict[str, Any]:
        missing = f"ModelPackageGroup {arn('model-package-group', name)} does not exist."
        return self.groups.require(name, validation_error(missing))

    @staticmethod
    def _publish_state_change(package: dict[str, Any]) -> None:
        shown = ("ModelPackageArn", "ModelPackageGroupName", "ModelPackageVersion", "ModelPackageStatus")
        detail = {key: package[key] for key in (*shown, "ModelApprovalStatus") if key in package}
        publish_event("SageMaker Model Package State Change", package["ModelPackageArn"], detail)

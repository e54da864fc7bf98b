"""The SageMaker model registry: every challenger, and whether it was approved."""

import hashlib
from typing import Any

from botocore.exceptions import ClientError

from functions.record_retraining.conclusion import Conclusion
from functions.shared.aws import Client

# What the registry takes as a value of the metadata.
LONGEST_VALUE = 256


class Registry:
    """One model package group per stage."""

    def __init__(self, group: str, image: str, sagemaker: Client) -> None:
        self.group = group
        self._image = image
        self._sagemaker = sagemaker

    def register(self, conclusion: Conclusion) -> str:
        """Record a challenger as approved or rejected, with where it comes from. Returns the package's ARN.

        Registering the same ending again is the same package. Raises ClientError.
        """
        self._ensure_group()
        prepared, judged = conclusion.state["prepared"], conclusion.state.get("judged") or {}
        metadata = {
            "model_version": conclusion.model_version,
            "parent": conclusion.champion_before,
            "snapshot": prepared["snapshot"],
            "source": prepared["source"],
            "evaluation": judged.get("evaluation"),
            "reason": conclusion.reason,
            "verdict": conclusion.verdict,
            "execution": conclusion.execution,
        }
        package: dict[str, Any] = self._sagemaker.create_model_package(
            ModelPackageGroupName=self.group,
            ModelPackageDescription=conclusion.verdict[:1024],
            ModelApprovalStatus="Approved" if conclusion.promoted else "Rejected",
            InferenceSpecification={
                "Containers": [{"Image": self._image, "ModelDataUrl": conclusion.state["trained"]["artifact"]}],
                "SupportedContentTypes": ["application/x-image"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            CustomerMetadataProperties={
                name: str(value)[:LONGEST_VALUE] for name, value in metadata.items() if value is not None
            },
            ClientToken=hashlib.sha256(f"{conclusion.execution}{conclusion.promoted}".encode()).hexdigest()[:32],
        )
        return str(package["ModelPackageArn"])

    def _ensure_group(self) -> None:
        try:
            self._sagemaker.create_model_package_group(
                ModelPackageGroupName=self.group, ModelPackageGroupDescription="Vehicle classifiers, by retraining"
            )
        except ClientError as error:
            if "already exist" not in str(error):
                raise

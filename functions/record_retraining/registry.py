"""The SageMaker model registry, in which every challenger is registered as approved or rejected."""

import hashlib
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from functions.record_retraining.result import RetrainingResult

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

# The limit of ModelPackageDescription.
_LONGEST_DESCRIPTION = 1024


class Registry:
    """The model package group of the stage."""

    def __init__(self, group: str, sagemaker: "SageMakerClient") -> None:
        """`group` is the model package group."""
        self.group = group
        self._sagemaker = sagemaker

    def register(self, result: RetrainingResult, etag: str) -> str:
        """Register a challenger with its verdict and lineage; return the ARN of the model package.

        `etag` is the one of its artifact, by which `make promote` finds that somebody replaced it.

        The verdict is the description: the values of CustomerMetadataProperties have at most 256 characters, and no
        comma, semicolon or parenthesis. Registering the same result again returns the same package. Raises ClientError.
        """
        self._ensure_group()
        prepared, judged = result.state["prepared"], result.state.get("judged") or {}
        metadata = {
            "model_version": result.model_version,
            "parent": result.champion_before,
            "snapshot": prepared["snapshot"],
            "image": prepared["image"],
            "artifact_etag": etag,
            "evaluation": judged.get("evaluation"),
            "reason": result.reason,
            "execution": result.execution,
        }
        package = self._sagemaker.create_model_package(
            ModelPackageGroupName=self.group,
            ModelPackageDescription=describe(result.verdict),
            ModelApprovalStatus="Approved" if result.promoted else "Rejected",
            InferenceSpecification={
                "Containers": [{"Image": prepared["image"], "ModelDataUrl": result.state["trained"]["artifact"]}],
                "SupportedContentTypes": ["application/x-image"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            CustomerMetadataProperties={name: str(value) for name, value in metadata.items() if value is not None},
            ClientToken=hashlib.sha256(f"{result.execution}{result.promoted}".encode()).hexdigest()[:32],
        )
        return package["ModelPackageArn"]

    def _ensure_group(self) -> None:
        try:
            self._sagemaker.create_model_package_group(
                ModelPackageGroupName=self.group, ModelPackageGroupDescription="Vehicle classifiers, by retraining"
            )
        except ClientError as error:
            if "already exist" not in str(error):
                raise


def describe(verdict: str) -> str:
    """Return a verdict as ModelPackageDescription takes it: one line without control characters, 1,024 at most.

    >>> describe("Better,\\nby 2.1 points (0.95)\\x00")
    'Better, by 2.1 points (0.95)'
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in verdict).split())
    return line if len(line) <= _LONGEST_DESCRIPTION else f"{line[: _LONGEST_DESCRIPTION - 1]}…"

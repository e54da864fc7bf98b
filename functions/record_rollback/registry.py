"""The SageMaker model registry: a model that was rolled back is rejected, the restored one approved."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.literals import ModelApprovalStatusType

# The limit of ApprovalDescription.
_LONGEST_DESCRIPTION = 1024


class Registry:
    """The model package group of the stage."""

    def __init__(self, group: str, sagemaker: "SageMakerClient") -> None:
        """`group` is the model package group."""
        self._group = group
        self._sagemaker = sagemaker

    def set_approval(self, model_version: str, status: "ModelApprovalStatusType", description: str) -> str | None:
        """Set the approval status of a model; return the ARN of its package, None for a model without one.

        A model is found by its metadata, which only DescribeModelPackage returns, from the newest on. An initial model
        was never registered. Raises ClientError, also when there is no group.
        """
        pages = self._sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self._group, SortBy="CreationTime", SortOrder="Descending"
        )
        for page in pages:
            for summary in page["ModelPackageSummaryList"]:
                arn = summary["ModelPackageArn"]
                package = self._sagemaker.describe_model_package(ModelPackageName=arn)
                if package.get("CustomerMetadataProperties", {}).get("model_version") == model_version:
                    self._sagemaker.update_model_package(
                        ModelPackageArn=arn,
                        ModelApprovalStatus=status,
                        ApprovalDescription=" ".join(description.split())[:_LONGEST_DESCRIPTION],
                    )
                    return arn
        return None

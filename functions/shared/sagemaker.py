"""SageMaker: an endpoint, the model behind its configuration, and the error for a resource that does not exist."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef


@dataclass(frozen=True)
class Model:
    """A SageMaker model. `artifact` is the S3 address of its model.tar.gz."""

    name: str
    artifact: str


def describe_served_model(endpoint_config: str, sagemaker: "SageMakerClient") -> Model:
    """Return the model that the first variant of an endpoint configuration serves. Raises ClientError."""
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint_config)["ProductionVariants"]
    name = variants[0]["ModelName"]
    return Model(name, sagemaker.describe_model(ModelName=name)["PrimaryContainer"]["ModelDataUrl"])


def find_endpoint(name: str, sagemaker: "SageMakerClient") -> "DescribeEndpointOutputTypeDef | None":
    """Return the description of an endpoint, None when there is none of that name. Raises ClientError."""
    try:
        return sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def is_missing(error: Exception) -> bool:
    """Whether SageMaker refused a call because there is no resource of that name.

    SageMaker has no error code of its own for that: it answers `ValidationException`, as for any invalid argument, with
    another text about training jobs than about other resources.
    """
    return "Could not find" in str(error) or "Requested resource not found" in str(error)

"""The AWS clients of the console."""

import threading
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_sts import STSClient


class Aws:
    """One client per AWS service, created on first use and shared by all threads."""

    cloudwatch: "CloudWatchClient"
    dynamodb: "DynamoDBClient"
    events: "EventBridgeClient"
    logs: "CloudWatchLogsClient"
    s3: "S3Client"
    sagemaker: "SageMakerClient"
    sqs: "SQSClient"
    ssm: "SSMClient"
    stepfunctions: "SFNClient"
    sts: "STSClient"

    def __init__(self, session: boto3.session.Session | None = None) -> None:
        """Use the credentials and the region of `session`, by default those of boto3."""
        self._session = session or boto3.session.Session()
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> Any:
        """Create the client of a service. Python calls this only while the instance has no attribute of that name."""
        if service.startswith("_"):
            raise AttributeError(service)
        # Clients are thread-safe, but creating them from one session is not.
        with self._lock:
            if service not in self.__dict__:
                self.__dict__[service] = self._session.client(  # type: ignore[call-overload]
                    service,
                    config=Config(
                        connect_timeout=3,
                        read_timeout=30,
                        retries={"mode": "standard", "total_max_attempts": 3},
                        max_pool_connections=32,
                    ),
                )
            return self.__dict__[service]

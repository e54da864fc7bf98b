"""What the console works on: the names that the stack's outputs give, and one AWS client per service."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import boto3
from botocore.config import Config

# boto3 makes its clients at run time.
Client: TypeAlias = Any

_OUTPUTS = {
    "uploads_bucket": "UploadsBucket",
    "ml_bucket": "MlBucket",
    "decision_table": "DecisionTable",
    "photo_table": "PhotoTable",
    "model_table": "ModelTable",
    "review_queue_url": "ReviewQueueUrl",
    "dead_letter_queue_url": "ReviewDeadLetterQueueUrl",
    "event_bus": "EventBus",
    "classify_photo_arn": "ClassifyPhotoArn",
    "endpoint_name": "EndpointName",
    "threshold_parameter": "ThresholdParameter",
}
_BUS_PREFIX = "scones-"


@dataclass(frozen=True)
class Resources:
    """The parts of one stage that the console reads and writes."""

    uploads_bucket: str
    ml_bucket: str
    decision_table: str
    photo_table: str
    model_table: str
    review_queue_url: str
    dead_letter_queue_url: str
    event_bus: str
    classify_photo_arn: str
    endpoint_name: str
    threshold_parameter: str

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, str]) -> "Resources":
        """Read the outputs of the deployed stack. Raises ValueError naming every output that is missing."""
        if missing := [_OUTPUTS[field.name] for field in fields(cls) if not outputs.get(_OUTPUTS[field.name])]:
            raise ValueError(f"the stack has no output {', '.join(missing)}; deploy the current version first")
        return cls(**{field.name: outputs[_OUTPUTS[field.name]] for field in fields(cls)})

    @property
    def stage(self) -> str:
        """The stage, which is in the name of its event bus."""
        return self.event_bus.removeprefix(_BUS_PREFIX)

    def log_group(self, function: str) -> str:
        """The log group of one of the stage's functions, such as `classify-photo`."""
        return f"/aws/lambda/{_BUS_PREFIX}{self.stage}-{function}"


class Aws:
    """One client per AWS service, made when first used and shared by all threads."""

    def __init__(self) -> None:
        self._session = boto3.session.Session()
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> Client:
        if service.startswith("_"):
            raise AttributeError(service)
        # Making clients from one session is not thread-safe, using them is.
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(  # type: ignore[call-overload]
                    service,
                    config=Config(
                        connect_timeout=3,
                        read_timeout=30,
                        retries={"mode": "standard", "total_max_attempts": 3},
                        max_pool_connections=32,
                    ),
                )
            return self._clients[service]


def error_code(error: Exception) -> str:
    """The code of an AWS error response, such as `NoSuchKey`; the exception's own name for any other error."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code") or type(error).__name__)

"""Review requests in moto's SQS, and fakes of Step Functions and EventBridge for the answers."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from console.aws import Aws
from deploy.outputs import Deployed
from functions.shared.times import timestamp
from tests.unit import model_stage

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BUCKET = "uploads"


def body(**changes: Any) -> str:
    """Return a review request of 23 November 2026, 07:59 UTC, which waits for 15 minutes."""
    return json.dumps(
        {
            "photo": model_stage.photo(17).as_state(),
            "driver_id": "driver-3",
            "vehicle": "bicycle",
            "confidence": 0.71,
            "probabilities": {"bicycle": 0.71, "motorcycle": 0.25, "other": 0.04},
            "model_version": "v1",
            "threshold": 0.93,
            "reason": "LowConfidence",
            "execution": "arn:execution",
            "requested_at": "2026-11-23T07:59:00.000Z",
            "expires_at": "2026-11-23T08:14:00.000Z",
            "task_token": "secret-token",
            **changes,
        }
    )


def send(
    stage: Deployed,
    number: int,
    *,
    expires_in: timedelta = timedelta(minutes=15),
    token: str | None = None,
    recorded: bool = False,
) -> str:
    """Record a review request of photo `number` and put it in the review queue; return the id of the photo.

    The default token is `token-<number>`. `recorded`: the test has recorded the request.
    """
    now = datetime.now(UTC)
    token = token or f"token-{number}"
    if not recorded:
        model_stage.claim(number, at=now, token=token)
    photo = model_stage.photo(number)
    text = body(
        photo=photo.as_state(),
        driver_id=photo.driver_id,
        requested_at=timestamp(now),
        expires_at=timestamp(now + expires_in),
        task_token=token,
    )
    model_stage.aws("sqs").send_message(QueueUrl=stage.review_queue_url, MessageBody=text)
    return photo.photo_id


def depth(url: str) -> tuple[int, int]:
    """Return how many messages of a queue are visible and how many are not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = model_stage.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def labels(stage: Deployed) -> dict[str, dict[str, Any]]:
    """Return the first label of each photo, by the id of the photo."""
    return {label["photo_id"]: label for _, label in reversed(all_labels(stage))}


def all_labels(stage: Deployed) -> list[tuple[str, dict[str, Any]]]:
    """Return the key and the content of each label, by the second in which it was written, then by key."""
    found = sorted(_list(stage, "labels/"), key=lambda item: (item["LastModified"], item["Key"]))
    return [(item["Key"], read_json(stage, item["Key"])) for item in found if item["Key"].endswith(".json")]


def done(stage: Deployed) -> list[dict[str, Any]]:
    """Return what is recorded about the requests whose answers were sent and announced."""
    return [read_json(stage, item["Key"]) for item in _list(stage, "reviews/") if item["Key"].endswith(".done.json")]


def read_json(stage: Deployed, key: str) -> Any:
    """Return the content of an object of the ML bucket."""
    return json.loads(model_stage.aws("s3").get_object(Bucket=stage.ml_bucket, Key=key)["Body"].read())


def keys(stage: Deployed, prefix: str) -> list[str]:
    """Return the keys of the ML bucket that begin with a prefix."""
    return [item["Key"] for item in _list(stage, prefix)]


def _list(stage: Deployed, prefix: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        model_stage.aws("s3").list_objects_v2(Bucket=stage.ml_bucket, Prefix=prefix).get("Contents", [])
    )
    return found


class FakeStepFunctions:
    """Executions that wait for task tokens; a token in `expired` is refused."""

    def list_executions(self, **_: Any) -> dict[str, Any]:
        """Return no execution."""
        return {"executions": []}

    def describe_execution(self, **_: Any) -> None:
        """Refuse: there is no execution."""
        raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": "no"}}, "DescribeExecution")

    def __init__(self) -> None:
        self.outputs: dict[str, dict[str, Any]] = {}
        self.expired: set[str] = set()
        self.error: Exception | None = None

    def send_task_success(self, *, taskToken: str, output: str) -> None:
        if self.error:
            raise self.error
        if taskToken in self.expired or taskToken in self.outputs:
            refused = {"Error": {"Code": "TaskTimedOut", "Message": "Task Timed Out"}}
            raise ClientError(refused, "SendTaskSuccess")  # type: ignore[arg-type]
        self.outputs[taskToken] = json.loads(output)


class FakeEventBridge:
    """A bus that keeps its events, and refuses the next `refusals` calls."""

    def __init__(self) -> None:
        self.details: list[dict[str, Any]] = []
        self.refusals = 0

    def put_events(self, *, Entries: list[Mapping[str, Any]]) -> dict[str, Any]:
        if self.refusals:
            self.refusals -= 1
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException", "ErrorMessage": "slow"}]}
        self.details += [json.loads(entry["Detail"]) for entry in Entries]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}


class FakeAws(Aws):
    """S3, SQS and DynamoDB of moto, with fakes of Step Functions and EventBridge."""

    stepfunctions: Any
    events: Any

    def __init__(self) -> None:
        super().__init__()
        self.stepfunctions = FakeStepFunctions()
        self.events = FakeEventBridge()


def unreachable() -> EndpointConnectionError:
    """Return the error of a call without a network."""
    return EndpointConnectionError(endpoint_url="https://aws.example")

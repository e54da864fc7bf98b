"""AWS Lambda: ProbeEndpoint, once when a new model begins to serve and once after its first minutes."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.probe_endpoint.alarms import check_alarms
from functions.probe_endpoint.probe import Golden, drawn_photo, probe, spread
from functions.shared.aws import client
from functions.shared.observability import make_logger_and_metrics, reports_failures
from functions.shared.s3 import address, keys
from functions.shared.settings import read
from functions.shared.times import now, timestamp


@dataclass(frozen=True)
class Settings:
    """What the function needs to know of its stack."""

    endpoint_name: str
    alarm_prefix: str


settings = read(Settings)
logger, metrics = make_logger_and_metrics("probe-endpoint")
s3 = client("s3")
runtime = client("sagemaker-runtime", read_timeout_s=15, attempts=1)
cloudwatch = client("cloudwatch")


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@reports_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Probe the endpoint for the model `event["run"]["name"]`; with `since`, look at the alarms since then too.

    `event["golden"]` is the prefix of the model's own golden photos: those of the data that it was trained on, or those
    beside an initial model. Without any, the endpoint only has to answer.
    """
    began = timestamp(now())
    photos = golden(event.get("golden") or "")
    result = probe(settings.endpoint_name, event["run"]["name"], photos or [drawn_photo()], runtime)
    if since := event.get("since"):
        check_alarms(settings.alarm_prefix, datetime.fromisoformat(since), cloudwatch)
    logger.info("endpoint probed", photos=result.photos, right=result.right, latency_ms=round(result.latency_ms, 1))
    return {"photos": result.photos, "right": result.right, "latency_ms": result.latency_ms, "began": began}


def golden(prefix: str) -> list[Golden]:
    """The golden photos under an S3 prefix, `{prefix}{vehicle}/{name}`: some of every vehicle."""
    if not prefix:
        return []
    bucket, start = address(prefix)
    found = []
    for key in spread(list(keys(s3, bucket, start))):
        path = PurePosixPath(key)
        image = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        found.append(Golden(path.name, image, path.parent.name))
    return found

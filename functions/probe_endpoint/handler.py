"""AWS Lambda: ProbeEndpoint, called when a new model is deployed and again after the bake time."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.probe_endpoint.alarms import check_alarms
from functions.probe_endpoint.probe import GoldenPhoto, generate_image, probe, sample_evenly
from functions.shared.aws import client
from functions.shared.observability import log_failures, make_logger_and_metrics
from functions.shared.s3 import list_keys, parse_uri
from functions.shared.settings import read_settings
from functions.shared.shapes import address, object_with, optional, text, time
from functions.shared.times import now, timestamp


@dataclass(frozen=True)
class Settings:
    """Environment variables of the function."""

    endpoint_name: str
    bake_alarms: str


EVENT = object_with({"run": object_with({"name": text})}, {"golden": optional(address), "since": optional(time)})

settings = read_settings(Settings)
logger, metrics = make_logger_and_metrics("probe-endpoint")
s3 = client("s3")
runtime = client("sagemaker-runtime", read_timeout_s=15, attempts=1)
cloudwatch = client("cloudwatch")


@logger.inject_lambda_context(correlation_id_path="execution", clear_state=True)
@metrics.log_metrics(capture_cold_start_metric=True)
@log_failures(logger)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Smoke-test the endpoint for the model `event["run"]["name"]`; with `since`, check the alarms since then too.

    `event["golden"]` is the prefix of the model's golden photos: those of its training data, or those of an initial
    model. Without any, a generated image is sent, and any valid answer is accepted.
    """
    EVENT(event, "the event")
    began = timestamp(now())
    photos = read_golden_photos(event.get("golden") or "")
    result = probe(settings.endpoint_name, event["run"]["name"], photos or [generate_image()], runtime)
    if since := event.get("since"):
        check_alarms(settings.bake_alarms.split(","), datetime.fromisoformat(since), cloudwatch)
    logger.info("endpoint probed", photos=result.photos, right=result.correct, latency_ms=round(result.latency_ms, 1))
    return {"photos": result.photos, "right": result.correct, "latency_ms": result.latency_ms, "began": began}


def read_golden_photos(prefix: str) -> list[GoldenPhoto]:
    """Return golden photos under an S3 prefix, `{prefix}{vehicle}/{name}`: some of every vehicle."""
    if not prefix:
        return []
    bucket, start = parse_uri(prefix)
    found = []
    for key in sample_evenly(list(list_keys(s3, bucket, start))):
        path = PurePosixPath(key)
        image = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        found.append(GoldenPhoto(path.name, image, path.parent.name))
    return found

"""`make backtest`: what another model would have decided about past photos, before it is promoted.

A processing job runs the model on the photos, so no endpoint serves it. The photos stay where they are: a manifest
names them. The manifest and the answers, which contain keys, are deleted at the end of the command.
"""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from deploy.cleanup import delete_versions, list_versions
from deploy.outputs import Deployed
from functions.shared.aws import error_code
from functions.shared.champion import ModelTable
from functions.shared.photo import Photo
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_record import ROUTED, PhotoRecord
from functions.shared.s3 import ABSENT
from functions.shared.sagemaker import is_missing
from operate.backtest_report import SAME, PastPhoto, compare, summarize, tables
from operate.errors import CommandError
from operate.model_names import find_promoted
from operate.terminal import console, print_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

FOLDER = "backtests"
DAYS = 28
# As long as photos are kept.
MAX_DAYS = 365
MOST_PHOTOS = 2000
THREADS = 8
POLL_S = 1.0
MAX_JOB_S = 3600
# A photo has at most 20 MB.
VOLUME_GB = 50
SHOWN = 20
_PROCESSING = "/opt/ml/processing"


@dataclass(frozen=True)
class Tested:
    """The model under test, and the address of its model.tar.gz."""

    model_version: str
    artifact: str


def run(
    deployed: Deployed, model: str, folder: Path, *, days: int = DAYS, most: int = MOST_PHOTOS, at: float | None = None
) -> dict[str, Any]:
    """Compare a model with the decisions of the last `days`; write the report to `folder`, and return it.

    `model` is the name of a model, or the end of the name of a promoted one, or the address of a model.tar.gz. At most
    `most` photos are compared, drawn at random. `at` is the threshold, by default that of the model. Raises
    CommandError.
    """
    if not 0 < days <= MAX_DAYS:
        raise CommandError(f"DAYS is {days}. Photos are kept for {MAX_DAYS} days: use a number from 1 to {MAX_DAYS}.")
    if most < 1:
        raise CommandError(f"MOST is {most}. Use a number of photos from 1 up, such as MOST={MOST_PHOTOS}.")
    if at is not None and not 0 <= at <= 1:
        raise CommandError(f"AT is {at:g}. Use a threshold from 0 to 1, such as AT=0.95.")
    tested = find_model(deployed, model)
    name = f"vehicles-{deployed.stage}-backtest-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    records = find_records(deployed, days, most)
    if not records:
        raise CommandError(f"No photo of the last {days} days has a decision and still exists. Set DAYS=<n> for more.")
    print_line(f"{len(records):,} past photos, {tested.model_version}: {name}")
    try:
        predicted = _predict(deployed, tested, name, [record.photo for record in records])
    finally:
        _delete(deployed, name)
    answers = {record.photo.photo_id: predicted.get(record.photo.key, {"error": "NotReturned"}) for record in records}
    readable = [answer for answer in answers.values() if "error" not in answer]
    if not readable:
        reasons = ", ".join(sorted({answer["error"] for answer in answers.values()}))
        raise CommandError(f"The model read none of the {len(records):,} photos ({reasons}), so nothing is compared.")
    threshold = readable[0]["threshold"] if at is None else at
    compared = compare([PastPhoto.of(record) for record in records], answers, threshold)
    report = {
        "model_version": tested.model_version,
        "artifact": tested.artifact,
        "threshold": threshold,
        "days": days,
        "unreadable": len(answers) - len(readable),
        **summarize(compared),
    }
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(one.as_line()) for one in compared]
    (folder / "backtest.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "backtest.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for table in tables(report):
        console.print(table)
    changed = [one for one in compared if one.change != SAME]
    for one in changed[:SHOWN]:
        then = one.past.vehicle if one.past.alone else f"{one.past.vehicle}, not alone"
        print_line(f"  {one.past.photo_id}  {one.change}: {then}; now {one.vehicle}, {one.confidence:.3f}")
    if len(changed) > SHOWN:
        print_line(f"  and {len(changed) - SHOWN:,} more")
    print_line(f"Report: {folder / 'backtest.json'}, {folder / 'backtest.jsonl'}. The console shows a photo by its id.")
    return report


def find_model(deployed: Deployed, name: str) -> Tested:
    """Return the model of a name or an address. Raises CommandError when there is none."""
    if name.startswith("s3://"):
        return Tested(name, name)
    table = ModelTable(deployed.model_table, boto3.client("dynamodb"))
    full = find_promoted(name, table)
    promoted = {model.model_version: model.artifact for model in table.all_promoted()}
    if full in promoted:
        return Tested(full, promoted[full])
    sagemaker: SageMakerClient = boto3.client("sagemaker")
    try:
        job = sagemaker.describe_training_job(TrainingJobName=full)
    except ClientError as error:
        if not is_missing(error):
            raise
        raise CommandError(
            f"There is no model {name}. Pass the name that `make retrain` printed, or s3://…/model.tar.gz."
        ) from error
    if job["TrainingJobStatus"] != "Completed":
        raise CommandError(f"{name} is not trained: its training job is {job['TrainingJobStatus']}.")
    return Tested(full, job["ModelArtifacts"]["S3ModelArtifacts"])


def find_records(deployed: Deployed, days: int, most: int) -> list[PhotoRecord]:
    """Return the records of decisions of the last days whose photo still exists unchanged, at most `most`.

    Photo ids are hashes, so those with the lowest ids are a random sample.
    """
    reader = PhotoReader(deployed.photo_table, boto3.client("dynamodb"))
    today = datetime.now(UTC).date()
    decided = [
        record
        for ago in range(days)
        for record in reader.list_by_day(f"{today - timedelta(days=ago)}")
        if record.status == ROUTED and record.outcome and _is_plain(record.photo.key)
    ]
    decided.sort(key=lambda record: record.photo.photo_id)
    s3: S3Client = boto3.client("s3")
    found: list[PhotoRecord] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(decided), most):
            part = decided[start : start + most]
            exists = pool.map(lambda record: _exists(s3, record.photo), part)
            found += [record for record, there in zip(part, exists, strict=True) if there]
            if len(found) >= most:
                break
    return found[:most]


def _is_plain(key: str) -> bool:
    """Whether a key is also the path of a file that SageMaker writes for it."""
    return str(PurePosixPath(key)) == key and ".." not in key.split("/")


def _exists(s3: "S3Client", photo: Photo) -> bool:
    try:
        return s3.head_object(Bucket=photo.bucket, Key=photo.key)["ETag"].strip('"') == photo.etag
    except ClientError as error:
        if error_code(error) in ABSENT:
            return False
        raise


def _predict(deployed: Deployed, tested: Tested, name: str, photos: Sequence[Photo]) -> dict[str, Mapping[str, Any]]:
    """Run the prediction job; return its lines by the keys of the photos. Raises CommandError when it fails."""
    s3: S3Client = boto3.client("s3")
    manifest = [{"prefix": f"s3://{deployed.uploads_bucket}/"}, *(photo.key for photo in photos)]
    content = json.dumps(manifest).encode()
    s3.put_object(Bucket=deployed.ml_bucket, Key=f"{FOLDER}/{name}/photos.manifest", Body=content)
    sagemaker: SageMakerClient = boto3.client("sagemaker")
    sagemaker.create_processing_job(**job_request(deployed, tested, name))
    _wait(sagemaker, name)
    body = s3.get_object(Bucket=deployed.ml_bucket, Key=f"{FOLDER}/{name}/output/predictions.jsonl")["Body"].read()
    return {line["file"]: line for line in map(json.loads, body.splitlines())}


def job_request(deployed: Deployed, tested: Tested, name: str) -> dict[str, Any]:
    """Return the request of the prediction job."""
    folder = f"s3://{deployed.ml_bucket}/{FOLDER}/{name}"
    inputs = (("model", "S3Prefix", tested.artifact), ("photos", "ManifestFile", f"{folder}/photos.manifest"))
    cluster = {"InstanceCount": 1, "InstanceType": deployed.training_instance_type, "VolumeSizeInGB": VOLUME_GB}
    output = {"S3Uri": f"{folder}/output", "LocalPath": f"{_PROCESSING}/output", "S3UploadMode": "EndOfJob"}
    return {
        "ProcessingJobName": name,
        "RoleArn": deployed.backtest_role_arn,
        "AppSpecification": {"ImageUri": deployed.image, "ContainerArguments": ["predict"]},
        "NetworkConfig": {"EnableNetworkIsolation": True},
        "ProcessingResources": {"ClusterConfig": cluster},
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_JOB_S},
        "ProcessingInputs": [
            {
                "InputName": kind,
                "S3Input": {
                    "S3Uri": uri,
                    "S3DataType": data_type,
                    "S3InputMode": "File",
                    "LocalPath": f"{_PROCESSING}/input/{kind}",
                },
            }
            for kind, data_type, uri in inputs
        ],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "predictions", "S3Output": output}]},
        "Tags": [{"Key": "system", "Value": "scones-vehicles"}, {"Key": "stack", "Value": deployed.app_name}],
    }


def _wait(sagemaker: "SageMakerClient", name: str) -> None:
    with console.status("the job is running"):
        while (job := sagemaker.describe_processing_job(ProcessingJobName=name))["ProcessingJobStatus"] in (
            "InProgress",
            "Stopping",
        ):
            time.sleep(POLL_S)
    if job["ProcessingJobStatus"] != "Completed":
        reason = job.get("ExitMessage") or job.get("FailureReason") or "it was stopped"
        raise CommandError(f"The job {name} ended as {job['ProcessingJobStatus']}: {reason}")


def _delete(deployed: Deployed, name: str) -> None:
    """Delete the manifest and the answers, which contain keys of photos, in every version."""
    s3: S3Client = boto3.client("s3")
    delete_versions(s3, deployed.ml_bucket, list(list_versions(s3, deployed.ml_bucket, f"{FOLDER}/{name}/")))

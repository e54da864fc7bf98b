"""Bring the approved champion of one stage to another stage of the account, through that stage's own retrain-model.

The other stage compares the model with its own champion, on its own data and labels where it has some, and puts it into
service with its own probe, bake and alarms. Nothing is trained.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from deploy import system
from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.target import Target
from functions.shared.aws import error_code
from functions.shared.champion import Champion, ModelTable
from functions.shared.s3 import ABSENT, list_keys, parse_uri
from functions.shared.training_input import read_training_input
from operate import retrain
from operate.errors import CommandError
from operate.terminal import console

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef

APPROVED = "Approved"


@dataclass(frozen=True)
class Approved:
    """The champion of a stage, as its registry describes it.

    `image` is the URI with the digest, `etag` that of the artifact when it was registered.
    """

    stage: str
    champion: Champion
    package: str
    verdict: str
    evaluation: str
    image: str
    etag: str


def promote(source: Target, target: Target) -> dict[str, Any]:
    """Bring the champion of `source` to `target`; return the output of retrain-model there.

    Raises CommandError when there is no approved champion, when its artifact is not what was registered, and when the
    target has no image of the same content.
    """
    if source.stage == target.stage:
        raise CommandError(f"FROM and STAGE are both {target.stage}. Name two stages: make promote FROM=dev STAGE=prod")
    stages = [_deployed(one) for one in (source, target)]
    approved = find_approved(stages[0])
    deployed = stages[1]
    champion = ModelTable(deployed.model_table, boto3.client("dynamodb")).promoted(approved.champion.model_version)
    if champion is not None:
        raise CommandError(
            f"{champion.model_version} was promoted in stage {target.stage} already. To put it into service again: "
            f"make rollback STAGE={target.stage} TO={champion.model_version}"
        )
    artifact = read_artifact(approved)
    request = {"image": find_image(approved.image, stages[0], deployed), **copy_data(approved, *stages)}
    request["candidate"] = copy_model(approved, artifact, deployed)
    console.print(f"{approved.champion.model_version}: approved in stage {source.stage}: {approved.verdict}")
    return retrain.follow(deployed, retrain.start(deployed, request))


def _deployed(target: Target) -> Deployed:
    try:
        return Deployed.of(system.outputs(target))
    except DeployError as error:
        raise CommandError(f"Stage {target.stage}: {error}") from error


def find_approved(deployed: Deployed) -> Approved:
    """Return the champion of a stage. Raises CommandError when there is none, or its registry does not approve it."""
    champion = ModelTable(deployed.model_table, boto3.client("dynamodb")).champion()
    if champion is None:
        raise CommandError(f"Stage {deployed.stage} has no champion. Train one: make retrain STAGE={deployed.stage}")
    if champion.is_initial:
        raise CommandError(
            f"The champion of stage {deployed.stage} is an initial model, which was compared with nothing, and every "
            f"stage has its own. Train one first: make retrain STAGE={deployed.stage}"
        )
    for package in _packages(deployed.app_name):
        metadata = package.get("CustomerMetadataProperties", {})
        (container,) = package["InferenceSpecification"]["Containers"]
        if metadata.get("model_version") == champion.model_version and container["ModelDataUrl"] == champion.artifact:
            if package["ModelApprovalStatus"] != APPROVED:
                raise CommandError(
                    f"{champion.model_version} is {package['ModelApprovalStatus']} in the registry of stage "
                    f"{deployed.stage}. Only an approved model is brought to another stage."
                )
            return Approved(
                deployed.stage,
                champion,
                package["ModelPackageArn"],
                package.get("ModelPackageDescription", ""),
                metadata.get("evaluation", ""),
                container["Image"],
                metadata.get("artifact_etag", ""),
            )
    raise CommandError(
        f"{champion.model_version} is not in the registry of stage {deployed.stage}, so its verdict is unknown. "
        "Retrain, or restore a registered model: make rollback"
    )


def _packages(group: str) -> "Iterator[DescribeModelPackageOutputTypeDef]":
    """Yield the model packages of a group, newest first; none when there is no group."""
    sagemaker: SageMakerClient = boto3.client("sagemaker")
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
    )
    try:
        for page in pages:
            for found in page["ModelPackageSummaryList"]:
                yield sagemaker.describe_model_package(ModelPackageName=found["ModelPackageArn"])
    except ClientError as error:
        if error_code(error) != "ValidationException":
            raise  # There is no group before the first retraining.


def find_image(image: str, source: Deployed, target: Deployed) -> str:
    """Return the URI of the image of the model in the target's repository: the same digest, or else the same tag.

    The tag is a hash of what an image is built from, so images with one tag have the same content, although each build
    has a digest of its own. Raises CommandError when the target has neither.
    """
    ecr: ECRClient = boto3.client("ecr")
    repository, digest = target.image.partition("@")[0], image.partition("@")[2]
    name = repository.partition("/")[2]
    if _digest(ecr, name, imageDigest=digest):
        return f"{repository}@{digest}"
    described = ecr.describe_images(
        repositoryName=image.partition("@")[0].partition("/")[2], imageIds=[{"imageDigest": digest}]
    )
    for tag in described["imageDetails"][0].get("imageTags", ()):
        if found := _digest(ecr, name, imageTag=tag):
            return f"{repository}@{found}"
    raise CommandError(
        f"Stage {target.stage} does not have the image of the model, {digest}. Deploy the same version of the code "
        f"there that stage {source.stage} had when it trained the model: make deploy STAGE={target.stage}"
    )


def _digest(ecr: "ECRClient", repository: str, **image: str) -> str | None:
    try:
        found = ecr.describe_images(repositoryName=repository, imageIds=[image])  # type: ignore[list-item]
    except ecr.exceptions.ImageNotFoundException:  # the caller says which image is missing
        return None
    return found["imageDetails"][0]["imageDigest"]


def copy_data(approved: Approved, source: Deployed, target: Deployed) -> dict[str, str]:
    """Return the data that the target judges the model on: `{}` for its own, or else a copy of the source's.

    A stage has data once a model was trained and promoted in it.
    """
    s3: S3Client = boto3.client("s3")
    if (read_training_input(s3, target.ml_bucket) or {}).get("dataset"):
        return {}
    given = approved.champion.training_input or {}
    if not given.get("dataset"):
        raise CommandError(
            f"Stage {target.stage} has no training data, and the champion of stage {approved.stage} names none. "
            f"Train a model there first: make retrain STAGE={target.stage}"
        )
    copied = {}
    for name in ("dataset", "golden"):
        if prefix := given.get(name):
            _, under = parse_uri(prefix)
            keys = list(list_keys(s3, source.ml_bucket, under))
            for key in keys:
                s3.copy({"Bucket": source.ml_bucket, "Key": key}, target.ml_bucket, key)
            console.print(f"  {len(keys)} files of {prefix} to s3://{target.ml_bucket}/{under}", soft_wrap=True)
            copied[name] = f"s3://{target.ml_bucket}/{under}"
    return copied


def read_artifact(approved: Approved) -> bytes:
    """Return the model.tar.gz of a champion. Raises CommandError when it is gone, or not what was registered."""
    found = _read(boto3.client("s3"), approved.champion.artifact)
    if found is None:
        raise CommandError(f"The artifact is gone: there is no {approved.champion.artifact}.")
    content, etag = found
    if etag != approved.etag:
        raise CommandError(
            f"{approved.champion.artifact} is not what was approved: its ETag is {etag}, and {approved.etag or 'none'} "
            "was registered. Nothing was promoted. CloudTrail shows who wrote it; an earlier version of the object can "
            "be restored (docs/restore.md)."
        )
    return content


def copy_model(approved: Approved, content: bytes, target: Deployed) -> str:
    """Write the artifact, with its verdict and evaluation report beside it; return its address in the target.

    The prefix names the SHA-256 of the artifact, which S3 compares with what it stores.
    """
    s3: S3Client = boto3.client("s3")
    sha256 = hashlib.sha256(content)
    prefix = f"initial/{sha256.hexdigest()[:20]}"
    provenance = {
        "model_version": approved.champion.model_version,
        "sha256": sha256.hexdigest(),
        "from_stage": approved.stage,
        "model_package": approved.package,
        "approval": APPROVED,
        "verdict": approved.verdict,
        "image": approved.image,
        "promoted_at": approved.champion.promoted_at,
    }
    files = {"promotion.json": json.dumps(provenance, indent=1).encode()}
    if approved.evaluation and (report := _read(s3, approved.evaluation)):
        files["evaluation.json"] = report[0]
    for name, text in files.items():
        s3.put_object(Bucket=target.ml_bucket, Key=f"{prefix}/{name}", Body=text, ContentType="application/json")
    s3.put_object(
        Bucket=target.ml_bucket,
        Key=f"{prefix}/model.tar.gz",
        Body=content,
        ChecksumSHA256=base64.b64encode(sha256.digest()).decode(),
    )
    console.print(
        f"  {len(content) / 1e6:,.1f} MB to s3://{target.ml_bucket}/{prefix}/model.tar.gz, SHA-256 "
        f"{sha256.hexdigest()}",
        soft_wrap=True,
    )
    return f"s3://{target.ml_bucket}/{prefix}/model.tar.gz"


def _read(s3: "S3Client", uri: str) -> tuple[bytes, str] | None:
    """Return content and ETag of an object, or None when there is none."""
    bucket, key = parse_uri(uri)
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in ABSENT:
            return None
        raise
    return found["Body"].read(), found["ETag"].strip('"')

"""`make promote`: the approved champion of one stage is judged and put into service by another stage."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

import local
from deploy import removal, system
from deploy.outputs import Deployed
from deploy.stack import Stack
from deploy.target import Target
from functions.shared.s3 import parse_uri
from operate.errors import CommandError
from operate.promote import promote
from tests.support.people import signing_as
from tests.support.retraining_stage import RetrainingStage
from tests.system.conftest import GATE_FOR_SMALL_DATA

UPPER = Target("local", "upper")


@pytest.fixture(scope="module")
def upper(retraining_stage: RetrainingStage) -> Iterator[RetrainingStage]:
    """Another stage, without a champion and without data."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GATE", json.dumps(GATE_FOR_SMALL_DATA))
        environment.setenv("BAKE_SECONDS", "1")
        deployed = Deployed.of(system.deploy(UPPER, progress=lambda line: None))
    stage = RetrainingStage(deployed, {}, retraining_stage.photos)
    stage.poll_endpoints_faster()
    yield stage
    removal.destroy(UPPER, with_data=True, progress=lambda line: None)


def operators(*stages: RetrainingStage) -> list[str]:
    """The ARNs of the policies of operators of these stages."""
    return [Stack(f"{stage.deployed.app_name}-people").outputs()["OperatorPolicyArn"] for stage in stages]


def read(uri: str) -> bytes:
    bucket, key = parse_uri(uri)
    content: bytes = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def test_an_approved_champion_is_put_into_service_by_another_stage(
    embedded_aws: local.ServerInfo, retraining_stage: RetrainingStage, upper: RetrainingStage
) -> None:
    source = Target("local", retraining_stage.deployed.stage)
    before = retraining_stage.champion
    with signing_as(embedded_aws, "petra", *operators(retraining_stage, upper)):
        output = promote(source, UPPER)
    assert (output["outcome"], output["model_version"]) == ("promoted", before.model_version)
    assert output["verdict"].startswith("the first model passes all")
    champion = upper.champion
    assert (champion.model_version, champion.origin) == (before.model_version, "retraining")
    assert champion.artifact.startswith(f"s3://{upper.deployed.ml_bucket}/initial/")
    assert upper.serves_champion()
    assert read(champion.artifact) == read(before.artifact)
    provenance: dict[str, Any] = json.loads(read(champion.artifact.replace("model.tar.gz", "promotion.json")))
    assert provenance["sha256"] == hashlib.sha256(read(before.artifact)).hexdigest()
    assert (provenance["from_stage"], provenance["approval"]) == (source.stage, "Approved")
    assert json.loads(read(champion.artifact.replace("model.tar.gz", "evaluation.json")))["challenger"]
    (package,) = boto3.client("sagemaker").list_model_packages(ModelPackageGroupName=upper.deployed.app_name)[
        "ModelPackageSummaryList"
    ]
    assert package["ModelApprovalStatus"] == "Approved"
    # The other stage can train on the same data from now on.
    assert champion.training_input
    assert champion.training_input["dataset"].startswith(f"s3://{upper.deployed.ml_bucket}/datasets/base/")
    assert retraining_stage.champion == before


def test_what_was_promoted_before_is_restored_by_a_rollback_and_not_promoted_again(
    retraining_stage: RetrainingStage, upper: RetrainingStage
) -> None:
    version = retraining_stage.champion.model_version
    assert upper.champion.model_version == version
    with pytest.raises(CommandError, match=rf"make rollback STAGE=upper TO={version}"):
        promote(Target("local", retraining_stage.deployed.stage), UPPER)


def test_a_replaced_model_and_one_without_an_image_are_not_promoted(
    retraining_stage: RetrainingStage, upper: RetrainingStage, fast_image: str
) -> None:
    retraining_stage.retrain(image=fast_image, force=True)
    bucket, key = parse_uri(retraining_stage.champion.artifact)
    s3: Any = boto3.client("s3")
    before = upper.champion
    forged = s3.put_object(Bucket=bucket, Key=key, Body=retraining_stage.build_model_archive(version="forged"))
    try:
        with pytest.raises(CommandError, match="is not what was approved: its ETag is"):
            promote(Target("local", retraining_stage.deployed.stage), UPPER)
    finally:
        s3.delete_object(Bucket=bucket, Key=key, VersionId=forged["VersionId"])
    # The image was made for the other stage only.
    with pytest.raises(CommandError, match=r"Stage upper does not have the image .*make deploy STAGE=upper"):
        promote(Target("local", retraining_stage.deployed.stage), UPPER)
    assert upper.champion == before


def test_a_stage_is_not_promoted_to_itself() -> None:
    with pytest.raises(CommandError, match="FROM and STAGE are both upper"):
        promote(UPPER, UPPER)

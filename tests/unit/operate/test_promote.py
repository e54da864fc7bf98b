"""What `make promote` refuses, and which image it finds in the other stage."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from deploy.outputs import Deployed
from functions.shared.champion import INITIAL, Champion, ModelTable
from operate import promote
from operate.errors import CommandError

REGION = "eu-west-1"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
ARTIFACT = "s3://ml/models/v2/output/model.tar.gz"
CHAMPION = Champion("v2", "v2", ARTIFACT)


def deployed(stage: str) -> Deployed:
    names = dict.fromkeys(Deployed.__dataclass_fields__, "x")
    image = f"{REGISTRY}/scones-{stage}@sha256:{'0' * 64}"
    return Deployed(**{**names, "event_bus": f"scones-{stage}", "model_table": "models", "image": image})


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName="models",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for stage in ("dev", "prod"):
            boto3.client("ecr").create_repository(repositoryName=f"scones-{stage}")
        yield


def push(stage: str, tag: str, content: str) -> str:
    """Push an image; return its digest."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1, "digest": content},
        "layers": [],
    }
    # moto computes the digest from less than the manifest.
    digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    boto3.client("ecr").put_image(
        repositoryName=f"scones-{stage}", imageTag=tag, imageDigest=digest, imageManifest=json.dumps(manifest)
    )
    return digest


def find(digest: str) -> str:
    return promote.find_image(f"{REGISTRY}/scones-dev@{digest}", deployed("dev"), deployed("prod"))


def test_the_same_image_is_used_where_the_other_stage_has_it() -> None:
    digest = push("dev", "content-1", "a")
    assert push("prod", "another-tag", "a") == digest
    assert find(digest) == f"{REGISTRY}/scones-prod@{digest}"


def test_an_image_that_was_built_from_the_same_content_is_used() -> None:
    """Each stage builds its own image, and the digests of two builds differ; the tag is the hash of the content."""
    digest, other = push("dev", "content-1", "a"), push("prod", "content-1", "b")
    push("prod", "content-2", "c")
    assert digest != other
    assert find(digest) == f"{REGISTRY}/scones-prod@{other}"


def test_a_stage_without_the_image_has_to_be_deployed_first() -> None:
    digest = push("dev", "content-1", "a")
    push("prod", "content-2", "c")
    with pytest.raises(CommandError, match=f"Stage prod does not have .* {digest}.*make deploy STAGE=prod"):
        find(digest)


def package(**changed: Any) -> dict[str, Any]:
    """A registered model as SageMaker describes it."""
    return {
        "ModelPackageArn": "arn",
        "ModelApprovalStatus": "Approved",
        "ModelPackageDescription": "better",
        "CustomerMetadataProperties": {"model_version": "v2", "artifact_etag": "e"},
        "InferenceSpecification": {"Containers": [{"Image": "image", "ModelDataUrl": ARTIFACT}]},
        **changed,
    }


REFUSED: dict[str, tuple[Champion | None, list[dict[str, Any]], str]] = {
    "nothing was trained": (None, [], r"Stage dev has no champion. Train one: make retrain STAGE=dev"),
    "initial": (replace(CHAMPION, origin=INITIAL), [], r"is an initial model, which was compared with nothing"),
    "rejected": (CHAMPION, [package(ModelApprovalStatus="Rejected")], "v2 is Rejected in the registry of stage dev"),
    "unknown": (CHAMPION, [], "v2 is not in the registry of stage dev"),
    "another model": (
        CHAMPION,
        [package(CustomerMetadataProperties={"model_version": "v1"})],
        "v2 is not in the registry of stage dev",
    ),
    "another artifact": (
        CHAMPION,
        [package(InferenceSpecification={"Containers": [{"Image": "image", "ModelDataUrl": "s3://ml/other"}]})],
        "v2 is not in the registry of stage dev",
    ),
}


@pytest.mark.parametrize(("champion", "packages", "message"), REFUSED.values(), ids=REFUSED)
def test_a_champion_without_an_approval_is_not_promoted(
    monkeypatch: pytest.MonkeyPatch, champion: Champion | None, packages: list[dict[str, Any]], message: str
) -> None:
    if champion:
        ModelTable("models", boto3.client("dynamodb")).promote(champion)
    monkeypatch.setattr(promote, "_packages", lambda group: iter(packages))
    with pytest.raises(CommandError, match=message):
        promote.find_approved(deployed("dev"))


def test_the_newest_entry_of_the_champion_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    ModelTable("models", boto3.client("dynamodb")).promote(CHAMPION)
    other = package(CustomerMetadataProperties={"model_version": "v3"}, ModelApprovalStatus="Rejected")
    monkeypatch.setattr(promote, "_packages", lambda group: iter([other, package()]))
    found = promote.find_approved(deployed("dev"))
    assert (found.champion.model_version, found.verdict, found.etag) == ("v2", "better", "e")

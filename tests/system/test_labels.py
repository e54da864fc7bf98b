"""Attacks on labels in the ML bucket of a deployed stage, and the writes that its policy must not deny."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import local
from console.identity import Reviewer, find_reviewer
from console.labels import Label, Labels
from console.pictures import Picture
from console.review_request import ReviewRequest
from console.reviews import Reviews
from deploy.cleanup import empty_bucket
from deploy.stack import Stack
from deploy.target import Target
from deploy.templates import load_template
from functions.shared.photo import Photo
from tests.support import embedded_aws as embedded
from tests.support.network import free_port

PICTURE = Picture(b"picture", ".jpg", "image/jpeg")
PREFIXES = ("datasets", "golden", "initial", "models", "retraining", "training")


@dataclass(frozen=True)
class Person:
    """A reviewer with an IAM user of their own, who may read, write and hide objects as far as IAM is concerned."""

    reviewer: Reviewer
    s3: Any

    def save(self, bucket: str, vehicle: str = "bicycle", answer_id: str = "1") -> Label:
        label = Label.of(request(), vehicle, self.reviewer, datetime.now(UTC), answer_id)
        return Labels(bucket, self.s3).save(label, PICTURE)


def request() -> ReviewRequest:
    now = datetime.now(UTC)
    return ReviewRequest(
        photo=Photo("uploads", "uploads/driver-1/photo.jpg", "e" * 32, 1000),
        driver_id="driver-1",
        vehicle="bicycle",
        confidence=0.7,
        probabilities=None,
        model_version="v1",
        threshold=0.9,
        reason="LowConfidence",
        execution="arn:execution",
        requested_at=now,
        expires_at=now + timedelta(hours=1),
        token_hash="0" * 64,
        task_token="token",  # noqa: S106
        body="{}",
    )


def person(server: local.ServerInfo, name: str) -> Person:
    iam: Any = boto3.client("iam")
    iam.create_user(UserName=name)
    allowed = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"],
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_user_policy(UserName=name, PolicyName="objects", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=server.region)
    reviewer = find_reviewer(session.client("sts", endpoint_url=server.url), name)
    return Person(reviewer, session.client("s3", endpoint_url=server.url))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.ServerInfo]:
    """An embedded AWS that enforces IAM policies."""
    folder = tmp_path_factory.mktemp("aws")
    settings = local.Settings(port=free_port(), directory=folder, region="eu-west-1", authorization=True)
    with embedded.started(settings) as started, embedded.used(started):
        yield started


@pytest.fixture(scope="module")
def data(server: local.ServerInfo) -> Stack:
    stack = Stack(Target("local", "labels").data_stack, lambda line: None)
    stack.deploy(load_template("data"), {"Stage": "labels", "RequireTls": "false", "AcceptUploads": "no"})
    return stack


@pytest.fixture(scope="module")
def people(server: local.ServerInfo) -> tuple[Person, Person]:
    return person(server, "ada"), person(server, "ben")


@pytest.fixture
def bucket(data: Stack) -> Iterator[str]:
    name = data.outputs()["MlBucket"]
    yield name
    empty_bucket(name)


def is_denied(call: Any, **named: Any) -> bool:
    try:
        call(**named)
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDenied":
            return True
        raise
    return False


def test_a_label_of_another_reviewer_cannot_be_forged(bucket: str, people: tuple[Person, Person]) -> None:
    ada, ben = people
    forged = Label.of(request(), "motorcycle", ada.reviewer, datetime.now(UTC), "forged")
    with pytest.raises(ClientError, match="AccessDenied"):
        Labels(bucket, ben.s3).save(forged)
    root: Any = boto3.client("s3")
    assert is_denied(
        root.put_object, Bucket=bucket, Key=f"labels/{forged.photo_id}/{ada.reviewer.id}/1.json", Body=b"{}"
    )
    # A folder that only ends with his id, or a photo id of another length, is none of his.
    for folder in (f"{forged.photo_id}/x{ben.reviewer.id}", ben.reviewer.id, f"2026/11/23/{ben.reviewer.id}"):
        named = {"Bucket": bucket, "Key": f"labels/{folder}/1.json", "Body": b"{}", "IfNoneMatch": "*"}
        assert is_denied(ben.s3.put_object, **named), folder
    assert Labels(bucket, root).keys(forged.photo_id) == []


def test_a_label_and_its_picture_cannot_be_changed_or_deleted(bucket: str, people: tuple[Person, Person]) -> None:
    ada, ben = people
    label = ada.save(bucket)
    folder = label.key.rpartition("/")[0]
    for who in (ada, ben):
        for key in (label.key, f"{folder}/{label.picture}"):
            named = {"Bucket": bucket, "Key": key}
            assert is_denied(who.s3.put_object, **named, Body=b"changed")
            assert is_denied(who.s3.copy_object, **named, CopySource=f"{bucket}/{key}", MetadataDirective="REPLACE")
            assert is_denied(who.s3.create_multipart_upload, **named)
            assert is_denied(who.s3.delete_object, **named)
            root: Any = boto3.client("s3")
            answer = root.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
            assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
            (version,) = root.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
            assert is_denied(who.s3.delete_object, **named, VersionId=version["VersionId"])
    with pytest.raises(ClientError, match="PreconditionFailed"):
        ada.s3.put_object(Bucket=bucket, Key=label.key, Body=b"changed", IfNoneMatch="*")
    assert Labels(bucket, ben.s3).get(label.key) == label


def test_two_answers_of_one_reviewer_are_two_labels_of_one_identity(bucket: str, people: tuple[Person, Person]) -> None:
    ada, ben = people
    ada.save(bucket, "bicycle", "1")
    ada.save(bucket, "motorcycle", "2")
    ben.save(bucket, "bicycle", "3")
    found = Labels(bucket, ada.s3).keys(request().photo.photo_id)
    names = sorted(key.split("/", 2)[2] for key in found)
    assert names == sorted([f"{ada.reviewer.id}/1.json", f"{ada.reviewer.id}/2.json", f"{ben.reviewer.id}/1.json"])


def test_the_answer_that_counts_cannot_be_replaced(bucket: str, people: tuple[Person, Person]) -> None:
    ada, ben = people
    label = ada.save(bucket)
    waiting = request()
    Reviews(bucket, ada.s3).claim(waiting.id, label)
    assert Reviews(bucket, ben.s3).claim(waiting.id, ben.save(bucket, "motorcycle")) == label
    (found,) = ben.s3.list_objects_v2(Bucket=bucket, Prefix="reviews/")["Contents"]
    assert is_denied(ben.s3.put_object, Bucket=bucket, Key=found["Key"], Body=b"{}")
    assert is_denied(ben.s3.delete_object, Bucket=bucket, Key=found["Key"])


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_other_prefixes_can_be_written_and_written_over(bucket: str, prefix: str) -> None:
    s3: Any = boto3.client("s3")
    named = {"Bucket": bucket, "Key": f"{prefix}/a/b.json"}
    for body in (b"first", b"second"):
        s3.put_object(**named, Body=body)
    s3.copy_object(**named, CopySource=f"{bucket}/{prefix}/a/b.json", MetadataDirective="REPLACE")
    assert s3.get_object(**named)["Body"].read() == b"second"


@pytest.mark.parametrize("key", ["unlisted/a.json", "captured/a.jsonl", "reviews/a.json", "reviews/2026/11/27/a.gz"])
def test_a_key_that_the_policy_does_not_list_is_denied_to_everyone(bucket: str, key: str) -> None:
    s3: Any = boto3.client("s3")
    assert is_denied(s3.put_object, Bucket=bucket, Key=key, Body=b"{}", IfNoneMatch="*")


def test_removing_the_data_removes_every_version(bucket: str, people: tuple[Person, Person]) -> None:
    people[0].save(bucket)
    s3: Any = boto3.client("s3")
    for body in (b"first", b"second"):
        s3.put_object(Bucket=bucket, Key="models/a", Body=body)
    s3.delete_object(Bucket=bucket, Key="models/a")
    assert empty_bucket(bucket) == 5  # label, picture, two versions and a delete marker
    left = s3.list_object_versions(Bucket=bucket)
    assert not left.get("Versions", []) + left.get("DeleteMarkers", [])

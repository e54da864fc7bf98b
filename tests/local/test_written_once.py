"""A bucket in which each caller writes only into folders of their own, and each object once."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from tests.local.aws import Aws, call_refused
from tests.local.http_requests import client_with_key, send
from tests.local.test_bucket_policies import denying, is_denied, put_form, set_policy

ONCE = {"Null": {"s3:if-none-match": True}}


@dataclass(frozen=True)
class Person:
    """A caller: the UserId that GetCallerIdentity returns, and their S3 client."""

    id: str
    s3: Any


@pytest.fixture
def bucket(aws: Aws) -> str:
    """A bucket with a folder `own/` in which each caller has folders, and a folder `once/`."""
    name = aws.create_bucket()
    arn = f"arn:aws:s3:::{name}"
    own = {"Resource": None, "NotResource": [f"{arn}/own/?/${{aws:userid}}/*", f"{arn}/once/*"]}
    set_policy(aws, name, denying(name, **own), denying(name, Resource=f"{arn}/once/*", Condition=ONCE))
    return name


def person(aws: Aws, key: Any) -> Person:
    """Return the caller with an access key or temporary credentials."""
    secrets = (key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))
    session = boto3.Session(*secrets, region_name=aws.server.region)
    caller = session.client("sts", endpoint_url=aws.server.url).get_caller_identity()
    return Person(caller["UserId"], session.client("s3", endpoint_url=aws.server.url))


@pytest.fixture
def user(aws: Aws) -> Person:
    """An IAM user who may do everything in S3."""
    iam, name = aws.client("iam"), f"user-{time.time_ns()}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="s3", PolicyDocument=json.dumps(EVERYTHING))
    return person(aws, iam.create_access_key(UserName=name)["AccessKey"])


EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}


@pytest.fixture
def assumed_role(aws: Aws) -> Person:
    """A session of a role that may do everything in S3."""
    iam, name = aws.client("iam"), f"role-{time.time_ns()}"
    account = aws.client("sts").get_caller_identity()["Account"]
    principal = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": principal})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=json.dumps(EVERYTHING))
    return person(aws, aws.client("sts").assume_role(RoleArn=role, RoleSessionName="ana")["Credentials"])


@pytest.fixture
def root(aws: Aws) -> Person:
    """The root user of the account."""
    return Person(aws.client("sts").get_caller_identity()["UserId"], aws.client("s3"))


def test_the_id_of_a_user_of_a_session_and_of_the_root_user(user: Person, assumed_role: Person, root: Person) -> None:
    assert user.id.startswith("AIDA")
    assert assumed_role.id.startswith("AROA")
    assert assumed_role.id.endswith(":ana")
    assert root.id == "000000000000"


def test_each_caller_writes_only_into_folders_of_their_own(
    aws: Aws, bucket: str, user: Person, assumed_role: Person, root: Person
) -> None:
    people = [user, assumed_role, root]
    for writer in people:
        for owner in people:
            named = {"Bucket": bucket, "Key": f"own/a/{owner.id}/1.json"}
            assert is_denied(writer.s3.put_object, **named, Body=b"{}") is (writer is not owner)
    for key in (f"own/{user.id}/1.json", f"own/a/{user.id}", f"own/a/{user.id}x/1.json", f"own/a/x{user.id}/1.json"):
        assert is_denied(user.s3.put_object, Bucket=bucket, Key=key, Body=b"{}"), key


def test_a_name_with_wildcards_is_nobodys_id(aws: Aws, bucket: str, user: Person) -> None:
    for name in ("*", "?" * len(user.id), "${aws:userid}", user.id.lower()):
        assert is_denied(user.s3.put_object, Bucket=bucket, Key=f"own/a/{name}/1.json", Body=b"{}"), name


def test_what_is_written_once_is_not_written_again_in_any_way(aws: Aws, bucket: str, user: Person) -> None:
    named = {"Bucket": bucket, "Key": "once/1.json"}
    assert is_denied(user.s3.put_object, **named, Body=b"first")
    user.s3.put_object(**named, Body=b"first", IfNoneMatch="*")
    assert is_denied(user.s3.put_object, **named, Body=b"second")
    assert is_denied(user.s3.put_object, **named, Body=b"second", IfMatch='"any"')
    assert call_refused(user.s3.put_object, **named, Body=b"second", IfNoneMatch="*")[0] == "PreconditionFailed"
    # S3 accepts no entity tag here, or this would write over an object whose tag is another one.
    assert call_refused(user.s3.put_object, **named, Body=b"second", IfNoneMatch='"any"')[0] == "NotImplemented"
    user.s3.put_object(Bucket=bucket, Key=f"own/a/{user.id}/1.json", Body=b"second")
    assert is_denied(user.s3.copy_object, **named, CopySource=f"{bucket}/own/a/{user.id}/1.json")
    assert is_denied(user.s3.create_multipart_upload, **named)
    assert put_form(aws, bucket, named["Key"]) == 403
    assert user.s3.get_object(**named)["Body"].read() == b"first"


def test_a_presigned_upload_is_one_of_its_signer(aws: Aws, bucket: str, user: Person, root: Person) -> None:
    named = {"Bucket": bucket, "Key": f"own/a/{user.id}/1.json"}
    client = client_with_key(aws, "s3", signature_version="s3v4", s3={"addressing_style": "path"})
    url = client.generate_presigned_url("put_object", Params=named)
    assert send(aws, "PUT", url.removeprefix(aws.server.url), b"{}").status == 403


@pytest.mark.parametrize("condition", [{"Null": {"s3:if-none-match": "yes"}}, {"Null": {"aws:userid": "true"}}])
def test_a_null_condition_that_cannot_be_evaluated_is_refused(aws: Aws, bucket: str, condition: dict[str, Any]) -> None:
    policy = json.dumps({"Statement": denying(bucket, Condition=condition)})
    assert call_refused(aws.client("s3").put_bucket_policy, Bucket=bucket, Policy=policy)[0] == "MalformedPolicy"

"""Deny statements of bucket policies: which requests they refuse, for whom, and which policies are refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.exceptions import ClientError

from local import users
from tests.local.aws import Aws, call_refused
from tests.local.http_requests import client_with_key, send, signed_headers
from tests.support.waiting import eventually

PART = b"x" * (5 << 20)


@pytest.fixture
def bucket(aws: Aws) -> str:
    """A bucket with the objects `uploads/old.jpg` and `other/old.jpg`."""
    name = aws.create_bucket()
    for key in ("uploads/old.jpg", "other/old.jpg"):
        aws.client("s3").put_object(Bucket=name, Key=key, Body=b"photo")
    return name


def denying(bucket: str, **elements: Any) -> dict[str, Any]:
    """A statement that denies uploads to `uploads/`, with other elements."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/uploads/*",
        **elements,
    }
    return {name: value for name, value in statement.items() if value is not None}


def set_policy(aws: Aws, bucket: str, *statements: dict[str, Any]) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)


def is_denied(call: Any, **request: Any) -> bool:
    """Whether a call is denied; any other error is an error of the test."""
    try:
        call(**request)
    except ClientError as error:
        # The response to HEAD has no body with the code AccessDenied.
        if error.response["Error"]["Code"] in ("AccessDenied", "403"):
            return True
        raise
    return False


def put_form(aws: Aws, bucket: str, key: str, file_name: str = "new.jpg") -> int:
    """Upload a file as a form, with a signed header; returns the status."""
    parts = f'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\n{key}\r\n'
    parts += f'--b\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\nphoto\r\n--b--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    body = parts.encode()
    headers = signed_headers(aws, "POST", f"/{bucket}", body, headers=kind, service="s3", signer=S3SigV4Auth)
    return send(aws, "POST", f"/{bucket}", body, headers).status


def test_every_way_to_upload_is_denied_under_the_prefix_only(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    source = f"{bucket}/other/old.jpg"
    started = s3.create_multipart_upload(Bucket=bucket, Key="uploads/big")
    part = {"Bucket": bucket, "Key": "uploads/big", "UploadId": started["UploadId"]}
    etag = s3.upload_part(**part, PartNumber=1, Body=PART)["ETag"]
    whole = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    set_policy(aws, bucket, denying(bucket))
    for prefix, denied in (("uploads/", True), ("other/", False)):
        named = {"Bucket": bucket, "Key": f"{prefix}new.jpg"}
        assert is_denied(s3.put_object, **named, Body=b"photo") is denied
        assert is_denied(s3.copy_object, **named, CopySource=source) is denied
        assert is_denied(s3.create_multipart_upload, **named) is denied
        assert (put_form(aws, bucket, f"{prefix}form.jpg") == 403) is denied
        assert (put_form(aws, bucket, f"{prefix[:-1]}${{filename}}", "/form.jpg") == 403) is denied
    assert is_denied(s3.upload_part, **part, PartNumber=2, Body=PART)
    assert is_denied(s3.upload_part_copy, **part, PartNumber=2, CopySource=source)
    assert is_denied(s3.complete_multipart_upload, **part, **whole)
    assert not is_denied(s3.abort_multipart_upload, **part)
    found = s3.list_objects_v2(Bucket=bucket, Prefix="uploads/")["Contents"]
    assert [item["Key"] for item in found] == ["uploads/old.jpg"]


def test_reading_listing_and_deleting_are_not_denied_with_uploads(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    set_policy(aws, bucket, denying(bucket))
    assert s3.get_object(Bucket=bucket, Key="uploads/old.jpg")["Body"].read() == b"photo"
    assert not is_denied(s3.head_object, Bucket=bucket, Key="uploads/old.jpg")
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert not is_denied(s3.put_object_tagging, Bucket=bucket, Key="uploads/old.jpg", Tagging=tags)
    assert not is_denied(s3.delete_object, Bucket=bucket, Key="uploads/old.jpg")


@pytest.mark.parametrize("key", ["uploads/a\nb.jpg", "uploads/\n", "uploads/\x01", "uploads/../x", "uploads/d/ü b+c"])
def test_any_key_under_the_prefix_is_denied(aws: Aws, bucket: str, key: str) -> None:
    set_policy(aws, bucket, denying(bucket))
    assert is_denied(aws.client("s3").put_object, Bucket=bucket, Key=key, Body=b"photo")


@pytest.mark.parametrize("parameter", ["policy", "cors", "select", "versionId=1", "uploads", "delete"])
def test_a_parameter_that_names_no_operation_of_put_does_not_hide_the_upload(
    aws: Aws, bucket: str, parameter: str
) -> None:
    set_policy(aws, bucket, denying(bucket))
    path = f"/{bucket}/uploads/new.jpg?{parameter if '=' in parameter else parameter + '='}"
    headers = signed_headers(aws, "PUT", path, b"photo", service="s3", signer=S3SigV4Auth)
    assert send(aws, "PUT", path, b"photo", headers).status == 403


def test_presigned_uploads_are_denied(aws: Aws, bucket: str) -> None:
    set_policy(aws, bucket, denying(bucket))
    named = {"Bucket": bucket, "Key": "uploads/new.jpg"}
    for version in ("s3v4", "s3"):
        client = client_with_key(aws, "s3", signature_version=version, s3={"addressing_style": "path"})
        url = client.generate_presigned_url("put_object", Params=named)
        path = url.removeprefix(aws.server.url)
        assert send(aws, "PUT", path, b"photo").status == 403, version


def test_a_denied_source_is_not_copied_to_another_bucket(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    set_policy(aws, bucket, denying(bucket, Action="s3:GetObject"))
    other = {"Bucket": aws.create_bucket(), "Key": "copy"}
    assert is_denied(s3.get_object, Bucket=bucket, Key="uploads/old.jpg")
    assert is_denied(s3.head_object, Bucket=bucket, Key="uploads/old.jpg")
    assert is_denied(s3.copy_object, **other, CopySource=f"{bucket}/uploads/old.jpg")
    assert not is_denied(s3.copy_object, **other, CopySource=f"{bucket}/other/old.jpg")


def test_patterns_of_actions_and_resources(aws: Aws, bucket: str) -> None:
    s3, arn = aws.client("s3"), f"arn:aws:s3:::{bucket}"
    put = {"Bucket": bucket, "Body": b"photo"}
    set_policy(aws, bucket, denying(bucket, Action=["s3:get*", "S3:PutObjec?"], Resource=f"{arn}/uploads/o?d.jpg"))
    assert is_denied(s3.put_object, **put, Key="uploads/old.jpg")
    assert is_denied(s3.get_object, Bucket=bucket, Key="uploads/old.jpg")
    assert not is_denied(s3.put_object, **put, Key="uploads/Old.jpg")
    set_policy(aws, bucket, denying(bucket, Resource=None, NotResource=f"{arn}/uploads/*"))
    assert is_denied(s3.put_object, **put, Key="other/new.jpg")
    assert not is_denied(s3.put_object, **put, Key="uploads/new.jpg")
    set_policy(aws, bucket, denying(bucket, Action=None, NotAction=["s3:PutObject", "s3:*BucketPolicy"]))
    assert is_denied(s3.get_object, Bucket=bucket, Key="uploads/old.jpg")
    assert not is_denied(s3.put_object, **put, Key="uploads/old.jpg")


def test_delete_objects_reports_each_denied_object(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    set_policy(aws, bucket, denying(bucket, Action="s3:DeleteObject*"))
    keys = ["uploads/old.jpg", "other/old.jpg"]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert [item["Key"] for item in answer["Deleted"]] == ["other/old.jpg"]
    assert [(item["Key"], item["Code"]) for item in answer["Errors"]] == [("uploads/old.jpg", "AccessDenied")]
    versions = {"Objects": [{"Key": "uploads/old.jpg", "VersionId": "null"}], "Quiet": True}
    (error,) = s3.delete_objects(Bucket=bucket, Delete=versions)["Errors"]
    assert (error["VersionId"], "s3:DeleteObjectVersion" in error["Message"]) == ("null", True)
    assert not is_denied(s3.head_object, Bucket=bucket, Key="uploads/old.jpg")


def test_the_root_user_can_always_change_the_policy(aws: Aws, bucket: str) -> None:
    s3, arn = aws.client("s3"), f"arn:aws:s3:::{bucket}"
    set_policy(aws, bucket, denying(bucket, Action="s3:*", Resource=[arn, f"{arn}/*"]))
    assert is_denied(s3.list_objects_v2, Bucket=bucket)
    assert is_denied(s3.get_bucket_versioning, Bucket=bucket)
    assert "Deny" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    set_policy(aws, bucket, denying(bucket))
    s3.delete_bucket_policy(Bucket=bucket)
    assert not is_denied(s3.put_object, Bucket=bucket, Key="uploads/new.jpg", Body=b"photo")


def test_a_principal_is_a_user_an_account_or_everyone(aws: Aws, bucket: str) -> None:
    iam, name = aws.client("iam"), f"user-{time.time_ns()}"
    user = iam.create_user(UserName=name)["User"]["Arn"]
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    iam.put_user_policy(UserName=name, PolicyName="s3", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    theirs = client_with_key(aws, "s3", key["AccessKeyId"], key["SecretAccessKey"])
    put = {"Bucket": bucket, "Key": "uploads/new.jpg", "Body": b"photo"}
    account = user.split(":")[4]
    for principal, user_denied, root_denied in (
        ({"AWS": user}, True, False),
        ({"AWS": [user, f"arn:aws:iam::{account}:user/another"]}, True, False),
        ({"AWS": f"arn:aws:iam::{account}:user/another"}, False, False),
        ({"AWS": account}, True, True),
        ({"AWS": f"arn:aws:iam::{account}:root"}, True, True),
        ({"AWS": "*"}, True, True),
        ({"AWS": "111122223333"}, False, False),
    ):
        set_policy(aws, bucket, denying(bucket, Principal=principal))
        assert is_denied(theirs.put_object, **put) is user_denied, principal
        assert is_denied(aws.client("s3").put_object, **put) is root_denied, principal
    set_policy(aws, bucket, denying(bucket, Action="s3:*", Resource=f"arn:aws:s3:::{bucket}"))
    assert is_denied(theirs.delete_bucket_policy, Bucket=bucket)


def test_conditions(aws: Aws, bucket: str) -> None:
    s3 = aws.client("s3")
    put = {"Bucket": bucket, "Key": "uploads/new.jpg", "Body": b"photo"}
    for condition, denied in (
        ({"Bool": {"aws:SecureTransport": False}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"StringEquals": {"aws:PrincipalAccount": ["1", "000000000000"]}}, True),
        ({"StringNotEquals": {"aws:PrincipalAccount": "000000000000"}}, False),
        ({"StringEquals": {"s3:prefix": "uploads/"}}, False),
        ({"NumericLessThan": {"s3:TlsVersion": 1.2}}, False),
        ({"StringNotEquals": {"s3:prefix": "uploads/"}}, True),
        ({"Bool": {"aws:securetransport": "false"}, "StringEquals": {"aws:PrincipalAccount": "1"}}, False),
    ):
        set_policy(aws, bucket, denying(bucket, Condition=condition))
        assert is_denied(s3.put_object, **put) is denied, condition
    listing = denying(bucket, Action="s3:ListBucket", Resource=f"arn:aws:s3:::{bucket}")
    set_policy(aws, bucket, {**listing, "Condition": {"StringEquals": {"s3:prefix": "uploads/"}}})
    assert is_denied(s3.list_objects_v2, Bucket=bucket, Prefix="uploads/")
    assert not is_denied(s3.list_objects_v2, Bucket=bucket, Prefix="other/")


@pytest.mark.parametrize(
    "elements",
    [
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "a"}}},
        {"Condition": {"StringEqualsIfExists": {"s3:prefix": "a"}}},
        {"Condition": {"Bool": "aws:SecureTransport"}},
        {"Condition": {"StringEquals": {"aws:SecureTransport": "false"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": []}}},
        {"Principal": None, "NotPrincipal": {"AWS": "000000000000"}},
        {"Principal": {"Service": "events.amazonaws.com"}},
        {"Principal": {"AWS": "arn:aws:iam::000000000000:user/*"}},
        {"Principal": None},
        {"Action": "sqs:SendMessage"},
        {"Action": None},
        {"Action": []},
        {"NotAction": "s3:GetObject"},
        {"Resource": "uploads/*"},
        {"Resource": "arn:aws:s3:::bucket/${aws:username}/*"},
        {"Effect": "deny"},
    ],
    ids=str,
)
def test_a_deny_that_would_have_no_effect_is_refused(aws: Aws, bucket: str, elements: dict[str, Any]) -> None:
    policy = json.dumps({"Statement": denying(bucket, **elements)})
    code, message = call_refused(aws.client("s3").put_bucket_policy, Bucket=bucket, Policy=policy)
    assert (code, bool(message)) == ("MalformedPolicy", True)
    assert call_refused(aws.client("s3").get_bucket_policy, Bucket=bucket)[0] == "NoSuchBucketPolicy"


@pytest.mark.parametrize("policy", ["", "{", "[]", "{}", '{"Statement": []}', '{"Statement": ["Deny"]}'])
def test_a_text_that_is_no_policy_is_refused(aws: Aws, bucket: str, policy: str) -> None:
    assert call_refused(aws.client("s3").put_bucket_policy, Bucket=bucket, Policy=policy)[0] == "MalformedPolicy"


def test_a_stack_sets_and_changes_a_policy_that_is_evaluated(aws: Aws, bucket: str) -> None:
    s3, formation, name = aws.client("s3"), aws.client("cloudformation"), f"policy-{time.time_ns()}"

    def status_after(change: Any, statement: dict[str, Any]) -> str:
        properties = {"Bucket": bucket, "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
        policy = {"Type": "AWS::S3::BucketPolicy", "Properties": properties}
        change(StackName=name, TemplateBody=json.dumps({"Resources": {"Policy": policy}}))
        ended = eventually(
            lambda: formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"],
            lambda status: not status.endswith("IN_PROGRESS"),
        )
        return str(ended)

    put = {"Bucket": bucket, "Key": "uploads/new.jpg", "Body": b"photo"}
    secure = {"Bool": {"aws:SecureTransport": False}}
    assert status_after(formation.create_stack, denying(bucket, Condition=secure)) == "CREATE_COMPLETE"
    assert is_denied(s3.put_object, **put)
    unknown = {"Bool": {"aws:MultiFactorAuthPresent": True}}
    assert status_after(formation.update_stack, denying(bucket, Condition=unknown)) == "UPDATE_ROLLBACK_COMPLETE"
    assert is_denied(s3.put_object, **put)
    assert status_after(formation.update_stack, denying(bucket, Action="s3:GetObject")) == "UPDATE_COMPLETE"
    assert not is_denied(s3.put_object, **put)
    formation.delete_stack(StackName=name)
    eventually(lambda: is_denied(s3.get_object, Bucket=bucket, Key="uploads/old.jpg"), lambda denied: not denied)


def test_deleting_versions_together_is_another_permission_than_deleting_objects(aws: Aws) -> None:
    """ministack authorizes the first one of a request as s3:DeleteObject."""
    root = aws.client("s3")
    name = aws.create_bucket()
    root.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    versions = [root.put_object(Bucket=name, Key=key, Body=b"x")["VersionId"] for key in ("a", "b", "a", "b")]
    objects = [{"Key": "ab"[number % 2], "VersionId": version} for number, version in enumerate(versions)]

    def client(action: str) -> Any:
        statement = {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:s3:::{name}/*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        key = users.access_key(aws.server, action.rpartition(":")[2].lower(), policy)
        return client_with_key(aws, "s3", key.access_key_id, key.secret_access_key)

    remover, hider = client("s3:DeleteObjectVersion"), client("s3:DeleteObject")
    with pytest.raises(ClientError, match="AccessDenied"):
        hider.delete_objects(Bucket=name, Delete={"Objects": objects[:2]})
    with pytest.raises(ClientError, match="AccessDenied"):
        remover.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})
    assert len(remover.delete_objects(Bucket=name, Delete={"Objects": objects[:2]})["Deleted"]) == 2
    assert len(hider.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})["Deleted"]) == 2

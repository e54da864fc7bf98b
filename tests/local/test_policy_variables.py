"""Variables of the caller in the resources of an identity-based policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import local
from tests.local.aws import Aws
from tests.local.http_requests import client_with_key
from tests.local.test_bucket_policies import is_denied
from tests.support import embedded_aws
from tests.support.network import free_port


@pytest.mark.parametrize("element", ["Resource", "NotResource"])
def test_a_statement_applies_to_folders_of_the_callers_own(tmp_path: Path, element: str) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws", authorization=True)
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        iam, bucket = aws.client("iam"), aws.create_bucket()
        user = iam.create_user(UserName="ana")["User"]
        own = [f"arn:aws:s3:::{bucket}/a/${{aws:userid}}/*", f"arn:aws:s3:::{bucket}/b/${{aws:username}}/*"]
        everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        statement = {"Effect": "Allow" if element == "Resource" else "Deny", "Action": "s3:PutObject", element: own}
        statements = [statement] if element == "Resource" else [everything, statement]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName="ana", PolicyName="own", PolicyDocument=policy)
        key = iam.create_access_key(UserName="ana")["AccessKey"]
        s3 = client_with_key(aws, "s3", key["AccessKeyId"], key["SecretAccessKey"])
        denied = {
            key: is_denied(s3.put_object, Bucket=bucket, Key=key, Body=b"{}")
            for key in (f"a/{user['UserId']}/1", "b/ana/1", "a/AIDAOTHER/1", "b/ben/1", "b/${aws:username}/1", "c/1")
        }
        assert [key for key, refused in denied.items() if not refused] == [f"a/{user['UserId']}/1", "b/ana/1"]

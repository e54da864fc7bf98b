"""Identities: what GetCallerIdentity returns for each kind of caller, and IAM users with a key of their own."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import local
from local import credentials, users
from local.credentials import AccessKey
from tests.local.aws import Aws
from tests.local.http_requests import client_with_key
from tests.support import embedded_aws
from tests.support.network import free_port

ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*", "Service": "lambda.amazonaws.com"}}


def identity(aws: Aws, key: AccessKey, token: str | None = None) -> dict[str, Any]:
    """Return UserId and Arn of the caller with a key."""
    client = client_with_key(aws, "sts", key.access_key_id, key.secret_access_key, token)
    found = client.get_caller_identity()
    return {"UserId": found["UserId"], "Arn": found["Arn"]}


def test_the_user_id_of_each_kind_of_caller_is_that_of_aws(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws", authorization=True)
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        assert identity(aws, server.access_key()) == {
            "UserId": "000000000000",
            "Arn": "arn:aws:iam::000000000000:root",
        }
        user = identity(aws, users.access_key(server, "ana", ALLOW_ALL, path="/reviewers/"))
        assert re.fullmatch("AIDA[A-Z0-9]{17}", user["UserId"])
        assert user["Arn"] == "arn:aws:iam::000000000000:user/reviewers/ana"
        trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        role = aws.client("iam").create_role(RoleName="role", AssumeRolePolicyDocument=trust)["Role"]
        taken = aws.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
        assumed = identity(aws, AccessKey(taken["AccessKeyId"], taken["SecretAccessKey"]), taken["SessionToken"])
        assert re.fullmatch("AROA[A-Z0-9]{17}", role["RoleId"])
        assert assumed["UserId"] == f"{role['RoleId']}:session"
        code = """
            import boto3
            def handler(event, context):
                return boto3.client("sts").get_caller_identity()["UserId"]
        """
        name = aws.create_function(code, Role=role["Arn"])
        assert aws.invoke(name) == (f"{role['RoleId']}:{name}", False)


def test_each_user_has_an_identity_of_their_own_that_survives_a_restart(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws")
    with embedded_aws.started(settings) as server:
        ana, ben = (users.access_key(server, name, ALLOW_ALL) for name in ("ana", "ben"))
        before = [identity(Aws(server), key) for key in (ana, ben)]
        assert before[0]["UserId"] != before[1]["UserId"]
        assert users.access_key(server, "Ana", ALLOW_ALL) == ana
        for folder in (settings.users, settings.users / "ana"):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((settings.users / "ana" / credentials.FILE_NAME).stat().st_mode) == 0o600
    with embedded_aws.started(settings) as server:
        # A console that ran meanwhile goes on, and one that is started has the same identity.
        assert [identity(Aws(server), key) for key in (ana, ben)] == before
        assert users.access_key(server, "ana", ALLOW_ALL) == ana
    local.stop(settings, forget=True)
    assert not settings.users.exists()
    with embedded_aws.started(settings) as server:
        assert identity(Aws(server), users.access_key(server, "ana", ALLOW_ALL))["UserId"] != before[0]["UserId"]


@pytest.mark.parametrize("damage", ["", "{", '{"access_key_id": "AKIAUNKNOWN", "secret_access_key": "x"}'])
def test_a_lost_key_is_replaced_and_the_identity_stays(aws: Aws, damage: str) -> None:
    name = f"user-{len(damage)}"
    lost = users.access_key(aws.server, name, ALLOW_ALL)
    before = identity(aws, lost)
    file = aws.server.directory / "users" / name / credentials.FILE_NAME
    file.unlink()
    if damage:
        file.write_text(damage)
    found = users.access_key(aws.server, name, ALLOW_ALL)
    assert identity(aws, found) == before
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        identity(aws, lost)


@pytest.mark.parametrize(
    "name", ["", "Head of Quality", "../ana", "a/b", "zo\u00eb", "a" * 65, ".", "..", ".ana", "-ana", "=ana"]
)
def test_a_name_that_is_not_of_a_user_or_leads_to_another_folder_is_refused(aws: Aws, name: str) -> None:
    with pytest.raises(users.InvalidUserName, match=r"cannot be the name of an IAM user: use up to 64 characters"):
        users.access_key(aws.server, name, ALLOW_ALL)
    assert credentials.read(aws.server.directory) == aws.key
    assert not (aws.server.directory / "users" / credentials.FILE_NAME).exists()


def test_the_permission_for_an_action_of_sqs_covers_its_batch(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws", authorization=True)
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        url = aws.client("sqs").create_queue(QueueName="queue")["QueueUrl"]
        statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
        key = users.access_key(server, "ana", {"Version": "2012-10-17", "Statement": [statement]})
        sqs = client_with_key(aws, "sqs", key.access_key_id, key.secret_access_key)
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "text"}])
        with pytest.raises(ClientError, match="AccessDenied"):
            sqs.delete_message_batch(QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": "any"}])


def test_a_user_may_do_what_the_policy_allows_for_their_own_identity(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws", authorization=True)
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        bucket = aws.create_bucket()
        statement = {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/labels/*/${{aws:userid}}/*",
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        ana, ben = (users.access_key(server, name, policy) for name in ("ana", "ben"))
        ids = [identity(aws, key)["UserId"] for key in (ana, ben)]
        s3 = client_with_key(aws, "s3", ana.access_key_id, ana.secret_access_key)
        s3.put_object(Bucket=bucket, Key=f"labels/photo/{ids[0]}/1.json", Body=b"{}")
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.put_object(Bucket=bucket, Key=f"labels/photo/{ids[1]}/1.json", Body=b"{}")


def test_a_user_may_do_nothing_but_what_the_policy_allows_on_every_embedded_aws(tmp_path: Path) -> None:
    settings = local.Settings(port=free_port(), directory=tmp_path / "aws", authorization=False)
    statement = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        bucket = aws.create_bucket()
        denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/a"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [denial]})
        aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=document)
        key = users.access_key(server, "ana", policy)
    with embedded_aws.started(settings) as server:
        aws = Aws(server)
        s3, iam, functions = (
            client_with_key(aws, name, key.access_key_id, key.secret_access_key) for name in ("s3", "iam", "lambda")
        )
        s3.put_object(Bucket=bucket, Key="b", Body=b"1")
        name = aws.create_function("def handler(event, context): return 1")
        for call in (
            lambda: s3.delete_bucket_policy(Bucket=bucket),
            lambda: s3.delete_object(Bucket=bucket, Key="b"),
            lambda: iam.put_user_policy(UserName="ana", PolicyName="all", PolicyDocument=json.dumps(ALLOW_ALL)),
            lambda: iam.create_access_key(UserName="ana"),
            lambda: functions.invoke(FunctionName=name),
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                call()
        # Functions run as the root user here, whoever caused their invocation.
        allowed = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}
        users.access_key(server, "ana", {"Version": "2012-10-17", "Statement": [allowed]})
        code = """
            import boto3
            def handler(event, context):
                return boto3.client("sts").get_caller_identity()["Arn"]
        """
        name = aws.create_function(code)
        answer = functions.invoke(FunctionName=name)["Payload"].read()
        assert json.loads(answer) == "arn:aws:iam::000000000000:root"
        aws.client("s3").delete_bucket_policy(Bucket=bucket)

"""Users of an embedded AWS, with which the commands of a test are run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

import local
from local.credentials import AccessKey


@contextmanager
def signing_as(server: local.ServerInfo, name: str, *policies: str) -> Iterator[None]:
    """Make the clients of this process sign as a new IAM user with managed policies during the block."""
    iam: Any = boto3.client("iam")
    iam.create_user(UserName=name)
    for policy in policies:
        iam.attach_user_policy(UserName=name, PolicyArn=policy)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    local.use(server, AccessKey(made["AccessKeyId"], made["SecretAccessKey"]))
    boto3.setup_default_session()
    try:
        yield
    finally:
        local.use(server)
        boto3.setup_default_session()
        iam = boto3.client("iam")
        iam.delete_access_key(UserName=name, AccessKeyId=made["AccessKeyId"])
        for policy in policies:
            iam.detach_user_policy(UserName=name, PolicyArn=policy)
        iam.delete_user(UserName=name)

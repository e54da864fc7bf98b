"""IAM users with an access key of their own, so that people who use one embedded AWS have different identities.

AWS shows a secret access key only when it is created, so the key is kept in a file that only its owner can read. It is
valid as long as the state of the embedded AWS is kept. A key without a file is deleted, because its secret is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from local import credentials
from local.credentials import AccessKey
from local.lifecycle import ServerInfo, locked
from local.settings import USERS

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

POLICY = "inline"
# "Alphanumeric characters, plus, equal, comma, period, at, underscore, hyphen", not distinguished by case
# ("IAM and AWS STS quotas", IAM User Guide). Each user has a folder, so a name is neither `.` nor `..`.
NAME = re.compile(r"[a-z0-9][a-z0-9+=,.@_-]{0,63}")
NAME_RULE = "up to 64 characters of a-z, 0-9 and +=,.@_-, the first of them a letter or digit"


class InvalidUserName(ValueError):
    """The name is not possible for an IAM user; the message is one sentence for the user."""


def access_key(server: ServerInfo, name: str, policy: Mapping[str, Any], *, path: str = "/") -> AccessKey:
    """Return an access key of the IAM user `name`, which is created when it does not exist.

    `policy` becomes the only inline policy of the user. Raises InvalidUserName, ClientError, BotoCoreError.
    """
    name = name.lower()
    if not NAME.fullmatch(name):
        raise InvalidUserName(f"{name!r} cannot be the name of an IAM user: use {NAME_RULE}")
    root = server.access_key()
    iam = boto3.session.Session().client(
        "iam",
        endpoint_url=server.url,
        region_name=server.region,
        aws_access_key_id=root.access_key_id,
        aws_secret_access_key=root.secret_access_key,
    )
    with locked(server.directory):
        _create_user(iam, name, path)
        iam.put_user_policy(UserName=name, PolicyName=POLICY, PolicyDocument=json.dumps(policy))
        return _key(iam, name, server)


def _create_user(iam: IAMClient, name: str, path: str) -> None:
    """Create the user unless it exists."""
    try:
        iam.create_user(UserName=name, Path=path)
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise


def _key(iam: IAMClient, name: str, server: ServerInfo) -> AccessKey:
    """Return the key in the user's file if it is valid, else a new one."""
    folder = server.directory / USERS / name
    existing = {key["AccessKeyId"] for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]}
    try:
        kept = credentials.read(folder)
    except (FileNotFoundError, ValueError, TypeError):
        kept = None
    if kept and kept.access_key_id in existing:
        return kept
    for key_id in existing:
        iam.delete_access_key(UserName=name, AccessKeyId=key_id)
    created = iam.create_access_key(UserName=name)["AccessKey"]
    key = AccessKey(created["AccessKeyId"], created["SecretAccessKey"])
    for private in (folder.parent, folder):
        private.mkdir(mode=0o700, exist_ok=True)
    credentials.write(key, folder)
    return key

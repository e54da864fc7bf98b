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
USER_ID_VARIABLE = "${aws:userid}"
# "Alphanumeric characters, plus, equal, comma, period, at, underscore, hyphen", not distinguished by case
# ("IAM and AWS STS quotas", IAM User Guide).
NAME = re.compile(r"[a-z0-9+=,.@_-]{1,64}")


class InvalidUserName(ValueError):
    """The name is not possible for an IAM user; the message is one sentence for the user."""


def access_key(server: ServerInfo, name: str, policy: Mapping[str, Any], *, path: str = "/") -> AccessKey:
    """Return an access key of the IAM user `name`, which is created when it does not exist.

    `policy` becomes the only inline policy of the user. ministack does not replace policy variables, so
    `${aws:userid}` in it is replaced here. Raises InvalidUserName, ClientError, BotoCoreError.
    """
    name = name.lower()
    if not NAME.fullmatch(name):
        raise InvalidUserName(
            f"{name!r} cannot be the name of an IAM user: it has up to 64 letters, digits and characters of +=,.@_-"
        )
    root = server.access_key()
    iam = boto3.session.Session().client(
        "iam",
        endpoint_url=server.url,
        region_name=server.region,
        aws_access_key_id=root.access_key_id,
        aws_secret_access_key=root.secret_access_key,
    )
    with locked(server.directory):
        user_id = _create_user(iam, name, path)
        document = json.dumps(policy).replace(USER_ID_VARIABLE, user_id)
        iam.put_user_policy(UserName=name, PolicyName=POLICY, PolicyDocument=document)
        return _key(iam, name, server)


def _create_user(iam: IAMClient, name: str, path: str) -> str:
    """Create the user unless it exists; return its UserId."""
    try:
        return iam.create_user(UserName=name, Path=path)["User"]["UserId"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
    return iam.get_user(UserName=name)["User"]["UserId"]


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

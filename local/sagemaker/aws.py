"""Access to the other services: S3, CloudWatch Logs and EventBridge.

Uses ministack's request scope (account and region of the calling thread) and `app.call_service_handler_sync`.
"""

from __future__ import annotations

import contextvars
import json
import os
import re
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import ClientError
from ministack import app
from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge

from local.credentials import AccessKey
from local.service_roles import NotAuthorized, ServiceRole, SessionKey
from local.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


ECR_IMAGE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)(?:[:@].+)?")


class DataError(Exception):
    """Data of a job or a model is not in S3; the message is AWS's."""


def arn(kind: str, name: str) -> str:
    """The ARN of a SageMaker resource of the calling thread's account and region."""
    return f"arn:aws:sagemaker:{get_region()}:{get_account_id()}:{kind}/{name}"


def root_access_key(account: str) -> AccessKey:
    """Return the access key of an account's root user. ministack interprets an id of twelve digits as an account id."""
    return AccessKey(account, os.environ["AWS_SECRET_ACCESS_KEY"])


def start_thread(name: str, function: Callable[..., None], *arguments: Any) -> None:
    """Run `function` on a new thread, in the account and region of the caller."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(function, *arguments), name=name, daemon=True).start()


def publish_event(detail_type: str, resource: str, detail: dict[str, Any]) -> None:
    """Publish an event of SageMaker on the default bus."""
    entry = {
        "Source": "aws.sagemaker",
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
        "Resources": [resource],
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def sagemaker_role(role_arn: str, resource_arn: str) -> ServiceRole:
    """The role with which SageMaker acts for a job or an endpoint."""
    return ServiceRole(role_arn, "sagemaker.amazonaws.com", resource_arn)


def prepare_instance(role: ServiceRole, image: str, namespace: str) -> None:
    """Raise DataError unless the role may pull the image and publish metrics, as an instance of SageMaker does.

    "SageMaker AI roles", Amazon SageMaker AI Developer Guide. Images that are not in ECR need no permission.
    """
    try:
        role.require("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": namespace})
        if found := ECR_IMAGE.fullmatch(image):
            role.require("ecr:GetAuthorizationToken", "*")
            account, region, repository = found.groups()
            for action in ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer", "BatchGetImage"):
                role.require(f"ecr:{action}", f"arn:aws:ecr:{region}:{account}:repository/{repository}")
    except NotAuthorized as error:
        raise DataError(str(error)) from error


class Storage:
    """S3 through its HTTP API. Do not call it on the event loop: the loop has to serve the request.

    `role` is the role of the job or endpoint that it reads and writes for; None for the root user.
    """

    def __init__(self, settings: Settings, role: ServiceRole | None = None) -> None:
        self._settings = settings
        self._role = role
        self._clients: dict[tuple[str, str], S3Client] = {}
        self._lock = threading.Lock()

    def as_role(self, role: ServiceRole) -> Storage:
        """Return the same for a role, which the service assumes with the first call."""
        return Storage(self._settings, role)

    @property
    def client(self) -> S3Client:
        """The S3 client for the calling thread's account and region. Clients are thread-safe, creating one is not."""
        account, region = get_account_id(), get_region()
        with self._lock:
            if (account, region) not in self._clients:
                key = self._access_key(account)
                self._clients[account, region] = boto3.session.Session().client(
                    "s3",
                    endpoint_url=self._settings.url,
                    region_name=region,
                    aws_access_key_id=key.access_key_id,
                    aws_secret_access_key=key.secret_access_key,
                    aws_session_token=key.session_token if isinstance(key, SessionKey) else None,
                    config=Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}),
                )
            return self._clients[account, region]

    def _access_key(self, account: str) -> AccessKey:
        try:
            key = self._role.access_key() if self._role else None
        except NotAuthorized as error:
            raise DataError(str(error)) from error
        return key or root_access_key(account)

    def exists(self, uri: str) -> bool:
        """Whether an object exists and may be read. Raises DataError when the role cannot be assumed."""
        bucket, key = parse_s3_uri(uri)
        try:
            self.client.head_object(Bucket=bucket, Key=key)
        except ClientError:
            return False
        return True

    def download(self, uri: str, target: Path) -> None:
        """Download one object. Raises DataError when it does not exist."""
        bucket, key = parse_s3_uri(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.client.download_file(bucket, key, str(target))
        except ClientError as error:
            raise DataError(f"Could not find data at {uri}: {error}") from error

    def download_prefix(self, uri: str, folder: Path) -> int:
        """Download all objects whose key starts with the prefix, to the paths of SageMaker's File mode.

        Returns the number of objects. The path in `folder` is the part of the key after the last slash of the prefix.
        """
        bucket, prefix = parse_s3_uri(uri)
        folder.mkdir(parents=True, exist_ok=True)
        count = 0
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"]
                    if key.endswith("/"):
                        continue
                    relative = _relative_path(key, prefix)
                    self.download(f"s3://{bucket}/{key}", folder / relative)
                    count += 1
        except ClientError as error:
            raise DataError(f"Could not list {uri}: {error}") from error
        return count

    def download_manifest(self, uri: str, folder: Path) -> int:
        """Download the objects that a manifest names, to their paths relative to its prefix; return their number.

        A manifest is a JSON array: `{"prefix": "s3://…/"}`, then the rest of each key ("S3DataSource", Amazon SageMaker
        API Reference). Raises DataError when the manifest is malformed or an object does not exist.
        """
        manifest = folder.parent / f"{folder.name}.manifest"
        self.download(uri, manifest)
        try:
            first, *keys = json.loads(manifest.read_text(encoding="utf-8"))
            prefix = str(first["prefix"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{uri} is no manifest: {error}") from error
        finally:
            manifest.unlink()
        root = folder.resolve()
        for key in keys:
            path = (root / str(key)).resolve()
            if root not in path.parents:
                raise DataError(f"{uri} names {key!r}, which is outside of the input folder")
            self.download(f"{prefix}{key}", path)
        return len(keys)

    def upload(self, path: Path, uri: str) -> None:
        """Upload a file. Raises DataError when it is refused."""
        bucket, key = parse_s3_uri(uri)
        try:
            self.client.upload_file(str(path), bucket, key)
        except (ClientError, S3UploadFailedError) as error:
            raise DataError(f"Could not upload to {uri}: {error}") from error

    def upload_folder(self, folder: Path, uri: str) -> int:
        """Upload every file under `folder` below the prefix; returns the number of files."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in files:
            self.upload(path, f"{uri.rstrip('/')}/{path.relative_to(folder).as_posix()}")
        return len(files)

    def put_text(self, text: str, uri: str) -> None:
        """Write a text as an object."""
        bucket, key = parse_s3_uri(uri)
        self.client.put_object(Bucket=bucket, Key=key, Body=text.encode())


def _relative_path(key: str, prefix: str) -> str:
    """The path of an object in File mode: relative to the prefix when that is a folder, otherwise the file name."""
    if prefix.endswith("/"):
        return key[len(prefix) :]
    if key.startswith(prefix + "/"):
        return key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an S3 URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def pack(folder: Path, archive: Path) -> None:
    """Write the contents of `folder` as a .tar.gz."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as opened:
        for path in sorted(folder.iterdir()):
            opened.add(path, arcname=path.name)


class LogStream:
    """A log stream of CloudWatch Logs. Lines are sent every FLUSH_S seconds."""

    FLUSH_S = 0.2

    def __init__(self, group: str, stream: str, role: ServiceRole | None = None, *, group_exists: bool = False) -> None:
        """`role` writes the lines; they are lost when it may not, as on AWS. None is the root user.

        The group is created unless it `group_exists`.
        """
        self._where = {"logGroupName": group, "logStreamName": stream}
        self._role = role
        self._lines: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._context = contextvars.copy_context()
        if not group_exists:
            self._call("CreateLogGroup", {"logGroupName": group})
        self._call("CreateLogStream", self._where)

    def write(self, line: str) -> None:
        """Add a line."""
        with self._lock:
            self._lines.append({"timestamp": int(time.time() * 1000), "message": line or " "})
            if self._timer is None:
                self._timer = threading.Timer(self.FLUSH_S, self._context.copy().run, (self.flush,))
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Send the lines that are not sent yet."""
        with self._lock:
            lines, self._lines, self._timer = self._lines, [], None
        if lines:
            self._call("PutLogEvents", {**self._where, "logEvents": lines})

    def _call(self, operation: str, request: dict[str, Any]) -> None:
        resource = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{self._where['logGroupName']}"
        if operation != "CreateLogGroup":
            resource += f":log-stream:{self._where['logStreamName']}"
        if self._role and not self._role.allows(f"logs:{operation}", resource, "Log lines are lost"):
            return
        headers = {"x-amz-target": f"Logs_20140328.{operation}", "content-type": "application/x-amz-json-1.1"}
        handler = app.SERVICE_HANDLERS["logs"]
        app.call_service_handler_sync(handler, "POST", "/", headers, json.dumps(request).encode(), {})

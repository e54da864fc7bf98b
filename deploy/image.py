"""The container image of training, comparison and endpoint: its build context, and its build in CodeBuild.

The tag of an image is a hash of its build context, so an image is built only when the repository does not have it. The
system names images by digest.
"""

import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ClientError

from deploy.artefacts import upload_once
from deploy.errors import DeployError
from deploy.package import ROOT, Artefact, zip_files
from deploy.stack import Progress
from training.vehicles import VEHICLES_FILE

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_codebuild.type_defs import BuildTypeDef
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

DOCKERFILE = "container/Dockerfile"
_PROGRAM_SUFFIXES = {".py", ".onnx", ".npz"}
_OTHER_FILES = (DOCKERFILE, "container/requirements.lock", "training/NOTICE")
UNBUILT = f"not-built-yet@sha256:{'0' * 64}"
"""In a plan, the URI of an image that is not built yet."""

POLL_S = 0.5
# The project's own limit is 30 minutes, after which the build is TIMED_OUT.
LIMIT_S = 2400
SHOWN_LINES = 15


def build_context(vehicles: Path = VEHICLES_FILE) -> dict[str, bytes]:
    """Return the files of the build context by name, with `vehicles` as vehicles.toml.

    They are the packages container and training, without subpackages: what only people run is not in the image.
    """
    packages = (file for name in ("container", "training") for file in (ROOT / name).iterdir())
    names = [file.relative_to(ROOT).as_posix() for file in packages if file.suffix in _PROGRAM_SUFFIXES]
    files = {name: (ROOT / name).read_bytes() for name in (*names, *_OTHER_FILES)}
    return files | {"vehicles.toml": vehicles.read_bytes()}


def content_tag(context: Mapping[str, bytes]) -> str:
    """Return the tag of the image of a build context: 20 hexadecimal digits of a hash of names and contents."""
    lines = (f"{hashlib.sha256(context[name]).hexdigest()}  {name}\n" for name in sorted(context))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:20]


def build_with_engine() -> str:
    """Build the image with docker or podman; return its name. Raises DeployError when there is neither, or it fails."""
    engine = shutil.which("docker") or shutil.which("podman")
    if engine is None:
        raise DeployError("There is no docker or podman here. `make deploy` needs neither: CodeBuild builds the image.")
    context = build_context()
    name = f"scones-vehicles:{content_tag(context)}"
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        for path, content in context.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_bytes(content)
        # SageMaker's instances have x86-64 processors.
        options = ["--platform", "linux/amd64", "--file", f"{folder}/{DOCKERFILE}", "--tag", name]
        if subprocess.run([engine, "build", *options, folder], check=False).returncode:
            raise DeployError(f"{engine} did not build the image; the lines above show why.")
    return name


def push_image(data_outputs: Mapping[str, str], context: Mapping[str, bytes], progress: Progress = print) -> str:
    """Build the image of `context`, unless the repository has it; return its URI with its digest.

    `data_outputs` are the outputs of the data stack. Raises DeployError with the end of the log of a failed build.
    """
    image = find_image(data_outputs, context)
    if image is None:
        repository, tag = data_outputs["ImageRepository"], content_tag(context)
        progress(f"{repository}: building {tag}")
        _build(data_outputs, context, tag, progress)
        image = find_image(data_outputs, context)
        if image is None:
            raise DeployError(f"The build of {repository}:{tag} succeeded without pushing the image. Try again.")
    return image


def find_image(data_outputs: Mapping[str, str], context: Mapping[str, bytes]) -> str | None:
    """Return the URI of the image of `context` with its digest, None when the repository does not have it."""
    ecr: ECRClient = boto3.client("ecr")
    repository = data_outputs["ImageRepository"]
    name = repository.partition("/")[2]
    try:
        found = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": content_tag(context)}])
    except ecr.exceptions.ImageNotFoundException:  # it has not been built yet
        return None
    return f"{repository}@{found['imageDetails'][0]['imageDigest']}"


def _build(data_outputs: Mapping[str, str], context: Mapping[str, bytes], tag: str, progress: Progress) -> None:
    """Upload the context, start a build and follow its log to its end. Raises DeployError when it fails."""
    s3: S3Client = boto3.client("s3")
    codebuild: CodeBuildClient = boto3.client("codebuild")
    bucket, archive = data_outputs["ArtifactsBucket"], Artefact("Image", "image.zip", zip_files(context.items()))
    upload_once(s3, bucket, archive.key, archive.content)
    build = codebuild.start_build(
        projectName=data_outputs["ImageBuild"],
        sourceLocationOverride=f"{bucket}/{archive.key}",
        environmentVariablesOverride=[
            {"name": "TAG", "value": tag},
            {"name": "DOCKERFILE", "value": next(name for name in context if name.endswith("/Dockerfile"))},
        ],
    )["build"]
    lines: list[str] = []
    log = _Log()
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        build = codebuild.batch_get_builds(ids=[build["id"]])["builds"][0]
        for line in log.new_lines(build):
            progress(f"  {line}")
            lines.append(line)
        if build["buildStatus"] == "SUCCEEDED":
            return
        if build["buildStatus"] != "IN_PROGRESS":
            end = "\n  ".join(lines[-SHOWN_LINES:])
            raise DeployError(f"The build of the image ended as {build['buildStatus']} ({build['id']}):\n  {end}")
        time.sleep(POLL_S)
    raise DeployError(f"The build {build['id']} has not ended after {LIMIT_S} s. The CodeBuild console shows its log.")


class _Log:
    """The log of one build, read from where the last reading ended."""

    def __init__(self) -> None:
        self._client: CloudWatchLogsClient = boto3.client("logs")
        self._token: str | None = None

    def new_lines(self, build: "BuildTypeDef") -> Iterable[str]:
        """Return the lines that were written since the last call; none before the log exists."""
        where = build.get("logs", {})
        if "groupName" not in where or "streamName" not in where:
            return []
        position = {"nextToken": self._token} if self._token else {}
        try:
            found = self._client.get_log_events(
                logGroupName=where["groupName"],
                logStreamName=where["streamName"],
                startFromHead=True,
                **position,  # type: ignore[arg-type]  # one optional argument
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []
            raise
        self._token = found["nextForwardToken"]
        return [event["message"].rstrip() for event in found["events"] if event["message"].strip()]

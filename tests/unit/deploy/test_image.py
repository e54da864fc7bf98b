"""The build context of the image, and its build."""

import ast
import io
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from container.privileges import USER
from deploy import image
from deploy.errors import DeployError
from deploy.package import ROOT
from deploy.templates import load_template

OUTPUTS = {
    "ImageRepository": "1.dkr.ecr.r.amazonaws.com/scones-dev",
    "ImageBuild": "scones-dev-image",
    "ArtifactsBucket": "a",
}
CONTEXT = {"container/Dockerfile": b"FROM scratch"}
DIGEST = "sha256:" + "a" * 64
# container/ imports these by name.
PROGRAMS = (
    *("container.__main__", "container.train", "container.processing", "container.serve"),
    *("training.compare", "training.predict"),
)


def imported_modules(name: str) -> set[str]:
    """Return the modules of container and training that one of them imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / f"{name.replace('.', '/')}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "") in ("training", "container"):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if (ROOT / f"{name.replace('.', '/')}.py").is_file()}


def needed_modules() -> set[str]:
    """Return the programs and all modules of the two packages that they import, directly or indirectly."""
    needed: set[str] = set()
    waiting = {*PROGRAMS, "container.__init__", "training.__init__"}
    while waiting:
        needed |= waiting
        waiting = {module for name in waiting for module in imported_modules(name)} - needed
    return needed


def test_the_context_holds_exactly_the_modules_that_the_programs_import() -> None:
    modules = {name for name in image.build_context() if name.endswith(".py")}
    assert modules == {f"{name.replace('.', '/')}.py" for name in needed_modules()}


def test_the_context_holds_the_files_that_the_modules_and_the_dockerfile_read() -> None:
    others = {name for name in image.build_context() if not name.endswith(".py")}
    assert others == {
        "container/Dockerfile",
        "container/requirements.lock",
        "training/NOTICE",
        "training/backbone.onnx",
        "training/initial_head.npz",
        "vehicles.toml",
    }


def test_the_tag_depends_on_names_and_contents(tmp_path: Path) -> None:
    tag = image.content_tag({"a": b"1", "b": b"2"})
    assert tag == image.content_tag({"b": b"2", "a": b"1"})
    assert len({tag, image.content_tag({"a": b"2", "b": b"1"}), image.content_tag({"a": b"1", "c": b"2"})}) == 3


def test_the_image_starts_as_root_and_has_the_user_that_its_programs_become() -> None:
    dockerfile = (ROOT / image.DOCKERFILE).read_text()
    assert f" {USER}\n" in next(line + "\n" for line in dockerfile.splitlines() if "useradd" in line)
    assert "\nUSER " not in dockerfile
    assert "--require-hashes --only-binary=:all:" in dockerfile


def test_a_tag_names_one_image_and_pushes_are_scanned() -> None:
    repository = load_template("data")["Resources"]["ImageRepository"]["Properties"]
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}


class FakeAws:
    """ECR, CodeBuild, CloudWatch Logs and S3, as far as a build needs them. The build ends with `status`."""

    class exceptions:
        class ImageNotFoundException(Exception): ...

    def __init__(self, status: str = "SUCCEEDED", has_image: bool = False) -> None:
        self.status, self.has_image = status, has_image
        self.builds: list[dict[str, Any]] = []
        self.archives: dict[str, bytes] = {}

    def describe_images(self, **request: Any) -> dict[str, Any]:
        assert request["repositoryName"] == "scones-dev"
        if not self.has_image:
            raise self.exceptions.ImageNotFoundException
        return {"imageDetails": [{"imageDigest": DIGEST}]}

    def head_object(self, **request: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": "404"}}, "HeadObject")

    def put_object(self, Bucket: str, Key: str, Body: bytes, **options: str) -> None:
        self.archives[f"{Bucket}/{Key}"] = Body

    def start_build(self, **request: Any) -> dict[str, Any]:
        self.builds.append(request)
        return {"build": {"id": "scones-dev-image:1"}}

    def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
        self.has_image = self.status == "SUCCEEDED"
        logs = {"groupName": "group", "streamName": "stream"}
        return {"builds": [{"id": ids[0], "buildStatus": self.status, "logs": logs}]}

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        return {"nextForwardToken": "1", "events": [{"message": "no space left on device\n"}]}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> FakeAws:
    fake = FakeAws()
    monkeypatch.setattr(boto3, "client", lambda service: fake)
    return fake


def test_an_image_that_the_repository_has_is_not_built_again(aws: FakeAws) -> None:
    uri = f"{OUTPUTS['ImageRepository']}@{DIGEST}"
    printed: list[str] = []
    assert image.push_image(OUTPUTS, CONTEXT, printed.append) == uri
    (build,) = aws.builds
    assert build["environmentVariablesOverride"] == [
        {"name": "TAG", "value": image.content_tag(CONTEXT)},
        {"name": "DOCKERFILE", "value": "container/Dockerfile"},
    ]
    with zipfile.ZipFile(io.BytesIO(aws.archives[build["sourceLocationOverride"]])) as archive:
        assert archive.namelist() == list(CONTEXT)
    assert "  no space left on device" in printed
    assert image.push_image(OUTPUTS, CONTEXT, printed.append) == uri
    assert len(aws.builds) == 1


def test_a_failed_build_is_an_error_with_the_end_of_its_log(aws: FakeAws) -> None:
    aws.status = "FAILED"
    with pytest.raises(DeployError, match=r"ended as FAILED.*\n.*no space left"):
        image.push_image(OUTPUTS, CONTEXT, lambda line: None)


def test_without_a_container_engine_the_command_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image.shutil, "which", lambda name: None)
    with pytest.raises(DeployError, match="make deploy"):
        image.build_with_engine()

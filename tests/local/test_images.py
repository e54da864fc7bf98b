"""Images: built by CodeBuild from a Dockerfile, tagged in ECR, refused when they need what a process cannot have."""

from __future__ import annotations

import pytest

from tests.local.aws import Aws, call_refused
from tests.local.fake_application import IMAGE_FILES, FakeApplication


@pytest.fixture(scope="module")
def application(aws: Aws) -> FakeApplication:
    return FakeApplication(aws)


def dockerfile(instruction: str) -> str:
    """Return a Dockerfile with an instruction before its last one."""
    *before, last = IMAGE_FILES["Dockerfile"].strip().splitlines()
    return "\n".join(line.strip() for line in [*before, instruction, last])


def test_a_build_pushes_an_image_with_the_digest_of_its_content(application: FakeApplication) -> None:
    build, log = application.build_image("same")
    assert build["buildStatus"] == "SUCCEEDED", log
    assert any(line.startswith("same: digest: sha256:") for line in log)
    ecr, name = application.aws.client("ecr"), application.repository.partition("/")[2]
    first, again = (
        ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])["imageDetails"][0]["imageDigest"]
        for tag in ("1", "same")
    )
    assert first == again
    application.build_image("other", requirements_txt="# changed")
    (other,) = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": "other"}])["imageDetails"]
    assert other["imageDigest"] != first


def test_an_image_is_found_by_its_digest(application: FakeApplication) -> None:
    name = application.repository.partition("/")[2]
    (found,) = application.aws.client("ecr").describe_images(repositoryName=name, imageIds=[{"imageTag": "1"}])[
        "imageDetails"
    ]
    request = application.training_request()
    request["AlgorithmSpecification"]["TrainingImage"] = f"{application.repository}@{found['imageDigest']}"
    application.sagemaker.create_training_job(**request)
    assert application.wait_for_training(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_a_missing_image_is_an_error_as_on_aws(application: FakeApplication) -> None:
    name = application.repository.partition("/")[2]
    code, message = call_refused(
        application.aws.client("ecr").describe_images, repositoryName=name, imageIds=[{"imageTag": "none"}]
    )
    assert code == "ImageNotFoundException"
    assert "{imageTag:'none'}" in message


def test_a_tag_of_an_immutable_repository_is_not_moved(application: FakeApplication) -> None:
    build, log = application.build_image("1", requirements_txt="# changed")
    assert build["buildStatus"] == "FAILED"
    assert "The image tag '1' already exists" in log[-1]


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("HEALTHCHECK NONE", "does not support HEALTHCHECK"),
        ("VOLUME /data", "as a JSON list"),
        ("RUN curl --output /bin/tool example", "does not run `curl"),
        ("RUN useradd a && apt-get install gcc", "does not run `apt-get"),
        ("RUN pip install numpy", "with a requirements file only"),
        ("COPY ../secret /srv", "is outside of the build context"),
        ("COPY missing /srv", "missing is not in the build context"),
        ("COPY --chown=a program /srv", "does not support COPY"),
        ("CMD python -m program", "write the command as a JSON list"),
    ],
)
def test_what_a_process_cannot_have_fails_the_build(
    application: FakeApplication, instruction: str, reason: str
) -> None:
    build, log = application.build_image("refused", Dockerfile=dockerfile(instruction))
    assert build["buildStatus"] == "FAILED"
    assert reason in log[-1]
    assert "Dockerfile:7" in log[-1]


def test_pinned_packages_that_differ_from_the_installed_ones_are_named(application: FakeApplication) -> None:
    pinned = "boto3>=1  # fine\nnumpy==0.1 \\\n    --hash=sha256:00\nno-such-package\nother; python_version < '3'\n"
    build, log = application.build_image("packages", requirements_txt=pinned)
    assert build["buildStatus"] == "FAILED"
    assert "numpy==0.1 (installed: " in log[-1]
    assert "no-such-package (not" in log[-1]
    assert "boto3" not in log[-1]
    assert "other" not in log[-1]


def test_files_of_an_earlier_stage_are_copied(application: FakeApplication) -> None:
    stages = """
        ARG BASE=python:3.12-slim
        FROM ${BASE} AS first
        COPY program /first/program
        FROM ${BASE}
        COPY --from=first /first/program /srv/app/program
        COPY --from=first /opt/venv /opt/venv
        ENV PYTHONPATH=/srv/app
        WORKDIR /srv/app
        ENTRYPOINT ["python", "-m", "program"]
    """
    build, log = application.build_image("stages", Dockerfile=stages)
    assert build["buildStatus"] == "SUCCEEDED", log
    request = application.training_request()
    request["AlgorithmSpecification"]["TrainingImage"] = f"{application.repository}:stages"
    application.sagemaker.create_training_job(**request)
    assert application.wait_for_training(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"

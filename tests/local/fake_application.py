"""A minimal application that SageMaker can train and serve. Its "model" is a word, which prefixes each response.

Its image has one program, which takes its folder from ML_ROOT and its address from BIND_HOST.
"""

from __future__ import annotations

import io
import tarfile
import textwrap
import uuid
import zipfile
from typing import Any

from tests.local.aws import ROLE, Aws
from tests.support.waiting import eventually

SERVE = """
import http.server, os, socketserver, sys
from program.root import ROOT

def main():
    print("loading", flush=True)
    word = (ROOT / "model" / "word.txt").read_text()
    if word == "broken":
        raise RuntimeError("the model is broken")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self):
            self.answer(200 if self.path == "/ping" else 404, "")

        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"])).decode(errors="replace")
            if self.headers["Content-Type"] != "text/plain":
                self.answer(500, "cannot read " + self.headers["Content-Type"])
            elif data == "exit":
                os._exit(3)
            elif data == "process id":
                self.answer(200, str(os.getpid()))
            elif data == "environment":
                self.answer(200, " ".join(os.environ))
            else:
                self.answer(200, f"{word} {data}")

        def answer(self, status, text):
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *args):
            pass

    address = os.environ["BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"])
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""

TRAIN = """
import json, os, sys, time
from program.root import ROOT

def main():
    given = {"word": "hello", "epochs": "1", "sleep": "0", "fail": ""}
    given.update(json.loads((ROOT / "input" / "config" / "hyperparameters.json").read_text()))
    for epoch in range(int(given["epochs"])):
        print(f"epoch={epoch} accuracy={0.5 + epoch / 10};", flush=True)
    time.sleep(float(given["sleep"]))
    if given["fail"] == "written":
        (ROOT / "output" / "failure").write_text(f"the photos in {ROOT}/input/data are gone")
    if given["fail"]:
        raise ValueError("told to fail")
    (ROOT / "model" / "word.txt").write_text(given["word"])
    data = ROOT / "input" / "data"
    seen = {"arguments": sys.argv[1:], "environment": dict(os.environ), "cwd": os.getcwd(),
            "hyperparameters": given, "config": sorted(p.name for p in (ROOT / "input" / "config").iterdir()),
            "channels": sorted(str(p.relative_to(data)) for p in data.rglob("*") if p.is_file())}
    (ROOT / "output" / "data" / "seen.json").write_text(json.dumps(seen))
"""

EVALUATE = """
import json, os, sys, time
from program.root import ROOT

def main():
    print("evaluating", flush=True)
    time.sleep(float(os.environ.get("SLEEP", "0")))
    processing = ROOT / "processing"
    if os.environ.get("FAIL"):
        (ROOT / "output" / "message").write_text(f"no champion in {processing}")
        raise ValueError("no champion")
    files = sorted(str(p.relative_to(processing / "data")) for p in (processing / "data").rglob("*") if p.is_file())
    config = (ROOT / "config" / "processingjobconfig.json").exists()
    (processing / "report" / "report.json").write_text(
        json.dumps({"files": files, "config": config, "arguments": sys.argv[1:]})
    )
"""

IMAGE_FILES = {
    "Dockerfile": """
        FROM python:3.12-slim
        COPY requirements.txt /tmp/requirements.txt
        RUN pip install --require-hashes -r /tmp/requirements.txt && useradd someone
        COPY program /srv/app/program
        ENV PYTHONPATH=/srv/app GREETING="hello you"
        WORKDIR /srv/app
        ENTRYPOINT ["python", "-m", "program"]
    """,
    "requirements.txt": "",
    "program/__init__.py": "",
    "program/root.py": "import os, pathlib\nROOT = pathlib.Path(os.environ['ML_ROOT'])\n",
    "program/__main__.py": "import importlib, sys\nimportlib.import_module('program.' + sys.argv[1]).main()\n",
    "program/serve.py": SERVE,
    "program/train.py": TRAIN,
    "program/evaluate.py": EVALUATE,
}
BUILDSPEC = """
version: 0.2
phases:
  pre_build:
    commands:
      - aws ecr get-login-password | docker login --username AWS --password-stdin "$REPOSITORY"
  build:
    commands:
      - docker build --tag "$REPOSITORY:$TAG" .
      - docker push "$REPOSITORY:$TAG"
"""


def tar_gz(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, source in files.items():
            content = textwrap.dedent(source).encode()
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, source in files.items():
            archive.writestr(path, textwrap.dedent(source))
    return buffer.getvalue()


def unique_name(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


class FakeApplication:
    """Trains and serves on one embedded AWS, with one bucket."""

    def __init__(self, aws: Aws, build_role: str = ROLE) -> None:
        """`build_role` is the role of CodeBuild."""
        self.aws = aws
        self.sagemaker = aws.client("sagemaker")
        self.s3 = aws.client("s3")
        self.bucket = aws.create_bucket()
        self.put("data/train/a.txt", b"a")
        self.put("data/train/deep/b.txt", b"b")
        name = unique_name("images")
        created = aws.client("ecr").create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
        self.repository = created["repository"]["repositoryUri"]
        variables = [{"name": "REPOSITORY", "value": self.repository}]
        aws.client("codebuild").create_project(
            name=name,
            source={"type": "S3", "location": f"{self.bucket}/none.zip", "buildspec": BUILDSPEC},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "environmentVariables": variables,
            },
            serviceRole=build_role,
        )
        self.project = name
        build, _ = self.build_image("1")
        assert build["buildStatus"] == "SUCCEEDED", build
        self.image = f"{self.repository}:1"

    def build_image(self, tag: str, **replaced: str) -> tuple[dict[str, Any], list[str]]:
        """Build the image with other files of its context, by name with `_` for `.`; returns the build and its log."""
        files = IMAGE_FILES | {name.replace("_", "."): text for name, text in replaced.items()}
        self.put(f"contexts/{tag}.zip", zip_of(files))
        codebuild = self.aws.client("codebuild")
        started = codebuild.start_build(
            projectName=self.project,
            sourceLocationOverride=f"{self.bucket}/contexts/{tag}.zip",
            environmentVariablesOverride=[{"name": "TAG", "value": tag}],
        )["build"]
        build = eventually(
            lambda: codebuild.batch_get_builds(ids=[started["id"]])["builds"][0],
            lambda found: found["buildStatus"] != "IN_PROGRESS",
        )
        log = self.aws.client("logs").get_log_events(
            logGroupName=build["logs"]["groupName"], logStreamName=build["logs"]["streamName"]
        )
        return build, [event["message"] for event in log["events"]]

    def put(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def training_request(self, hyperparameters: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        channel = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/data/train"}
        return {
            "TrainingJobName": unique_name("job"),
            "RoleArn": ROLE,
            "AlgorithmSpecification": {
                "TrainingImage": self.image,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+);"}],
            },
            "HyperParameters": hyperparameters or {},
            "InputDataConfig": [{"ChannelName": "training", "DataSource": {"S3DataSource": channel}}],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **changes,
        }

    def start_training(self, *args: Any, **changes: Any) -> str:
        request = self.training_request(*args, **changes)
        self.sagemaker.create_training_job(**request)
        return str(request["TrainingJobName"])

    def wait_for_training(self, name: str) -> dict[str, Any]:
        """Wait for the end of a training job; returns its description."""
        return dict(
            eventually(
                lambda: self.sagemaker.describe_training_job(TrainingJobName=name),
                lambda job: job["TrainingJobStatus"] not in ("InProgress", "Stopping"),
            )
        )

    def processing_request(self, **variables: str) -> dict[str, Any]:
        """Return a CreateProcessingJob request that runs EVALUATE on the training data."""
        base = "/opt/ml/processing"

        def source(name: str, key: str) -> dict[str, Any]:
            uri = f"s3://{self.bucket}/{key}"
            where = {"S3Uri": uri, "LocalPath": f"{base}/{name}", "S3DataType": "S3Prefix", "S3InputMode": "File"}
            return {"InputName": name, "S3Input": where}

        output = {"S3Uri": f"s3://{self.bucket}/reports", "LocalPath": f"{base}/report", "S3UploadMode": "EndOfJob"}
        return {
            "ProcessingJobName": unique_name("processing"),
            "RoleArn": ROLE,
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            "AppSpecification": {
                "ImageUri": self.image,
                "ContainerArguments": ["evaluate", "--all"],
            },
            "Environment": variables,
            "ProcessingInputs": [source("data", "data/train")],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }

    def wait_for_processing(self, name: str) -> dict[str, Any]:
        """Wait for the end of a processing job; returns its description."""
        return dict(
            eventually(
                lambda: self.sagemaker.describe_processing_job(ProcessingJobName=name),
                lambda job: job["ProcessingJobStatus"] not in ("InProgress", "Stopping"),
            )
        )

    def put_model_archive(self, word: str) -> str:
        return self.put(f"models/{uuid.uuid4().hex}/model.tar.gz", tar_gz({"word.txt": word}))

    def create_model(self, word: str, **options: Any) -> str:
        name = unique_name("model")
        container = {"Image": self.image, "ModelDataUrl": self.put_model_archive(word)}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, **options)
        return name

    def create_endpoint_config(self, model: str, instances: int = 1, **options: Any) -> str:
        name = unique_name("config")
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": instances,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **options)
        return name

    def create_endpoint(self, word: str, **options: Any) -> str:
        """Create an endpoint and wait until it is in service; returns its name."""
        name = unique_name("endpoint")
        config = self.create_endpoint_config(self.create_model(word), **options)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        assert self.wait_for_endpoint(name)["EndpointStatus"] == "InService"
        return name

    def wait_for_endpoint(self, name: str) -> dict[str, Any]:
        """Wait until an endpoint is not changing; returns its description."""
        return dict(
            eventually(
                lambda: self.sagemaker.describe_endpoint(EndpointName=name),
                lambda found: found["EndpointStatus"] not in ("Creating", "Updating", "Deleting"),
            )
        )

    def invoke(self, endpoint: str, text: str, **options: Any) -> str:
        answer = self.aws.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=endpoint, ContentType="text/plain", Body=text.encode(), **options
        )
        return str(answer["Body"].read().decode())

"""A minimal application that SageMaker can train and serve. Its "model" is a word, which prefixes each response."""

from __future__ import annotations

import io
import json
import tarfile
import textwrap
import uuid
from typing import Any

from tests.local.aws import ROLE, Aws
from tests.support.waiting import eventually

INFERENCE = """
import os, sys, time

def model_fn(model_dir):
    print("loading", flush=True)
    word = open(os.path.join(model_dir, "word.txt")).read()
    if word == "broken":
        raise RuntimeError("the model is broken")
    return word

def input_fn(body, content_type):
    if content_type != "text/plain":
        raise ValueError("cannot read " + content_type)
    return body

def predict_fn(data, model):
    if data == "exit":
        os._exit(3)
    if data == "process id":
        return str(os.getpid())
    return f"{model} {data}"

def output_fn(prediction, accept):
    return prediction, "text/plain"
"""

TRAIN = """
import argparse, json, os, pathlib, sys, time

parser = argparse.ArgumentParser()
parser.add_argument("--word", default="hello")
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--sleep", type=float, default=0)
parser.add_argument("--fail", default="")
args = parser.parse_args()
for epoch in range(args.epochs):
    print(f"epoch={epoch} accuracy={0.5 + epoch / 10};", flush=True)
time.sleep(args.sleep)
if args.fail == "written":
    (pathlib.Path(os.environ["SM_OUTPUT_DIR"]) / "failure").write_text("the photos are gone")
if args.fail:
    raise ValueError("told to fail")
model = pathlib.Path(os.environ["SM_MODEL_DIR"])
(model / "code").mkdir()
(model / "code" / "inference.py").write_text(pathlib.Path("inference.py").read_text())
(model / "word.txt").write_text(args.word)
seen = {"arguments": sys.argv[1:], "environment": dict(os.environ), "cwd": os.getcwd(), "path": sys.path,
        "channels": sorted(str(p.relative_to(os.environ["SM_INPUT_DIR"] + "/data"))
                           for p in pathlib.Path(os.environ["SM_INPUT_DIR"], "data").rglob("*") if p.is_file())}
(pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"]) / "seen.json").write_text(json.dumps(seen))
"""

EVALUATE = """
import json, os, pathlib, sys, time
source, target = map(pathlib.Path, sys.argv[1:3])
print("evaluating", flush=True)
if os.environ.get("SLEEP"): time.sleep(float(os.environ["SLEEP"]))
if os.environ.get("FAIL"):
    raise ValueError("no champion")
files = sorted(str(p.relative_to(source)) for p in source.rglob("*") if p.is_file())
(target / "report.json").write_text(json.dumps({"files": files, "config": os.path.exists(os.environ["CONFIG"])}))
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


def unique_name(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


class FakeApplication:
    """Trains and serves on one embedded AWS, with one bucket."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.sagemaker = aws.client("sagemaker")
        self.s3 = aws.client("s3")
        self.bucket = aws.create_bucket()
        self.put("data/train/a.txt", b"a")
        self.put("data/train/deep/b.txt", b"b")

    def put(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def training_request(
        self, hyperparameters: dict[str, str] | None = None, source: dict[str, str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        code = tar_gz({"train.py": TRAIN, "inference.py": INFERENCE, **(source or {})})
        channel = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.bucket}/data/train"}
        return {
            "TrainingJobName": unique_name("job"),
            "RoleArn": ROLE,
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "accuracy", "Regex": "accuracy=([0-9.]+);"}],
            },
            "HyperParameters": {
                "sagemaker_program": json.dumps("train.py"),
                "sagemaker_submit_directory": json.dumps(self.put(f"code/{uuid.uuid4().hex}.tar.gz", code)),
                **(hyperparameters or {}),
            },
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
        """A CreateProcessingJob request that runs EVALUATE on the training data."""
        self.put("code/evaluate.py", EVALUATE.encode())
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
                "ImageUri": "image",
                "ContainerEntrypoint": ["python3", f"{base}/code/evaluate.py"],
                "ContainerArguments": [f"{base}/data", f"{base}/report"],
            },
            "Environment": {"CONFIG": "/opt/ml/config/processingjobconfig.json", **variables},
            "ProcessingInputs": [source("code", "code/evaluate.py"), source("data", "data/train")],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }

    def shell_processing_request(self) -> dict[str, Any]:
        """The same job with a shell command as entry point, which names paths of the container unquoted."""
        request = self.processing_request()
        archive = self.put("code/sourcedir.tar.gz", tar_gz({"compare.py": EVALUATE}))
        request["ProcessingInputs"][0]["S3Input"]["S3Uri"] = archive
        request["AppSpecification"]["ContainerEntrypoint"] = [
            "bash",
            "-c",
            'cd /opt/ml/processing/code && tar -xzf sourcedir.tar.gz && exec python3 -m compare "$@"',
            "compare",
        ]
        return request

    def wait_for_processing(self, name: str) -> dict[str, Any]:
        """Wait for the end of a processing job; returns its description."""
        return dict(
            eventually(
                lambda: self.sagemaker.describe_processing_job(ProcessingJobName=name),
                lambda job: job["ProcessingJobStatus"] not in ("InProgress", "Stopping"),
            )
        )

    def put_model_archive(self, word: str, inference: str = INFERENCE) -> str:
        archive = tar_gz({"word.txt": word, "code/inference.py": inference})
        return self.put(f"models/{uuid.uuid4().hex}/model.tar.gz", archive)

    def create_model(self, word: str, inference: str = INFERENCE, environment: dict[str, str] | None = None) -> str:
        name = unique_name("model")
        container = {
            "Image": "image",
            "ModelDataUrl": self.put_model_archive(word, inference),
            "Environment": environment or {},
        }
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        return name

    def create_endpoint_config(self, model: str, **options: Any) -> str:
        name = unique_name("config")
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **options)
        return name

    def create_endpoint(self, word: str, environment: dict[str, str] | None = None, **options: Any) -> str:
        """Create an endpoint and wait until it is in service; returns its name."""
        name = unique_name("endpoint")
        config = self.create_endpoint_config(self.create_model(word, environment=environment), **options)
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

"""`make bench` on a deployed stage: figures exist, nothing is lost, and the temporary stack is removed."""

from pathlib import Path

import boto3
import pytest

import local
from benchmarks import pages
from benchmarks.stack import deployed_baseline
from deploy.package import FUNCTIONS
from deploy.stack import Stack
from operate import bench
from tests.support.upload_stage import UploadStage


def bench_resources(stage: UploadStage) -> list[str]:
    """Everything of the temporary stack that is still there."""
    name = f"{stage.deployed.app_name}-bench"
    stacks = [name] if Stack(name).status() else []
    buckets = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    functions = [found["FunctionName"] for found in boto3.client("lambda").list_functions()["Functions"]]
    groups = [group["logGroupName"] for group in boto3.client("logs").describe_log_groups()["logGroups"]]
    found = boto3.client("s3").list_objects_v2(Bucket=stage.deployed.artifacts_bucket, Prefix="bench/")
    code = found.get("Contents", [])
    return stacks + [one for one in [*buckets, *functions, *groups] if name in one] + [one["Key"] for one in code]


def test_bench_compares_the_designs_and_removes_its_stack(
    upload_stage: UploadStage, embedded_aws: local.ServerInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The memory is that of the server that these variables name.
    monkeypatch.setenv("LOCAL_AWS_DIR", str(embedded_aws.directory))
    monkeypatch.setenv("LOCAL_AWS_PORT", str(embedded_aws.port))
    report = tmp_path / "bench.json"
    monkeypatch.setattr(pages, "ROUNDS", 1)
    figures = bench.run(
        upload_stage.deployed, report, staged=tmp_path / "none", count=2, burst_size=6, repeats=1, recorded=60
    )
    assert report.is_file()
    for kind in ("tiny", "jpeg"):
        assert {name: figures["latency"][kind][name]["count"] for name in ("ours_ms", "chain_ms", "empty_ms")} == {
            "ours_ms": 2,
            "chain_ms": 2,
            "empty_ms": 2,
        }
    for burst in figures["bursts"].values():
        assert {name: burst[name] for name in ("photos", "lost", "doubled", "failed", "in_review")} == {
            "photos": 6,
            "lost": 0,
            "doubled": 0,
            "failed": 0,
            "in_review": 0,
        }
        assert burst["memory"]["before_mb"]["server"] > 0
        assert burst["memory"]["before_mb"]["workers"] > 0
    assert set(figures["cold_starts"]) == set(FUNCTIONS)
    assert all(one["init_ms"] > 0 for one in figures["cold_starts"].values())
    assert all(latency["count"] == 1 for latency in figures["console"]["pages"].values())
    assert not bench_resources(upload_stage)
    dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
    assert not [name for name in dynamodb.list_tables()["TableNames"] if "bench" in name]
    assert not [url for url in sqs.list_queues().get("QueueUrls", []) if "bench" in url]


def fail_with_the_stack(stage: UploadStage) -> None:
    with deployed_baseline(stage.deployed, threshold=0.5) as baseline:
        boto3.client("s3").put_object(Bucket=baseline.bucket, Key="chain/photo.png", Body=b"")
        assert len(bench_resources(stage)) > 3
        raise RuntimeError


def test_the_stack_is_removed_after_an_error(upload_stage: UploadStage) -> None:
    with pytest.raises(RuntimeError):
        fail_with_the_stack(upload_stage)
    assert not bench_resources(upload_stage)

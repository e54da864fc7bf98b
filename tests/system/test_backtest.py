"""A backtest on the deployed stage: a job answers, nothing is decided, and nothing is left in S3."""

import json
from pathlib import Path

import boto3
import pytest

from deploy.cleanup import list_versions
from functions.shared.champion import ModelTable
from operate import backtest
from operate.errors import CommandError
from operate.terminal import console
from tests.support.upload_stage import UploadStage


def test_the_champion_agrees_with_its_own_decisions(upload_stage: UploadStage, tmp_path: Path) -> None:
    deployed = upload_stage.deployed
    uploaded = upload_stage.upload(*upload_stage.photos[:4])
    champion = ModelTable(deployed.model_table, boto3.client("dynamodb")).champion()
    assert champion is not None
    with console.capture() as captured:
        report = backtest.run(deployed, champion.model_version, tmp_path, days=1, at=0.0)
    lines = [json.loads(line) for line in (tmp_path / "backtest.jsonl").read_text().splitlines()]
    ours = {result.decision["photo"]["photo_id"] for result in uploaded if result.outcome == "routed"}
    assert ours <= {line["photo_id"] for line in lines}
    assert {line["vehicle"] == line["decided_vehicle"] for line in lines if line["photo_id"] in ours} == {True}
    assert report == json.loads((tmp_path / "backtest.json").read_text())
    assert report["photos"] == len(lines)
    assert "answer as the decision" in captured.get()
    assert list(list_versions(boto3.client("s3"), deployed.ml_bucket, "backtests/")) == []


def test_a_job_that_fails_says_why_and_leaves_nothing(upload_stage: UploadStage, tmp_path: Path) -> None:
    deployed = upload_stage.deployed
    upload_stage.upload(upload_stage.photos[0])
    boto3.client("s3").put_object(Bucket=deployed.ml_bucket, Key="initial/broken/model.tar.gz", Body=b"no model")
    address = f"s3://{deployed.ml_bucket}/initial/broken/model.tar.gz"
    with console.capture(), pytest.raises(CommandError, match=r"ended as Failed: .*model\.tar\.gz"):
        backtest.run(deployed, address, tmp_path, days=1, most=5)
    assert list(list_versions(boto3.client("s3"), deployed.ml_bucket, "backtests/")) == []


def test_a_model_that_does_not_exist_is_named(upload_stage: UploadStage, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no model nobody"):
        backtest.run(upload_stage.deployed, "nobody", tmp_path)

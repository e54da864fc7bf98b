"""`make load` on a deployed stage: every photo is accounted for."""

import json
from pathlib import Path

import boto3
import pytest

from operate import load
from operate.errors import CommandError
from tests.support.upload_stage import UploadStage


def test_every_photo_of_a_stream_and_a_burst_has_one_outcome(upload_stage: UploadStage, tmp_path: Path) -> None:
    report = tmp_path / "load.json"
    load.run(upload_stage.deployed, load.Plan(rate=20, count=20, burst=20), report)
    figures = json.loads(report.read_text())
    assert figures["uploaded"] == 40
    assert sum(figures["outcomes"].values()) == 40
    assert (figures["lost"], figures["doubled"], figures["upload_errors"]) == ([], [], [])
    assert None not in figures["latency_ms"].values()


def test_a_photo_without_an_execution_is_named_as_lost(
    upload_stage: UploadStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "EVENT_TIMEOUT_S", 1.0)
    report = tmp_path / "load.json"
    events = boto3.client("events")
    rule = f"{upload_stage.deployed.app_name}-photo-uploaded"
    events.disable_rule(Name=rule)
    try:
        with pytest.raises(CommandError, match="2 photos have no outcome"):
            load.run(upload_stage.deployed, load.Plan(rate=10, count=2), report)
    finally:
        events.enable_rule(Name=rule)
    assert len(json.loads(report.read_text())["lost"]) == 2

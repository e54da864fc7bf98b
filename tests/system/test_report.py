"""`make report` of a deployed stage, with the permissions of an operator."""

import json
from pathlib import Path

import local
from deploy.stack import Stack
from operate.report import run
from tests.support.people import signing_as
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually


def test_an_operator_gets_a_report_of_what_was_uploaded(
    embedded_aws: local.ServerInfo, upload_stage: UploadStage, tmp_path: Path
) -> None:
    deployed = upload_stage.deployed
    for number in range(6):
        content = upload_stage.photo_of("bicycle", number).content
        photo = upload_stage.put(f"uploads/driver-report/{number}.png", content)
        eventually(lambda photo=photo: upload_stage.decision(photo), what="the decision")
    policy = Stack(f"{deployed.app_name}-people").outputs()["OperatorPolicyArn"]
    with signing_as(embedded_aws, "rita", policy):
        page = run.run(deployed, tmp_path)
    assert page.parent.name.startswith(f"{deployed.stage}-")
    figures = json.loads((page.parent / "figures.json").read_text(encoding="utf-8"))
    assert figures["photos"] >= 6
    assert figures["champion"] in {one["model_version"] for one in figures["models"]}
    assert (page.parent / "confidence.png").is_file()
    # The time that the endpoint took, of the metrics that the function has published.
    assert figures["latency_ms"]
    assert all(0 < one["median"] <= one["p95"] for one in figures["latency_ms"])
    assert all(figures["since"] <= one["at"] <= figures["until"] for one in figures["latency_ms"])

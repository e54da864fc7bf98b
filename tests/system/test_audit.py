"""The audit of decisions in a deployed stage: requests, an answer in the console, second opinions, the alarm."""

import hashlib
import json
from itertools import count
from typing import Any

import boto3

from console.answers import choices
from console.aws import Aws
from console.desk import Desk
from console.held_messages import HeldMessages
from console.identity import find_reviewer
from console.session import AUDITED
from deploy.settings import SETTINGS
from deploy.templates import load_template
from functions.shared.photo import Photo
from functions.shared.sampling import AUDIT, SECOND_OPINION, in_sample
from tests.support.upload_stage import UploadStage
from tests.support.waiting import eventually

PARAMETERS = load_template("app")["Parameters"]
SHARE, SECOND_SHARE = (PARAMETERS[SETTINGS[name]]["Default"] for name in ("AUDIT_SHARE", "SECOND_OPINION_SHARE"))


def audit(stage: UploadStage) -> dict[str, Any]:
    """Run AuditDecisions as the schedule does."""
    answer = boto3.client("lambda").invoke(FunctionName=f"{stage.deployed.app_name}-audit-decisions", Payload="{}")
    report: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, report
    return report


def key_of(stage: UploadStage, content: bytes, *, second: bool) -> str:
    """A key with which the photo is in the audit sample, and is, or is not, in that of second opinions."""
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    for number in count():
        photo = Photo(stage.deployed.uploads_bucket, f"uploads/driver-audit/{number}.png", etag)
        asked_again = in_sample(photo.photo_id, SECOND_SHARE, SECOND_OPINION)
        if in_sample(photo.photo_id, SHARE, AUDIT) and asked_again == second:
            return photo.key
    raise AssertionError


def upload(stage: UploadStage, number: int, *, second: bool) -> Photo:
    """Upload a photo of the audit sample that the model decides about."""
    content = stage.photo_of("bicycle", number).content
    photo = stage.put(key_of(stage, content, second=second), content)
    eventually(lambda: stage.decision(photo), what="the decision")
    return photo


def answer(stage: UploadStage, photo: Photo, *, right: bool) -> str:
    """Answer the audit of a photo in the console; return the vehicle."""
    decided = (stage.decision(photo) or {})["vehicle"]
    vehicle = decided if right else next(one for one in ("bicycle", "motorcycle") if one != decided)
    aws = Aws()
    with (
        HeldMessages(aws.sqs, stage.deployed.review_queue_url) as drivers,
        Desk(stage.deployed, aws, choices(), undo_s=0) as desk,
    ):
        list(drivers)  # audits are shown when no driver waits
        session = desk.open_session(find_reviewer(aws.sts))
        (lease,) = [one for one in desk.take(session, ahead=100) if one.request.photo.photo_id == photo.photo_id]
        desk.answer(session, lease.id, vehicle)
        (notice,) = eventually(lambda: list(session.notices), what="the delivery")
    assert notice.kind == AUDITED
    return vehicle


def test_a_decision_is_audited_and_a_wrong_one_sets_off_the_alarm(upload_stage: UploadStage) -> None:
    cloudwatch: Any = boto3.client("cloudwatch")
    name = f"{upload_stage.deployed.app_name}-audit-error"
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    # The deployed alarm with a shorter period, so that the test need not wait until a minute is over.
    fields = ("Namespace", "MetricName", "Dimensions", "Statistic", "Threshold", "ComparisonOperator")
    copied = {field: alarm[field] for field in (*fields, "EvaluationPeriods", "TreatMissingData")}
    cloudwatch.put_metric_alarm(AlarmName=f"copy-{name}", Period=10, **copied)

    def state(of: str) -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=[of])["MetricAlarms"][0]["StateValue"])

    try:
        wrong = upload(upload_stage, 6, second=True)
        before = upload_stage.decision(wrong)
        assert audit(upload_stage)["sent"] >= 1
        vehicle = answer(upload_stage, wrong, right=False)
        report = audit(upload_stage)
        assert report["answered"] >= 1
        record = upload_stage.record(wrong)
        assert record is not None
        assert (record.label_answer or {})["vehicle"] == vehicle
        assert upload_stage.decision(wrong) == before
        assert record.second_request is not None
        assert record.second_sent is not None
        for one in (name, f"copy-{name}"):
            eventually(lambda one=one: state(one), lambda found: found == "ALARM", what=one, timeout_s=30)

        right = upload(upload_stage, 7, second=False)
        audit(upload_stage)
        answer(upload_stage, right, right=True)

        def state_after_another_run() -> str:
            audit(upload_stage)
            return state(f"copy-{name}")

        eventually(state_after_another_run, lambda found: found == "OK", what="the end of the alarm", timeout_s=60)
    finally:
        cloudwatch.delete_alarms(AlarmNames=[f"copy-{name}"])


def test_the_schedule_invokes_the_audit(upload_stage: UploadStage) -> None:
    rule = boto3.client("events").describe_rule(Name=f"{upload_stage.deployed.app_name}-audit-decisions")
    (target,) = boto3.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert (rule["State"], rule["ScheduleExpression"]) == ("ENABLED", "rate(15 minutes)")
    assert target["Arn"].endswith(":function:scones-test-audit-decisions")

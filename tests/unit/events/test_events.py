"""The rules, schemas and samples of events."""

import json
import re
from typing import Any

import jsonschema
import pytest

import events

BUCKET = "scones-dev-uploads-111122223333"


def matches(pattern: Any, event: Any) -> bool:
    """Whether an event matches a pattern of nested objects, exact values and prefixes, as in EventBridge."""
    if isinstance(pattern, dict):
        return all(name in event and matches(inner, event[name]) for name, inner in pattern.items())
    return any(
        event.startswith(allowed["prefix"]) if isinstance(allowed, dict) else event == allowed for allowed in pattern
    )


def transform(transformer: dict[str, Any], event: dict[str, Any]) -> Any:
    """Transform an event with a template whose variables have no quotes, as EventBridge does."""
    variables = {}
    for name, path in transformer["InputPathsMap"].items():
        value: Any = event
        for part in path.removeprefix("$.").split("."):
            value = value[part]
        variables[name] = json.dumps(value)
    return json.loads(re.sub(r"<(\w+)>", lambda match: variables[match[1]], transformer["InputTemplate"]))


def uploaded(
    key: str = "uploads/driver-17/bike.jpg", reason: str = "PutObject", bucket: str = BUCKET
) -> dict[str, Any]:
    event = events.sample("s3_object_created")
    event["detail"]["object"]["key"] = key
    event["detail"]["bucket"]["name"] = bucket
    event["detail"]["reason"] = reason
    return event


@pytest.mark.parametrize("reason", ["PutObject", "POST Object", "CopyObject", "CompleteMultipartUpload"])
def test_an_upload_by_any_api_starts_the_workflow(reason: str) -> None:
    assert matches(events.rule("photo_uploaded", UploadsBucket=BUCKET)["EventPattern"], uploaded(reason=reason))


def test_other_prefixes_buckets_and_events_do_not_match() -> None:
    pattern = events.rule("photo_uploaded", UploadsBucket=BUCKET)["EventPattern"]
    assert not matches(pattern, uploaded(key="labels/a.jpg"))
    assert not matches(pattern, uploaded(bucket="another"))
    assert not matches(pattern, uploaded() | {"detail-type": "Object Deleted"})


@pytest.mark.parametrize(
    "key",
    ["uploads/d/a b+c.jpg", 'uploads/d/"},"x":{".jpg', "uploads/d/a\\b.jpg", "uploads/d/ä€🚲.jpg", "uploads/d/<key>"],
)
def test_any_key_is_passed_to_the_workflow_unchanged(key: str) -> None:
    transformer = events.rule("photo_uploaded")["InputTransformer"]
    assert transform(transformer, uploaded(key)) == {
        "photo": {
            "bucket": BUCKET,
            "key": key,
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "size": 48213,
            "uploaded_at": uploaded()["time"],
            "sequencer": uploaded()["detail"]["object"]["sequencer"],
        }
    }


def test_the_input_of_the_workflow_is_valid_by_its_contract() -> None:
    started = transform(events.rule("photo_uploaded")["InputTransformer"], uploaded())
    jsonschema.validate(started, events.contract("classify_photo_input"))


def test_the_template_quotes_no_variable_because_values_are_not_escaped() -> None:
    template = events.rule("photo_uploaded")["InputTransformer"]["InputTemplate"]
    strings = re.findall(r'"[^"]*"', template)
    assert strings
    assert not any("<" in string for string in strings)


def test_the_rule_refers_to_the_bucket_of_its_stack() -> None:
    assert {"Ref": "UploadsBucket"} in events.rule("photo_uploaded")["EventPattern"]["detail"]["bucket"]["name"]


@pytest.mark.parametrize("detail_type", events.DETAIL_TYPES)
def test_each_event_has_a_valid_schema_and_a_valid_sample(detail_type: str) -> None:
    schema = events.schema(detail_type)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == detail_type
    sample = events.sample(detail_type.lower().replace(" ", "_"))
    assert (sample["detail-type"], sample["source"]) == (detail_type, "scones.vehicles")
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(sample["detail"])
    for required in schema["required"]:
        lacking = {name: value for name, value in sample["detail"].items() if name != required}
        assert not validator.is_valid(lacking)
    assert not validator.is_valid(sample["detail"] | {"task_token": "secret"})


ALARMS = "scones-dev-endpoint-errors,another-alarm"


def test_only_a_listed_alarm_that_goes_off_starts_a_rollback() -> None:
    pattern = events.rule("alarm_went_off", RollbackAlarms=ALARMS)["EventPattern"]
    alarm = events.sample("cloudwatch_alarm_state_change")
    assert matches(pattern, alarm)
    alarm["detail"]["state"]["value"] = "OK"
    assert not matches(pattern, alarm)
    alarm = events.sample("cloudwatch_alarm_state_change")
    alarm["detail"]["alarmName"] = "scones-dev-waiting-drivers"
    assert not matches(pattern, alarm)


def test_the_input_of_a_rollback_has_the_alarm_its_time_and_its_reason() -> None:
    transformer = events.rule("alarm_went_off", RollbackAlarms=ALARMS)["InputTransformer"]
    alarm = events.sample("cloudwatch_alarm_state_change")
    alarm["detail"]["state"]["reason"] = 'a "quoted" reason'
    assert transform(transformer, alarm) == {
        "trigger": "alarm",
        "alarm": "scones-dev-endpoint-errors",
        "alarmed_at": "2026-11-23T01:16:40.123+0000",
        "reason": 'a "quoted" reason',
    }


def test_there_is_a_sample_of_each_published_event_and_of_each_event_that_a_rule_matches() -> None:
    assert set(events.samples()) == {kind.lower().replace(" ", "_") for kind in events.DETAIL_TYPES} | {
        "s3_object_created",
        "cloudwatch_alarm_state_change",
        "step_functions_execution_status_change",
    }


def test_the_message_of_a_rejection_names_the_photo_id_and_no_key() -> None:
    detail = events.sample("photo_rejected")["detail"]
    assert detail["photo"]["photo_id"] in detail["rejected"]["message"]
    assert detail["photo"]["key"] not in detail["rejected"]["message"]


@pytest.mark.parametrize(
    ("status", "matching"), [("FAILED", True), ("TIMED_OUT", True), ("ABORTED", True), ("SUCCEEDED", False)]
)
def test_an_execution_of_a_workflow_that_ends_without_success_is_reported(status: str, matching: bool) -> None:
    event = events.sample("step_functions_execution_status_change")
    machine = event["detail"]["stateMachineArn"]
    workflows = {"RetrainModelWorkflow": "a", "RollbackModelWorkflow": "b", "ClassifyBatchWorkflow": "c"}
    pattern = events.rule("execution_failed", ClassifyPhotoWorkflow=machine, **workflows)["EventPattern"]
    event["detail"]["status"] = status
    assert matches(pattern, event) is matching
    event["detail"]["stateMachineArn"] = "another team's"
    assert not matches(pattern, event)


@pytest.mark.parametrize(("read", "name"), [(events.schema, "Driver Lost"), (events.sample, "x"), (events.rule, "x")])
def test_an_unknown_name_is_an_error_that_names_the_known_ones(read: Any, name: str) -> None:
    with pytest.raises(KeyError, match=r"Driver Routed|driver_routed|photo_uploaded"):
        read(name)


def test_each_caller_gets_its_own_copy() -> None:
    events.schema("Driver Routed")["title"] = "changed"
    assert events.schema("Driver Routed")["title"] == "Driver Routed"

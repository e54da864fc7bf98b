"""Properties of the templates that the embedded AWS ignores."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy import system
from deploy.settings import BAKE_ALARMS, given_settings
from deploy.target import Target
from deploy.templates import load_template, render

APP: dict[str, Any] = load_template("app")
DATA: dict[str, Any] = load_template("data")
OUTPUTS = {
    "UploadsBucket", "MlBucket", "PhotoTable", "ReviewQueueUrl", "ReviewDeadLetterQueueUrl", "EventBus",
    "ClassifyPhotoArn", "RetrainModelArn", "RollbackModelArn", "EndpointName", "ThresholdParameter", "AlertTopicArn",
}  # fmt: skip


def of_type(kind: str, source: dict[str, Any] = APP) -> dict[str, Any]:
    return {name: resource["Properties"] for name, resource in source["Resources"].items() if resource["Type"] == kind}


def test_cfn_lint_finds_nothing(tmp_path: Path) -> None:
    files = [str(file) for file in render(tmp_path)]
    done = subprocess.run([str(Path(sys.executable).parent / "cfn-lint"), *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_stack_has_every_output_that_others_use() -> None:
    assert set(APP["Outputs"]) >= OUTPUTS


@pytest.mark.parametrize("bucket", ["UploadsBucket", "MlBucket", "ArtifactsBucket"])
def test_buckets_are_private_and_encrypted(bucket: str) -> None:
    properties = DATA["Resources"][bucket]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    rule = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (policy,) = statements(bucket, "TlsOnly")
    assert (policy["Effect"], policy["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": False}})


def statements(bucket: str, sid: str) -> list[dict[str, Any]]:
    """The statements of a bucket's policy with this Sid, with or without a condition of the template."""
    found = DATA["Resources"][f"{bucket}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    return [
        one for item in found for one in item.get("Fn::If", [item]) if isinstance(one, dict) and one.get("Sid") == sid
    ]


def test_labels_are_written_by_their_reviewer_and_once() -> None:
    policy = DATA["Resources"]["MlBucketPolicy"]
    assert "Condition" not in policy
    (own,) = statements("MlBucket", "OwnLabelsOnly")
    assert (own["Effect"], own["Principal"], own["Action"]) == ("Deny", "*", "s3:PutObject")
    (labels,) = [one["Fn::Sub"] for one in own["NotResource"] if "/labels" in one["Fn::Sub"]]
    assert labels == f"${{MlBucket.Arn}}/labels/{'?' * 32}/${{!aws:userid}}/*"
    (once,) = statements("MlBucket", "WrittenOnce")
    assert (once["Effect"], once["Action"], once["Condition"]) == (
        "Deny",
        "s3:PutObject",
        {"Null": {"s3:if-none-match": True}},
    )
    assert [one["Fn::Sub"] for one in once["Resource"]] == [
        f"${{MlBucket.Arn}}/{name}/*" for name in ("labels", "reviews")
    ]
    (hidden,) = statements("MlBucket", "NotHidden")
    assert (hidden["Effect"], hidden["Principal"], hidden["Action"]) == ("Deny", "*", "s3:DeleteObject")
    assert hidden["Resource"] == once["Resource"]
    versioning = DATA["Resources"]["MlBucket"]["Properties"]["VersioningConfiguration"]
    assert versioning == {"Status": "Enabled"}


def test_code_is_kept_in_a_bucket_of_its_own_that_no_role_writes() -> None:
    (once,) = statements("ArtifactsBucket", "WrittenOnce")
    assert (once["Effect"], once["Principal"], once["Action"], once["Condition"]) == (
        "Deny", "*", "s3:PutObject", {"Null": {"s3:if-none-match": True}},
    )  # fmt: skip
    assert once["Resource"] == {"Fn::Sub": "${ArtifactsBucket.Arn}/*"}
    code = [one["Code"] for one in of_type("AWS::Lambda::Function").values()]
    code += [one["Content"] for one in of_type("AWS::Lambda::LayerVersion").values()]
    assert {json.dumps(one["S3Bucket"]) for one in code} == {'{"Ref": "ArtifactsBucket"}'}
    definitions = [one["DefinitionS3Location"] for one in of_type("AWS::StepFunctions::StateMachine").values()]
    assert {json.dumps(one["Bucket"]) for one in definitions} == {'{"Ref": "ArtifactsBucket"}'}
    roles = {**of_type("AWS::IAM::Role"), **of_type("AWS::IAM::Role", DATA)}
    (build,) = roles.pop("ImageBuildRole")["Policies"]
    read, *others = build["PolicyDocument"]["Statement"]
    assert read["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]
    assert not [part for part in (*others, roles) if "rtifacts" in json.dumps(part)]


def test_uploads_are_denied_by_default_to_everyone() -> None:
    parameter = DATA["Parameters"]["AcceptUploads"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("no", ["yes", "no"])
    assert DATA["Conditions"]["DenyUploads"] == {"Fn::Equals": [{"Ref": "AcceptUploads"}, "no"]}
    policy = DATA["Resources"]["UploadsBucketPolicy"]
    (denial,) = statements("UploadsBucket", "NoUploads")
    assert {"Fn::If": ["DenyUploads", denial, {"Ref": "AWS::NoValue"}]} in (
        policy["Properties"]["PolicyDocument"]["Statement"]
    )
    assert denial | {"Sid": ""} == {
        "Sid": "",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": {"Fn::Sub": "${UploadsBucket.Arn}/uploads/*"},
    }
    assert ("Condition" in policy, policy["DeletionPolicy"]) == (False, "Retain")


def test_the_policy_of_the_uploads_bucket_has_a_statement_under_all_conditions() -> None:
    found = DATA["Resources"]["UploadsBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert [one["Sid"] for one in found if "Fn::If" not in one] == ["NoOldTls"]


def test_closed_uploads_have_the_prefix_that_starts_the_workflow() -> None:
    (denial,) = statements("UploadsBucket", "NoUploads")
    (key,) = APP["Resources"]["PhotoUploadedRule"]["Properties"]["EventPattern"]["detail"]["object"]["key"]
    assert denial["Resource"] == {"Fn::Sub": "${UploadsBucket.Arn}/" + key["prefix"] + "*"}


def test_uploads_reach_eventbridge() -> None:
    notifications = DATA["Resources"]["UploadsBucket"]["Properties"]["NotificationConfiguration"]
    assert notifications == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def test_an_undelivered_event_goes_to_the_unrouted_queue() -> None:
    for name, rule in of_type("AWS::Events::Rule").items():
        if name == "WatchServiceSchedule":  # the next run, a minute later, measures the same
            continue
        (target,) = rule["Targets"]
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["UnroutedQueue", "Arn"]}}, name
    (target,) = APP["Resources"]["PhotoUploadedRule"]["Properties"]["Targets"]
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    statement, _ = APP["Resources"]["UnroutedQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}


def test_an_execution_that_fails_invokes_notify_failure() -> None:
    rule = APP["Resources"]["FailedExecutionRule"]["Properties"]
    assert "EventBusName" not in rule  # Step Functions publishes on the default bus
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["NotifyFailureFunction", "Arn"]}
    permission = APP["Resources"]["FailedExecutionPermission"]["Properties"]
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": ["FailedExecutionRule", "Arn"]}


def test_an_event_that_notify_failure_fails_on_goes_to_the_unrouted_queue() -> None:
    invocations = APP["Resources"]["NotifyFailureInvocations"]["Properties"]
    assert invocations["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["UnroutedQueue", "Arn"]}}}


def test_lambda_does_not_repeat_a_reconciliation() -> None:
    assert APP["Resources"]["ReconcilePhotosInvocations"]["Properties"]["MaximumRetryAttempts"] == 0


def test_every_rule_may_send_its_dead_letters_to_the_unrouted_queue() -> None:
    statement, _ = APP["Resources"]["UnroutedQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    allowed = [source["Fn::GetAtt"][0] for source in statement["Condition"]["ArnEquals"]["aws:SourceArn"]]
    assert sorted([*allowed, "WatchServiceSchedule"]) == sorted(of_type("AWS::Events::Rule"))


def test_queues_and_the_topic_deny_requests_without_tls() -> None:
    assert APP["Conditions"]["Tls"] == {"Fn::Equals": [{"Ref": "RequireTls"}, "true"]}
    assert APP["Parameters"]["RequireTls"]["Default"] == "true"
    denied: dict[str, Any] = {}
    for kind, names in (("AWS::SQS::QueuePolicy", "Queues"), ("AWS::SNS::TopicPolicy", "Topics")):
        for policy, properties in of_type(kind).items():
            only_with = APP["Resources"][policy].get("Condition")
            for item in properties["PolicyDocument"]["Statement"]:
                condition, statement, _ = item.get("Fn::If", [only_with, item, None])
                if condition == "Tls" and statement.get("Sid") == "TlsOnly":
                    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}
                    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
                    denied[properties[names][0]["Ref"]] = statement["Action"]
    topics = dict.fromkeys(of_type("AWS::SNS::Topic"), "sns:Publish")
    assert denied == {**dict.fromkeys(of_type("AWS::SQS::Queue"), "sqs:*"), **topics}


def test_alerts_are_encrypted_with_a_key_that_alarms_and_budgets_may_use() -> None:
    """They cannot use the AWS managed key of SNS: its policy does not allow it."""
    for name, topic in of_type("AWS::SNS::Topic").items():
        assert topic["KmsMasterKeyId"] == {"Ref": "AlertKey"}, name
    key = APP["Resources"]["AlertKey"]["Properties"]
    assert key["EnableKeyRotation"] is True
    (services,) = [one for one in key["KeyPolicy"]["Statement"] if one["Sid"] == "AlarmsAndBudgets"]
    assert services["Principal"] == {"Service": ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]}
    assert set(services["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_a_message_that_is_never_answered_goes_to_the_dead_letter_queue() -> None:
    queue = APP["Resources"]["ReviewQueue"]["Properties"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    dead_letters = APP["Resources"]["ReviewDeadLetterQueue"]["Properties"]
    assert dead_letters["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_no_workflow_logs_its_data_with_task_tokens_and_keys_of_photos() -> None:
    workflows = of_type("AWS::StepFunctions::StateMachine")
    assert len(workflows) >= 3
    for name, workflow in workflows.items():
        assert workflow["LoggingConfiguration"]["IncludeExecutionData"] is False, name


@pytest.mark.parametrize(
    ("rule", "trigger"), [("WeeklyRetrainingRule", "schedule"), ("NewLabelsRule", "labels"), ("DriftRule", "drift")]
)
def test_each_rule_starts_retrain_model_with_its_trigger(rule: str, trigger: str) -> None:
    (target,) = APP["Resources"][rule]["Properties"]["Targets"]
    assert target["Arn"] == {"Ref": "RetrainModelWorkflow"}
    assert json.loads(target["Input"]) == {"trigger": trigger}


def test_a_drift_starts_a_retraining_when_it_has_labels() -> None:
    """`Drift Detected` has none yet: a retraining at that time would train on the same photos again."""
    pattern = APP["Resources"]["DriftRule"]["Properties"]["EventPattern"]
    assert pattern == {"source": ["scones.vehicles"], "detail-type": ["Retraining Needed"]}


def test_a_drift_watch_that_does_not_run_raises_an_alarm_that_the_bake_does_not_watch() -> None:
    (target,) = APP["Resources"]["WatchQualitySchedule"]["Properties"]["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["WatchQualityFunction", "Arn"]}
    drift, missing = (APP["Resources"][f"{name}Alarm"]["Properties"] for name in ("Drift", "DriftWatchMissing"))
    assert (missing["Statistic"], missing["TreatMissingData"]) == ("SampleCount", "breaching")
    for alarm in (drift, missing):
        assert (alarm["Namespace"], alarm["MetricName"]) == ("Scones/Vehicles", "DriftDetected")
        assert alarm["AlarmName"]["Fn::Sub"].removeprefix("scones-${Stage}-") not in BAKE_ALARMS


def test_models_of_drawn_pictures_are_not_allowed_by_default() -> None:
    parameter = APP["Parameters"]["AllowDrawnTrainingData"]
    assert (parameter["Default"], parameter["AllowedValues"]) == ("no", ["yes", "no"])


@pytest.mark.parametrize(("kind", "allowed"), [("local", "yes"), ("aws", "no")])
def test_only_the_embedded_aws_allows_models_of_drawn_pictures(
    kind: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert given_settings(Target(kind, "dev"), APP, {})["AllowDrawnTrainingData"] == allowed


def test_only_the_alarms_in_rollback_alarms_start_a_rollback() -> None:
    rule = APP["Resources"]["AlarmRollbackRule"]["Properties"]
    # CloudWatch publishes on the default bus.
    assert "EventBusName" not in rule
    assert rule["EventPattern"]["detail"]["alarmName"] == {"Fn::Split": [",", {"Ref": "RollbackAlarms"}]}
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Ref": "RollbackModelWorkflow"}
    names = [alarm["AlarmName"]["Fn::Sub"] for alarm in of_type("AWS::CloudWatch::Alarm").values()]
    assert "scones-${Stage}-endpoint-errors" in names


@pytest.mark.parametrize("given", ["", "none"])
def test_the_endpoint_errors_alarm_rolls_back_unless_the_environment_names_others(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLBACK_ALARMS", given)
    settings = given_settings(Target("aws", "dev"), APP, {})
    assert settings["RollbackAlarms"] == (given or "scones-dev-endpoint-errors")


def test_a_deployment_sets_every_parameter_without_a_default() -> None:
    required = {name for name, parameter in APP["Parameters"].items() if "Default" not in parameter}
    given = {"Stage", "RequireTls", "Image", *system.DATA_OUTPUTS, *given_settings(Target("aws", "dev"), APP, {})}
    assert {name for name in required - given if not name.endswith("Key")} == set()


def test_floods_and_batches_have_a_small_share_of_the_concurrency() -> None:
    functions = of_type("AWS::Lambda::Function")
    reserved = functions.pop("RejectExcessPhotoFunction")["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["LimitExcess", {"Ref": "ExcessConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert APP["Parameters"]["ExcessConcurrency"]["Default"] == 2
    reserved = functions.pop("ClassifyBatchFunction")["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["LimitExcess", {"Ref": "BatchConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert not [name for name, properties in functions.items() if "ReservedConcurrentExecutions" in properties]

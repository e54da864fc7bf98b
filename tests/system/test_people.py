"""The managed policies for people: what each may do, and what not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

import local
from console.other_teams import send_test_event
from deploy import people, removal, system
from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.stack import Stack
from deploy.target import Target
from operate import backtest, forget, status
from operate.forget import Scope
from operate.terminal import console
from tests.support.people import signing_as

TOO_LARGE = 20 * 1024 * 1024 + 1


@pytest.fixture(scope="module")
def policies(deployed: Deployed) -> dict[str, str]:
    """The ARNs of the managed policies by the name of their output."""
    return Stack(f"{deployed.app_name}-people").outputs()


def session_of(server: local.ServerInfo, name: str, policy: str, **tags: str) -> Any:
    """Create an IAM user with a managed policy and tags; return a function that makes clients."""
    iam: Any = boto3.client("iam")
    iam.create_user(UserName=name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    iam.attach_user_policy(UserName=name, PolicyArn=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=server.region)
    return lambda service, **options: session.client(service, endpoint_url=server.url, **options)


@pytest.fixture(scope="module")
def driver(embedded_aws: local.ServerInfo, policies: dict[str, str]) -> Iterator[Any]:
    return session_of(embedded_aws, "app-of-d7", policies["DriverPolicyArn"], driver="d7")


@pytest.fixture(scope="module")
def partner(embedded_aws: local.ServerInfo, policies: dict[str, str]) -> Iterator[Any]:
    return session_of(embedded_aws, "orders-team", policies["PartnerPolicyArn"])


def denied(call: Any, *, ended: str = "", **request: Any) -> bool:
    """Whether a call is denied; any other error is raised, except the one whose code is `ended`."""
    try:
        call(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "403"):
            return True
        if error.response["Error"]["Code"] != ended:
            raise
    return False


def test_a_driver_uploads_under_their_own_id_only(deployed: Deployed, driver: Any) -> None:
    s3, bucket = driver("s3"), deployed.uploads_bucket
    s3.put_object(Bucket=bucket, Key="uploads/d7/1.jpg", Body=b"not a photo")
    for key in ("uploads/d8/1.jpg", "uploads/d7", "uploads/d77/1.jpg", "partners/1.jpg"):
        assert denied(s3.put_object, Bucket=bucket, Key=key, Body=b"x"), key
    assert denied(s3.get_object, Bucket=bucket, Key="uploads/d7/1.jpg")
    assert denied(s3.delete_object, Bucket=bucket, Key="uploads/d7/1.jpg")
    assert denied(s3.list_objects_v2, Bucket=bucket)
    assert denied(s3.put_object, Bucket=deployed.ml_bucket, Key="models/1", Body=b"x")


def test_a_user_without_the_tag_uploads_nothing(
    embedded_aws: local.ServerInfo, deployed: Deployed, policies: dict[str, str]
) -> None:
    s3 = session_of(embedded_aws, "app-of-nobody", policies["DriverPolicyArn"])("s3")
    for key in ("uploads//1.jpg", "uploads/d7/2.jpg", "uploads/${aws:PrincipalTag/driver}/1.jpg"):
        assert denied(s3.put_object, Bucket=deployed.uploads_bucket, Key=key, Body=b"x"), key


def test_another_team_classifies_photos_and_receives_events_through_rules_of_its_own(
    deployed: Deployed, partner: Any
) -> None:
    states, events = partner("stepfunctions"), partner("events")
    started = states.start_execution(
        stateMachineArn=deployed.classify_photo_arn,
        input=json.dumps({"photo": {"bucket": deployed.uploads_bucket, "key": "partners/none.jpg"}}),
    )["executionArn"]
    assert states.describe_execution(executionArn=started)["executionArn"] == started
    bus, pattern = deployed.event_bus, json.dumps({"source": ["scones.vehicles"]})
    events.put_rule(Name="partner-orders", EventBusName=bus, EventPattern=pattern)
    queue = boto3.client("sqs").create_queue(QueueName="orders")["QueueUrl"].rpartition("/")[2]
    target = {"Id": "orders", "Arn": f"arn:aws:sqs:eu-west-1:000000000000:{queue}"}
    events.put_targets(Rule="partner-orders", EventBusName=bus, Targets=[target])
    events.describe_rule(Name="partner-orders", EventBusName=bus)
    events.remove_targets(Rule="partner-orders", EventBusName=bus, Ids=["orders"])
    events.delete_rule(Name="partner-orders", EventBusName=bus)


def test_another_team_changes_no_rule_of_the_stage_and_starts_nothing_else(deployed: Deployed, partner: Any) -> None:
    states, events = partner("stepfunctions"), partner("events")
    rule = {"Name": f"{deployed.app_name}-retrain-on-drift", "EventBusName": deployed.event_bus}
    assert denied(events.delete_rule, **rule)
    assert denied(events.put_rule, **rule, EventPattern=json.dumps({"source": ["a"]}))
    entry = {"EventBusName": deployed.event_bus, "Source": "scones.vehicles", "DetailType": "Driver Routed"}
    assert denied(events.put_events, Entries=[{**entry, "Detail": "{}"}])
    for machine in (deployed.retrain_model_arn, deployed.rollback_model_arn):
        assert denied(states.start_execution, stateMachineArn=machine, input="{}")
    assert denied(partner("s3").get_object, Bucket=deployed.ml_bucket, Key="labels/1")
    assert denied(partner("dynamodb").get_item, TableName=deployed.photo_table, Key={"photo_id": {"S": "1"}})


@pytest.fixture(scope="module")
def operator(embedded_aws: local.ServerInfo, policies: dict[str, str]) -> Iterator[Any]:
    return session_of(embedded_aws, "olga", policies["OperatorPolicyArn"])


def test_an_operator_operates_the_stage(deployed: Deployed, operator: Any) -> None:
    states, s3, sqs, ssm = (operator(name) for name in ("stepfunctions", "s3", "sqs", "ssm"))
    (stack,) = operator("cloudformation").describe_stacks(StackName=deployed.app_name)["Stacks"]
    assert stack["StackName"] == deployed.app_name
    for prefix in ("datasets/base/a", "golden/a", "initial/a"):
        s3.put_object(Bucket=deployed.ml_bucket, Key=f"{prefix}/1", Body=b"x")
    s3.get_object(Bucket=deployed.ml_bucket, Key="initial/a/1")
    for machine in (deployed.classify_photo_arn, deployed.retrain_model_arn, deployed.rollback_model_arn):
        started = states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
        assert not denied(states.stop_execution, executionArn=started, ended="ValidationException")
        states.describe_execution(executionArn=started)
        states.get_execution_history(executionArn=started)
        states.list_executions(stateMachineArn=machine)
    examine = b'{"hours": 1, "dry_run": true}'
    operator("lambda").invoke(FunctionName=f"{deployed.app_name}-reconcile-photos", Payload=examine)
    sqs.receive_message(QueueUrl=deployed.unrouted_queue_url)
    sqs.send_message(QueueUrl=deployed.review_queue_url, MessageBody="{broken")
    value = ssm.get_parameter(Name=deployed.threshold_parameter)["Parameter"]["Value"]
    ssm.put_parameter(Name=deployed.threshold_parameter, Value=value, Overwrite=True)
    operator("dynamodb").scan(TableName=deployed.model_table)
    assert send_test_event("Driver Routed", deployed, operator("events"))
    for name in ("lock", "reference"):
        operator("dynamodb").put_item(TableName=deployed.model_table, Item={"id": {"S": name}})
        operator("dynamodb").delete_item(TableName=deployed.model_table, Key={"id": {"S": name}})


def test_an_operator_starts_jobs_only_with_the_role_of_backtests(deployed: Deployed, operator: Any) -> None:
    """With the role of evaluations, a job could write the report that a retraining is judged by."""
    sagemaker, s3 = operator("sagemaker"), operator("s3")
    name = f"vehicles-{deployed.stage}-backtest-of-operator"
    request = backtest.job_request(deployed, backtest.Tested("m", f"s3://{deployed.ml_bucket}/models/m"), name)
    assert not denied(sagemaker.create_processing_job, **request)
    s3.put_object(Bucket=deployed.ml_bucket, Key=f"backtests/{name}/photos.manifest", Body=b"[]")
    for version in s3.list_object_versions(Bucket=deployed.ml_bucket, Prefix=f"backtests/{name}/")["Versions"]:
        identity = {"Key": version["Key"], "VersionId": version["VersionId"]}
        s3.delete_objects(Bucket=deployed.ml_bucket, Delete={"Objects": [identity]})
    (data,) = boto3.client("cloudformation").describe_stacks(StackName=f"{deployed.app_name}-data")["Stacks"]
    roles = {one["OutputKey"]: one["OutputValue"] for one in data["Outputs"]}
    for role in ("EvaluationRoleArn", "TrainingRoleArn"):
        assert denied(sagemaker.create_processing_job, **{**request, "RoleArn": roles[role]}), role
    evaluation = {**request, "ProcessingJobName": f"vehicles-{deployed.stage}-1-eval"}
    assert denied(sagemaker.create_processing_job, **evaluation)


def test_whoever_may_forget_deletes_photos_of_batches_too(
    embedded_aws: local.ServerInfo, deployed: Deployed, policies: dict[str, str], tmp_path: Path
) -> None:
    s3, key = boto3.client("s3"), "batches/of-a-team/1.jpg"
    s3.put_object(Bucket=deployed.uploads_bucket, Key=key, Body=b"photo")
    scope = Scope.of_photo(f"s3://{deployed.uploads_bucket}/{key}", deployed.uploads_bucket)
    with (
        console.capture(),
        signing_as(embedded_aws, "fiona", policies["OperatorPolicyArn"], policies["ForgetPolicyArn"]),
    ):
        forget.run(deployed, scope, tmp_path / "forget.json", delete=True, settle_s=0)
    assert s3.list_objects_v2(Bucket=deployed.uploads_bucket, Prefix=key)["KeyCount"] == 0


def test_an_operator_deploys_nothing_deletes_no_data_and_makes_no_champion(deployed: Deployed, operator: Any) -> None:
    s3, dynamodb = operator("s3"), operator("dynamodb")
    for item in ({"id": {"S": "champion"}}, {"id": {"S": "promoted/1"}}, {"id": {"S": "judged"}}):
        assert denied(dynamodb.put_item, TableName=deployed.model_table, Item=item)
        assert denied(dynamodb.delete_item, TableName=deployed.model_table, Key=item)
    assert denied(dynamodb.put_item, TableName=deployed.photo_table, Item={"photo_id": {"S": "1"}})
    for key in (f"labels/{0:032}/AIDA/1.json", "models/vehicles-test-1/output/model.tar.gz", "training/current.json"):
        assert denied(s3.put_object, Bucket=deployed.ml_bucket, Key=key, Body=b"x", IfNoneMatch="*"), key
    assert denied(s3.put_object, Bucket=deployed.artifacts_bucket, Key="code.zip", Body=b"x", IfNoneMatch="*")
    assert denied(s3.delete_object, Bucket=deployed.uploads_bucket, Key="uploads/d7/1.jpg")
    entry = {"EventBusName": deployed.event_bus, "DetailType": "Driver Routed", "Detail": "{}"}
    for source in ("scones.vehicles", "orders"):
        assert denied(operator("events").put_events, Entries=[{**entry, "Source": source}])
    assert denied(operator("sagemaker").delete_endpoint, EndpointName=deployed.endpoint_name)
    assert denied(operator("cloudformation").delete_stack, StackName=deployed.app_name)
    assert denied(operator("iam").create_user, UserName="mallory")
    code = {"S3Bucket": deployed.artifacts_bucket, "S3Key": "code.zip"}
    assert denied(operator("lambda").update_function_code, FunctionName=f"{deployed.app_name}-assign-bay", **code)
    assert denied(operator("stepfunctions").send_task_success, taskToken="token", output="{}")


def test_a_deployer_deploys_changes_and_removes_a_stage_but_not_its_data(
    embedded_aws: local.ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator makes the policies, here and in the last step."""
    target = Target("local", "dora")
    arns = people.deploy_people(target, lambda line: None)
    # On the embedded AWS, the commands make and remove them too.
    monkeypatch.setattr(system, "deploy_people", lambda *_: arns)
    for name in ("check_unattached", "remove_people"):
        monkeypatch.setattr(removal, name, lambda *_: None)
    deployer = [
        arns[f"{name}PolicyArn"]
        for name in ("Deployer", "DeployerStack", "DeployerDataStack", "DeployerApi", "Operator")
    ]
    lines: list[str] = []
    with signing_as(embedded_aws, "dora", *deployer):
        with pytest.raises(ClientError, match="AccessDenied"):
            people.deploy_people(target, lambda line: None)
        system.plan(target, lines.append)
        outputs = system.deploy(target, lines.append)
        monkeypatch.setenv("REVIEW_TIMEOUT_S", "61")
        system.plan(target, lines.append)
        system.deploy(target, lines.append)
        status.show(Deployed.of(outputs), target)
        s3, iam = boto3.client("s3"), boto3.client("iam")
        assert denied(s3.delete_bucket, Bucket="payroll")
        assert denied(s3.put_object, Bucket=outputs["MlBucket"], Key="models/1", Body=b"x")
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        assert denied(iam.create_role, RoleName="scones-dora-x", AssumeRolePolicyDocument=trust)
        assert denied(iam.create_user, UserName="mallory")
        removal.destroy(target, with_data=False, progress=lines.append)
        with pytest.raises(DeployError, match="AccessDenied"):
            removal.destroy(target, with_data=True, progress=lines.append)
    assert "Uploads are denied." in lines
    with signing_as(embedded_aws, "remo", *deployer, arns["RemoverPolicyArn"]):
        removal.destroy(target, with_data=True, progress=lines.append)
    assert Stack(target.data_stack).status() is None
    people.remove_people(target, lines.append)


def test_policies_that_somebody_has_are_not_removed_and_nothing_else_either(embedded_aws: local.ServerInfo) -> None:
    target = Target("local", "attached")
    outputs = system.deploy(target, progress=lambda line: None)
    arns = Stack(target.people_stack).outputs()
    with pytest.raises(DeployError, match=r"limits the roles of scones-attached\. First run `make destroy DATA=yes`"):
        people.remove_people(target, lambda line: None)
    with signing_as(embedded_aws, "petra", arns["ReviewerPolicyArn"], arns["OperatorPolicyArn"]):
        local.use(embedded_aws)
        boto3.setup_default_session()
        with pytest.raises(DeployError) as refused:
            removal.destroy(target, with_data=True, progress=lambda line: None)
        assert "  OperatorPolicy: user petra\n  ReviewerPolicy: user petra\n" in str(refused.value)
        assert str(refused.value).endswith("Nothing was removed. Run `make destroy DATA=yes` again.")
        assert system.outputs(target) == outputs
    removal.destroy(target, with_data=True, progress=lambda line: None)
    assert Stack(target.people_stack).status() is None


def test_the_policies_fit_into_managed_policies(policies: dict[str, str]) -> None:
    """The limit is 6,144 characters without white space ("IAM and AWS STS quotas", IAM User Guide)."""
    iam: Any = boto3.client("iam")
    arns = {name: arn for name, arn in policies.items() if name.endswith("PolicyArn")}
    assert len(arns) >= 4
    for name, arn in arns.items():
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        assert len(json.dumps(document, separators=(",", ":"))) <= 6144, name


def test_a_presigned_form_limits_size_and_key(deployed: Deployed, driver: Any) -> None:
    """The recommended way: a backend signs a form for each photo, and the app uploads without credentials."""
    s3 = driver("s3", config=Config(signature_version="s3v4"))
    form = s3.generate_presigned_post(
        deployed.uploads_bucket,
        "uploads/d7/form.jpg",
        Conditions=[["content-length-range", 1, TOO_LARGE - 1]],
        ExpiresIn=300,
    )
    assert post(form, b"not a photo") == 204
    assert post(form, b"") == 400
    assert post({**form, "fields": {**form["fields"], "key": "uploads/d8/form.jpg"}}, b"x") == 403
    other = s3.generate_presigned_post(deployed.uploads_bucket, "uploads/d8/form.jpg", ExpiresIn=300)
    assert post(other, b"x") == 403


def post(form: dict[str, Any], content: bytes) -> int:
    """Send a form with a file; return the status of the answer."""
    fields = {**form["fields"], "file": ("photo.jpg", content)}
    return urllib3.request("POST", form["url"], fields=fields, timeout=30).status

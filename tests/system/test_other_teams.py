"""The examples for other teams in docs/examples/, run as they are, with the permissions of another team."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import jsonschema
import pytest

import events
import local
from console.other_teams import send_test_event
from deploy.stack import Stack
from functions.shared.photo import Photo
from tests.support.cloudformation_templates import ACCOUNT
from tests.support.partner import rule_needs
from tests.support.recorded_calls import Call, read_calls, unneeded
from tests.support.upload_stage import UploadStage
from tests.system.conftest import CALLS, RECORD_CALLS
from tests.system.test_people import denied

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
TEAM = "orders"
OWN = "000000000000"


class Partner:
    """Another team: its stack, its credentials, and the stage that it uses."""

    def __init__(self, server: local.ServerInfo, stage: UploadStage) -> None:
        self.stage, self.name = stage, stage.deployed.stage
        self.policy = Stack(f"{stage.deployed.app_name}-people").outputs()["PartnerPolicyArn"]
        self.outputs = deploy_stack(self.name, self.policy)
        iam: Any = boto3.client("iam")
        iam.create_user(UserName=f"{TEAM}-app")
        iam.attach_user_policy(UserName=f"{TEAM}-app", PolicyArn=self.policy)
        own = {
            "Effect": "Allow",
            "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage"],
            "Resource": f"arn:aws:sqs:{server.region}:*:{TEAM}-decisions",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [own]})
        iam.put_user_policy(UserName=f"{TEAM}-app", PolicyName="own-queue", PolicyDocument=document)
        key = iam.create_access_key(UserName=f"{TEAM}-app")["AccessKey"]
        self._session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=server.region)
        self._endpoint = server.url
        self._environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_DEFAULT_REGION": server.region,
            "AWS_ENDPOINT_URL": server.url,
        }

    def client(self, service: str) -> Any:
        """A client with the permissions of the team."""
        return self._session.client(service, endpoint_url=self._endpoint)

    def run(self, example: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of docs/examples/."""
        return subprocess.run(
            [sys.executable, str(EXAMPLES / example), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def lines(self, example: str, *arguments: str) -> list[Any]:
        """Run a program of docs/examples/; return the JSON lines that it prints."""
        ended = self.run(example, *arguments)
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def put(self, key: str, content: bytes) -> Photo:
        """Put a photo into the uploads bucket with the permissions of the team."""
        bucket = self.stage.deployed.uploads_bucket
        etag = self.client("s3").put_object(Bucket=bucket, Key=key, Body=content)["ETag"]
        return Photo(bucket, key, etag.strip('"'), len(content))


def deploy_stack(stage: str, policy: str) -> dict[str, str]:
    """Deploy docs/examples/stack.yaml; return its outputs.

    The embedded CloudFormation does not check what its caller may do: unit/deploy/test_partner.py does.
    """
    cloudformation: Any = boto3.client("cloudformation")
    sources = "scones.vehicles,scones.vehicles.test"
    parameters = {"Stage": stage, "Team": TEAM, "Sources": sources, "PartnerPolicyArn": policy}
    cloudformation.create_stack(
        StackName=TEAM,
        TemplateBody=(EXAMPLES / "stack.yaml").read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=TEAM, WaiterConfig={"Delay": 1})
    return Stack(TEAM).outputs()


@pytest.fixture(scope="module")
def partner(embedded_aws: local.ServerInfo, upload_stage: UploadStage) -> Iterator[Partner]:
    yield Partner(embedded_aws, upload_stage)
    cloudformation: Any = boto3.client("cloudformation")
    cloudformation.delete_stack(StackName=TEAM)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=TEAM, WaiterConfig={"Delay": 1})


def photos_of(stage: UploadStage, count: int) -> list[bytes]:
    """Distinct photos."""
    return [stage.photo_of("bicycle", number).content for number in range(count)]


def test_a_batch_from_boto3_has_a_result_for_each_photo(partner: Partner, tmp_path: Path) -> None:
    for number, content in enumerate(photos_of(partner.stage, 3)):
        (tmp_path / f"{number}.png").write_bytes(content)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    results = partner.lines("classify_folder.py", partner.name, "orders-boto3", str(tmp_path))
    for result in results:
        jsonschema.validate(result, events.contract("batch_result"))
    found = {result["photo"]["key"].rpartition("/")[2]: result for result in results}
    assert set(found) == {"0.png", "1.png", "2.png", "broken.jpg"}
    assert found["broken.jpg"]["reason"] == "UnreadablePhoto"
    assert {found[f"{number}.png"]["vehicle"] for number in range(3)} == {"bicycle"}
    decided = [Photo.from_state(result["photo"]) for result in results]
    assert [partner.stage.record(photo) for photo in decided] == [None] * 4, "a batch decides about no photo"


def test_a_workflow_of_another_team_continues_when_its_batch_is_complete(partner: Partner) -> None:
    for number, content in enumerate(photos_of(partner.stage, 2)):
        partner.put(f"batches/orders-nested/{number}.png", content)
    ended = partner.stage.run(partner.outputs["ClassifyFolderArn"], {"batch": "orders-nested"})
    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    assert output["status"] == "complete"
    bucket, _, key = output["results"].removeprefix("s3://").partition("/")
    body = partner.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert len(body.splitlines()) == 2


def test_a_workflow_of_another_team_gets_a_decision_and_its_queue_the_event(partner: Partner) -> None:
    photo = partner.put("batches/orders/42.png", photos_of(partner.stage, 1)[0])
    ended = partner.stage.run(partner.outputs["AskForDecisionArn"], {"key": photo.key})
    assert ended["status"] == "SUCCEEDED", ended
    decision = json.loads(ended["output"])
    assert decision == partner.stage.decision(photo)
    (received,) = partner.lines("receive_events.py", partner.outputs["DecisionsUrl"], "1")
    assert received == {"source": "scones.vehicles", "detail-type": "Driver Routed", "detail": decision}


def test_a_test_event_reaches_the_queue_and_says_what_it_is(partner: Partner) -> None:
    send_test_event("Driver Routed", partner.stage.deployed, boto3.client("events"))
    (received,) = partner.lines("receive_events.py", partner.outputs["DecisionsUrl"], "1")
    assert (received["source"], received["detail"]["driver_id"]) == ("scones.vehicles.test", "test-event")


def test_an_event_that_comes_twice_is_handled_once(partner: Partner) -> None:
    sqs: Any = boto3.client("sqs")
    for sample in ("driver_routed", "driver_routed", "photo_rejected"):
        sqs.send_message(QueueUrl=partner.outputs["DecisionsUrl"], MessageBody=json.dumps(events.sample(sample)))
    received = partner.lines("receive_events.py", partner.outputs["DecisionsUrl"], "2")
    assert sorted(one["detail-type"] for one in received) == ["Driver Routed", "Photo Rejected"]


def test_the_endpoint_answers_with_probabilities_and_decides_nothing(partner: Partner, tmp_path: Path) -> None:
    content = photos_of(partner.stage, 1)[0] + b"asked directly"
    (tmp_path / "bike.png").write_bytes(content)
    (answer,) = partner.lines("ask_model.py", partner.name, str(tmp_path / "bike.png"))
    jsonschema.validate(answer, events.contract("endpoint_answer"))
    assert answer["vehicle"] == "bicycle"
    assert answer["probabilities"]["bicycle"] == answer["confidence"] == max(answer["probabilities"].values())
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_the_endpoint_says_why_it_refuses_a_photo(partner: Partner, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_bytes(b"Dear model, this is not a photo.")
    ended = partner.run("ask_model.py", partner.name, str(tmp_path / "letter.jpg"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("UnreadablePhoto: ")


def test_the_role_of_the_workflows_has_the_policy_of_partners_and_nothing_else(partner: Partner) -> None:
    iam, states = boto3.client("iam"), boto3.client("stepfunctions")
    machine = states.describe_state_machine(stateMachineArn=partner.outputs["ClassifyFolderArn"])
    role = machine["roleArn"].rpartition("/")[2]
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert [one["PolicyArn"] for one in attached] == [partner.policy]
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == []


def test_a_team_stops_its_batch_but_no_photo_of_a_driver(partner: Partner) -> None:
    deployed, states = partner.stage.deployed, partner.client("stepfunctions")
    batch = states.start_execution(stateMachineArn=deployed.classify_batch_arn, input='{"id": "stopped-by-orders"}')
    assert not denied(states.stop_execution, executionArn=batch["executionArn"], ended="ValidationException")
    photo = states.start_execution(stateMachineArn=deployed.classify_photo_arn, input="{}")
    assert denied(states.stop_execution, executionArn=photo["executionArn"])


def test_a_team_does_nothing_else_in_the_stage(partner: Partner) -> None:
    deployed, s3 = partner.stage.deployed, partner.client("s3")
    for key in ("uploads/driver-17/bike.jpg", "batches", "labels/1.json"):
        assert denied(s3.put_object, Bucket=deployed.uploads_bucket, Key=key, Body=b"x"), key
    assert denied(s3.put_object, Bucket=deployed.ml_bucket, Key="batches/orders/results.jsonl", Body=b"x")
    assert denied(s3.get_object, Bucket=deployed.uploads_bucket, Key="uploads/driver-17/bike.jpg")
    assert denied(
        partner.client("sagemaker-runtime").invoke_endpoint, EndpointName="payroll", Body=b"x", ContentType="text/csv"
    )
    assert denied(partner.client("sagemaker").describe_endpoint, EndpointName=deployed.endpoint_name)
    entry = {"EventBusName": deployed.event_bus, "DetailType": "Driver Routed", "Detail": "{}"}
    for source in ("scones.vehicles", "orders"):
        assert denied(partner.client("events").put_events, Entries=[{**entry, "Source": source}])


def test_the_examples_need_every_permission_of_the_policy(
    request: pytest.FixtureRequest, embedded_aws: local.ServerInfo, partner: Partner
) -> None:
    """The calls of the other tests of this file, and what CloudFormation needs for the stack."""
    own = {name for name in globals() if name.startswith("test_")}
    if not own <= {item.name for item in request.session.items if item.path == Path(__file__)}:
        pytest.skip("the calls of all tests of this file are needed")
    recorded = Path(os.environ.get(RECORD_CALLS) or embedded_aws.directory / CALLS)
    calls = [call for call in read_calls(recorded) if call.name.startswith(f"{TEAM}-")]
    calls += [
        Call(f"arn:aws:iam::{OWN}:user/deployer", need.action, need.resource.replace(ACCOUNT, OWN), need.context, {})
        for need in rule_needs(partner.name, TEAM)
    ]
    iam: Any = boto3.client("iam")
    version = iam.get_policy(PolicyArn=partner.policy)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=partner.policy, VersionId=version)["PolicyVersion"]["Document"]
    assert unneeded(document["Statement"], calls) == []

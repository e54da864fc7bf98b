"""Injected faults: calls of AWS that fail, hang, or lose their response, as long as the file says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ReadTimeoutError

import local
from local import faults
from local.faults import Fault
from tests.support import embedded_aws
from tests.support.network import free_port

ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=0.5)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("aws")
    settings = local.Settings(port=free_port(), authorization=False, directory=folder, faults=folder / "faults.json")
    with embedded_aws.started(settings) as server, embedded_aws.used(server):
        boto3.client("s3").create_bucket(Bucket="photos", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        boto3.client("dynamodb").create_table(
            TableName="photos",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield folder / "faults.json"


@pytest.fixture(autouse=True)
def no_faults_afterwards(file: Path) -> Iterator[None]:
    yield
    faults.write(file)


@pytest.fixture
def dynamodb() -> Any:
    return boto3.client("dynamodb", config=ONCE)


@pytest.fixture
def s3() -> Any:
    return boto3.client("s3", config=ONCE)


def put(dynamodb: Any, name: str) -> None:
    dynamodb.put_item(TableName="photos", Item={"id": {"S": name}})


def found(dynamodb: Any, name: str) -> bool:
    return "Item" in dynamodb.get_item(TableName="photos", Key={"id": {"S": name}})


def test_only_the_operation_of_the_fault_fails_and_only_while_the_file_exists(file: Path, dynamodb: Any) -> None:
    faults.write(file, Fault("dynamodb", "PutItem", "ProvisionedThroughputExceededException", status=400))
    with pytest.raises(dynamodb.exceptions.ProvisionedThroughputExceededException):
        put(dynamodb, "refused")
    assert not found(dynamodb, "refused")
    faults.write(file)
    put(dynamodb, "accepted")
    assert found(dynamodb, "accepted")


def test_a_fault_of_every_third_call(file: Path, dynamodb: Any) -> None:
    faults.write(file, Fault("dynamodb", "PutItem", "InternalServerError", every=3))
    failed = []
    for number in range(6):
        try:
            put(dynamodb, f"third-{number}")
        except ClientError:
            failed.append(number)
    assert failed == [2, 5]


def test_a_lost_response_of_a_call_that_took_effect(file: Path, dynamodb: Any) -> None:
    faults.write(file, Fault("dynamodb", "PutItem", "InternalServerError", after=True))
    with pytest.raises(dynamodb.exceptions.InternalServerError):
        put(dynamodb, "written")
    assert found(dynamodb, "written")


def test_a_call_that_hangs_longer_than_the_client_waits(file: Path, dynamodb: Any) -> None:
    faults.write(file, Fault("dynamodb", delay_s=2))
    started = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        put(dynamodb, "late")
    assert time.monotonic() - started >= 0.5


def test_errors_have_the_protocol_of_the_service(file: Path, s3: Any) -> None:
    faults.write(file, Fault("s3", "PUT", "SlowDown", status=503))
    with pytest.raises(ClientError, match=r"\(SlowDown\).*an injected fault"):
        s3.put_object(Bucket="photos", Key="a", Body=b"1")
    assert s3.list_objects_v2(Bucket="photos")["KeyCount"] == 0


def test_a_response_that_is_no_answer(file: Path) -> None:
    faults.write(file, Fault("sagemaker", "POST", body="<html>", status=200))
    runtime = boto3.client("sagemaker-runtime", config=ONCE)
    assert runtime.invoke_endpoint(EndpointName="any", Body=b"photo")["Body"].read() == b"<html>"

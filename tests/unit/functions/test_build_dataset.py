"""The input of a retraining, its base data, and the repair of the endpoint."""

import json
from contextlib import nullcontext
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.build_dataset.base_data import BaseData, TrainingDataRefused, check_base_data
from functions.build_dataset.endpoint_repair import ChampionEndpoint
from functions.build_dataset.prepare import find_obstacle, required_labels
from functions.build_dataset.request import Request
from functions.shared.champion import Champion, EndpointBusy, ModelTable
from functions.shared.errors import InvalidInput
from functions.shared.vehicles import load_vehicles

CLASSES = ("bicycle", "motorcycle")
REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/scones-dev"
IMAGE, DEPLOYED = (f"{REPOSITORY}@sha256:{digit * 64}" for digit in "01")
CHAMPION = Champion("v1", "v1", "s3://a")


def test_an_input_overrides_the_recorded_training_input() -> None:
    staged = {"dataset": "s3://b/old/", "image": IMAGE, "hyperparameters": {"epochs": 3}}
    request = Request.from_state(
        {"dataset": "s3://b/new/", "classes": ["motorcycle"]}, staged, load_vehicles(), DEPLOYED
    )
    assert (request.dataset, request.image, request.classes) == ("s3://b/new/", IMAGE, ("motorcycle",))
    assert request.hyperparameters == {"epochs": "3"}
    assert request.trigger == "manual"


@pytest.mark.parametrize("given", [None, [], {}, {"dataset": "nowhere"}, {"trigger": "x"}, {"classes": ["tank"]}])
def test_an_invalid_input_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput):
        Request.from_state(given, {"image": IMAGE} if given else None, load_vehicles(), DEPLOYED)


@pytest.mark.parametrize("given", [{"dataset": "s3://b/"}, {"initial_model": "s3://b/initial/model.tar.gz"}])
def test_an_input_that_nothing_reads_is_named(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="'source', which does nothing; a retraining reads dataset, image"):
        Request.from_state({**given, "source": "s3://b/source.tar.gz"}, None, load_vehicles(), DEPLOYED)


def test_each_trigger_requires_its_number_of_new_labels() -> None:
    def required(trigger: str, force: bool = False) -> int:
        return required_labels(Request("s3://d", IMAGE, trigger=trigger, force=force), min_new_labels=25)

    assert [required(trigger) for trigger in ("manual", "schedule", "drift", "labels")] == [0, 1, 1, 25]
    assert required("labels", force=True) == 0


@pytest.mark.parametrize("trigger", ["schedule", "labels", "drift"])
def test_only_a_person_starts_the_first_retraining(trigger: str) -> None:
    automatic, manual = Request("s3://d", IMAGE, trigger=trigger, force=True), Request("s3://d", IMAGE)
    assert (find_obstacle(automatic, None) or ("",))[0] == "NoChampion"
    assert find_obstacle(automatic, CHAMPION) is None
    assert find_obstacle(manual, None) is None


def test_a_repair_needs_no_data_and_trains_nothing() -> None:
    request = Request.from_state({"trigger": "repair"}, None, load_vehicles(), DEPLOYED)
    assert (find_obstacle(request, CHAMPION) or ("",))[0] == "EndpointRepaired"
    assert (find_obstacle(request, None) or ("",))[0] == "NoChampion"


@pytest.mark.parametrize("status", [None, "Creating", "InService"])
def test_a_repair_waits_until_the_endpoint_serves_the_champion(table: ModelTable, status: str | None) -> None:
    sagemaker = _SageMaker(status)
    endpoint = ChampionEndpoint("vehicles", table, sagemaker, _Scaling(sagemaker, True))
    with pytest.raises(EndpointBusy, match=f"vehicles is {status or 'missing'}"):
        endpoint.check_in_service(Champion("v1", "v1", "s3://a"))
    if status == "InService":
        endpoint.check_in_service(Champion("v2", "another-model", "s3://a"))


def test_a_trigger_without_recorded_data_is_no_error() -> None:
    """An initial model has no training data, and the schedule must not fail every hour because of that."""
    request = Request.from_state({"trigger": "labels"}, None, load_vehicles(), DEPLOYED)
    assert (find_obstacle(request, CHAMPION) or ("",))[0] == "NoTrainingData"
    with pytest.raises(InvalidInput, match="dataset"):
        Request.from_state({}, None, load_vehicles(), DEPLOYED)


def test_recorded_golden_photos_are_used_with_their_data_set_only() -> None:
    recorded = {"dataset": "s3://b/old/", "image": IMAGE, "golden": "s3://b/golden/old/"}
    assert Request.from_state({}, recorded, load_vehicles(), DEPLOYED).golden == "s3://b/golden/old/"
    assert (
        Request.from_state({"dataset": "s3://b/old/"}, recorded, load_vehicles(), DEPLOYED).golden
        == "s3://b/golden/old/"
    )
    assert Request.from_state({"dataset": "s3://b/new/"}, recorded, load_vehicles(), DEPLOYED).golden is None
    assert Request.from_state({"golden": ""}, recorded, load_vehicles(), DEPLOYED).golden is None
    with pytest.raises(InvalidInput, match="golden"):
        Request.from_state({"golden": "nowhere"}, recorded, load_vehicles(), DEPLOYED)


def test_the_training_input_of_a_model_is_the_input_of_the_next_retraining() -> None:
    given = {
        "dataset": "s3://b/new/",
        "image": IMAGE,
        "hyperparameters": {"epochs": "3"},
        "classes": ["bicycle"],
        "golden": "s3://b/golden/new/",
    }
    first = Request.from_state({**given, "force": True}, None, load_vehicles(), DEPLOYED)
    assert first.as_input() == given
    again = Request.from_state({"trigger": "labels"}, first.as_input(), load_vehicles(), DEPLOYED)
    assert (again.as_input(), again.force) == (given, False)


def test_the_deployed_image_is_used_until_a_promotion_records_one() -> None:
    given = {"dataset": "s3://b/new/"}
    images = [
        Request.from_state(given, recorded, load_vehicles(), DEPLOYED).image
        for recorded in (None, {"dataset": "s3://b/old/"}, {"image": IMAGE})
    ]
    assert images == [DEPLOYED, DEPLOYED, IMAGE]
    assert Request.from_state({"initial_model": "s3://b/model.tar.gz"}, None, load_vehicles(), IMAGE).image == IMAGE


@pytest.mark.parametrize("image", ["", "s3://ml/source/a.tar.gz", f"{REPOSITORY}2:1", "docker.io/library/python:3"])
def test_an_image_that_was_not_built_for_the_stage_is_refused(image: str) -> None:
    with pytest.raises(InvalidInput, match="it must be an image of"):
        make_request(image=image).check_addresses("ml", REPOSITORY)


def make_request(**more: Any) -> Request:
    return Request(**{"dataset": "s3://ml/datasets/base/a/", "image": IMAGE, **more})


def test_drawn_pictures_are_refused_unless_the_stage_allows_them() -> None:
    drawn = BaseData("generated", {"bicycle": 9, "motorcycle": 9, "house": 9})
    for request in (make_request(), make_request(force=True)):
        with pytest.raises(TrainingDataRefused, match="drawn"):
            check_base_data(drawn, request, CLASSES, allow_drawn=False)
    check_base_data(drawn, make_request(), CLASSES, allow_drawn=True)


def test_data_without_other_things_than_vehicles_is_refused_unless_forced() -> None:
    vehicles_only = BaseData("photos", {"bicycle": 9, "motorcycle": 9})
    with pytest.raises(TrainingDataRefused, match="nothing but bicycle, motorcycle"):
        check_base_data(vehicles_only, make_request(), CLASSES, allow_drawn=False)
    check_base_data(vehicles_only, make_request(force=True), CLASSES, allow_drawn=False)
    # For a model of bicycles only, motorcycles are other things.
    check_base_data(vehicles_only, make_request(), ("bicycle",), allow_drawn=False)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("dataset", "s3://ml/datasets/base/a/"),
        ("golden", "s3://ml/golden/a/"),
        ("golden", "s3://ml/initial/a/golden/"),
        ("golden", None),
        ("initial_model", "s3://ml/initial/a/model.tar.gz"),
        ("candidate", "s3://ml/initial/a/model.tar.gz"),
        # An automatic trigger without recorded data has none.
        ("dataset", ""),
    ],
)
def test_addresses_that_operators_write_are_accepted(name: str, address: str | None) -> None:
    make_request(**{name: address}).check_addresses("ml", REPOSITORY)


@pytest.mark.parametrize("name", ["dataset", "golden", "initial_model", "candidate"])
@pytest.mark.parametrize(
    "address",
    [
        "s3://ml/reviews/2026/11/27/code.tar.gz",
        "s3://ml/labels/0/AIDAANA/1.jpg",
        "s3://ml/datasets/photos/",
        "s3://ml/models/a/output/model.tar.gz",
        "s3://ml/golden-photos/",
        "s3://uploads/source/code.tar.gz",
        "s3://ml.evil/source/code.tar.gz",
        "s3://ml",
    ],
)
def test_data_and_models_that_others_can_write_are_refused(name: str, address: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is .*; it must be under s3://ml/"):
        make_request(**{name: address}).check_addresses("ml", REPOSITORY)


def test_a_description_that_may_not_be_read_is_no_missing_one() -> None:
    """Data whose source is unknown may be trained on; drawn pictures may not."""
    s3 = boto3.client("s3", region_name="eu-west-1", config=Config(signature_version=UNSIGNED))
    with Stubber(s3) as answers:
        answers.add_client_error("get_object", "AccessDenied")
        with pytest.raises(ClientError, match="AccessDenied"):
            BaseData.read("s3://data/base/", s3)


@pytest.mark.parametrize("content", [None, b"not JSON", b"[]", b'{"counts": 3, "source": 3}'])
def test_source_and_counts_are_unknown_without_a_description(account: dict[str, Any], content: bytes | None) -> None:
    if content is not None:
        account["s3"].put_object(Bucket="scones-ml", Key="datasets/base/a/about.json", Body=content)
    assert BaseData.read("s3://scones-ml/datasets/base/a/", account["s3"]) == BaseData()
    assert BaseData.read("s3://no-such-bucket/a/", account["s3"]) == BaseData()


def test_the_description_that_staging_writes_is_read(account: dict[str, Any]) -> None:
    about = {"source": "photos", "sha256": "a", "counts": {"bicycle": 9}}
    account["s3"].put_object(Bucket="scones-ml", Key="datasets/base/a/about.json", Body=json.dumps(about).encode())
    assert BaseData.read("s3://scones-ml/datasets/base/a/", account["s3"]) == BaseData("photos", {"bicycle": 9})


class _SageMaker:
    """A fake client with an endpoint in a given status; it records the calls."""

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.calls: list[str] = []

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        if self.status is None:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "Could not find endpoint"}}, "x")
        return {"EndpointStatus": self.status, "EndpointConfigName": "another-model"}

    def __getattr__(self, operation: str) -> Any:
        return lambda **request: self.calls.append(f"{operation} {request.get('EndpointConfigName', '')}".strip())


class _Scaling:
    """A fake client of Application Auto Scaling, whose target is registered or not; it records with `sagemaker`."""

    def __init__(self, sagemaker: _SageMaker, registered: bool) -> None:
        self.sagemaker = sagemaker
        self.registered = registered

    def deregister_scalable_target(self, **_: Any) -> None:
        self.sagemaker.calls.append("deregister_scalable_target")
        if not self.registered:
            raise ClientError({"Error": {"Code": "ObjectNotFoundException", "Message": "none"}}, "x")


@pytest.mark.parametrize(
    ("status", "calls", "busy"),
    [
        (None, ["create_endpoint v1"], False),
        ("InService", ["deregister_scalable_target", "update_endpoint v1"], False),
        ("Failed", ["delete_endpoint"], True),
        ("Updating", [], True),
    ],
)
@pytest.mark.parametrize("registered", [True, False])
def test_the_champion_is_restored_in_every_state_of_its_endpoint(
    table: ModelTable, status: str | None, calls: list[str], busy: bool, registered: bool
) -> None:
    table.promote(Champion("v1", "v1", "s3://a"))
    sagemaker = _SageMaker(status)
    endpoint = ChampionEndpoint("vehicles", table, sagemaker, _Scaling(sagemaker, registered))
    with pytest.raises(EndpointBusy) if busy else nullcontext():
        assert endpoint.restore_champion() == table.champion()
    assert sagemaker.calls == calls

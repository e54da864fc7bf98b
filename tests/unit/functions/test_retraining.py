"""The functions of a retraining: what is learned, who may train, what is better, and how it is told."""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from functions.build_dataset.base_data import BaseData, TrainingDataRefused, check_base_data, check_golden
from functions.build_dataset.endpoint_repair import Throne
from functions.build_dataset.labels import Label, news, standing
from functions.build_dataset.prepare import hindrance, needed
from functions.build_dataset.request import Request
from functions.build_dataset.snapshot import Store
from functions.judge_challenger.gate import Gate, judge
from functions.probe_endpoint.probe import Golden, ProbeFailed, drawn_photo, probe, spread
from functions.record_retraining.conclusion import Conclusion
from functions.shared.champion import Champion, EndpointBusy, LockLost, ModelTable, RetrainingRunning
from functions.shared.checks import AT_MOST, Check
from functions.shared.errors import InvalidInput, InvalidSettings
from functions.shared.photo import Photo
from functions.shared.vehicles import vehicles
from training.images import PhotoError
from training.inference import input_fn

REGION = "eu-west-1"
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
CLASSES = ("bicycle", "motorcycle")
CHAMPION = Champion("v1", "v1", "s3://a")


def label(vehicle: str, key: str = "uploads/d/a.jpg", at: str = "2026-11-20T10:00:00.000Z", by: str = "ann") -> Label:
    return Label(Photo("uploads", key, "etag", 10), vehicle, by, at)


# Labels


def test_of_two_answers_about_a_photo_the_later_one_counts_whatever_their_order() -> None:
    first, second = label("bicycle", at="2026-11-20T10:00:00.000Z"), label("motorcycle", at="2026-11-21T10:00:00.000Z")
    assert standing([first, second], CLASSES, ()) == standing([second, first], CLASSES, ()) == [second]


def test_two_answers_at_the_same_instant_always_end_the_same_way() -> None:
    ann, zoe = label("bicycle", by="ann"), label("motorcycle", by="zoe")
    assert standing([ann, zoe], CLASSES, ()) == standing([zoe, ann], CLASSES, ()) == [zoe]


def test_a_photo_found_unusable_later_is_not_learned() -> None:
    later = label("unusable", at="2026-11-21T10:00:00.000Z")
    assert standing([label("bicycle"), later], CLASSES, ()) == []


def test_a_rejected_photo_is_not_learned() -> None:
    assert standing([label("bicycle")], CLASSES, [label("bicycle").photo.photo_id]) == []


def test_other_is_learned_and_an_unconfigured_vehicle_is_not() -> None:
    cat, bus = label("other", key="uploads/d/cat.jpg"), label("bus", key="uploads/d/bus.jpg")
    assert standing([cat, bus], CLASSES, ()) == [cat]


def test_about_a_quarter_of_the_photos_judges_and_never_changes_sides() -> None:
    labels = [label("bicycle", key=f"uploads/d/{number}.jpg") for number in range(400)]
    judging = [one for one in labels if one.use == "evaluate"]
    assert 60 < len(judging) < 140
    assert [label(one.vehicle, key=one.photo.key).use for one in judging] == ["evaluate"] * len(judging)


def test_a_label_that_changed_is_news_and_a_known_one_is_not() -> None:
    known, new = label("bicycle"), label("bicycle", key="uploads/d/b.jpg")
    assert news([known.as_entry(), new.as_entry()], [known.as_entry()]) == 1
    assert news([label("motorcycle").as_entry()], [known.as_entry()]) == 1


@pytest.mark.parametrize("content", [None, [], {}, {"photo": {"bucket": "b", "key": "k"}, "vehicle": "bicycle"}])
def test_an_object_among_the_labels_that_is_none_is_passed_over(content: Any) -> None:
    assert Label.from_object(content) is None


def answered(vehicle: str, *opinions: str) -> Label | None:
    """A label object of one answer and later opinions, read."""
    photo, at = label("bicycle").photo.as_state(), "2026-11-20T10:00:00.000Z"
    others = [{"vehicle": name, "reviewer": f"r{n}", "answered_at": at} for n, name in enumerate(opinions)]
    return Label.from_object(
        {"photo": photo, "vehicle": vehicle, "reviewer": "ann", "answered_at": at, "opinions": others}
    )


def test_of_people_who_disagree_the_majority_counts_and_a_split_teaches_nothing() -> None:
    agreed, outvoted, split = (
        answered("bicycle", "bicycle"),
        answered("bicycle", "motorcycle", "motorcycle"),
        answered("bicycle", "motorcycle"),
    )
    assert agreed
    assert outvoted
    assert split
    assert (agreed.vehicle, outvoted.vehicle) == ("bicycle", "motorcycle")
    assert standing([split], CLASSES, ()) == []


# Snapshots


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        clients = {name: boto3.client(name, region_name=REGION) for name in ("s3", "dynamodb")}
        for bucket in ("uploads", "scones-ml"):
            clients["s3"].create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for table, key in (("photos", "photo_id"), ("models", "id")):
            clients["dynamodb"].create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        yield clients


@pytest.fixture
def store(account: dict[str, Any]) -> Store:
    return Store("scones-ml", account["s3"], "photos", account["dynamodb"])


def labelled(account: dict[str, Any], name: str, vehicle: str, day: str = "2026/11/20") -> Photo:
    put = account["s3"].put_object(Bucket="uploads", Key=f"uploads/d/{name}", Body=name.encode())
    photo = Photo("uploads", f"uploads/d/{name}", put["ETag"].strip('"'), len(name))
    body = {
        "photo": photo.as_state(),
        "vehicle": vehicle,
        "reviewer": "ann",
        "answered_at": day.replace("/", "-") + "T10:00:00.000Z",
    }
    account["s3"].put_object(
        Bucket="scones-ml", Key=f"labels/{day}/{photo.photo_id}.json", Body=json.dumps(body).encode()
    )
    return photo


def test_the_same_labels_and_data_give_the_same_snapshot(account: dict[str, Any], store: Store) -> None:
    labelled(account, "a.jpg", "bicycle")
    labelled(account, "b.png", "other")
    first, second = store.freeze("s3://base/", CLASSES), store.freeze("s3://base/", CLASSES)
    assert first == second
    manifest = account["s3"].get_object(
        Bucket="scones-ml", Key=first.uri.removeprefix("s3://scones-ml/") + "manifest.json"
    )
    assert hashlib.sha256(manifest["Body"].read()).hexdigest() in first.uri


def test_a_new_label_gives_another_snapshot_and_is_counted(account: dict[str, Any], store: Store) -> None:
    labelled(account, "a.jpg", "bicycle")
    first = store.freeze("s3://base/", CLASSES)
    labelled(account, "b.jpg", "motorcycle")
    second = store.freeze("s3://base/", CLASSES)
    assert first.uri != second.uri
    assert store.new_since(second, first.uri) == 1
    assert store.new_since(second, None) == 2
    assert store.new_since(second, "s3://scones-ml/datasets/snapshots/gone/") == 2
    assert store.new_since(second, first.uri, None, second.uri) == 0


def test_a_photo_that_was_overwritten_before_it_was_learned_is_left_out(account: dict[str, Any], store: Store) -> None:
    labelled(account, "a.jpg", "bicycle")
    account["s3"].put_object(Bucket="uploads", Key="uploads/d/a.jpg", Body=b"another photo")
    labelled(account, "b.jpg", "bicycle")
    account["s3"].delete_object(Bucket="uploads", Key="uploads/d/b.jpg")
    assert store.freeze("s3://base/", CLASSES).entries == []


def test_a_photo_that_was_learned_once_stays_when_the_upload_is_gone(account: dict[str, Any], store: Store) -> None:
    labelled(account, "a.jpg", "bicycle")
    first = store.freeze("s3://base/", CLASSES)
    account["s3"].delete_object(Bucket="uploads", Key="uploads/d/a.jpg")
    assert store.freeze("s3://base/", CLASSES) == first


def test_photos_rejected_in_the_table_are_left_out_of_hundreds(account: dict[str, Any], store: Store) -> None:
    photos = [labelled(account, f"{number}.jpg", "bicycle") for number in range(120)]
    for photo in photos[::2]:
        item = {"photo_id": {"S": photo.photo_id}, "status": {"S": "rejected"}}
        account["dynamodb"].put_item(TableName="photos", Item=item)
    assert len(store.freeze("s3://base/", CLASSES).entries) == 60


def test_no_labels_at_all_still_leave_a_channel_to_read(account: dict[str, Any], store: Store) -> None:
    assert store.freeze("s3://base/", CLASSES).entries == []
    assert account["s3"].list_objects_v2(Bucket="scones-ml", Prefix="datasets/photos/")["KeyCount"] == 1


def test_features_are_those_beside_the_champions_model(account: dict[str, Any], store: Store) -> None:
    artifact = "s3://scones-ml/models/v1/output/model.tar.gz"
    account["s3"].put_object(Bucket="scones-ml", Key="models/v1/output/output.tar.gz", Body=b"features")
    assert store.features(artifact) == "s3://scones-ml/models/v1/output/output.tar.gz"


@pytest.mark.parametrize(
    "artifact",
    [None, "s3://scones-ml/models/v2/output/model.tar.gz", "s3://elsewhere/models/v1/output/model.tar.gz"],
)
def test_without_kept_features_the_channel_holds_a_note(
    account: dict[str, Any], store: Store, artifact: str | None
) -> None:
    account["s3"].put_object(Bucket="scones-ml", Key="models/v1/output/output.tar.gz", Body=b"features")
    for _ in range(2):
        assert store.features(artifact) == "s3://scones-ml/datasets/features/"
    (note,) = account["s3"].list_objects_v2(Bucket="scones-ml", Prefix="datasets/features/")["Contents"]
    assert note["Key"] == "datasets/features/README.txt"


# Request


def test_an_input_goes_over_what_was_staged() -> None:
    staged = {"dataset": "s3://b/old/", "source": "s3://b/s.tar.gz", "hyperparameters": {"epochs": 3}}
    request = Request.from_state({"dataset": "s3://b/new/", "classes": ["motorcycle"]}, staged, vehicles())
    assert (request.dataset, request.source, request.classes) == ("s3://b/new/", "s3://b/s.tar.gz", ("motorcycle",))
    assert request.hyperparameters == {"epochs": "3"}
    assert request.trigger == "manual"


@pytest.mark.parametrize("given", [None, [], {}, {"dataset": "nowhere"}, {"trigger": "x"}, {"classes": ["tank"]}])
def test_an_input_that_makes_no_sense_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput):
        Request.from_state(given, {"source": "s3://b/s.tar.gz"} if given else None, vehicles())


def test_how_many_new_labels_are_worth_a_retraining() -> None:
    def asked(trigger: str, force: bool = False) -> int:
        return needed(Request("s3://d", "s3://s", trigger=trigger, force=force), min_new_labels=25)

    assert [asked(trigger) for trigger in ("manual", "schedule", "drift", "labels")] == [0, 1, 1, 25]
    assert asked("labels", force=True) == 0


@pytest.mark.parametrize("trigger", ["schedule", "labels", "drift"])
def test_only_a_person_starts_the_first_retraining(trigger: str) -> None:
    automatic, manual = Request("s3://d", "s3://s", trigger=trigger, force=True), Request("s3://d", "s3://s")
    assert (hindrance(automatic, None) or ("",))[0] == "NoChampion"
    assert hindrance(automatic, CHAMPION) is None
    assert hindrance(manual, None) is None


def test_a_trigger_without_recorded_data_is_no_error() -> None:
    """The champion may have come without training data; the schedule must not raise an alarm for it every hour."""
    request = Request.from_state({"trigger": "labels"}, None, vehicles())
    assert (hindrance(request, CHAMPION) or ("",))[0] == "NoTrainingData"
    with pytest.raises(InvalidInput, match="dataset"):
        Request.from_state({}, None, vehicles())


def test_golden_photos_go_with_their_data_set() -> None:
    recorded = {"dataset": "s3://b/old/", "source": "s3://b/s.tar.gz", "golden": "s3://b/golden/old/"}
    assert Request.from_state({}, recorded, vehicles()).golden == "s3://b/golden/old/"
    assert Request.from_state({"dataset": "s3://b/old/"}, recorded, vehicles()).golden == "s3://b/golden/old/"
    assert Request.from_state({"dataset": "s3://b/new/"}, recorded, vehicles()).golden is None
    assert Request.from_state({"golden": ""}, recorded, vehicles()).golden is None
    with pytest.raises(InvalidInput, match="golden"):
        Request.from_state({"golden": "nowhere"}, recorded, vehicles())


def test_what_a_model_was_trained_on_is_the_input_of_the_next_retraining() -> None:
    given = {
        "dataset": "s3://b/new/",
        "source": "s3://b/s.tar.gz",
        "hyperparameters": {"epochs": "3"},
        "classes": ["bicycle"],
        "golden": "s3://b/golden/new/",
    }
    first = Request.from_state({**given, "force": True}, None, vehicles())
    assert first.as_input() == given
    again = Request.from_state({"trigger": "labels"}, first.as_input(), vehicles())
    assert (again.as_input(), again.force) == (given, False)


# Base data


def asked_for(**more: Any) -> Request:
    return Request("s3://ml/datasets/base/a/", "s3://ml/s.tar.gz", **more)


def test_drawn_pictures_train_nothing_unless_the_stage_allows_it() -> None:
    drawn = BaseData("generated", {"bicycle": 9, "motorcycle": 9, "house": 9})
    for request in (asked_for(), asked_for(force=True)):
        with pytest.raises(TrainingDataRefused, match="drawn"):
            check_base_data(drawn, request, CLASSES, allow_drawn=False)
    check_base_data(drawn, asked_for(), CLASSES, allow_drawn=True)


def test_data_that_shows_nothing_but_vehicles_trains_nothing_unless_forced() -> None:
    vehicles_alone = BaseData("photos", {"bicycle": 9, "motorcycle": 9})
    with pytest.raises(TrainingDataRefused, match="nothing but bicycle, motorcycle"):
        check_base_data(vehicles_alone, asked_for(), CLASSES, allow_drawn=False)
    check_base_data(vehicles_alone, asked_for(force=True), CLASSES, allow_drawn=False)
    # For a model of bicycles alone, motorcycles are what is none of them.
    check_base_data(vehicles_alone, asked_for(), ("bicycle",), allow_drawn=False)


def test_golden_photos_that_the_probe_may_not_read_are_refused() -> None:
    for golden in (None, "s3://ml/golden/a/", "s3://ml/initial/a/golden/"):
        check_golden(asked_for(golden=golden), "ml")
    for golden in ("s3://elsewhere/golden/a/", "s3://ml/labels/", "s3://ml/golden-photos/"):
        with pytest.raises(InvalidInput, match="s3://ml/golden/ or s3://ml/initial/"):
            check_golden(asked_for(golden=golden), "ml")


@pytest.mark.parametrize("content", [None, b"not JSON", b"[]", b'{"counts": 3, "source": 3}'])
def test_nothing_is_known_of_data_without_a_description(account: dict[str, Any], content: bytes | None) -> None:
    if content is not None:
        account["s3"].put_object(Bucket="scones-ml", Key="datasets/base/a/about.json", Body=content)
    assert BaseData.read("s3://scones-ml/datasets/base/a/", account["s3"]) == BaseData()
    assert BaseData.read("s3://no-such-bucket/a/", account["s3"]) == BaseData()


def test_the_description_that_staging_writes_is_read(account: dict[str, Any]) -> None:
    about = {"source": "photos", "sha256": "a", "counts": {"bicycle": 9}}
    account["s3"].put_object(Bucket="scones-ml", Key="datasets/base/a/about.json", Body=json.dumps(about).encode())
    assert BaseData.read("s3://scones-ml/datasets/base/a/", account["s3"]) == BaseData("photos", {"bicycle": 9})


# The lock and the champion


@pytest.fixture
def table(account: dict[str, Any]) -> ModelTable:
    return ModelTable("models", account["dynamodb"])


def alive(_: str) -> bool:
    return True


def dead(_: str) -> bool:
    return False


def test_the_lock_lets_one_retraining_in_and_the_same_one_again(table: ModelTable) -> None:
    table.take_lock("one", NOW, alive)
    table.take_lock("one", NOW, alive)
    with pytest.raises(RetrainingRunning, match="one"):
        table.take_lock("two", NOW, alive)


def test_the_lock_of_a_dead_execution_is_taken_over(table: ModelTable) -> None:
    table.take_lock("one", NOW, alive)
    table.take_lock("two", NOW, dead)
    with pytest.raises(RetrainingRunning):
        table.take_lock("one", NOW, alive)


def test_a_lock_expires_even_when_its_holder_seems_alive(table: ModelTable) -> None:
    table.take_lock("one", NOW, alive)
    table.take_lock("two", NOW + timedelta(hours=7), alive)


def test_of_two_that_take_over_a_dead_lock_one_wins(table: ModelTable) -> None:
    def overtaken(holder: str) -> bool:
        table.take_lock("two", NOW, dead)
        return False

    table.take_lock("one", NOW, alive)
    with pytest.raises(RetrainingRunning):
        table.take_lock("three", NOW, overtaken)
    table.take_lock("two", NOW, alive)


def test_only_the_holder_releases_the_lock(table: ModelTable) -> None:
    table.take_lock("one", NOW, alive)
    table.release_lock("two")
    with pytest.raises(RetrainingRunning):
        table.take_lock("two", NOW, alive)
    table.release_lock("one")
    table.release_lock("one")
    table.take_lock("two", NOW, alive)


def test_the_champion_is_read_back_as_it_was_crowned(table: ModelTable) -> None:
    champion = Champion("v2", "v2", "s3://a", "s3://snapshot/", 0.93, "2026-11-23T10:00:00.000Z", "v1")
    assert table.champion() is None
    table.crown(champion)
    assert table.champion() == champion
    later = Champion("v3", "v3", "s3://c")
    table.crown(later)
    assert (table.champion(), table.promoted("v2"), table.promoted("v1")) == (later, champion, None)


def test_only_who_holds_the_lock_promotes_and_may_do_so_twice(table: ModelTable) -> None:
    first, second = Champion("v1", "v1", "s3://a"), Champion("v2", "v2", "s3://b")
    table.take_lock("one", NOW, lambda holder: True)
    table.crown(first, "one")
    table.release_lock("one")
    table.crown(first, "one")
    table.take_lock("two", NOW, lambda holder: True)
    with pytest.raises(LockLost):
        table.crown(second, "one")
    assert table.champion() == first


def test_the_last_judged_snapshot_is_remembered_and_an_earlier_one_does_not_replace_it(table: ModelTable) -> None:
    assert table.judged_snapshot() is None
    table.record_judged("s3://second/", "v2", "2026-11-23T11:00:00.000Z")
    table.record_judged("s3://first/", "v1", "2026-11-23T10:00:00.000Z")
    assert table.judged_snapshot() == "s3://second/"
    table.record_judged("s3://third/", "v3", "2026-11-23T12:00:00.000Z")
    assert table.judged_snapshot() == "s3://third/"


class _SageMaker:
    """An endpoint in some status, and what was asked of it."""

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.asked: list[str] = []

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        if self.status is None:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "Could not find endpoint"}}, "x")
        return {"EndpointStatus": self.status, "EndpointConfigName": "nobody's"}

    def __getattr__(self, operation: str) -> Any:
        return lambda **request: self.asked.append(f"{operation} {request.get('EndpointConfigName', '')}".strip())


@pytest.mark.parametrize(
    ("status", "asked", "busy"),
    [
        (None, ["create_endpoint v1"], False),
        ("InService", ["update_endpoint v1"], False),
        ("Failed", ["delete_endpoint"], True),
        ("Updating", [], True),
    ],
)
def test_the_champion_gets_its_endpoint_back_whatever_became_of_it(
    table: ModelTable, status: str | None, asked: list[str], busy: bool
) -> None:
    table.crown(Champion("v1", "v1", "s3://a"))
    sagemaker = _SageMaker(status)
    throne = Throne("vehicles", table, sagemaker)
    with pytest.raises(EndpointBusy) if busy else nullcontext():
        assert throne.champion() == table.champion()
    assert sagemaker.asked == asked


# The gate


def model(accuracy: float = 0.95, **figures: Any) -> dict[str, Any]:
    recall = {"bicycle": accuracy, "motorcycle": accuracy}
    return {"accuracy": accuracy, "ece": 0.02, "auroc": 0.97, "recall": recall, "threshold": 0.9, **figures}


def report(challenger: dict[str, Any], champion: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    gaps = (
        {figure: challenger[figure] - champion[figure] for figure in ("accuracy", "ece", "auroc")} if champion else {}
    )
    differences = {figure: {"mean": gap, "low": gap - 0.01, "high": gap + 0.01} for figure, gap in gaps.items()}
    return {"challenger": challenger, "champion": champion, "holdout": {"differences": differences}, **more}


def labels(ours: float, theirs: float, photos: int = 20) -> dict[str, Any]:
    return {"photos": photos, "challenger_accuracy": ours, "champion_accuracy": theirs}


VERDICTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "the first model, good enough": (report(model(0.90)), None),
    "the first model, too weak": (report(model(0.80)), "BelowMinimum"),
    "the first model, badly calibrated": (report(model(ece=0.3)), "BelowMinimum"),
    "the first model, blind to outliers": (report(model(auroc=0.5)), "BelowMinimum"),
    "the first model, without outliers to be judged by": (report(model(auroc=None)), "BelowMinimum"),
    "the first model, with nothing to be judged by": (report({"accuracy": None}), "BelowMinimum"),
    "better, but nothing says how far": (
        {**report(model(0.97), model(0.95)), "holdout": {"differences": {"accuracy": None}}},
        "WorseThanChampion",
    ),
    "better, but of a class there is no photo": (
        report(model(0.97, recall={"bicycle": 1.0, "motorcycle": None}), model(0.95)),
        "BlindToAClass",
    ),
    "better, but of a class there never was a photo": (
        report(model(0.97), model(0.95, recall={"bicycle": 0.95, "motorcycle": None})),
        "BlindToAClass",
    ),
    "at the limit of what may be lost, and better on labels": (
        report(model(0.95, ece=0.04), model(0.95, ece=0.02), labelled=labels(0.85, 0.8)),
        None,
    ),
    "better on the holdout": (report(model(0.97), model(0.95)), None),
    "as good": (report(model(), model()), "NotBetter"),
    "better by too little": (report(model(0.953), model(0.95)), "NotBetter"),
    "worse": (report(model(0.92), model(0.95)), "WorseThanChampion"),
    "perhaps worse, within the tolerance, better on labels": (
        report(model(0.945), model(0.95), labelled=labels(0.9, 0.8)),
        None,
    ),
    "better, but worse calibrated": (report(model(0.97, ece=0.06), model(0.95)), "WorseThanChampion"),
    "better, but worse with outliers": (report(model(0.97, auroc=0.93), model(0.95)), "WorseThanChampion"),
    "as accurate, far better calibrated": (report(model(ece=0.02), model(ece=0.08)), None),
    "better, but blind to a class": (
        report(model(0.97, recall={"bicycle": 1.0, "motorcycle": 0.7}), model(0.95)),
        "BlindToAClass",
    ),
    "better, but a class is gone": (report(model(0.97, recall={"bicycle": 1.0}), model(0.95)), "BlindToAClass"),
    "better on the holdout, not on labels": (report(model(0.97), model(0.95), labelled=labels(0.8, 0.8)), "NotBetter"),
    "better on the holdout, too few labels to tell": (
        report(model(0.97), model(0.95), labelled=labels(0.0, 1.0, photos=3)),
        None,
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_gate_says(case: str) -> None:
    given, reason = VERDICTS[case]
    verdict = judge(given, Gate())
    assert (verdict.promote, verdict.reason) == (reason is None, reason), verdict.words
    assert verdict.words


def test_force_passes_everything_but_the_minimum() -> None:
    assert judge(report(model(0.90), model(0.95)), Gate(), force=True).promote
    assert judge(report(model(0.5), model(0.95)), Gate(), force=True).reason == "BelowMinimum"


@pytest.mark.parametrize("case", VERDICTS)
def test_a_verdict_is_its_checks(case: str) -> None:
    given, reason = VERDICTS[case]
    verdict = judge(given, Gate())
    assert all(check.passed for check in verdict.checks) == (reason is None)
    for row in (check.as_state() for check in verdict.checks):
        assert Check.from_state(row).as_state() == row
        if row["passed"]:
            assert row["value"] is not None
    for check in verdict.checks:
        assert check.passed or reason is not None
        if reason is not None and str(check) in verdict.words:
            assert not check.passed


def test_a_sentence_never_contradicts_itself() -> None:
    """0.0304 lost where 0.030 may be lost was: perhaps worse by 0.030, tolerated 0.030."""
    verdict = judge(report(model(0.97, ece=0.0504), model(0.95, ece=0.03)), Gate())
    assert "possible loss in calibration error is 0.0304, at most 0.0300 is allowed" in verdict.words
    for value in (0.03 + 1e-4, 0.03 + 1e-6, 0.03 + 1e-8, 0.0299, 0.03):
        check = Check("loss", value, 0.03, AT_MOST)
        shown, limit = check.numbers
        assert check.passed == (float(shown) <= float(limit))


def test_rounding_decides_nothing() -> None:
    assert Check("gain", 0.95 - 0.92, 0.03).passed
    assert Check("loss", 0.1 + 0.2, 0.3, AT_MOST).passed
    assert Check("loss", -1e-7, 0.03, AT_MOST).numbers == ("0.000", "0.030")


def test_force_accepts_a_figure_that_cannot_be_computed_and_says_so() -> None:
    verdict = judge(report(model(auroc=None)), Gate(), force=True)
    assert verdict.promote
    assert "outlier AUROC could not be computed" in verdict.words
    assert [check.check for check in verdict.checks if not check.passed] == ["outlier AUROC"]
    assert judge(report({"accuracy": None}), Gate(), force=True).reason == "BelowMinimum"


def test_a_challenger_from_drawn_pictures_is_never_called_better() -> None:
    for given in (report(model()), report(model(0.97), model(0.95))):
        verdict = judge(given, Gate(), drawn=True)
        assert verdict.promote
        assert verdict.words.startswith("trained and judged on drawn pictures")
        assert "better" not in verdict.words
    assert judge(report(model(0.9), model(0.95)), Gate(), drawn=True).reason == "WorseThanChampion"


def test_a_dry_run_promotes_nothing_not_even_by_force() -> None:
    verdict = judge(report(model(0.97), model(0.95)), Gate(), force=True, dry_run=True)
    assert (verdict.promote, verdict.reason) == (False, "DryRun")
    assert "would be promoted" in verdict.words


def test_the_gates_numbers_are_settings() -> None:
    strict = Gate.from_settings('{"accuracy_minimum": 0.99}')
    assert judge(report(model(0.98)), strict).reason == "BelowMinimum"
    for nonsense in ("", '{"acuracy_minimum": 1}'):
        with pytest.raises(InvalidSettings):
            Gate.from_settings(nonsense)


# The conclusion


def concluded(promoted: bool = False, **state: Any) -> Conclusion:
    return Conclusion(
        promoted, {"run": {"name": "v2"}, **state}, "arn:run", "scones-dev", "2026-11-23T10:00:00.000Z", "v1"
    )


PREPARED = {"champion": {"model_version": "v1"}, "snapshot": "s3://snapshot/"}
TASK_FAILED = {"Error": "States.TaskFailed", "Cause": '{"FailureReason": "AlgorithmError: no photos"}'}


def test_a_failed_job_is_named_after_what_it_was_for() -> None:
    training = concluded(prepared=PREPARED, error=TASK_FAILED)
    assert (training.reason, training.verdict, training.failed) == ("TrainingFailed", "AlgorithmError: no photos", True)
    assert training.model_version is None
    evaluation = concluded(prepared=PREPARED, trained={"artifact": "s3://a"}, error=TASK_FAILED)
    assert (evaluation.reason, evaluation.model_version) == ("EvaluationFailed", "v2")


def test_to_lose_is_no_failure() -> None:
    lost = concluded(prepared=PREPARED, error={"Error": "NotBetter", "Cause": "as good"})
    assert not lost.failed
    assert lost.as_output()["outcome"] == "rejected"


def test_a_retraining_that_found_another_one_running_names_the_recorded_champion() -> None:
    assert concluded(error={"Error": "RetrainingRunning", "Cause": "x"}).as_event()["champion"] == "v1"


def test_a_verdict_counts_as_judged_whatever_came_after_it_and_a_dry_run_does_not() -> None:
    judged = {"promote": True, "words": "better"}
    assert concluded(True, prepared=PREPARED, trained={"artifact": "a"}, judged=judged).judged_snapshot
    broken = {"Error": "ProbeFailed", "Cause": "wrong"}
    after = concluded(prepared=PREPARED, trained={"artifact": "a"}, judged=judged, error=broken)
    assert after.judged_snapshot == "s3://snapshot/"
    dry = concluded(prepared={**PREPARED, "dry_run": True}, trained={"artifact": "a"}, judged=judged, error=broken)
    assert dry.judged_snapshot is None
    assert concluded(prepared=PREPARED, error=TASK_FAILED).judged_snapshot is None


def test_an_endpoint_that_could_not_go_back_is_said() -> None:
    stuck = concluded(
        prepared=PREPARED, error={"Error": "ProbeFailed", "Cause": "wrong"}, restored={"status": "Updating"}
    )
    assert "The endpoint is Updating" in stuck.verdict


# The probe


class Endpoint:
    """Answers with the name of the photo as the vehicle, some answers after a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slow: tuple[int, ...] = (), classes: tuple[str, ...] = CLASSES):
        self.asked = 0
        self._now = 0.0
        self._slow = slow
        self._classes = classes
        monkeypatch.setattr("functions.probe_endpoint.probe.time.perf_counter", lambda: self._now)

    def invoke_endpoint(self, *, Body: bytes, **_: Any) -> dict[str, Any]:  # the API's own name
        self._now += 2.5 if self.asked in self._slow else 0.01
        self.asked += 1
        said = Body.decode() if Body.decode() in self._classes else "other"
        answer = {
            "model_version": "v1",
            "vehicle": said,
            "probabilities": dict.fromkeys((*self._classes, "other"), 0.1),
        }
        return {"Body": io.BytesIO(json.dumps(answer).encode())}


def goldens(*shown: str) -> list[Golden]:
    return [Golden(f"{number}.png", name.encode(), name) for number, name in enumerate(shown)]


def test_one_slow_answer_rejects_no_model_and_a_slow_endpoint_does(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = goldens(*["bicycle"] * 9, *["motorcycle"] * 9)
    assert probe("e", "v1", photos, Endpoint(monkeypatch, slow=(0,))).latency_ms == pytest.approx(10)
    assert probe("e", "v1", photos, Endpoint(monkeypatch, slow=(0, 7, 17))).right == 18
    with pytest.raises(ProbeFailed, match="median of 18 answers"):
        probe("e", "v1", photos, Endpoint(monkeypatch, slow=tuple(range(10))))


def test_one_photo_is_asked_about_more_than_once_so_that_one_slow_answer_rejects_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = Endpoint(monkeypatch, slow=(0,))
    found = probe("e", "v1", [Golden("drawn", b"anything", None)], endpoint)
    assert (found.photos, found.right, endpoint.asked) == (1, 1, 5)


def test_a_model_of_fewer_vehicles_should_take_the_rest_for_other(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = goldens(*["bicycle"] * 6, *["motorcycle"] * 6, *["other"] * 6)
    assert probe("e", "v1", photos, Endpoint(monkeypatch, classes=("bicycle",))).right == 18


def test_too_many_wrong_answers_reject_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [Golden("0.png", b"bicycle", "motorcycle"), *goldens(*["bicycle"] * 2)]
    with pytest.raises(ProbeFailed, match="2 of 3 golden photos"):
        probe("e", "v1", photos, Endpoint(monkeypatch))


def test_of_many_golden_photos_some_of_every_vehicle_are_asked_about() -> None:
    keys = [
        f"golden/a/{name}/{number}.png" for name in ("bicycle", "bus", "motorcycle", "other") for number in range(9)
    ]
    chosen = spread(keys)
    assert len(chosen) <= 20
    assert {key.split("/")[2] for key in chosen} == {"bicycle", "bus", "motorcycle", "other"}
    assert (spread([]), spread(keys[:18])) == ([], keys[:18])


def test_a_drawn_photo_is_one_that_our_own_inference_reads() -> None:
    assert not isinstance(input_fn(drawn_photo().image), PhotoError)


def test_the_functions_of_a_retraining_import_nothing_of_each_other() -> None:
    root = Path(__file__).parents[3] / "functions"
    folders = ("build_dataset", "judge_challenger", "probe_endpoint", "record_retraining")
    folders += ("prepare_rollback", "record_rollback")
    for folder in folders:
        text = "".join(file.read_text(encoding="utf-8") for file in (root / folder).glob("*.py"))
        assert not [other for other in folders if other != folder and f"functions.{other}" in text]

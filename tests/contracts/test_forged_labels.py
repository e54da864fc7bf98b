"""Labels without evidence: no forged one enters a snapshot, none stops BuildDataset, and the good ones beside it do."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

import events
from functions.build_dataset.evidence import LARGEST_PICTURE_BYTES, Answer, NoEvidence
from functions.build_dataset.labels import Limits
from functions.build_dataset.snapshot import Snapshot, SnapshotStore
from functions.shared.label import LARGEST_LABEL_BYTES, LabelKey
from functions.shared.photo_record import PhotoRecord
from functions.shared.photo_table import PhotoTable
from functions.shared.times import timestamp
from tests.contracts.odd_json import from_schema, mutated
from tests.support.examples import examples
from tests.support.labels import EXECUTION, PICTURE, PlantedLabel, label_of, photo_of, plant_label, request_review
from tests.support.photo_table import create_photo_table

REGION, BUCKET = "eu-west-1", "scones-ml"
CLASSES = ("bicycle", "motorcycle")
NOW = datetime.now(UTC)
REQUESTED = NOW - timedelta(hours=1)
LABEL = events.contract("label")
ATTACKED = photo_of(b"attacked", "uploads/driver-7/attacked.jpg")


class ForgedLabels:
    """A bucket with three good labels of bicycles, and a record to which the labels of a test belong."""

    def __init__(self, s3: Any, dynamodb: Any) -> None:
        self.s3 = s3
        self.photos = PhotoTable("photos", dynamodb)
        self.store = SnapshotStore(BUCKET, s3, self.photos, Limits(per_driver=200, per_reviewer=5000))
        for number in range(3):
            self.plant_good(number)
        self.good = set(self.keys())
        self.record = self.request(ATTACKED)

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.s3.list_objects_v2(Bucket=BUCKET, Prefix="labels/")["Contents"]]

    def remove_forged(self) -> None:
        """Leave only the good labels."""
        for key in self.keys():
            if key not in self.good:
                self.s3.delete_object(Bucket=BUCKET, Key=key)
        self.record = self.request(ATTACKED)

    def plant_good(self, number: int) -> None:
        photo = photo_of(str(number).encode(), f"uploads/driver-{number}/a.jpg")
        plant_label({"s3": self.s3}, BUCKET, self.photos, photo, "bicycle", reviewer="ann", at=REQUESTED)

    def request(self, photo: Any) -> PhotoRecord:
        return request_review(self.photos, photo, REQUESTED)

    def label(self, **more: Any) -> PlantedLabel:
        """A label about the record that is good as it is."""
        return label_of(self.record, "motorcycle", "eve", **more)

    def put(self, key: str, body: bytes, **more: Any) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body, **more)

    def snapshot(self) -> Snapshot:
        return self.store.create("s3://base/", CLASSES)


Put = Callable[[ForgedLabels], object]


@pytest.fixture(scope="module")
def shared_world() -> Iterator[ForgedLabels]:
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        environment.delenv("AWS_ENDPOINT_URL", raising=False)
        s3, dynamodb = boto3.client("s3", region_name=REGION), boto3.client("dynamodb", region_name=REGION)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        create_photo_table(dynamodb, "photos")
        yield ForgedLabels(s3, dynamodb)


@pytest.fixture
def world(shared_world: ForgedLabels) -> ForgedLabels:
    shared_world.remove_forged()
    return shared_world


def put_content(**changed: Any) -> Put:
    return lambda world: world.label().with_content(**changed).put(world.s3, BUCKET)


def put_body(body: bytes) -> Put:
    def put(world: ForgedLabels) -> None:
        label = world.label()
        world.put(f"{label.folder}/1.png", PICTURE)
        world.put(label.key, body)

    return put


def put_at(pattern: str) -> Put:
    """Put a good label at another key; `{}` stands for the photo id."""

    def put(world: ForgedLabels) -> None:
        label = world.label()
        world.put(pattern.format(label.content["photo_id"]), json.dumps(label.content).encode())

    return put


def of_another_stage(world: ForgedLabels) -> None:
    """The record of the photo is in the table of another stage."""
    photo = photo_of(b"attacked", "uploads/driver-7/attacked.jpg", bucket="scones-other-uploads")
    label_of(replace(world.record, photo=photo), "motorcycle", "eve").put(world.s3, BUCKET)


def never_uploaded(world: ForgedLabels) -> None:
    photo = photo_of(b"never", "uploads/driver-7/never.jpg")
    label_of(replace(world.record, photo=photo), "motorcycle", "eve").put(world.s3, BUCKET)


def never_reviewed(world: ForgedLabels) -> None:
    """The model decided about the photo alone."""
    photo = photo_of(b"decided", "uploads/driver-7/decided.jpg")
    if world.photos.get(photo.photo_id) is None:
        world.photos.classify(photo, EXECUTION, REQUESTED, classification={}, threshold=0.9, decision={"a": 1})
    label_of(replace(world.record, photo=photo), "motorcycle", "eve").put(world.s3, BUCKET)


def with_the_request_of_another_photo(world: ForgedLabels) -> None:
    other = world.request(photo_of(b"other", "uploads/driver-7/other.jpg"))
    label_of(replace(world.record, review_requests=other.review_requests), "motorcycle", "eve").put(world.s3, BUCKET)


def about_another_photo_than_its_key(world: ForgedLabels) -> None:
    other = world.request(photo_of(b"other", "uploads/driver-7/other.jpg"))
    label = label_of(other, "motorcycle", "eve")
    world.put(f"labels/{world.record.photo.photo_id}/eve/1.png", PICTURE)
    world.put(f"labels/{world.record.photo.photo_id}/eve/1.json", json.dumps(label.content).encode())


def with_a_broken_bucket_name(world: ForgedLabels) -> None:
    photo = photo_of(b"attacked", "uploads/driver-7/attacked.jpg", bucket="No_Bucket\n../?")
    label_of(replace(world.record, photo=photo), "motorcycle", "eve").put(world.s3, BUCKET)


def without_a_picture(world: ForgedLabels) -> None:
    label = world.label()
    world.put(label.key, json.dumps(label.content).encode())


def with_a_picture_of(size: int) -> Put:
    return lambda world: replace(world.label(), picture=b"x" * size).put(world.s3, BUCKET)


def with_a_picture_elsewhere(world: ForgedLabels) -> None:
    """The picture of another label of the same reviewer."""
    replace(world.label(), picture=None).with_content(picture="2.png").put(world.s3, BUCKET)
    world.put(f"{world.label().folder}/2.png", PICTURE)


def archived(suffix: str) -> Put:
    """S3 refuses to return or copy what its writer has archived."""

    def put(world: ForgedLabels) -> None:
        label = world.label()
        for name, body in (("png", PICTURE), ("json", json.dumps(label.content).encode())):
            archive = {"StorageClass": "GLACIER"} if name == suffix else {}
            world.put(f"{label.folder}/1.{name}", body, **archive)

    return put


def with_the_etag(etag: str) -> Put:
    """Anybody who starts an execution chooses the ETag in its input, also one whose quotes are all of it."""

    def put(world: ForgedLabels) -> None:
        photo = replace(world.record.photo, etag=etag.strip('"'))
        label = label_of(world.request(photo), "motorcycle", "eve")
        state = {**photo.as_state(), "etag": etag}
        label.with_content(photo=state).put(world.s3, BUCKET)

    return put


def encoded_content(**changed: Any) -> Put:
    """As `put_content`, for values that JSON writes as escapes."""
    return lambda world: put_body(json.dumps({**world.label().content, **changed}).encode())(world)


ATTACKS: dict[str, tuple[Put, str]] = {
    "an empty object": (put_body(b"{}"), "Malformed"),
    "an empty file": (put_body(b""), "Malformed"),
    "any JSON": (put_body(b'[{"vehicle": "motorcycle"}]'), "Malformed"),
    "no JSON": (put_body(b"\xff\xfe label"), "Malformed"),
    "200,000 brackets": (put_body(b"[" * 200_000), "Malformed"),
    "60,000 brackets": (put_body(b"[" * 60_000), "Malformed"),
    "60,000 objects": (put_body(b'{"a":' * 12_000), "Malformed"),
    "a file of 1 MB": (put_body(b'{"a": "' + b"x" * 1_000_000 + b'"}'), "Malformed"),
    "a huge number": (put_body(b"9" * 50_000), "Malformed"),
    "a number beyond floating point": (put_body(b'{"seconds": 1e999}'), "Malformed"),
    "NaN": (encoded_content(seconds=math.nan), "Malformed"),
    "infinity": (encoded_content(seconds=math.inf), "Malformed"),
    "a huge number in a field": (encoded_content(seconds=10**40), "Malformed"),
    "a lone surrogate in the key": (
        encoded_content(photo={"bucket": "a", "key": "\ud800", "etag": "e", "size": 1, "photo_id": "0" * 32}),
        "Malformed",
    ),
    "a lone surrogate in the vehicle": (encoded_content(vehicle="\ud800"), "Malformed"),
    "a field too many": (put_content(opinions=[{"vehicle": "motorcycle", "reviewer": "eve"}]), "Malformed"),
    "no reviewer": (put_content(reviewer=None), "Malformed"),
    "another driver": (put_content(driver_id="driver-8"), "Malformed"),
    "a date that is none": (put_content(answered_at="2026-02-31T10:00:00Z"), "Malformed"),
    "a date with other digits": (put_content(answered_at="٢٠٢٦-11-27T10:00:00Z"), "Malformed"),
    "the layout of earlier versions": (put_at("labels/2026/11/27/{}.json"), "Malformed"),
    "a name with ..": (put_at("labels/{}/../1.json"), "Malformed"),
    "a name with . and /": (put_at("labels/{}/eve/./1.json"), "Malformed"),
    "one level too deep": (put_at("labels/{}/eve/more/1.json"), "Malformed"),
    "number 0": (put_at("labels/{}/eve/0.json"), "Malformed"),
    "number 01": (put_at("labels/{}/eve/01.json"), "Malformed"),
    "number -1": (put_at("labels/{}/eve/-1.json"), "Malformed"),
    "a line break in the name": (put_at("labels/{}/eve/1.json\n"), "Malformed"),
    "under the key of another reviewer": (put_at("labels/{}/ann/1.json"), "WrongIdentity"),
    "another reviewer in the content": (put_content(reviewer="ann"), "WrongIdentity"),
    "another photo id in the content": (put_content(photo_id="0" * 32), "WrongPhoto"),
    "about another photo than its key": (about_another_photo_than_its_key, "WrongPhoto"),
    "of another stage": (of_another_stage, "NoRecord"),
    "of a photo that was never uploaded": (never_uploaded, "NoRecord"),
    "with a broken bucket name": (with_a_broken_bucket_name, "NoRecord"),
    "of a photo that was never reviewed": (never_reviewed, "NoSuchRequest"),
    "with another token": (put_content(token_hash="0" * 64), "NoSuchRequest"),
    "with the request of another photo": (with_the_request_of_another_photo, "NoSuchRequest"),
    "answered in the future": (put_content(answered_at=timestamp(NOW + timedelta(days=1))), "WrongTime"),
    "answered in the year 8999": (put_content(answered_at="8999-01-01T00:00:00Z"), "WrongTime"),
    "answered before the request": (
        put_content(answered_at=timestamp(REQUESTED - timedelta(hours=1))),
        "WrongTime",
    ),
    "without a picture": (without_a_picture, "NoPicture"),
    "with no picture in its content": (put_content(picture=None), "NoPicture"),
    "with a picture of 0 bytes": (with_a_picture_of(0), "NoPicture"),
    "with a picture of 8 MB": (with_a_picture_of(LARGEST_PICTURE_BYTES + 1), "NoPicture"),
    "with an archived picture": (archived("png"), "NoPicture"),
    "with the picture of another label": (with_a_picture_elsewhere, "Malformed"),
    "with a picture in another folder": (put_content(picture="../ann/1.png"), "Malformed"),
    "archived": (archived("json"), "Unreadable"),
    "without an ETag": (with_the_etag(""), "Malformed"),
    "with an ETag of quotes": (with_the_etag('""'), "Malformed"),
    "with an ETag that S3 never returns": (with_the_etag("0"), "Malformed"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_label_does_not_count_and_the_good_ones_beside_it_do(world: ForgedLabels, attack: str) -> None:
    put, reason = ATTACKS[attack]
    put(world)
    snapshot = world.snapshot()
    assert [entry["label"] for entry in snapshot.entries] == ["bicycle"] * 3
    assert snapshot.skipped.counts == {reason: 1}


def test_the_label_that_the_attacks_change_counts_as_it_is(world: ForgedLabels) -> None:
    world.label().put(world.s3, BUCKET)
    snapshot = world.snapshot()
    assert sorted(entry["label"] for entry in snapshot.entries) == ["bicycle"] * 3 + ["motorcycle"]
    assert snapshot.skipped.counts == {}


def test_a_clock_that_is_a_few_minutes_wrong_does_not_cost_a_label(world: ForgedLabels) -> None:
    for number, minutes in ((1, -10), (2, 10)):
        at = REQUESTED if number == 1 else NOW
        world.label(number=number, answered_at=at + timedelta(minutes=minutes)).put(world.s3, BUCKET)
    assert world.snapshot().skipped.counts == {"Corrected": 1}


def test_all_attacks_together_leave_the_good_labels(world: ForgedLabels) -> None:
    for number, (put, _) in enumerate(ATTACKS.values()):
        world.record = world.request(photo_of(f"attack {number}".encode(), f"uploads/driver-7/{number}.jpg"))
        put(world)
    snapshot = world.snapshot()
    assert [entry["label"] for entry in snapshot.entries] == ["bicycle"] * 3
    assert sum(snapshot.skipped.counts.values()) == len(ATTACKS)
    assert all(len(ids) <= 5 for ids in snapshot.skipped.examples.values())


# Properties


def is_valid(content: Any) -> bool:
    validator = jsonschema.Draft202012Validator(LABEL, format_checker=jsonschema.FormatChecker())
    return bool(validator.is_valid(content))


@examples(60)
@given(data=st.data())
def test_a_mutated_label_counts_only_when_it_is_valid_and_says_the_same(shared_world: ForgedLabels, data: Any) -> None:
    shared_world.remove_forged()
    label = shared_world.label()
    content = data.draw(mutated(label.content), "label")
    shared_world.put(f"{label.folder}/1.png", PICTURE)
    shared_world.put(label.key, json.dumps(content).encode())
    snapshot = shared_world.snapshot()
    used = [entry for entry in snapshot.entries if entry["labelled_by"] == "eve"]
    assert len(snapshot.entries) == 3 + len(used)
    if used:
        assert is_valid(content)
        same = ("photo_id", "reviewer", "token_hash", "driver_id", "picture")
        assert [content[name] for name in same] == [label.content[name] for name in same]
        assert [used[0]["photo_id"], used[0]["label"]] == [label.content["photo_id"], content["vehicle"]]


@examples(40)
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), key=st.text(max_size=30))
def test_no_object_under_labels_stops_a_snapshot(shared_world: ForgedLabels, body: bytes, key: str) -> None:
    shared_world.remove_forged()
    shared_world.put(shared_world.label().key, body)
    assert len(shared_world.snapshot().entries) == 3
    assert LabelKey.parse(f"labels/{key}") is None


@examples(100)
@given(content=from_schema(LABEL))
def test_every_label_by_its_contract_is_read(content: dict[str, Any]) -> None:
    """Only the identity of the photo, and what it determines, cannot be random."""
    photo = photo_of(b"a", content["photo"]["key"], content["photo"]["bucket"])
    content |= {"photo": photo.as_state(), "photo_id": photo.photo_id, "driver_id": photo.driver_id}
    content["picture"] = content["picture"] and "3.png"
    key = LabelKey(photo.photo_id, content["reviewer"], 3, "json")
    try:
        answer = Answer.read(json.dumps(content).encode(), key)
    except NoEvidence:
        # The contract has no limit of years.
        years = [int(content[name][:4]) for name in ("answered_at", "requested_at")]
        assert not all(1970 <= year <= 9000 for year in years)
    else:
        assert (answer.photo, answer.vehicle) == (photo, content["vehicle"])
        assert len(json.dumps(content)) < LARGEST_LABEL_BYTES

"""ClassifyBatch: one result for each photo of a batch, and none twice."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

import events
from functions.shared.aws import client
from functions.shared.batch_results import BY_DRIVER, BY_PHOTO, KEPT, BatchResults
from functions.shared.photo import Photo
from functions.shared.times import now
from tests.support.photo_table import create_batch_result_table
from tests.unit.functions.stack import JPEG, UPLOADS, CallFailer, Function, ModelServer, Stack

TABLE = "scones-test-batch-results"
BATCH: dict[str, Any] = {"id": "yard", "kind": "prefix", "bucket": UPLOADS, "prefix": "batches/yard/", "key": None}
NOTHING = dict.fromkeys(("classified", "unsure", "failed", "known", "ignored"), 0)


@pytest.fixture
def table(stack: Stack) -> BatchResults:
    create_batch_result_table(client("dynamodb"), TABLE)
    return BatchResults(TABLE, client("dynamodb"))


@pytest.fixture
def classify(table: BatchResults, function: Callable[[str], Function], monkeypatch: pytest.MonkeyPatch) -> Function:
    monkeypatch.setenv("BATCH_RESULT_TABLE", TABLE)
    return function("classify_batch")


def listed(*photos: Photo) -> list[dict[str, Any]]:
    """The photos as ListObjectsV2 describes them."""
    return [{"Key": photo.key, "Etag": f'"{photo.etag}"', "Size": photo.size} for photo in photos]


def results(table: BatchResults, batch_id: str = "yard") -> list[dict[str, Any]]:
    """The results of a batch, each valid."""
    found = list(table.list_results(batch_id))
    for one in found:
        jsonschema.validate(json.loads(json.dumps(one)), events.contract("batch_result"))
    return found


def test_each_photo_gets_a_result_and_no_record(stack: Stack, classify: Function, table: BatchResults) -> None:
    photos = [stack.upload(JPEG + b"%d" % number, f"batches/yard/{number}.jpg") for number in range(3)]
    assert classify(batch=BATCH, items=listed(*photos)) == {**NOTHING, "classified": 3}
    found = results(table)
    assert {one["photo"]["photo_id"] for one in found} == {photo.photo_id for photo in photos}
    assert {(one["vehicle"], one["outcome"], one["confidence"]) for one in found} == {("bicycle", "classified", 0.97)}
    assert [stack.find_record(photo) for photo in photos] == [None] * 3
    assert stack.published() == []


def test_a_photo_below_the_threshold_is_unsure(stack: Stack, classify: Function, table: BatchResults) -> None:
    stack.set_threshold("0.99")
    assert classify(batch=BATCH, items=listed(stack.upload()))["unsure"] == 1
    assert [(one["outcome"], one["reason"], one["threshold"]) for one in results(table)] == [
        ("unsure", "LowConfidence", 0.99)
    ]


def test_a_photo_that_has_a_result_is_not_classified_again(
    stack: Stack, classify: Function, table: BatchResults, model: ModelServer
) -> None:
    photos = [stack.upload(JPEG + b"%d" % number, f"batches/yard/{number}.jpg") for number in range(3)]
    classify(batch=BATCH, items=listed(*photos[:2]))
    before = results(table)
    model.set_probabilities(bicycle=0.1, motorcycle=0.8, other=0.1)
    model.received.clear()
    assert classify(batch=BATCH, items=listed(*photos)) == {**NOTHING, "unsure": 1, "known": 2}
    assert len(model.received) == 1
    assert [one for one in results(table) if one in before] == before


def test_a_photo_that_is_listed_twice_is_classified_once(
    stack: Stack, classify: Function, table: BatchResults, model: ModelServer
) -> None:
    photo = stack.upload()
    assert classify(batch=BATCH, items=listed(photo, photo)) == {**NOTHING, "classified": 1, "known": 1}
    assert len(model.received) == len(results(table)) == 1


def test_another_batch_has_results_of_its_own(stack: Stack, classify: Function, table: BatchResults) -> None:
    photo = stack.upload()
    for name in ("yard", "again"):
        assert classify(batch={**BATCH, "id": name}, items=listed(photo))["classified"] == 1
        assert len(results(table, name)) == 1
    assert {found for found, _ in table.find(BY_PHOTO, photo.photo_id)} == {"yard", "again"}
    assert {found for found, _ in table.find(BY_DRIVER, "driver-17")} == {"yard", "again"}


def test_two_calls_at_the_same_time_write_one_result(
    stack: Stack, classify: Function, table: BatchResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = stack.upload()
    assert classify(batch=BATCH, items=listed(photo))["classified"] == 1
    before = results(table)
    monkeypatch.setattr(classify.module.classifier.results, "find_known", lambda batch_id, photo_ids: set())
    assert classify(batch=BATCH, items=listed(photo)) == {**NOTHING, "known": 1}
    assert results(table) == before


def test_a_file_that_is_no_photo_has_the_reason(stack: Stack, classify: Function, table: BatchResults) -> None:
    photo = stack.upload(b"no photo", "batches/yard/a.jpg")
    gone = stack.upload(JPEG, "batches/yard/gone.jpg")
    stack.delete(gone)
    assert classify(batch=BATCH, items=listed(photo, gone)) == {**NOTHING, "failed": 2}
    assert {one["reason"] for one in results(table)} == {"UnreadablePhoto", "PhotoMissing"}


def test_a_call_continues_where_the_endpoint_failed(
    stack: Stack, classify: Function, table: BatchResults, model: ModelServer
) -> None:
    photos = [stack.upload(JPEG + b"%d" % number, f"batches/yard/{number}.jpg") for number in range(2)]
    classify(batch=BATCH, items=listed(photos[0]))
    model.set_error(503, "ServiceUnavailable")
    with pytest.raises(Exception, match="did not answer"):
        classify(batch=BATCH, items=listed(*photos))
    assert len(results(table)) == 1
    model.set_probabilities(bicycle=0.97, motorcycle=0.02, other=0.01)
    assert classify(batch=BATCH, items=listed(*photos)) == {**NOTHING, "classified": 1, "known": 1}


def test_a_call_ends_before_its_time(stack: Stack, classify: Function, table: BatchResults) -> None:
    photos = listed(*[stack.upload(JPEG + b"%d" % number, f"batches/yard/{number}.jpg") for number in range(2)])
    classify.remaining_ms = 30_000
    with pytest.raises(Exception, match="0 of 2 photos have a result; repeat the call") as caught:
        classify(batch=BATCH, items=photos)
    assert type(caught.value).__name__ == "BatchUnfinished"
    assert results(table) == []


def test_a_table_that_does_not_answer_is_an_error(stack: Stack, classify: Function, fail_call: CallFailer) -> None:
    photo = stack.upload()
    for operation in ("batch_get_item", "put_item"):
        restore = fail_call(client("dynamodb"), operation)
        with pytest.raises(Exception, match="results of batch yard") as caught:
            classify(batch=BATCH, items=listed(photo))
        assert type(caught.value).__name__ == "RecordUnavailable"
        restore()


@pytest.mark.parametrize(
    "item",
    [
        {"key": "batches/yard/a+b.jpg"},
        {"KEY": "batches/yard/a+b.jpg", "bucket": UPLOADS, "note": "of no interest"},
        {"Key": "batches/yard/a+b.jpg", "etag": ""},
    ],
)
def test_a_list_names_photos_by_their_keys(
    stack: Stack, classify: Function, table: BatchResults, item: dict[str, str]
) -> None:
    photo = stack.upload(key="batches/yard/a+b.jpg")
    assert classify(batch={**BATCH, "kind": "csv"}, items=[item])["classified"] == 1
    assert results(table)[0]["photo"]["photo_id"] == photo.photo_id


def test_the_keys_of_an_inventory_are_decoded(stack: Stack, classify: Function, table: BatchResults) -> None:
    stack.upload(key="batches/yard/a b+é.jpg")
    item = {"Bucket": UPLOADS, "Key": "batches/yard/a+b%2B%C3%A9.jpg", "IsLatest": "true", "IsDeleteMarker": "false"}
    old = {**item, "IsLatest": "false"}
    assert classify(batch={**BATCH, "kind": "inventory"}, items=[item, old]) == {
        **NOTHING,
        "classified": 1,
        "ignored": 1,
    }


def test_the_marker_of_a_folder_is_no_photo(stack: Stack, classify: Function, table: BatchResults) -> None:
    marker = stack.upload(b"", "batches/yard/")
    assert classify(batch=BATCH, items=[*listed(marker), {"key": marker.key}]) == {**NOTHING, "ignored": 2}
    assert results(table) == []


@pytest.mark.parametrize("item", ["batches/yard/1.jpg", {}, {"key": ""}, {"key": "a", "bucket": "another"}, None, 3])
def test_an_item_that_names_no_photo_has_a_result_with_the_mistake(
    classify: Function, table: BatchResults, item: Any
) -> None:
    assert classify(batch=BATCH, items=[item]) == {**NOTHING, "failed": 1}
    (result,) = results(table)
    assert (result["photo"], result["reason"]) == (None, "MalformedItem")
    assert len(result["error"]["Cause"]) > 20
    assert classify(batch=BATCH, items=[item]) == {**NOTHING, "known": 1}


def test_a_result_expires(stack: Stack, classify: Function) -> None:
    classify(batch=BATCH, items=listed(stack.upload()))
    (item,) = client("dynamodb").scan(TableName=TABLE)["Items"]
    assert int(item["purge_at"]["N"]) == pytest.approx((now() + KEPT).timestamp(), abs=60)


def test_no_key_is_logged(stack: Stack, classify: Function, output: Callable[[], Any]) -> None:
    classify(batch=BATCH, items=listed(stack.upload(), stack.upload(b"no", "batches/yard/secret.jpg")))
    assert "secret" not in output().text

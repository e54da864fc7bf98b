"""`make forget` and batches: the lines of other photos stay, in one version."""

from pathlib import Path

import boto3
import pytest

from deploy.outputs import Deployed
from functions.shared.photo import Photo
from operate.forget import Scope
from tests.support.forgotten_photos import Planter
from tests.unit.operate.forget_stage import run, stored


def lines(deployed: Deployed, photo: Photo) -> list[bytes]:
    key = f"batches/{photo.photo_id[:8]}/results.jsonl"
    content: bytes = boto3.client("s3").get_object(Bucket=deployed.ml_bucket, Key=key)["Body"].read()
    return content.splitlines()


@pytest.mark.parametrize("by", ["driver", "photo id", "address"])
def test_what_batches_keep_about_a_photo_is_deleted_and_the_rest_stays(
    deployed: Deployed, plant: Planter, tmp_path: Path, by: str
) -> None:
    photo = plant.upload("uploads/a/ä b.jpg", b"a photo of a")
    other = plant.upload("uploads/b/1.jpg", b"a photo of b")
    for one in (photo, other):
        plant.batch(one)
    bucket = deployed.uploads_bucket
    scopes = {
        "driver": Scope.of_driver("a"),
        "photo id": Scope.of_photo(photo.photo_id, bucket),
        "address": Scope.of_photo(f"s3://{bucket}/{photo.key}", bucket),
    }
    if by == "photo id":
        plant.review_request(photo)  # its record has the key
    report = run(deployed, tmp_path, scopes[by])
    left = stored(deployed)
    assert left["batch results"] == [other.photo_id]
    about = [key for key in left["ml-bucket"] if key.startswith(f"batches/{photo.photo_id[:8]}")]
    assert about == [f"batches/{photo.photo_id[:8]}/results.jsonl"]
    assert len(lines(deployed, photo)) == 2
    assert len(lines(deployed, other)) == 3
    assert any("classify-batch" in entry["what"] for entry in report["kept"])


def test_results_of_photos_that_are_gone_are_found_by_their_driver(
    deployed: Deployed, plant: Planter, tmp_path: Path
) -> None:
    plant.batch(Photo(deployed.uploads_bucket, "uploads/a/gone.jpg", "0"))
    run(deployed, tmp_path, Scope.of_driver("a"))
    assert stored(deployed)["batch results"] == []

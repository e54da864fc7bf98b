"""A sample of the hostile files through the deployed stage and the console; `make torture` sends all of them."""

import dataclasses

import pytest

import local
from tests.support.upload_stage import UploadStage
from tests.torture.corpus import HostileFile, corpus, sample
from tests.torture.delays import LIMIT_S, measure
from tests.torture.files import MAX_MEMORY_MB
from tests.torture.hostile_files import Uploaded, Uploads, all_faults, console_faults, show
from tests.torture.processes import sampled

NAMES = {file.name: file for file in corpus()}
COUNT = 60


@pytest.fixture(scope="module")
def memory(embedded_aws: local.ServerInfo):
    with sampled(embedded_aws.pid) as largest:
        yield largest


@pytest.fixture(scope="module")
def uploaded(upload_stage: UploadStage, memory: dict[str, float]) -> list[Uploaded]:
    files = sample(list(NAMES.values()), COUNT)
    assert len(files) >= COUNT
    return Uploads(upload_stage.deployed).run(files)


def test_each_ends_in_a_decision_a_review_or_a_rejection_with_a_reason(
    upload_stage: UploadStage, uploaded: list[Uploaded]
) -> None:
    assert all_faults(Uploads(upload_stage.deployed), uploaded) == []


def test_the_console_shows_an_image_or_a_sentence(upload_stage: UploadStage, uploaded: list[Uploaded]) -> None:
    shown = show(upload_stage.deployed, uploaded)
    assert len(shown) == 2 * len(uploaded)
    assert list(console_faults(shown)) == []


@pytest.mark.parametrize("count", [1, 4])
def test_expensive_photos_delay_others_by_at_most_a_second(upload_stage: UploadStage, count: int) -> None:
    worst = [NAMES[f"bombs/{name}"] for name in ("png-rgba-50-megapixels", "jpeg-20-scans-of-50-megapixels")]
    normal = HostileFile("normal", lambda: upload_stage.photo_of("bicycle").content)
    delay = measure(Uploads(upload_stage.deployed), normal, worst * count, count)
    assert delay.largest_s <= LIMIT_S, dataclasses.asdict(delay)


def test_no_process_needs_more_memory_than_it_may(uploaded: list[Uploaded], memory: dict[str, float]) -> None:
    assert {"Lambda worker", "model server", "console"} <= set(memory)
    assert {kind: value for kind, value in memory.items() if value > MAX_MEMORY_MB} == {}

"""A stage whose champion is watched: photos of given days, labels, and runs of the watch at given times."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import boto3
import jsonschema
import numpy as np

import events
from functions.shared.champion import Champion, ModelTable
from functions.shared.drift_state import DriftState, DriftTable
from functions.shared.errors import EventNotPublished
from functions.shared.events import EventBus
from functions.shared.photo import Photo
from functions.shared.photo_reader import PhotoReader
from functions.shared.photo_record import CLASSIFIED, PhotoRecord
from functions.shared.times import timestamp
from functions.watch_quality.answers import count_answered_photos
from functions.watch_quality.audit_share import AuditShareParameter
from functions.watch_quality.baseline import read_baseline
from functions.watch_quality.watch import Rules, Watch
from functions.watch_quality.window import read_window

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PER_DAY = 60
PARAMETER = "/scones/test/audit-share"
RULES = Rules(period=DAY, min_photos=40, psi_limit=0.2, window_periods=3, labels=5, audit_share=0.2)


class RecordingBus(EventBus):
    """Keeps the events, valid by their schemas; refuses them while `down`."""

    def __init__(self) -> None:
        self.down = False
        self.published: list[tuple[str, dict[str, Any]]] = []

    def publish(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        if self.down:
            raise EventNotPublished("on purpose")
        jsonschema.Draft202012Validator(events.schema(detail_type)).validate(detail)
        self.published.append((detail_type, dict(detail)))


def archive(baseline: Mapping[str, Any] | None, digest: str | None = None) -> bytes:
    """Return a model.tar.gz with a baseline and its digest, by default the right one."""
    files = {}
    if baseline is not None:
        content = json.dumps(baseline).encode()
        line = f"{digest or hashlib.sha256(content).hexdigest()}  baseline.json\n"
        files = {"./SHA256SUMS": line.encode(), "./baseline.json": content}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class PhotosInMemory(PhotoReader):
    """The index `by-day` of a list of records, because DynamoDB in this process takes 10 ms for each."""

    def __init__(self) -> None:
        self.records: list[PhotoRecord] = []

    def list_by_day(
        self, day: str, *, newest_first: bool = False, since: str = "", before: str = ""
    ) -> Iterator[PhotoRecord]:
        return (one for one in self.records if one.first_seen_at[:10] == day and since <= one.first_seen_at < before)


@dataclass
class DriftStage:
    """The watch of a stage with small rules, and what it did."""

    account: dict[str, Any]
    rules: Rules = RULES
    bus: RecordingBus = field(default_factory=RecordingBus)
    photos: PhotosInMemory = field(default_factory=PhotosInMemory)

    def __post_init__(self) -> None:
        self.ssm = boto3.client("ssm", region_name="eu-west-1")
        self.set_share("setting")
        self.promote("model-1", START)
        self.rng = np.random.default_rng(0)

    def promote(self, version: str, at: datetime, baseline: Mapping[str, Any] | None = None) -> None:
        key = f"models/{version}/output/model.tar.gz"
        self.account["s3"].put_object(Bucket="scones-ml", Key=key, Body=archive(baseline))
        self.champion = Champion(version, version, f"s3://scones-ml/{key}", threshold=0.9, promoted_at=timestamp(at))
        ModelTable("models", self.account["dynamodb"]).promote(self.champion)

    def upload(
        self,
        day: float,
        *,
        brightness: float = 0.5,
        confidence: float = 0.97,
        vehicle: str = "bicycle",
        photos: int = PER_DAY,
    ) -> None:
        """Let photos be classified during a day, spread evenly over it."""
        for number in range(photos):
            at = timestamp(START + day * DAY + number * DAY / photos)
            photo = Photo("uploads", f"uploads/driver/{len(self.photos.records)}.jpg", "etag", 1000)
            noise = float(self.rng.normal(0, 0.05))
            image = {"brightness": brightness + noise, "sharpness": 0.03 + noise / 10, "width": 4000, "height": 3000}
            classification = {
                "vehicle": vehicle,
                "confidence": min(1.0, confidence + noise / 5),
                "model_version": self.champion.model_version,
            }
            record = PhotoRecord(photo, CLASSIFIED, at, at, "execution", classification, 0.9, image)
            self.photos.records.append(record)

    def answer(self, photos: int, requested: datetime) -> None:
        """Let reviewers answer about photos: the console writes an object for each."""
        for number in range(photos):
            key = f"reviews/{requested:%Y/%m/%d}/{number:032x}-{number:016x}.answer.json"
            self.account["s3"].put_object(Bucket="scones-ml", Key=key, Body=b"{}")

    def run(self, day: float, *, look: bool = False) -> DriftState:
        """Run the watch some days after the start."""
        return self.watch.run(self.champion, START + day * DAY, look=look)

    @property
    def watch(self) -> Watch:
        """The watch, as a new process has it."""
        s3 = self.account["s3"]
        return Watch(
            rules=self.rules,
            table=DriftTable("models", self.account["dynamodb"]),
            bus=self.bus,
            share=AuditShareParameter(PARAMETER, 0.02, self.ssm),
            read_window=partial(read_window, self.photos),
            read_baseline=partial(read_baseline, s3=s3),
            count_labels=partial(count_answered_photos, s3, "scones-ml"),
        )

    def settle(self) -> int:
        """Let the reference be made of photos without drift; return the next day."""
        for day in range(3):
            self.upload(day)
            self.run(day + 1)
        assert self.run(3).references.keys() >= {"brightness", "confidence", "review"}
        return 3

    def darken(self, day: int) -> int:
        """Let the photos of two days be dark, and look after the second one; return the next day."""
        for _ in range(2):
            self.upload(day, brightness=0.15)
            day += 1
        assert self.run(day).drift is not None
        return day

    def announced(self, detail_type: str = "Drift Detected") -> list[dict[str, Any]]:
        return [detail for kind, detail in self.bus.published if kind == detail_type]

    def set_share(self, value: str) -> None:
        self.ssm.put_parameter(Name=PARAMETER, Value=value, Type="String", Overwrite=True)

    def share(self) -> str:
        return str(self.ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"])

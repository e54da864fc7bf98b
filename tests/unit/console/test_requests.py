"""What the desk accepts as a request, and what nobody ever gets to see of one."""

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from console import drawing, monitoring
from console.answers import choices
from console.decisions import Filter, log_line, steps_of
from console.labels import Label
from console.monitoring import Point
from console.photos import NoPicture, decode, encode
from console.request import MalformedRequest, read, redacted
from console.terminal import half_blocks, printable
from console.uploads import clean
from console.web import views
from functions.shared.photo import Photo

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BUCKET = "scones-dev-uploads"


def body(**changes: Any) -> str:
    photo = {"bucket": BUCKET, "key": "uploads/driver-17/a.jpg", "etag": "abc", "size": 5}
    photo["photo_id"] = hashlib.sha256(f"{BUCKET}\0uploads/driver-17/a.jpg\0abc".encode()).hexdigest()[:32]
    state = {
        "photo": photo,
        "driver_id": "driver-17",
        "vehicle": "bicycle",
        "confidence": 0.71,
        "probabilities": {"bicycle": 0.71, "motorcycle": 0.25, "other": 0.04},
        "model_version": "v1",
        "threshold": 0.93,
        "reason": "LowConfidence",
        "execution": "arn:execution",
        "requested_at": "2026-11-23T07:59:00.000Z",
        "expires_at": "2026-11-23T08:14:00.000Z",
        "task_token": "secret-token",
    }
    return json.dumps({**state, **changes})


def test_a_request_is_read_as_it_was_sent() -> None:
    request = read(body(), bucket=BUCKET, sent_at=NOW)
    assert (request.driver_id, request.vehicle, request.confidence) == ("driver-17", "bicycle", 0.71)
    assert request.photo.photo_id == json.loads(body())["photo"]["photo_id"]
    assert not request.expired(NOW)
    assert request.expired(NOW + timedelta(minutes=14))


def test_a_request_without_a_model_answer_is_a_request() -> None:
    text = body(vehicle=None, confidence=None, probabilities=None, model_version=None, reason="ModelUnavailable")
    assert read(text, bucket=BUCKET, sent_at=NOW).probabilities is None


def test_a_request_as_short_as_the_contract_allows_is_a_request() -> None:
    short = json.loads(body())
    for name in ("threshold", "execution", "requested_at"):
        del short[name]
    assert read(json.dumps(short), bucket=BUCKET, sent_at=NOW).requested_at == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        body(photo=None),
        body(photo={"bucket": BUCKET, "key": "uploads/a/b.jpg"}),
        body(photo={"bucket": "scones-prod-uploads", "key": "uploads/a/b.jpg", "etag": "abc"}),
        body(photo={"bucket": BUCKET, "key": "uploads/a/b.jpg", "etag": "abc", "photo_id": "0" * 32}),
        body(task_token=""),
        body(task_token=7),
        body(reason=None),
        body(expires_at="soon"),
        body(confidence=1.5),
        body(confidence=float("nan")),
        body(probabilities={"bicycle": "much"}),
        body(probabilities=[]),
    ],
)
def test_a_message_that_is_no_request_is_named_and_never_quotes_its_token(text: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read(text, bucket=BUCKET, sent_at=NOW)
    assert str(refused.value)
    assert "secret-token" not in str(refused.value)


def test_a_task_token_is_nowhere_to_be_seen() -> None:
    request = read(body(), bucket=BUCKET, sent_at=NOW)
    label = Label.of(request, "bicycle", "ada", NOW, "id")
    event = json.dumps(label.as_event(accepted=True))
    for shown in (repr(request), redacted(body()), redacted(body()[:-1]), repr(label), event):
        assert "secret-token" not in shown


def test_a_label_meets_its_second_answer_at_the_same_key_even_after_midnight() -> None:
    request = read(body(), bucket=BUCKET, sent_at=NOW)
    one = Label.of(request, "bicycle", "ada", NOW, "1")
    other = Label.of(request, "motorcycle", "ben", NOW + timedelta(days=1), "2")
    assert one.key == other.key == f"labels/2026/11/23/{request.photo.photo_id}.json"
    assert (one.seconds, one.agrees, other.agrees) == (60.0, True, False)


def test_a_third_vehicle_gets_a_key_of_its_own_without_code(tmp_path: Path) -> None:
    file = tmp_path / "vehicles.toml"
    file.write_text(
        '[help_desk]\nloading_bay = "Help desk"\norder_range = "help-desk"\n'
        '[vehicles.bicycle]\nloading_bay = "A"\norder_range = "nearby"\nreview_key = "b"\n'
        '[vehicles.bus]\nloading_bay = "C"\norder_range = "distant"\nreview_key = "b"\n'
        '[vehicles.sun]\nloading_bay = "D"\norder_range = "distant"\n'
    )
    assert [(c.vehicle, c.key) for c in choices(file)] == [
        ("bicycle", "b"),
        ("bus", "1"),
        ("sun", "2"),
        ("other", "n"),
        ("unusable", "u"),
    ]


def test_a_photo_is_shown_upright_small_and_without_its_metadata() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret"
    out = io.BytesIO()
    Image.new("CMYK", (400, 200)).save(out, "JPEG", exif=exif)
    shown = Image.open(io.BytesIO(encode(out.getvalue(), 100)))
    assert (shown.size, shown.mode, dict(shown.getexif())) == ((50, 100), "RGB", {})


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", b"GIF89a" + b"0" * 40, b"\xff\xd8\xff\xe0 cut"])
def test_what_is_no_photo_is_not_shown(content: bytes) -> None:
    with pytest.raises(NoPicture):
        decode(content, 100)


def test_an_enormous_photo_is_refused_before_it_is_decoded() -> None:
    out = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(out, "PNG")
    with pytest.raises(NoPicture, match="too many pixels"):
        decode(out.getvalue(), 100)


def test_names_cannot_leave_their_driver_or_steer_a_terminal() -> None:
    assert clean("../../etc/passwd") == "passwd"
    assert clean("C:\\photos\\my bike.jpg") == "my bike.jpg"
    assert clean("..") == "photo"
    assert "\x1b" not in printable("\x1b[2Jbike.jpg")


def test_a_history_is_names_and_times_and_never_inputs() -> None:
    entered = {"stateEnteredEventDetails": {"name": "RequestReview", "input": '{"task_token": "secret"}'}}
    events: list[dict[str, Any]] = [
        {"type": "ExecutionStarted", "timestamp": NOW},
        {"type": "TaskStateEntered", "timestamp": NOW, **entered},
        {"type": "LambdaFunctionFailed", "timestamp": NOW, "lambdaFunctionFailedEventDetails": {"error": "Boom"}},
        {"type": "TaskStateExited", "timestamp": NOW + timedelta(seconds=2)},
    ]
    (step,) = steps_of(events)
    assert (step.state, step.seconds, step.error) == ("RequestReview", 2.0, "Boom")
    assert "secret" not in repr(step)


def test_log_lines_leave_metrics_out() -> None:
    said = {"level": "INFO", "message": "driver routed", "photo_id": "x", "loading_bay": "Bay A"}
    line = log_line("assign-bay", {"timestamp": 1000, "message": json.dumps(said)})
    assert line
    assert (line.message, line.more) == ("driver routed", "loading_bay=Bay A")
    assert log_line("assign-bay", {"timestamp": 1000, "message": json.dumps({"_aws": {}, "message": "x"})}) is None
    assert log_line("assign-bay", {"timestamp": 1000, "message": "START"}) is None


def test_filters_take_what_they_say() -> None:
    decision = {"loading_bay": "Bay A", "decided_by": "model", "confidence": 0.95}
    assert Filter().takes(decision)
    assert Filter(bay="Bay A", decided_by="model", least=0.9, most=0.96).takes(decision)
    assert not Filter(bay="Bay B").takes(decision)
    assert not Filter(decided_by="reviewer").takes(decision)
    assert not Filter(most=0.9).takes(decision)
    assert not Filter(least=0.1).takes({**decision, "confidence": None})


def point(minute: int, confidence: float, *, reviewed: bool = False, agrees: bool | None = None) -> Point:
    return Point(NOW + timedelta(minutes=minute), confidence, "bicycle", reviewed, agrees)


def test_drift_is_calm_while_confidence_is_as_before_and_tells_when_it_falls() -> None:
    calm = [point(i, 0.9 + (i % 10) / 100) for i in range(100)]
    fallen = [point(i, 0.95 if i < 50 else 0.45) for i in range(100)]
    assert monitoring.drift(calm[:40]) is None
    assert (monitoring.drift(calm) or 0) < 0.1
    assert (monitoring.drift(fallen) or 0) > 0.2


def test_the_plots_count_what_was_observed() -> None:
    seen = [point(i, 0.8, reviewed=i % 2 == 0, agrees=i % 4 == 0 if i % 2 == 0 else None) for i in range(24)]
    parts = monitoring.buckets(seen)
    assert sum(part.photos for part in parts) == 24
    assert parts[0].review_rate == 0.5
    assert views.summary(seen)["agreement"] == 0.5
    plot = drawing.scatter(seen, 0.93)
    assert len(plot.dots) == 24
    assert plot.threshold_y is not None
    assert plot.threshold_y < plot.dots[0].y
    assert sum(bar.height > 0 for bar in drawing.class_mix(parts).bars) == 12
    assert {name for name, _ in drawing.rates(parts).paths} == {"review", "agreement"}


def test_one_single_observation_can_be_drawn() -> None:
    seen = [point(0, 0.5)]
    assert len(drawing.scatter(seen, None).dots) == 1
    assert drawing.class_mix(monitoring.buckets(seen)).bars


def test_a_photo_becomes_coloured_half_blocks() -> None:
    text = half_blocks(Image.new("RGB", (40, 20), (255, 0, 0)), 20, 10)
    assert text.plain == ("▀" * 20 + "\n") * 5
    assert Photo(BUCKET, "uploads/d/x.jpg", "e").driver_id == "d"

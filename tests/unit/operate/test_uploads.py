"""Uploads: the photos of a folder, the outcome of each photo, the figures of a run."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from functions.shared.photo import Photo
from operate import terminal, uploads
from operate.errors import CommandError
from operate.uploads import (
    IN_REVIEW,
    LOST,
    REJECTED,
    ROUTED,
    Source,
    UploadResult,
    find_photos,
    next_steps,
    object_key,
    summary,
)
from tests.unit import model_stage


def uploaded(label: str | None = None) -> UploadResult:
    return UploadResult(Source("p.jpg", b"", label), Photo("b", "uploads/d/p.jpg", "e"), sent_at=1_000_000_000.0)


def routed(vehicle: str, label: str | None = None, decided_at: str = "2001-09-09T01:46:40.500Z") -> UploadResult:
    result = uploaded(label)
    result.apply("Driver Routed", {"vehicle": vehicle, "decided_at": decided_at})
    return result


def test_a_photo_without_any_event_is_lost() -> None:
    assert summary([uploaded()])["lost"] == 1


def test_latency_counts_from_the_upload_to_the_decision() -> None:
    assert routed("bicycle").latency_ms == pytest.approx(500)


def test_a_reviewed_photo_has_no_latency() -> None:
    result = uploaded()
    result.apply("Review Requested", {"reason": "LowConfidence"})
    assert (result.outcome, result.latency_ms) == (IN_REVIEW, None)
    result.apply("Driver Routed", {"vehicle": "bicycle", "decided_at": "2001-09-09T01:46:41Z"})
    assert (result.outcome, result.latency_ms, result.duplicated) == (ROUTED, None, False)


def test_the_same_event_twice_is_a_duplicate() -> None:
    result = routed("bicycle")
    result.apply("Driver Routed", result.decision)
    assert summary([result])["duplicated"] == 1


def test_routed_and_rejected_contradict_each_other() -> None:
    result = routed("bicycle")
    result.apply("Photo Rejected", {"rejected": {"reason": "UnreadablePhoto"}, "rejected_at": "2001-09-09T01:46:41Z"})
    assert (result.outcome, result.duplicated) == (REJECTED, True)


def test_accuracy_is_over_labelled_photos_that_were_routed() -> None:
    results = [routed("bicycle", "bicycle"), routed("bicycle", "cat"), routed("bicycle"), uploaded("motorcycle")]
    figures = summary(results)
    assert figures["accuracy_of_routed"] == 0.5
    assert (figures["uploaded"], figures["routed"], figures["lost"]) == (4, 3, 1)


def test_a_run_in_which_nothing_was_routed_has_no_accuracy() -> None:
    assert summary([uploaded("bicycle")])["accuracy_of_routed"] is None


def test_other_is_the_correct_decision_for_a_photo_of_anything_else() -> None:
    assert summary([routed("other", "cat"), routed("bicycle", "cat")])["accuracy_of_routed"] == 0.5


def test_outcomes_whose_events_did_not_arrive_are_read_from_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    results = [UploadResult(Source("bike.jpg", b""), model_stage.photo(number), 0.0) for number in range(5)]
    with model_stage.stage(monkeypatch) as deployed:
        model_stage.decided(0, 0.97)
        model_stage.rejected(1)
        model_stage.waiting(2)
        model_stage.classified(3, at=model_stage.NOW)
        uploads._read_outcomes(deployed, results)
    assert [(result.outcome, result.reason) for result in results] == [
        (ROUTED, ""),
        (REJECTED, "UnreadablePhoto"),
        (IN_REVIEW, "LowConfidence"),
        (LOST, ""),
        (LOST, ""),
    ]
    assert results[0].decision["loading_bay"] == "Bay A"


def write(path: Path, content: bytes = b"1") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_photos_in_class_folders_have_the_name_of_the_folder_as_label(tmp_path: Path) -> None:
    write(tmp_path / "bicycle" / "one.JPG")
    write(tmp_path / "bicycle" / "2025" / "two.jpg")
    write(tmp_path / "cat" / "three.png")
    write(tmp_path / "bicycle" / "notes.txt", b"no photo")
    labels = {source.name: source.label for source in find_photos(tmp_path).sources}
    assert labels == {"one.JPG": "bicycle", "two.jpg": "bicycle", "three.png": "cat"}


def test_photos_of_any_other_folder_have_no_label_and_no_accuracy(tmp_path: Path) -> None:
    """The README uploads a folder of photos, not of class folders."""
    for number in range(3):
        write(tmp_path / "bikes" / f"{number}.jpg")
    for folder in (tmp_path / "bikes", tmp_path):
        sources = find_photos(folder).sources
        assert [source.label for source in sources] == [None] * 3
        results = [UploadResult(source, Photo("b", "uploads/d/p.jpg", "e"), 0.0) for source in sources]
        for result in results:
            result.apply("Driver Routed", {"vehicle": "bicycle", "decided_at": "2001-09-09T01:46:41Z"})
        assert summary(results)["accuracy_of_routed"] is None


def test_files_that_are_not_uploaded_are_listed_with_the_reason(tmp_path: Path) -> None:
    for name in ("a.JPG", "b.jfif", "c.jpe", "d.HEIC", "e.gif", "._a.JPG", ".thumbnails/a.jpg"):
        write(tmp_path / "bicycle" / name)
    selection = find_photos(tmp_path)
    assert [(source.name, source.media_type) for source in selection.sources] == [
        ("a.JPG", "image/jpeg"), ("b.jfif", "image/jpeg"), ("c.jpe", "image/jpeg"), ("d.HEIC", "image/heic"),
    ]  # fmt: skip
    assert {one.name for one in selection.left_out} == {
        "bicycle/e.gif", "bicycle/._a.JPG", "bicycle/.thumbnails",
    }  # fmt: skip


def test_a_class_folder_that_looks_like_a_vehicle_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "motorcycle" / "a.jpg")
    write(tmp_path / "Bicycle" / "a.jpg")
    with pytest.raises(CommandError, match='"Bicycle" looks like the vehicle "bicycle"'):
        find_photos(tmp_path)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "bikes" / "a.jpg")
    assert len(find_photos(Path("~/bikes")).sources) == 1


def test_a_single_heic_file_is_uploaded(tmp_path: Path) -> None:
    write(tmp_path / "a.heic")
    assert [source.media_type for source in find_photos(tmp_path / "a.heic").sources] == ["image/heic"]


def test_a_file_name_that_is_not_utf_8_is_printed_and_uploaded(tmp_path: Path) -> None:
    try:
        (tmp_path / "bicycle").mkdir()
        Path(os.fsdecode(os.fsencode(tmp_path / "bicycle") + b"/v\xe9lo[red].jpg")).write_bytes(b"1")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (source,) = find_photos(tmp_path).sources
    result = UploadResult(source, Photo("b", "k", "e"), 0.0)
    with terminal.console.capture() as shown:
        terminal.print_upload(result, 1, 1)
        terminal.print_uploads([result])
    assert "lo[red].jpg" in shown.get()
    shown.get().encode()
    key = object_key("20261127", 0, source)
    key.encode()
    assert key.isprintable()
    assert source.media_type == "image/jpeg"


def outcome(kind: str, name: str = "a.jpg", **details: Any) -> UploadResult:
    return UploadResult(Source(name, b"", "motorcycle"), Photo("b", "k", "e"), 0.0, outcome=kind, **details)


@pytest.mark.parametrize("name", ["a.jpg", "photo-of-a-motorcycle-in-front-of-the-loading-bay-0001.jpg"])
def test_each_photo_is_one_line_of_eighty_columns(name: str) -> None:
    decision = {
        "vehicle": "motorcycle", "confidence": 0.998, "loading_bay": "Help desk", "order_range": "distant",
        "decided_at": "1970-01-01T00:00:12.345Z",
    }  # fmt: skip
    with terminal.console.capture() as shown:
        terminal.print_upload(outcome("routed", name, decision=decision), 999, 1000)
        terminal.print_upload(outcome("in review", name, reason="ThresholdUnavailable"), 1000, 1000)
    lines = shown.get().splitlines()
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert "motorcycle 0.998 → Help desk" in lines[0]
    assert "12,345 ms" in lines[0]
    assert lines[1].endswith("ThresholdUnavailable")
    assert all(name[-5:] in line for line in lines)


def test_what_to_do_next_names_the_photos_that_wait() -> None:
    steps = next_steps([outcome("routed"), outcome("in review"), outcome("in review"), outcome("lost")])
    assert steps == ["2 photos wait for a person: make review", "1 photo waits for an outcome: make reconcile"]
    assert next_steps([outcome("routed"), outcome("rejected")]) == []


@pytest.mark.parametrize("variable", ["/srv/$5 bikes", "it's here", "~/bikes", "a $(HOME) b"])
@pytest.mark.parametrize("command", ["upload", "evaluate"])
def test_make_passes_a_path_unchanged(command: str, variable: str) -> None:
    root = Path(__file__).resolve().parents[3]
    argv = ["make", "--no-print-directory", "-o", ".venv/.ready", command, f"PHOTOS={variable}", "PY=printf '%s\\n'"]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == variable


@pytest.mark.parametrize("missing", ["nowhere", "empty"])
def test_a_folder_without_photos_is_an_error_that_names_it(missing: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match=missing):
        find_photos(tmp_path / missing)


def test_the_default_outcome_is_lost() -> None:
    assert uploaded().outcome == LOST

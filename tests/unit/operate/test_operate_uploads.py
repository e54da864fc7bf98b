"""What a run of uploads says about itself."""

from pathlib import Path

import pytest

from functions.shared.photo import Photo
from operate.errors import CommandError
from operate.uploads import IN_REVIEW, LOST, REJECTED, ROUTED, Journey, Source, photos_in, summary


def journey(label: str | None = None) -> Journey:
    return Journey(Source("p.jpg", b"", label), Photo("b", "uploads/d/p.jpg", "e"), sent_at=1_000_000_000.0)


def routed(vehicle: str, label: str | None = None, decided_at: str = "2001-09-09T01:46:40.500Z") -> Journey:
    one = journey(label)
    one.hear("Driver Routed", {"vehicle": vehicle, "decided_at": decided_at})
    return one


def test_a_photo_that_nothing_is_heard_of_is_lost() -> None:
    assert summary([journey()])["lost"] == 1


def test_latency_counts_from_the_upload_to_the_decision() -> None:
    assert routed("bicycle").latency_ms == pytest.approx(500)


def test_a_wait_for_a_person_is_not_latency() -> None:
    one = journey()
    one.hear("Review Requested", {"reason": "LowConfidence"})
    assert (one.outcome, one.latency_ms) == (IN_REVIEW, None)
    one.hear("Driver Routed", {"vehicle": "bicycle", "decided_at": "2001-09-09T01:46:41Z"})
    assert (one.outcome, one.latency_ms, one.duplicated) == (ROUTED, None, False)


def test_the_same_event_twice_is_a_duplicate() -> None:
    one = routed("bicycle")
    one.hear("Driver Routed", one.decision)
    assert summary([one])["duplicated"] == 1


def test_routed_and_rejected_contradict_each_other() -> None:
    one = routed("bicycle")
    one.hear("Photo Rejected", {"rejected": {"reason": "UnreadablePhoto"}, "rejected_at": "2001-09-09T01:46:41Z"})
    assert (one.outcome, one.duplicated) == (REJECTED, True)


def test_accuracy_is_over_labelled_photos_that_were_routed() -> None:
    journeys = [routed("bicycle", "bicycle"), routed("bicycle", "cat"), routed("bicycle"), journey("motorcycle")]
    figures = summary(journeys)
    assert figures["accuracy_of_routed"] == 0.5
    assert (figures["uploaded"], figures["routed"], figures["lost"]) == (4, 3, 1)


def test_a_run_in_which_nothing_was_routed_has_no_accuracy() -> None:
    assert summary([journey("bicycle")])["accuracy_of_routed"] is None


def test_photos_of_a_folder_carry_the_name_of_their_folder(tmp_path: Path) -> None:
    (tmp_path / "bicycle").mkdir()
    (tmp_path / "bicycle" / "one.JPG").write_bytes(b"1")
    (tmp_path / "bicycle" / "notes.txt").write_bytes(b"no photo")
    assert photos_in(tmp_path) == [Source("one.JPG", b"1", "bicycle")]


@pytest.mark.parametrize("missing", ["nowhere", "empty"])
def test_a_folder_without_photos_is_an_error_that_names_it(missing: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match=missing):
        photos_in(tmp_path / missing)


def test_lost_is_the_default() -> None:
    assert journey().outcome == LOST

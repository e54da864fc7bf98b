"""Which labels are effective."""

from typing import Any

import pytest

from functions.build_dataset.labels import Label, count_changed_labels, effective_labels
from functions.shared.photo import Photo

CLASSES = ("bicycle", "motorcycle")


def label(vehicle: str, key: str = "uploads/d/a.jpg", at: str = "2026-11-20T10:00:00.000Z", by: str = "ann") -> Label:
    return Label(Photo("uploads", key, "etag", 10), vehicle, by, at)


def test_of_two_answers_about_a_photo_the_later_one_is_used_in_any_order() -> None:
    first, second = label("bicycle", at="2026-11-20T10:00:00.000Z"), label("motorcycle", at="2026-11-21T10:00:00.000Z")
    assert effective_labels([first, second], CLASSES, ()) == effective_labels([second, first], CLASSES, ()) == [second]


def test_of_two_answers_at_the_same_time_one_is_chosen_deterministically() -> None:
    ann, zoe = label("bicycle", by="ann"), label("motorcycle", by="zoe")
    assert effective_labels([ann, zoe], CLASSES, ()) == effective_labels([zoe, ann], CLASSES, ()) == [zoe]


def test_a_photo_found_unusable_later_is_not_used() -> None:
    later = label("unusable", at="2026-11-21T10:00:00.000Z")
    assert effective_labels([label("bicycle"), later], CLASSES, ()) == []


def test_a_rejected_photo_is_not_used() -> None:
    assert effective_labels([label("bicycle")], CLASSES, [label("bicycle").photo.photo_id]) == []


def test_other_is_used_and_an_unconfigured_vehicle_is_not() -> None:
    cat, bus = label("other", key="uploads/d/cat.jpg"), label("bus", key="uploads/d/bus.jpg")
    assert effective_labels([cat, bus], CLASSES, ()) == [cat]


def test_about_a_quarter_of_the_photos_is_for_evaluation_and_stays_so() -> None:
    labels = [label("bicycle", key=f"uploads/d/{number}.jpg") for number in range(400)]
    evaluated = [one for one in labels if one.use == "evaluate"]
    assert 60 < len(evaluated) < 140
    assert [label(one.vehicle, key=one.photo.key).use for one in evaluated] == ["evaluate"] * len(evaluated)


def test_a_changed_label_is_counted_and_a_known_one_is_not() -> None:
    known, new = label("bicycle"), label("bicycle", key="uploads/d/b.jpg")
    assert count_changed_labels([known.as_entry(), new.as_entry()], [known.as_entry()]) == 1
    assert count_changed_labels([label("motorcycle").as_entry()], [known.as_entry()]) == 1


@pytest.mark.parametrize("content", [None, [], {}, {"photo": {"bucket": "b", "key": "k"}, "vehicle": "bicycle"}])
def test_an_object_that_is_not_a_label_is_ignored(content: Any) -> None:
    assert Label.from_object(content) is None


def read_answers(vehicle: str, *opinions: str) -> Label | None:
    """Read a label object with one answer and later opinions."""
    photo, at = label("bicycle").photo.as_state(), "2026-11-20T10:00:00.000Z"
    others = [{"vehicle": name, "reviewer": f"r{n}", "answered_at": at} for n, name in enumerate(opinions)]
    return Label.from_object(
        {"photo": photo, "vehicle": vehicle, "reviewer": "ann", "answered_at": at, "opinions": others}
    )


def test_the_majority_is_used_and_a_photo_without_one_is_not_used() -> None:
    agreed, outvoted, split = (
        read_answers("bicycle", "bicycle"),
        read_answers("bicycle", "motorcycle", "motorcycle"),
        read_answers("bicycle", "motorcycle"),
    )
    assert agreed
    assert outvoted
    assert split
    assert (agreed.vehicle, outvoted.vehicle) == ("bicycle", "motorcycle")
    assert effective_labels([split], CLASSES, ()) == []

"""Which labels are effective."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

from functions.build_dataset.labels import Label, Picture, count_changed_labels, effective_labels
from functions.build_dataset.skipped import SkippedLabels
from functions.shared.photo import Photo

CLASSES = ("bicycle", "motorcycle")
START = datetime(2026, 11, 20, 10, tzinfo=UTC)


def label(
    vehicle: str,
    key: str = "uploads/d/a.jpg",
    by: str = "ann",
    number: int = 1,
    minute: int = 0,
    content: str | None = None,
    seen: int = 0,
    written: int | None = None,
    routed: str | None = None,
    picture: str = "e",
) -> Label:
    """`minute`, `seen` and `written` are minutes after START; S3 stored the label when it was answered by default."""
    etag = hashlib.md5((content or key).encode(), usedforsecurity=False).hexdigest()
    saw = (
        None if vehicle in ("unusable", "ambiguous") else Picture(f"labels/…/{by}/{number}.png", f'"{picture}"', "png")
    )
    seen_at = (START + timedelta(minutes=seen)).isoformat()
    answered_at, written_at = (START + timedelta(minutes=at) for at in (minute, minute if written is None else written))
    photo = Photo("uploads", key, etag, 10)
    return Label(photo, vehicle, by, number, answered_at, written_at, seen_at, routed, saw)


def used(*labels: Label, per_driver: int = 99) -> tuple[list[Label], dict[str, int]]:
    """The effective labels and the counts of the others; the same for each order of the labels."""
    found = []
    for order in list(permutations(labels))[:24]:
        skipped = SkippedLabels()
        found.append((effective_labels(order, CLASSES, per_driver, skipped), skipped.counts))
    assert all(one == found[0] for one in found)
    return found[0]


def test_the_label_that_a_reviewer_wrote_last_counts_whatever_time_it_claims() -> None:
    first, second = label("bicycle", minute=9), label("motorcycle", number=2, minute=1)
    assert used(first, second) == ([second], {"Corrected": 1})


def test_a_photo_that_its_reviewer_later_found_unusable_is_not_used() -> None:
    assert used(label("bicycle"), label("unusable", number=2)) == ([], {"Corrected": 1, "Unusable": 1})


def test_a_photo_of_several_vehicles_of_which_none_counts_is_never_used() -> None:
    assert used(label("ambiguous")) == ([], {"Ambiguous": 1})
    votes = [label("bicycle"), label("ambiguous", by="bob"), label("ambiguous", by="cyd")]
    assert used(*votes) == ([], {"Ambiguous": 2, "Outvoted": 1})


def test_many_labels_of_one_reviewer_are_one_vote() -> None:
    by_bob = [label("motorcycle", by="bob", number=number) for number in range(1, 4)]
    by_ann, by_cyd = label("bicycle"), label("bicycle", by="cyd", minute=1)
    assert used(*by_bob, by_ann, by_cyd) == ([by_ann], {"Corrected": 2, "Outvoted": 1})


def test_a_photo_without_a_majority_is_not_used() -> None:
    assert used(label("bicycle"), label("motorcycle", by="bob")) == ([], {"Contested": 2})
    three = [label("bicycle"), label("motorcycle", by="bob"), label("other", by="cyd")]
    assert used(*three) == ([], {"Contested": 3})


def test_a_reviewer_who_contradicts_every_answer_later_stops_no_learning() -> None:
    """Each of three reviewers answered some photos; one of them has contradicted those of the others since."""
    answers = [label("bicycle", f"uploads/d/{n}.jpg", ("ann", "bob", "eve")[n % 3], routed="bicycle") for n in range(9)]
    vetoes = [
        label("motorcycle", one.photo.key, "eve", minute=9, written=9, routed="bicycle")
        for one in answers
        if one.reviewer != "eve"
    ]
    skipped = SkippedLabels()
    found = effective_labels([*vetoes, *answers], CLASSES, 99, skipped)
    assert sorted(found, key=lambda one: one.photo.key) == answers
    assert skipped.counts == {"Outvoted": 6}
    assert skipped.disagreeing == {"eve": {"votes": 9, "outvoted": 6, "contested": 0}}


def test_a_label_that_was_stored_before_the_answer_wins_no_tie() -> None:
    """A reviewer gives the answer that is to be expected before another does, and then another one."""
    planted = [label("bicycle", by="eve", written=-1), label("motorcycle", by="eve", number=2, written=9)]
    answer = label("bicycle", minute=1, routed="bicycle")
    planted = [replace(one, routed="bicycle") for one in planted]
    assert used(*planted, answer) == ([answer], {"Corrected": 1, "Outvoted": 1})


def test_a_tie_that_no_answer_decides_stays_contested_and_counts_for_both() -> None:
    late = [label("bicycle"), label("motorcycle", by="bob")]
    routed_by_another = [label("bicycle", routed="other"), label("motorcycle", by="bob", routed="other")]
    both_routed = [
        label("bicycle", "uploads/d1/a.jpg", content="a", routed="bicycle"),
        label("motorcycle", "uploads/d2/a.jpg", by="bob", content="a", routed="motorcycle"),
    ]
    for votes in (late, routed_by_another, both_routed):
        assert used(*votes) == ([], {"Contested": 2})
    skipped = SkippedLabels()
    effective_labels(late, CLASSES, 99, skipped)
    assert skipped.disagreeing == {name: {"votes": 1, "outvoted": 0, "contested": 1} for name in ("ann", "bob")}


def test_a_majority_is_stronger_than_the_answer_that_routed_the_driver() -> None:
    votes = [label("bicycle", by=name, routed="motorcycle") for name in ("ann", "bob")]
    wrong = label("motorcycle", by="eve", routed="motorcycle")
    assert used(*votes, wrong) == ([votes[0]], {"Outvoted": 1})


def test_the_picture_is_the_one_that_most_reviewers_saw_and_then_the_one_that_was_stored_first() -> None:
    ann, bob = label("bicycle", minute=5), label("bicycle", by="bob", minute=6)
    forged = label("bicycle", by="eve", minute=-14, written=7, picture="forged")
    assert used(ann, bob, forged) == ([ann], {})
    assert used(ann, forged) == ([ann], {})
    # Many labels of one reviewer, about photos with the same bytes, are one reviewer.
    copies = [
        label("bicycle", f"uploads/d/{n}.jpg", "eve", 1, -14, "uploads/d/a.jpg", -9, 7, picture="forged")
        for n in range(3)
    ]
    assert used(ann, bob, *copies) == ([ann], {})


def test_the_use_of_a_photo_is_known_for_any_etag() -> None:
    one = label("bicycle")
    assert {replace(one, photo=replace(one.photo, etag=etag)).use for etag in ("", None, "é")} == {"train"}


def test_a_majority_that_found_the_photo_unusable_outvotes_a_vehicle() -> None:
    votes = [label("bicycle"), label("unusable", by="bob"), label("unusable", by="cyd")]
    assert used(*votes) == ([], {"Outvoted": 1, "Unusable": 2})


def test_of_several_reviewers_that_agree_the_first_answer_is_the_one_in_the_snapshot() -> None:
    first, second = label("bicycle", by="zoe", minute=1), label("bicycle", minute=2)
    assert used(second, first) == ([first], {})
    assert used(label("bicycle", by="zoe"), label("bicycle"))[0][0].reviewer == "ann"


def test_other_is_used_and_an_unconfigured_vehicle_is_not() -> None:
    cat, bus = label("other", key="uploads/d/cat.jpg"), label("bus", key="uploads/d/bus.jpg")
    assert used(cat, bus) == ([cat], {"UnknownVehicle": 1})


def test_photos_with_the_same_bytes_count_once_and_have_one_use() -> None:
    copies = [label("bicycle", key=f"uploads/d{n}/a.jpg", content="a", seen=n, minute=n) for n in range(3)]
    # The photo that was seen first stays the one in the snapshot, so that uploading it again gives no new label.
    assert used(*copies) == ([copies[0]], {})
    assert len({copy.use for copy in copies}) == 1
    by_bob = label("bicycle", key="uploads/d9/a.jpg", by="bob", content="a", seen=9)
    assert used(copies[0], by_bob) == ([copies[0]], {})
    corrected = label("motorcycle", key="uploads/d9/a.jpg", content="a", seen=9, minute=9)
    assert used(*copies, corrected) == ([corrected], {"Corrected": 3})
    disagreeing = label("motorcycle", key="uploads/d9/a.jpg", by="bob", content="a", seen=9)
    assert used(copies[0], disagreeing) == ([], {"Contested": 2})


def test_of_one_driver_only_the_newest_labels_are_used() -> None:
    flood = [label("bicycle", key=f"uploads/bad/{n}.jpg", minute=n) for n in range(6)]
    other = label("bicycle", key="uploads/good/a.jpg")
    found, skipped = used(*flood, other, per_driver=2)
    assert sorted(one.photo.key for one in found) == ["uploads/bad/4.jpg", "uploads/bad/5.jpg", "uploads/good/a.jpg"]
    assert skipped == {"OverDriverLimit": 4}
    at_the_same_time = [label("bicycle", key=f"uploads/bad/{n}.jpg") for n in range(4)]
    assert len(used(*at_the_same_time, per_driver=2)[0]) == 2


def test_about_a_quarter_of_the_photos_is_for_evaluation_and_stays_so() -> None:
    labels = [label("bicycle", key=f"uploads/d/{number}.jpg") for number in range(400)]
    evaluated = [one for one in labels if one.use == "evaluate"]
    assert 60 < len(evaluated) < 140
    assert [label(one.vehicle, key=one.photo.key).use for one in evaluated] == ["evaluate"] * len(evaluated)


def test_a_changed_label_is_counted_and_a_known_one_is_not() -> None:
    entries = [label("bicycle").as_entry(), label("bicycle", key="uploads/d/b.jpg").as_entry()]
    known = {(entries[0]["photo_id"], "bicycle")}
    assert count_changed_labels(entries, known) == 1
    assert count_changed_labels([label("motorcycle").as_entry()], known) == 1


def test_an_entry_contains_nothing_that_names_the_driver() -> None:
    entry = label("bicycle", key="uploads/secret-driver/a.jpg").as_entry()
    assert set(entry) == {"photo_id", "file", "label", "labelled_by", "labelled_at", "use"}
    assert "secret-driver" not in str(entry)
    assert entry["file"] == f"{entry['photo_id']}.png"

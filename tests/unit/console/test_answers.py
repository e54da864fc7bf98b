"""The keys of the answers."""

from pathlib import Path

from console.answers import choices, several_vehicles


def test_every_configured_answer_has_a_key_of_its_own() -> None:
    keys = [choice.key for choice in choices()]
    assert keys == ["b", "m", "n", "u", "x"]


def test_every_answer_has_a_guide_and_a_vehicle_without_one_has_an_empty_guide(tmp_path: Path) -> None:
    assert all(choice.guide for choice in choices())
    assert several_vehicles()
    guide = tmp_path / "labelling.toml"
    guide.write_text('bicycle = ["Also with a motor."]\n')
    found = {choice.vehicle: choice.guide for choice in choices(guide=guide)}
    assert (found["bicycle"], found["motorcycle"]) == (("Also with a motor.",), ())
    assert several_vehicles(guide) == ()


def test_a_vehicle_whose_key_is_missing_or_taken_gets_a_free_one(tmp_path: Path) -> None:
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
        ("ambiguous", "x"),
    ]

"""The head that training starts from."""

from training.initial_head import load_initial_head


def test_an_unknown_vehicle_starts_without_a_correction():
    initial = load_initial_head(("bicycle", "bus", "tricycle"), {"bus": (779,)})
    assert initial.head.classes == ("bicycle", "bus", "tricycle", "other")
    assert initial.head.groups == ((), (779,), ())
    assert initial.head.weights[0].any()
    assert not initial.head.weights[1:3].any()

"""The operating points of a model."""

from console.tradeoff import OperatingPoint, TradeOff
from tests.unit import model_stage


def measured(*, in_force: float = 0.935) -> TradeOff:
    points = filter(None, map(OperatingPoint.from_report, model_stage.operating_points()))
    return TradeOff(tuple(points), None, 0.935, in_force)


def test_invalid_operating_points_are_ignored() -> None:
    assert OperatingPoint.from_report({"threshold": 0.9}) is None
    assert OperatingPoint.from_report("0.9") is None
    assert OperatingPoint.from_report({"threshold": 0.9, "decided": 1, "wrong": None}) == OperatingPoint(0.9, 1.0)


def test_the_nearest_measured_operating_point_is_returned() -> None:
    assert measured(in_force=0.9333).at(0.9333) == measured().at(0.935)
    assert measured().at(1.0) is None

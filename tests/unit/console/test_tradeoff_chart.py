"""The charts of the trade-off."""

import pytest

from console import tradeoff_chart
from console.tradeoff import OperatingPoint, Policy, TradeOff
from tests.unit import model_stage

POLICY = Policy(0.01, 0.05, 0.03)


def measured(*, in_force: float) -> TradeOff:
    points = filter(None, map(OperatingPoint.from_report, model_stage.operating_points()))
    return TradeOff(tuple(points), POLICY, 0.935, in_force)


def test_every_point_and_interval_is_inside_the_frame() -> None:
    wrong, others = tradeoff_chart.charts(measured(in_force=0.98))
    left, top, right, bottom = tradeoff_chart.FRAME
    for chart in (wrong, others):
        places = [tuple(map(float, place.split(","))) for place in f"{chart.line} {chart.upper}".split()]
        assert all(left <= x <= right and top <= y <= bottom for x, y in places)
        assert [mark.kind for mark in chart.marks] == ["chosen", "in-force"]
        assert all(mark.y_upper is not None and top <= mark.y_upper <= mark.y <= bottom for mark in chart.marks)
        assert chart.limit_y is not None
        assert top <= chart.limit_y <= bottom
    assert not wrong.cut
    assert others.cut


def test_a_chart_without_values_is_left_out() -> None:
    point = OperatingPoint(0.9, 0.95, wrong=0.01)
    charts = tradeoff_chart.charts(TradeOff((point,), None, 0.9, None))
    assert [chart.title for chart in charts] == ["Errors among automatic decisions"]
    assert charts[0].limit_y is None


@pytest.mark.parametrize("decided", [0.0, 0.5, 1.0])
def test_a_curve_of_one_point_or_of_zeros_can_be_drawn(decided: float) -> None:
    point = OperatingPoint(0.9, decided, 0.0, 0.0, 0.0, 0.0)
    for policy in (None, POLICY, Policy(0.0, 0.0, 0.0)):
        assert len(tradeoff_chart.charts(TradeOff((point,), policy, 0.9, 0.9))) == 2

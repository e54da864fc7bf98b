"""The trade-off on the console's Model page, and its charts."""

import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from console import tradeoff_chart
from console.answers import choices
from console.aws import Aws
from console.tradeoff import OperatingPoint, Policy, TradeOff
from console.web.app import create_app
from deploy.outputs import Deployed
from tests.unit import model_stage

HOST = "127.0.0.1:8080"
POLICY = Policy(0.01, 0.05, 0.03)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with model_stage.stage(monkeypatch) as resources:
        yield resources


def page(stage: Deployed) -> str:
    app = create_app(stage, Aws(), choices(), hosts=[HOST])
    answer = TestClient(app, base_url=f"http://{HOST}").get("/model", headers={"host": HOST})
    assert answer.status_code == 200
    return " ".join(answer.text.split())


def measured(**values: float | None) -> TradeOff:
    points = filter(None, map(OperatingPoint.from_report, model_stage.operating_points()))
    return TradeOff(tuple(points), POLICY, values.get("chosen", 0.935), values.get("in_force", 0.935))


def test_the_page_shows_two_charts_and_a_table_with_the_chosen_threshold_marked(stage: Deployed) -> None:
    model_stage.serve()
    model_stage.set_threshold("0.98")
    text = page(stage)
    assert "At most 1% of the photos decided without a person may be wrong" in text
    section = text.partition('id="tradeoff-title"')[2].partition("</section>")[0]
    assert section.count("<svg") == 2
    assert "chosen: threshold 0.935, 0.3% (≤0.7%), 91.4% decided" in section
    assert "in force: threshold 0.980" in section
    assert "Decided without a person (% of vehicles)" in section
    rows = re.findall(r"<tr.*?</tr>", section)
    assert len(rows) == 1 + 13
    for heading in ("Decided without a person", "Wrong among decided", "Other photos let through"):
        assert heading in rows[0]
    chosen = next(row for row in rows if ">chosen<" in row)
    assert re.findall(r'<td class="number">([^<]+)', chosen) == [
        "0.935 ",
        "91.4%",
        "0.3% (≤0.7%)",
        "2.7% (≤3.5%)",
        "130",
    ]


def test_the_page_says_when_the_model_has_no_trade_off(stage: Deployed) -> None:
    model_stage.serve(report={"accuracy": 0.97})
    text = page(stage)
    assert "This model has no measured trade-off" in text
    assert "<polyline" not in text


def test_the_page_without_a_model_has_no_trade_off(stage: Deployed) -> None:
    assert "tradeoff-title" not in page(stage)


def test_a_chart_lies_within_its_frame_and_marks_the_interval() -> None:
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
    assert [chart.title for chart in charts] == ["Wrong among decided"]
    assert charts[0].limit_y is None


@pytest.mark.parametrize("decided", [0.0, 0.5, 1.0])
def test_a_curve_of_one_point_or_of_zeros_can_be_drawn(decided: float) -> None:
    point = OperatingPoint(0.9, decided, 0.0, 0.0, 0.0, 0.0)
    for policy in (None, POLICY, Policy(0.0, 0.0, 0.0)):
        assert len(tradeoff_chart.charts(TradeOff((point,), policy, 0.9, 0.9))) == 2


def test_entries_that_are_no_operating_points_are_left_out() -> None:
    assert OperatingPoint.from_report({"threshold": 0.9}) is None
    assert OperatingPoint.from_report("0.9") is None
    assert OperatingPoint.from_report({"threshold": 0.9, "decided": 1, "wrong": None}) == OperatingPoint(0.9, 1.0)
    assert measured(in_force=0.9333).at(0.9333) == measured().at(0.935)
    assert measured().at(1.0) is None

"""What another threshold would change, and the gallery of mistakes."""

import re
from datetime import timedelta
from typing import Any

import pytest

from console.aws import Aws
from console.explorer import Moved, explore
from console.mistakes import SHOWN, mistakes
from console.monitoring import Point
from console.tradeoff import OperatingPoint, Policy, TradeOff
from deploy.outputs import Deployed
from functions.shared.label import UNUSABLE
from tests.unit import model_stage
from tests.unit.console.browser_client import BrowserClient
from tests.unit.model_stage import NOW

TRADE_OFF = TradeOff(
    (
        OperatingPoint(0.9, decided=0.9, wrong=0.02, wrong_upper=0.03, others_accepted=0.0, others_accepted_upper=0.01),
        OperatingPoint(0.95, decided=0.8, wrong=0.01, wrong_upper=0.02, others_accepted=0.0),
    ),
    Policy(wrong_at_most=0.01, others_share=0.0, others_accepted_at_most=0.03),
    chosen=0.9,
    in_force=0.9,
)


def point(number: int, confidence: float, **changes: Any) -> Point:
    """Return a photo of driver `number % 3`."""
    values: dict[str, Any] = {"vehicle": "bicycle", "reviewed": confidence < 0.9, "agrees": None} | changes
    at = NOW - timedelta(minutes=number)
    return Point(at, confidence, photo_id=f"{number:032x}", driver_id=f"driver-{number % 3}", **values)


SEEN = [
    point(0, 0.85, agrees=False, answer="motorcycle"),
    point(1, 0.89, agrees=True, answer="bicycle"),
    point(2, 0.9),
    point(3, 0.92),
    point(5, 0.94),
    point(6, 0.95),
    point(7, 0.99, vehicle="other"),
]


def test_a_higher_threshold_sends_photos_of_so_many_drivers_to_review() -> None:
    found = explore(TRADE_OFF, SEEN, 0.9, 0.95)
    assert found is not None
    assert (found.to_review, found.to_model) == (Moved(photos=3, drivers=2), Moved(0, 0))
    assert (found.current.recent_reviews, found.proposed.recent_reviews) == (3, 6)
    assert (found.current.reviews, found.proposed.reviews) == pytest.approx((100, 200))
    assert (found.current.errors, found.proposed.errors) == pytest.approx((18, 8))
    assert found.proposed.errors_upper == pytest.approx(16)
    assert found.problems == ["Errors among automatic decisions may be up to 2%; the policy allows 1%."]


def test_a_lower_threshold_tells_what_reviewers_answered() -> None:
    found = explore(TRADE_OFF, SEEN, 0.9, 0.8)
    assert found is not None
    assert (found.to_review, found.to_model) == (Moved(0, 0), Moved(photos=2, drivers=2))
    assert (found.to_model_answered, found.to_model_wrong) == (2, 1)
    assert (found.proposed.reviews, found.proposed.errors) == (None, None)  # 0.8 was not measured


def test_without_a_threshold_in_force_nothing_is_compared() -> None:
    assert explore(TRADE_OFF, SEEN, None, 0.8) is None


def test_the_page_shows_the_effect_and_changes_nothing(stage: Deployed) -> None:
    model_stage.serve()
    for number, confidence in enumerate((0.93, 0.94, 0.96, 0.98)):
        model_stage.decided(number, confidence)
    with BrowserClient(stage, Aws()) as browser:
        text = browser.get("/model?threshold=0.97").text
        nothing = browser.get("/model?threshold=0.935").text
        refused = [browser.get(f"/model?threshold={text}").text for text in ("1.5", "high", "nan")]
    assert "In force, 0.935" in text
    assert "Then, 0.970" in text
    (affected,) = re.findall(r'<p id="affected">([^<]+)', text)
    assert affected == "2 drivers would have waited for a reviewer with 2 photos that the model decided alone."
    assert "No recent photo of the last 30 days would be decided differently." in nothing
    assert all("A threshold is a number from 0 to 1" in page for page in refused)
    assert model_stage.aws("ssm").get_parameter(Name=model_stage.PARAMETER)["Parameter"]["Value"] == "model"


def test_decisions_that_the_model_made_alone_come_first_among_the_mistakes() -> None:
    alone = point(10, 0.97, agrees=False, answer="motorcycle", reviewed=False)
    unsure, least = SEEN[0], point(11, 0.6, agrees=False, answer="other")
    unusable = point(12, 0.7, agrees=False, answer=UNUSABLE)
    found = mistakes([least, *SEEN, unusable, alone])
    assert found.shown == [alone, unsure, least]
    many = mistakes([unsure] * (SHOWN + 5))
    assert (len(many.shown), many.total) == (SHOWN, SHOWN + 5)


def test_a_mistake_leads_to_its_photo(stage: Deployed) -> None:
    with BrowserClient(stage, Aws()) as browser:
        assert "No reviewer gave another answer than the model" in browser.get("/model").text
    model_stage.labelled(1, 0.7, model_vehicle="bicycle", vehicle="motorcycle")
    model_stage.labelled(2, 0.6)
    with BrowserClient(stage, Aws()) as browser:
        section = browser.get("/model").text.partition('id="mistakes-title"')[2].partition("</section>")[0]
        links = re.findall(r'href="(/photos/\w+)"', section)
        assert links == [f"/photos/{model_stage.photo(1).photo_id}"]
        assert browser.get(links[0]).status_code == 200
    assert "bicycle 0.700, in fact <b>motorcycle</b>" in section

"""`make threshold`: what it prints and writes."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from console.aws import Aws
from deploy.outputs import Deployed
from operate import threshold
from operate.errors import CommandError
from operate.terminal import console
from tests.unit import model_stage


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    with model_stage.stage(monkeypatch) as found:
        yield found


def run_threshold(deployed: Deployed, folder: Path, at: str = "", **options: Any) -> tuple[str, dict[str, Any]]:
    """Return what `make threshold` prints in a terminal of 100 columns, and the report that it writes."""
    width, console.width = console.width, 100
    try:
        with console.capture() as printed:
            threshold.run(deployed, Aws(), folder / "threshold.json", at=at, **options)
    finally:
        console.width = width
    return printed.get(), json.loads((folder / "threshold.json").read_text())


def line(text: str, start: str) -> str:
    """Return the table row whose first cell starts with `start`, its cells joined by a bar."""
    rows = ["|".join(cell.strip() for cell in found.strip("│ ").split("│")) for found in text.splitlines()]
    return next(found for found in rows if found.startswith(start))


def add_photos_of_every_kind() -> None:
    for number in range(12):
        model_stage.decided(number, 0.99)
    model_stage.decided(20, 0.94)
    model_stage.labelled(30, 0.91)
    model_stage.labelled(31, 0.92, "bicycle", "motorcycle")
    model_stage.labelled(32, 0.60)
    model_stage.labelled(33, 0.97, "other", "other")
    model_stage.decided(40, None, "fallback")
    model_stage.waiting(41)
    model_stage.waiting(42)


def test_the_table_marks_the_chosen_threshold_and_the_one_in_force(deployed: Deployed, tmp_path: Path) -> None:
    model_stage.serve()
    model_stage.set_threshold("0.98")
    text, report = run_threshold(deployed, tmp_path)
    assert "Its own threshold: 0.935." in text
    assert "Threshold in force: 0.980, set by an operator in /scones/test/threshold." in text
    assert "At most 1% of the automatic decisions may be wrong" in text
    assert line(text, "0.935") == "0.935|chosen|91.4%|0.3% (≤0.7%)|2.7% (≤3.5%)|130"
    assert line(text, "0.980").startswith("0.980|in force|")
    assert len(report["operating_points"]) == 13
    assert [one["threshold"] for one in report["operating_points"] if one["marks"]] == [0.935, 0.98]
    assert report["in_force"] == 0.98
    assert report["policy"] == model_stage.POLICY


def test_recent_photos_show_reviews_and_errors(deployed: Deployed, tmp_path: Path) -> None:
    model_stage.serve()
    add_photos_of_every_kind()
    text, report = run_threshold(deployed, tmp_path)
    recent = report["recent_photos"]
    assert (recent["photos"], recent["without_an_answer"]) == (20, 3)
    at = {one["threshold"]: one for one in recent["thresholds"]}
    assert at[0.935]["reviews"] == 7
    assert at[0.935]["labelled"] == 0
    # Two more labelled photos are decided; the `other` one is reviewed always. Those without an answer are below 0.5.
    assert (at[0.9]["reviews"], at[0.9]["labelled"], at[0.9]["wrong"]) == (5, 2, 1)
    assert (at[0.5]["reviews_per_1000"], at[0.5]["labelled"], at[0.5]["wrong"]) == (200.0, 3, 1)
    printed = text.partition("photos of this stage")[2]
    assert line(printed, "0.900") == "0.900||250|2|1"
    assert line(printed, "0.935") == "0.935|chosen, in force|350|0|–"
    assert "3 of them were sent to a reviewer and have no answer." in text


def test_photos_of_other_models_and_old_photos_do_not_count(deployed: Deployed, tmp_path: Path) -> None:
    model_stage.serve()
    model_stage.decided(1, 0.99)
    model_stage.decided(2, 0.60, version="vehicles-test-20261101-000000")
    model_stage.decided(3, 0.60, age=timedelta(days=31))
    model_stage.decided(4, None, "fallback", version="vehicles-test-20261101-000000")
    model_stage.waiting(60 * 24 * 3, version="vehicles-test-20261101-000000")
    model_stage.waiting(5, "ModelUnavailable")
    _, report = run_threshold(deployed, tmp_path)
    assert report["recent_photos"]["photos"] == 1
    assert report["recent_photos"]["judged_by_other_models"] == 3


def test_a_change_is_shown_and_its_command_printed_but_nothing_is_set(deployed: Deployed, tmp_path: Path) -> None:
    model_stage.serve()
    add_photos_of_every_kind()
    text, report = run_threshold(deployed, tmp_path, "0.9", is_local=True)
    assert "A change from 0.935 to 0.900" in text
    assert line(text, "reviews per 1,000 photos, expected") == "reviews per 1,000 photos, expected|130|111"
    assert line(text, "reviews per 1,000, on").endswith("the 20 recent photos|350|250")
    assert line(text, "errors among decided, expected").endswith("|0.3% (≤0.7%)|0.5% (≤0.8%)")
    assert "Policy violation: Non-vehicles let through may be up to 5.11%; the policy allows 3%." in text
    command = (
        "aws ssm put-parameter --region eu-west-1 --name /scones/test/threshold --type String --overwrite --value 0.9"
    )
    assert f"\n  {command}\n" in text
    assert 'eval "$(make -s credentials)"' in text
    assert report["change"]["recent_reviews_per_1000"] == [350.0, 250.0]
    assert report["change"]["command"] == command
    assert model_stage.aws("ssm").get_parameter(Name=model_stage.PARAMETER)["Parameter"]["Value"] == "model"


def test_the_change_to_the_models_own_threshold_is_shown(deployed: Deployed, tmp_path: Path) -> None:
    model_stage.serve()
    model_stage.set_threshold("0.99")
    text, _ = run_threshold(deployed, tmp_path, "model")
    assert "A change from 0.990 to 0.935" in text
    assert "--overwrite --value model" in text


@pytest.mark.parametrize("at", ["95", "-0.1", "nan", "high"])
def test_a_value_that_is_not_a_threshold_is_refused(deployed: Deployed, tmp_path: Path, at: str) -> None:
    with pytest.raises(CommandError, match="Use a number from 0 to 1"):
        run_threshold(deployed, tmp_path, at)


def test_without_a_champion_the_error_suggests_a_retraining(deployed: Deployed, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no endpoint scones-test-vehicles.*make retrain"):
        run_threshold(deployed, tmp_path)


def test_without_photos_the_output_suggests_an_upload(deployed: Deployed, tmp_path: Path) -> None:
    model_stage.serve()
    text, report = run_threshold(deployed, tmp_path, "0.95")
    assert "has classified no photo of this stage in the last 30 days" in text
    assert "make upload PHOTOS=" in text
    assert report["recent_photos"]["photos"] == 0
    assert report["change"]["recent_reviews_per_1000"] == [None, None]


def test_for_a_model_without_operating_points_recent_photos_are_shown(deployed: Deployed, tmp_path: Path) -> None:
    model_stage.serve(report={"accuracy": 0.97}, about={"version": model_stage.CHAMPION, "threshold": 0.93})
    add_photos_of_every_kind()
    text, report = run_threshold(deployed, tmp_path, "0.9")
    assert "The model's report has no trade-off." in text
    assert "The model has no policy" in text
    assert report["operating_points"] == []
    assert line(text, "0.930").startswith("0.930|chosen, in force|")
    assert line(text, "reviews per 1,000, on").endswith("|350|250")


def test_missing_figures_are_shown_as_dashes(deployed: Deployed, tmp_path: Path) -> None:
    points = [{**one, "others_accepted": None, "others_accepted_upper": None} for one in model_stage.operating_points()]
    model_stage.serve(report={"operating_points": points})
    text, _ = run_threshold(deployed, tmp_path)
    assert line(text, "0.935").endswith("|0.3% (≤0.7%)|–|–")


def test_a_threshold_between_or_outside_the_measured_ones_is_reported(deployed: Deployed, tmp_path: Path) -> None:
    model_stage.serve()
    model_stage.set_threshold("0.9333")
    assert "The threshold in force is 0.9333; 0.935 is the nearest" in run_threshold(deployed, tmp_path)[0]
    model_stage.set_threshold("1")
    assert "The threshold in force, 1, is outside the measured range." in run_threshold(deployed, tmp_path)[0]

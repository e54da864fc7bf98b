"""An alarm rolls back only a champion that was promoted shortly before it."""

from datetime import UTC, datetime, timedelta

from tests.workflow.rollback_stage import SECOND, THIRD, RollbackStage


def test_an_alarm_soon_after_a_promotion_rolls_the_champion_back(three_models: RollbackStage) -> None:
    output = three_models.run_on_alarm().output()
    assert (output["outcome"], output["champion"], output["alarm"]) == ("rolled back", SECOND, "scones-test-errors")
    assert three_models.item(f"promoted/{THIRD}")["rolled_back_reason"] == "alarm scones-test-errors: 5 errors"
    (event,) = three_models.stage.events("Model Rolled Back")
    assert (event["trigger"], event["alarm"]) == ("alarm", "scones-test-errors")
    three_models.assert_serves(SECOND)


def test_an_alarm_long_after_the_promotion_is_ignored(three_models: RollbackStage) -> None:
    three_models.promote(THIRD, SECOND, hours_ago=25)
    run = three_models.run_on_alarm()
    output = run.output()
    assert (output["outcome"], output["reason"]) == ("ignored", "Ignored")
    assert "first 24 hours" in output["verdict"]
    assert run.states()[-1] == "IgnoreAlarm"
    three_models.assert_nothing_changed()


def test_an_alarm_delivered_twice_rolls_back_once(three_models: RollbackStage) -> None:
    at = datetime.now(UTC)
    assert three_models.run_on_alarm(at).output()["outcome"] == "rolled back"
    assert three_models.run_on_alarm(at).output()["outcome"] == "ignored"
    three_models.assert_serves(SECOND)


def test_an_alarm_that_went_off_before_the_promotion_is_ignored(three_models: RollbackStage) -> None:
    output = three_models.run_on_alarm(datetime.now(UTC) - timedelta(hours=2)).output()
    assert "before" in output["verdict"]
    three_models.assert_nothing_changed()


def test_an_alarm_about_an_old_champion_is_ignored_without_waiting_for_the_lock(three_models: RollbackStage) -> None:
    three_models.promote(THIRD, SECOND, hours_ago=25)
    three_models.put_item("lock", execution="another", expires_at="2999-01-01T00:00:00.000Z")
    assert three_models.run_on_alarm().output()["outcome"] == "ignored"
    assert three_models.item("lock")["execution"] == "another"

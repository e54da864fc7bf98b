"""rollback-model: an earlier model serves again, the model before it is marked, and a failure restores the champion."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.workflow.harness import EndpointError, Execution, Stage, confident

FIRST, SECOND, THIRD = (f"vehicles-test-{number}" for number in ("1", "2", "3"))


class Models:
    """A stage in which three models were promoted one after the other, and the third serves."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.sagemaker = stage.sagemaker
        stage.model = lambda image: {**confident(), "model_version": stage.sagemaker.serving or "nobody"}
        for name, previous in ((FIRST, None), (SECOND, FIRST), (THIRD, SECOND)):
            self.promote(name, previous)

    def promote(self, name: str, previous: str | None, hours_ago: float = 1.0, **more: str) -> None:
        """Record a model as champion, which serves."""
        record = {
            "model_version": name,
            "endpoint_config": name,
            "artifact": f"s3://scones-ml/models/{name}/output/model.tar.gz",
            "promoted_at": (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat(),
            **({"previous": previous} if previous else {}),
            **more,
        }
        for key in ("champion", f"promoted/{name}"):
            item = {attribute: {"S": value} for attribute, value in {"id": key, **record}.items()}
            self.stage.aws["dynamodb"].put_item(TableName="models", Item=item)
        self.sagemaker.serving, self.sagemaker.status, self.sagemaker.coming = name, "InService", None

    def item(self, name: str) -> dict[str, Any]:
        """An item of the model table, as text; empty when there is none."""
        found = self.stage.aws["dynamodb"].get_item(TableName="models", Key={"id": {"S": name}}).get("Item", {})
        return {name: value.get("S") for name, value in found.items()}

    def put(self, key: str, content: bytes) -> None:
        """Put an object into the ML bucket."""
        self.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=content)

    def run(self, **request: Any) -> Execution:
        return self.stage.start(self.stage.deploy_rollback(), request)

    def alarm(self, at: datetime | None = None, **request: Any) -> Execution:
        """What the rule on alarms starts."""
        alarmed_at = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")
        return self.run(
            trigger="alarm", alarm="scones-test-errors", alarmed_at=alarmed_at, reason="5 errors", **request
        )


@pytest.fixture
def models(stage: Stage) -> Models:
    return Models(stage)


def assert_serves(models: Models, name: str) -> None:
    models.sagemaker.settle()
    assert (models.sagemaker.status, models.sagemaker.serving) == ("InService", name)
    assert models.item("champion")["model_version"] == name
    assert models.item("lock") == {}


def assert_nothing_changed(models: Models) -> None:
    assert_serves(models, THIRD)
    assert {api for api, _ in models.sagemaker.requests if not api.startswith("Describe")} == set()
    assert models.stage.events("Model Rolled Back") == []
    assert models.item(f"promoted/{THIRD}").get("rolled_back_at") is None


def test_the_previous_model_serves_again_and_the_champion_is_marked(models: Models) -> None:
    models.sagemaker.statuses = ["Updating"]
    run = models.run(reason="bicycles are routed as motorcycles")
    output = run.output()
    assert (output["outcome"], output["champion"], output["rolled_back"]) == ("rolled back", SECOND, THIRD)
    assert_serves(models, SECOND)
    marked = models.item(f"promoted/{THIRD}")
    assert marked["rolled_back_at"]
    assert (marked["rolled_back_reason"], marked["rolled_back_by"]) == ("bicycles are routed as motorcycles", run.arn)
    (event,) = models.stage.events("Model Rolled Back")
    assert (event["model_version"], event["rolled_back_model_version"]) == (SECOND, THIRD)
    assert (event["reason"], event["trigger"], event["alarm"]) == (marked["rolled_back_reason"], "manual", None)
    assert run.states()[-2:] == ["AnnounceRollback", "ReturnRollback"]


def test_a_second_rollback_goes_further_back_and_never_returns_to_a_marked_model(models: Models) -> None:
    assert [models.run().output()["champion"] for _ in range(2)] == [SECOND, FIRST]
    assert_serves(models, FIRST)
    output = models.run().output()
    assert (output["outcome"], output["reason"]) == ("refused", "NoEarlierModel")
    assert "make rollback TO=" in output["verdict"]
    assert_serves(models, FIRST)


def test_a_marked_predecessor_is_skipped_and_named(models: Models) -> None:
    models.run().output()
    # The next retraining is compared with the second model; the third one stays marked.
    models.promote("vehicles-test-4", THIRD)
    output = models.run().output()
    assert output["champion"] == SECOND
    assert "was rolled back at" in output["skipped"][THIRD]


def test_a_predecessor_that_sagemaker_does_not_have_any_more_is_skipped(models: Models) -> None:
    models.sagemaker.fate["DescribeEndpointConfig"] = [f'Could not find endpoint configuration "{SECOND}".']
    output = models.run().output()
    assert (output["champion"], output["skipped"]) == (FIRST, {SECOND: "is no longer in SageMaker"})


def test_a_named_model_serves_again_and_its_mark_is_removed(models: Models) -> None:
    models.run().output()
    output = models.run(to=THIRD).output()
    assert (output["champion"], output["rolled_back"], output["mark_removed"]) == (THIRD, SECOND, True)
    assert_serves(models, THIRD)
    assert models.item(f"promoted/{THIRD}").get("rolled_back_at") is None
    assert models.item(f"promoted/{SECOND}")["rolled_back_at"]
    # From the third model, the second is marked now.
    assert models.run().output()["champion"] == FIRST


def test_an_earlier_model_is_probed_as_itself_with_its_own_golden_photos(models: Models) -> None:
    for number in range(30):
        models.put(f"golden/second/bicycle/{number:02}.jpg", b"a bicycle")
        models.put(f"golden/second/motorcycle/{number:02}.jpg", b"a motorcycle")
        models.put(f"golden/third/bicycle/{number:02}.jpg", b"a motorcycle")
    models.promote(SECOND, FIRST, golden="s3://scones-ml/golden/second/")
    models.promote(THIRD, SECOND, golden="s3://scones-ml/golden/third/")
    asked = []

    def answer(image: bytes) -> dict[str, Any]:
        asked.append(image)
        return {**confident(image.decode().removeprefix("a ")), "model_version": models.sagemaker.serving}

    models.stage.model = answer
    assert models.run().output()["champion"] == SECOND
    (probe,) = [event for folder, event in models.stage.calls if folder == "probe_endpoint"]
    assert (probe["run"], probe["golden"]) == ({"name": SECOND}, "s3://scones-ml/golden/second/")
    assert (asked.count(b"a bicycle"), asked.count(b"a motorcycle"), len(asked)) == (10, 10, 20)


def test_an_initial_model_that_serves_again_is_probed_with_the_photos_beside_it(models: Models) -> None:
    models.put("initial/abc/golden/motorcycle/one.jpg", b"a motorcycle")
    models.promote(SECOND, FIRST, origin="initial", golden="s3://scones-ml/initial/abc/golden/")
    models.promote(THIRD, SECOND)
    assert "0 of 1 golden photos" in assert_restored(models, models.run(), "ProbeFailed")


@pytest.mark.parametrize(("to", "reason"), [("vehicles-test-never", "UnknownModel"), (THIRD, "AlreadyChampion")])
def test_a_name_that_cannot_be_put_back_is_refused_in_words(models: Models, to: str, reason: str) -> None:
    if reason == "UnknownModel":
        models.sagemaker.fate["DescribeEndpointConfig"] = ["Could not find endpoint configuration."]
    output = models.run(to=to).output()
    assert (output["outcome"], output["reason"]) == ("refused", reason)
    assert to in output["verdict"]
    assert_nothing_changed(models)


def test_a_stage_without_a_champion_refuses(stage: Stage) -> None:
    output = stage.start(stage.deploy_rollback(), {}).output()
    assert (output["outcome"], output["reason"]) == ("refused", "NoChampion")


@pytest.mark.parametrize(
    "request_", [{"trigger": "boredom"}, {"to": 3}, {"trigger": "alarm"}, {"trigger": "alarm", "to": FIRST}]
)
def test_a_request_that_makes_no_sense_fails_in_words(models: Models, request_: dict[str, Any]) -> None:
    ended = models.run(**request_).wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidInput")
    assert "The rollback did not begin" in ended["cause"]
    assert_nothing_changed(models)


def test_while_a_retraining_runs_a_rollback_is_refused(models: Models) -> None:
    retraining: list[Execution] = []

    def roll_back_meanwhile(api: str, request: dict[str, Any]) -> None:
        if api == "CreateTrainingJob":
            output = models.run().output()
            assert (output["outcome"], output["reason"]) == ("refused", "RetrainingRunning")
            assert retraining[0].arn in output["verdict"]
            assert models.item("lock")["execution"] == retraining[0].arn
            refused.append(output)

    refused: list[dict[str, Any]] = []
    models.sagemaker.before = roll_back_meanwhile
    models.sagemaker.fate["CreateTrainingJob"] = ["AlgorithmError: this test ends here"]
    data = {"dataset": "s3://scones-ml/datasets/base/abc/", "source": "s3://scones-ml/source/abc/sourcedir.tar.gz"}
    machine = models.stage.deploy_retrain()
    retraining.append(models.stage.start(machine, data))
    retraining[0].wait()
    assert len(refused) == 1
    assert_serves(models, THIRD)


def test_a_retraining_that_starts_during_a_rollback_ends_without_touching_anything(models: Models) -> None:
    def retrain_meanwhile(api: str, request: dict[str, Any]) -> None:
        if api == "UpdateEndpoint":
            data = {
                "dataset": "s3://scones-ml/datasets/base/abc/",
                "source": "s3://scones-ml/source/a/sourcedir.tar.gz",
            }
            outputs.append(models.stage.start(models.stage.deploy_retrain(), data).output())

    outputs: list[dict[str, Any]] = []
    models.sagemaker.before = retrain_meanwhile
    assert models.run().output()["champion"] == SECOND
    assert [output["reason"] for output in outputs] == ["RetrainingRunning"]


def test_the_lock_of_a_stopped_execution_is_taken_over(models: Models) -> None:
    dead = "arn:aws:states:eu-west-1:123456789012:execution:retrain-model:stopped"
    lock = {"id": {"S": "lock"}, "execution": {"S": dead}, "expires_at": {"S": "2999-01-01T00:00:00.000Z"}}
    models.stage.aws["dynamodb"].put_item(TableName="models", Item=lock)
    assert models.run().output()["outcome"] == "rolled back"
    assert models.item("lock") == {}


def test_a_missing_endpoint_is_created(models: Models) -> None:
    models.sagemaker.serving = None
    run = models.run()
    assert run.output()["champion"] == SECOND
    assert "CreateEndpoint" in run.states()
    assert_serves(models, SECOND)


def test_a_failed_endpoint_is_replaced(models: Models) -> None:
    models.sagemaker.status = "Failed"
    run = models.run()
    assert run.output()["champion"] == SECOND
    assert "DeleteOldEndpoint" in run.states()
    assert_serves(models, SECOND)


def assert_restored(models: Models, run: Execution, error: str) -> str:
    """The execution failed, the champion answers, the lock is free, and nothing was marked or announced."""
    ended = run.wait()
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert_serves(models, THIRD)
    for name in (FIRST, SECOND, THIRD):
        assert models.item(f"promoted/{name}").get("rolled_back_at") is None
    assert models.stage.events("Model Rolled Back") == []
    cause: str = ended["cause"]
    assert cause.startswith(f"The rollback to {SECOND} failed: ")
    return cause


@pytest.mark.parametrize(
    "statuses", [["Updating", "rolled back"], ["Updating", "Failed"], ["Updating", "UpdateRollbackFailed"]]
)
def test_an_endpoint_that_does_not_take_the_earlier_model_keeps_the_champion(
    models: Models, statuses: list[str]
) -> None:
    models.sagemaker.statuses = statuses
    cause = assert_restored(models, models.run(), "EndpointNotInService")
    assert f"{THIRD} is on the endpoint again and stays champion" in cause


def test_an_earlier_model_that_answers_wrongly_is_taken_back(models: Models) -> None:
    models.put("golden/second/motorcycle/one.jpg", b"a motorcycle")
    models.promote(SECOND, FIRST, golden="s3://scones-ml/golden/second/")
    models.promote(THIRD, SECOND)
    run = models.run()
    cause = assert_restored(models, run, "ProbeFailed")
    assert "0 of 1 golden photos" in cause
    assert "RestoreEndpoint" in run.states()


def test_an_earlier_model_that_does_not_answer_is_taken_back(models: Models) -> None:
    models.stage.model = lambda image: EndpointError("ModelError", "worker died", 424)
    assert_restored(models, models.run(), "ModelUnavailable")


def test_an_update_that_sagemaker_refuses_changes_nothing(models: Models) -> None:
    models.sagemaker.fate["UpdateEndpoint"] = ["ResourceLimitExceeded"] * 30
    cause = assert_restored(models, models.run(), "SageMaker.AmazonSageMakerException")
    assert "The endpoint was not changed" in cause


def test_the_champion_gets_a_new_endpoint_when_the_earlier_model_could_not_get_one(models: Models) -> None:
    """The failed endpoint was deleted, and SageMaker refuses the configuration of the earlier model."""
    models.sagemaker.status = "Failed"
    models.sagemaker.fate["CreateEndpoint"] = ["ResourceLimitExceeded"] * 21
    run = models.run()
    assert_restored(models, run, "SageMaker.AmazonSageMakerException")
    assert "RecreateEndpoint" in run.states()


def test_a_rollback_that_cannot_be_recorded_is_taken_back(models: Models) -> None:
    models.stage.refuse("record_rollback", *["ServiceException"] * 7, *["Throttled"] * 3)
    assert_restored(models, models.run(), "Lambda.ServiceException")


def test_a_failure_that_cannot_be_recorded_fails_all_the_same(models: Models) -> None:
    models.stage.model = lambda image: EndpointError("ModelError", "worker died", 424)
    models.stage.refuse("record_rollback", *["ServiceException"] * 20)
    ended = models.run().wait()
    assert (ended["status"], ended["error"]) == ("FAILED", "ModelUnavailable")
    models.sagemaker.settle()
    assert models.sagemaker.serving == THIRD


# Alarms


def test_an_alarm_soon_after_a_promotion_rolls_the_champion_back(models: Models) -> None:
    output = models.alarm().output()
    assert (output["outcome"], output["champion"], output["alarm"]) == ("rolled back", SECOND, "scones-test-errors")
    assert models.item(f"promoted/{THIRD}")["rolled_back_reason"] == "alarm scones-test-errors: 5 errors"
    (event,) = models.stage.events("Model Rolled Back")
    assert (event["trigger"], event["alarm"]) == ("alarm", "scones-test-errors")
    assert_serves(models, SECOND)


def test_an_alarm_long_after_the_promotion_is_ignored(models: Models) -> None:
    models.promote(THIRD, SECOND, hours_ago=25)
    run = models.alarm()
    output = run.output()
    assert (output["outcome"], output["reason"]) == ("ignored", "Ignored")
    assert "first 24 hours" in output["verdict"]
    assert run.states()[-1] == "IgnoreAlarm"
    assert_nothing_changed(models)


def test_an_alarm_delivered_twice_rolls_back_once(models: Models) -> None:
    at = datetime.now(UTC)
    assert models.alarm(at).output()["outcome"] == "rolled back"
    assert models.alarm(at).output()["outcome"] == "ignored"
    assert_serves(models, SECOND)


def test_an_alarm_that_went_off_before_the_promotion_is_ignored(models: Models) -> None:
    output = models.alarm(datetime.now(UTC) - timedelta(hours=2)).output()
    assert "before" in output["verdict"]
    assert_nothing_changed(models)


def test_an_alarm_about_an_old_champion_is_ignored_without_waiting_for_the_lock(models: Models) -> None:
    models.promote(THIRD, SECOND, hours_ago=25)
    lock = {"id": {"S": "lock"}, "execution": {"S": "somebody"}, "expires_at": {"S": "2999-01-01T00:00:00.000Z"}}
    models.stage.aws["dynamodb"].put_item(TableName="models", Item=lock)
    assert models.alarm().output()["outcome"] == "ignored"
    assert models.item("lock")["execution"] == "somebody"


def test_the_output_of_every_end_has_the_same_fields(models: Models) -> None:
    models.promote(THIRD, SECOND, hours_ago=25)
    outputs = [models.alarm().output(), models.run(to=THIRD).output(), models.run().output()]
    assert [output["outcome"] for output in outputs] == ["ignored", "refused", "rolled back"]
    common = {"outcome", "champion", "reason", "verdict", "trigger", "alarm", "execution"}
    assert all(common <= set(output) for output in outputs)
    assert json.dumps(outputs)

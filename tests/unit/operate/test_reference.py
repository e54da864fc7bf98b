"""make reference: show and replace the reference model."""

import json
from collections.abc import Iterator

import pytest

from deploy.outputs import Deployed
from functions.shared.champion import Champion, ModelTable
from functions.shared.times import now
from operate import reference
from operate.errors import CommandError
from tests.unit import model_stage

OLD = Champion("v1", "v1", "s3://scones-ml/models/v1/output/model.tar.gz")
NEW = Champion("v2", "v2", "s3://scones-ml/models/v2/output/model.tar.gz", previous="v1")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """A stage with two models; the second is champion, and no reference is recorded."""
    with model_stage.stage(monkeypatch) as deployed:
        for model in (OLD, NEW):
            models().promote(model)
            key = model.artifact.removeprefix("s3://scones-ml/")
            model_stage.aws("s3").put_object(Bucket="scones-ml", Key=key, Body=b"a model")
        yield deployed


def models() -> ModelTable:
    return ModelTable("models", model_stage.aws("dynamodb"))


@pytest.mark.parametrize(("name", "version"), [("v1", "v1"), ("champion", "v2"), ("v2", "v2")])
def test_a_person_replaces_the_reference_by_a_model_that_was_champion(stage: Deployed, name: str, version: str) -> None:
    reference.replace(stage, name)
    recorded = models().reference()
    assert recorded
    assert (recorded.model_version, recorded.reason) == (version, "chosen with make reference")
    models().acquire_lock("arn:next", now(), lambda holder: True)  # the command released the lock


def test_a_model_that_was_never_champion_is_refused(stage: Deployed) -> None:
    with pytest.raises(CommandError, match="No model v9 was ever in production"):
        reference.replace(stage, "v9")
    assert models().reference() is None


def test_a_model_that_was_rolled_back_is_refused(stage: Deployed) -> None:
    models().acquire_lock("arn:rollback", now(), lambda holder: True)
    models().record_rollback(OLD.as_restored("at"), NEW.as_rolled_back("at", "too many errors", "arn"), "arn:rollback")
    models().release_lock("arn:rollback")
    with pytest.raises(CommandError, match="too many errors"):
        reference.replace(stage, "v2")


def test_a_model_without_an_artifact_is_refused(stage: Deployed) -> None:
    model_stage.aws("s3").delete_object(Bucket="scones-ml", Key="models/v1/output/model.tar.gz")
    with pytest.raises(CommandError, match="The artifact of v1 is gone"):
        reference.replace(stage, "v1")
    assert models().reference() is None


def test_the_reference_stays_while_a_retraining_runs(stage: Deployed) -> None:
    states = model_stage.aws("stepfunctions")
    machine = states.create_state_machine(
        name="retrain",
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}),
        roleArn="arn:aws:iam::123456789012:role/any",
    )["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]
    models().acquire_lock(execution, now(), lambda holder: True)
    with pytest.raises(CommandError, match="is running"):
        reference.replace(stage, "v1")
    assert models().reference() is None
    states.stop_execution(executionArn=execution)
    reference.replace(stage, "v1")
    assert models().reference() is not None

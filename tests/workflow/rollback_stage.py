"""A stage for the tests of rollback-model, with three promoted models."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.workflow.stage import Execution, Stage, classification

FIRST, SECOND, THIRD = (f"vehicles-test-{number}" for number in ("1", "2", "3"))


class RollbackStage:
    """A stage in which three models were promoted one after the other; the third is in service."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.sagemaker = stage.sagemaker
        stage.respond = lambda image: {**classification(), "model_version": stage.sagemaker.config or "none"}
        for name, previous in ((FIRST, None), (SECOND, FIRST), (THIRD, SECOND)):
            self.promote(name, previous)

    def promote(self, name: str, previous: str | None, hours_ago: float = 1.0, **more: str) -> None:
        """Record a model as the champion and put it into service."""
        record = {
            "model_version": name,
            "endpoint_config": name,
            "artifact": f"s3://scones-ml/models/{name}/output/model.tar.gz",
            "promoted_at": (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat(),
            **({"previous": previous} if previous else {}),
            **more,
        }
        for key in ("champion", f"promoted/{name}"):
            self.put_item(key, **record)
        self.sagemaker.config, self.sagemaker.status, self.sagemaker.pending_config = name, "InService", None
        self.stage.scaling.scale()

    def put_item(self, name: str, **attributes: str) -> None:
        """Put an item into the model table."""
        item = {attribute: {"S": value} for attribute, value in {"id": name, **attributes}.items()}
        self.stage.aws["dynamodb"].put_item(TableName="models", Item=item)

    def item(self, name: str) -> dict[str, Any]:
        """The text attributes of an item of the model table; empty when there is no such item."""
        found = self.stage.aws["dynamodb"].get_item(TableName="models", Key={"id": {"S": name}}).get("Item", {})
        return {name: value.get("S") for name, value in found.items()}

    def put(self, key: str, content: bytes) -> None:
        """Put an object into the ML bucket."""
        self.stage.aws["s3"].put_object(Bucket="scones-ml", Key=key, Body=content)

    def run(self, **request: Any) -> Execution:
        """Start a rollback."""
        return self.stage.start(self.stage.deploy_rollback(), request)

    def run_on_alarm(self, at: datetime | None = None, **request: Any) -> Execution:
        """Start a rollback as the rule on alarms does."""
        alarmed_at = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")
        return self.run(
            trigger="alarm", alarm="scones-test-errors", alarmed_at=alarmed_at, reason="5 errors", **request
        )

    def assert_serves(self, name: str) -> None:
        """Assert that this model is the champion and in service, and that the lock is free."""
        self.sagemaker.finish_update()
        assert (self.sagemaker.status, self.sagemaker.config) == ("InService", name)
        assert self.stage.scaling.is_scaled()
        assert self.item("champion")["model_version"] == name
        assert self.item("lock") == {}

    def assert_nothing_changed(self) -> None:
        """Assert that the third model is in service and that nothing was written or published."""
        self.assert_serves(THIRD)
        assert {api for api, _ in self.sagemaker.requests if not api.startswith("Describe")} == set()
        assert self.stage.events("Model Rolled Back") == []
        assert self.item(f"promoted/{THIRD}").get("rolled_back_at") is None

    def assert_restored(self, run: Execution, error: str) -> str:
        """Assert that the rollback failed, the third model is in service, and nothing is marked. Returns the cause."""
        ended = run.wait()
        assert (ended["status"], ended["error"]) == ("FAILED", error)
        self.assert_serves(THIRD)
        for name in (FIRST, SECOND, THIRD):
            assert self.item(f"promoted/{name}").get("rolled_back_at") is None
        assert self.stage.events("Model Rolled Back") == []
        cause: str = ended["cause"]
        assert cause.startswith(f"The rollback to {SECOND} failed: ")
        return cause

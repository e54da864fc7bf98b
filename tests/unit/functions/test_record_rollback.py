"""The result of a rollback."""

from functions.record_rollback.result import failure
from functions.shared.champion import Champion

OLD, NEW = Champion("v1", "v1", "s3://a"), Champion("v2", "v2", "s3://b", previous="v1")
PREPARED = {"model_version": "v1", "champion": NEW.as_state(), "restore_config": "v2"}
ERROR = {"Error": "ProbeFailed", "Cause": '{"errorMessage": "3 of 18 golden photos are right"}'}


def test_a_failure_says_what_the_endpoint_serves() -> None:
    assert failure({"prepared": PREPARED, "error": ERROR})[1].endswith(
        "The endpoint was not changed, and v2 stays champion."
    )
    back = {"status": "InService", "config": "v2"}
    assert failure({"prepared": PREPARED, "error": ERROR, "restored": back}) == (
        "ProbeFailed",
        "The rollback to v1 failed: 3 of 18 golden photos are right. v2 is on the endpoint again and stays champion.",
    )
    for stuck in ({"status": "Updating", "config": "v2"}, {"status": "InService", "config": "v1"}):
        cause = failure({"prepared": PREPARED, "error": ERROR, "restored": stuck})[1]
        assert f"the endpoint is {stuck['status']} with {stuck['config']}" in cause

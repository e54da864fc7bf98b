"""The progress of a deployment."""

import pytest

from deploy.errors import DeployError
from deploy.progress import one_line


def test_a_deployment_leaves_one_line_with_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    with one_line("Deploying dev", details=False) as progress:
        progress("scones-dev: creating")
        progress("  create complete  [UploadsBucket]")
        progress("Stage dev is deployed.")
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["Stage dev is deployed. (0 s)"]
    assert shown.err == ""


def test_every_step_is_printed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    with one_line("Deploying dev", details=True) as progress:
        progress("scones-dev: creating")
        progress("Stage dev is deployed.")
    assert capsys.readouterr().out.splitlines() == ["scones-dev: creating", "Stage dev is deployed."]


def test_the_steps_before_an_error_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def deploy() -> None:
        with one_line("Deploying dev", details=False) as progress:
            progress("scones-dev: creating")
            raise DeployError("the stack was rolled back")

    with pytest.raises(DeployError):
        deploy()
    assert capsys.readouterr().err.splitlines() == ["Deploying dev …", "scones-dev: creating"]

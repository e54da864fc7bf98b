"""What operators do from the console: retrain, roll back, set the threshold, send a test event.

Each leaves a trace of who did it: the name of the execution, or the description of the parameter's new version.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from console import other_teams
from console.aws import Aws
from deploy.outputs import Deployed
from functions.shared.threshold import MODELS_OWN
from functions.shared.times import now

ROLLBACK = "rollback"


def execution_name(action: str, who: str) -> str:
    """Return a name for an execution that says what it is for and who (an id of AWS) asked for it.

    >>> execution_name("retrain", "AIDA:ada@x")[:20]
    'retrain-AIDA-ada-x-2'
    """
    return f"{action}-{re.sub('[^A-Za-z0-9-]', '-', who)[:40]}-{now():%Y%m%dT%H%M%S%f}"


class Operations:
    """The operations of one stage in the name of `who`. Every method raises ClientError and BotoCoreError."""

    def __init__(self, deployed: Deployed, aws: Aws, who: str) -> None:
        """`who` is the id of the operator at AWS."""
        self._deployed = deployed
        self._aws = aws
        self._who = who

    def retrain(self, *, dry_run: bool) -> str:
        """Start a retraining with the data and code of the last promotion; return the name of the execution."""
        request = {"trigger": "manual", "dry_run": dry_run}
        return self._start(self._deployed.retrain_model_arn, "dry-run" if dry_run else "retrain", request)

    def roll_back(self) -> str:
        """Start the rollback to the champion's predecessor; return the name of the execution."""
        request = {"trigger": "manual", "reason": f"requested in the console by {self._who}"}
        return self._start(self._deployed.rollback_model_arn, ROLLBACK, request)

    def set_threshold(self, value: float | None) -> None:
        """Set the threshold in force, in [0, 1]; None is the model's own."""
        self._aws.ssm.put_parameter(
            Name=self._deployed.threshold_parameter,
            Type="String",
            Value=MODELS_OWN if value is None else f"{value:g}",
            Description=f"Set in the console by {self._who}"[:1024],
            Overwrite=True,
        )

    def send_test_event(self, detail_type: str) -> str:
        """Publish the sample of an event with the source of tests; return its id. Raises EventNotPublished, too."""
        return other_teams.send_test_event(detail_type, self._deployed, self._aws.events)

    def _start(self, workflow: str, action: str, request: Mapping[str, Any]) -> str:
        name = execution_name(action, self._who)
        self._aws.stepfunctions.start_execution(stateMachineArn=workflow, name=name, input=json.dumps(request))
        return name

"""The embedded AWS: ministack plus SageMaker on one loopback port, without Docker and without an account.

`python -m local up`, `status` and `down` for people; `start`, `stop` and `running` for programs.

- `lifecycle`, `processes`, `server`, `settings`: one server per port and folder, clean at
  every start, gone with all its processes
- `security`, `signatures`, `credentials`: who may use the port; `clients`: how ours do
- `lambdas`: Lambda workers that see what they would see on AWS
- `states`: task states, executions and callbacks of Step Functions; its SageMaker integrations
- `sagemaker`: training and processing jobs, models, endpoints, registry
- `alarms`, `metrics`, `events`, `logs`, `cloudformation`: where ministack differs from AWS
- `seams`: how all of them take hold of ministack; each names what it changes and why
"""

from local.clients import use
from local.lifecycle import LocalAwsError, ServerInfo, running, start, stop
from local.settings import Settings

__all__ = ["LocalAwsError", "ServerInfo", "Settings", "running", "start", "stop", "use"]

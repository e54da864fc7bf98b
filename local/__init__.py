"""The embedded AWS: ministack plus SageMaker on one loopback port, without Docker and without an account.

`python -m local up`, `status` and `down` for people; `start`, `stop` and `running` for programs.

- `lifecycle`, `processes`, `server`, `settings`: one server process per port and folder; `supervisor`: ends child
  processes together with the server
- `persistence`: saves the state periodically and at the stop, and restores it at the next start; `restored`: says so
- `security`, `signatures`, `credentials`: authentication of requests; `users`: keys of IAM users;
  `clients`: the environment of AWS clients
- `lambdas`: Lambda workers with the code, packages and variables that they have on AWS
- `states`: Task states, executions and callbacks of Step Functions, and its SageMaker integrations
- `sagemaker`: training and processing jobs, models, endpoints, model registry
- `alarms`, `metrics`, `events`, `event_buses`, `logs`, `cloudformation`: differences between ministack and AWS
- `http_apis`: HTTP APIs of API Gateway
- `bucket_policies`, `policy_documents`, `object_keys`, `missing_objects`: the policies of buckets, keys with any
  characters, and what S3 answers about objects that do not exist
- `authorization`, `service_roles`: IAM for requests, and for what services do with roles; `policy_variables`,
  `event_conditions`, `encrypted_topics`, `parameter_permissions`: what ministack's evaluator lacks; `recorded_calls`:
  the authorized calls
- `service_models`, `checked_calls`: what botocore's models demand of requests and responses, for tests
- `request_permissions`: the IAM actions of batch operations of SQS, and the resources of DescribeAlarms
- `faults`: AWS calls that are refused, delayed or lost, for tests of whole systems
- `patches`, `install`: replace functions of ministack; the docstring of each module lists them with the reason
"""

from local.clients import use
from local.lifecycle import LocalAwsError, ServerInfo, running, start, stop
from local.restored import print_restored
from local.settings import Settings

__all__ = ["LocalAwsError", "ServerInfo", "Settings", "print_restored", "running", "start", "stop", "use"]

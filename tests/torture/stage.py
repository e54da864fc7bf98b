"""A stage on an embedded AWS, with the initial model as champion."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

import local
from deploy import system
from deploy.outputs import Deployed
from deploy.target import Target
from operate import initial_model
from tests.support import embedded_aws
from tests.support.network import free_port


@contextmanager
def deployed_stage(folder: Path, save_interval_s: float = 20.0) -> Iterator[tuple[local.ServerInfo, Deployed]]:
    """Start an embedded AWS in `folder` and deploy a stage; stop it at the end of the block.

    The threshold is 0, so that a photo goes to review only when the model sees no vehicle or is unavailable.
    """
    settings = local.Settings(port=free_port(), directory=folder, save_interval_s=save_interval_s)
    with embedded_aws.started(settings) as server, embedded_aws.used(server):
        # All hostile files are photos of one driver. `used` restores the environment.
        os.environ["UPLOADS_PER_MINUTE"] = "1000"
        deployed = Deployed.of(system.deploy(Target("local", "torture"), progress=lambda line: None))
        initial_model.ensure_initial_model(deployed)
        ssm: Any = boto3.client("ssm")
        ssm.put_parameter(Name=deployed.threshold_parameter, Value="0.0", Overwrite=True)
        yield server, deployed

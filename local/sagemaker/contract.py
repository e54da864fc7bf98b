"""The files with which SageMaker describes a job to its container, and the limits of what the container answers.

Source: "How Amazon SageMaker AI Provides Training Information", Amazon SageMaker AI Developer Guide.
"""

from __future__ import annotations

from typing import Any

MAX_REASON = 1024
"""The most characters of a FailureReason or an ExitMessage."""


def resource_config(instance: str) -> dict[str, Any]:
    """Return the content of resourceconfig.json of a job with one instance."""
    return {
        "current_host": "algo-1",
        "current_instance_type": instance,
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "network_interface_name": "lo",
    }


def input_data_config(job: dict[str, Any]) -> dict[str, Any]:
    """Return the content of inputdataconfig.json for a CreateTrainingJob request."""
    return {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", "File"),
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        for channel in job.get("InputDataConfig", ())
    }

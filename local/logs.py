"""CloudWatch Logs: FilterLogEvents by stream prefix.

Patch: ministack's `cloudwatch_logs._filter_log_events` ignores logStreamNamePrefix. AWS filters by it (CloudWatch Logs
API Reference, "FilterLogEvents").
"""

from __future__ import annotations

from typing import Any

from ministack.services import cloudwatch_logs

from local import patches


def install() -> None:
    """Apply the patches of this module."""

    def filter_log_events(data: dict[str, Any]) -> Any:
        prefix = data.get("logStreamNamePrefix")
        group = cloudwatch_logs._log_groups.get(cloudwatch_logs._resolve_log_group_name(data))
        if prefix and group is not None:
            # An empty list means all streams.
            names = [name for name in group["streams"] if name.startswith(prefix)] or ["no stream has this name"]
            data = {**data, "logStreamNames": names}
        return original(data)

    original = patches.replace(cloudwatch_logs, "_filter_log_events", "data", filter_log_events)

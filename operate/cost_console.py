"""What the console behind a load balancer costs, which a stage has only after `make console`."""

from collections.abc import Mapping
from typing import Any

from deploy.templates import load_template

HOURS = 730
# One of the load balancer in each of two availability zones, and that of the task.
ADDRESSES = 3


def console_usd_per_month(prices: Mapping[str, Any]) -> dict[str, float]:
    """Return the US dollars a month by part, of one task and without the load balancer's capacity units.

    `prices` are the entries of prices.json.
    """
    task = load_template("console")["Resources"]["Task"]["Properties"]
    vcpu, memory_gb = int(task["Cpu"]) / 1024, int(task["Memory"]) / 1024
    per_hour = {
        "task": vcpu * prices["fargate_vcpu_hour"]["usd"] + memory_gb * prices["fargate_gb_hour"]["usd"],
        "load balancer": prices["load_balancer_hour"]["usd"],
        "public addresses": ADDRESSES * prices["public_ipv4_hour"]["usd"],
    }
    return {name: HOURS * usd for name, usd in per_hour.items()}
